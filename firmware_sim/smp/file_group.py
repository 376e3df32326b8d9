"""SMP group 8: small files in the memory of a device, up and down in pieces.

Owns the files, which live until the next reset, as on a board with a file system in RAM. Written
from Zephyr's "File management".
"""

import zlib
from enum import IntEnum
from hashlib import sha256

from firmware_sim.smp.packet import Fields, Payload, Rc, RefusalError
from shared import limits

GROUP = 8


class FileRc(IntEnum):
    """The group's own refusals."""

    INVALID_NAME = 2
    NOT_FOUND = 3
    WRITE_FAILED = 10
    OFFSET_NOT_VALID = 11
    OFFSET_LARGER_THAN_FILE = 12
    CHECKSUM_NOT_FOUND = 13
    MOUNT_POINT_NOT_FOUND = 14


_PLAIN = {
    FileRc.INVALID_NAME: Rc.INVALID,
    FileRc.OFFSET_NOT_VALID: Rc.INVALID,
    FileRc.OFFSET_LARGER_THAN_FILE: Rc.INVALID,
    FileRc.NOT_FOUND: Rc.NO_ENTRY,
    FileRc.MOUNT_POINT_NOT_FOUND: Rc.NO_ENTRY,
}


def _refusal(rc: FileRc) -> RefusalError:
    return RefusalError(rc, group=GROUP, plain=_PLAIN.get(rc, Rc.UNKNOWN))


class FileGroup:
    """The commands of group 8; files stand below /lfs/."""

    def __init__(self, piece_bytes: int) -> None:
        self._piece = piece_bytes
        """What an answer holds of a file."""
        self._files: dict[str, bytearray] = {}
        self.full = False
        """While a fault is on: nothing can be written."""

    def forget(self) -> None:
        """Lose the files: the board was reset."""
        self._files.clear()

    def download(self, fields: Fields) -> Payload:
        """Return a piece of a file (command 0, read)."""
        name, offset = self._asked(fields)
        content = self._content(name)
        if offset > len(content):
            raise _refusal(FileRc.OFFSET_LARGER_THAN_FILE)
        answer: dict[str, object] = {
            "off": offset,
            "data": bytes(content[offset : offset + self._piece]),
        }
        return answer | ({"len": len(content)} if offset == 0 else {})

    def upload(self, fields: Fields) -> Payload:
        """Take a piece of a file (command 0, write)."""
        name, offset = self._asked(fields)
        data = fields.data("data")
        if data is None or (offset == 0 and fields.number("len") is None):
            raise RefusalError(Rc.INVALID)
        held = bytearray() if offset == 0 else self._files.get(name, bytearray())
        if offset != len(held):
            raise _refusal(FileRc.OFFSET_NOT_VALID)
        too_many = name not in self._files and len(self._files) >= limits.SIM_FILES
        if self.full or too_many or offset + len(data) > limits.SIM_FILE_BYTES:
            raise _refusal(FileRc.WRITE_FAILED)
        held += data
        self._files[name] = held
        return {"off": len(held)}

    def status(self, fields: Fields) -> Payload:
        """Return a file's length (command 1, read)."""
        return {"len": len(self._content(_name(fields)))}

    def checksum(self, fields: Fields) -> Payload:
        """Return a hash of a file or of a part of it (command 2, read)."""
        kind = fields.text("type") or "crc32"
        content = self._content(_name(fields))
        start, size = fields.number("off") or 0, fields.number("len")
        part = bytes(content[start:] if size is None else content[start : start + size])
        if kind not in {"crc32", "sha256"}:
            raise _refusal(FileRc.CHECKSUM_NOT_FOUND)
        output = zlib.crc32(part) if kind == "crc32" else sha256(part).digest()
        answer: dict[str, object] = {"type": kind, "len": len(part), "output": output}
        return answer | ({"off": start} if start else {})

    def checksums(self, _: Fields) -> Payload:
        """Return which hashes there are (command 3, read)."""
        kinds = {"sha256": {"format": 1, "size": 32}, "crc32": {"format": 0, "size": 4}}
        return {"types": kinds}

    def close(self, _: Fields) -> Payload:
        """Do nothing: files are not kept open (command 4)."""
        return {}

    def _asked(self, fields: Fields) -> tuple[str, int]:
        offset = fields.number("off")
        if offset is None:
            raise RefusalError(Rc.INVALID)
        return _name(fields), offset

    def _content(self, name: str) -> bytearray:
        if (found := self._files.get(name)) is None:
            raise _refusal(FileRc.NOT_FOUND)
        return found


def _name(fields: Fields) -> str:
    name = fields.text("name")
    if not name or len(name) > limits.SIM_FILE_NAME_CHARS or name.endswith("/"):
        raise _refusal(FileRc.INVALID_NAME)
    if not name.startswith("/lfs/"):
        raise _refusal(FileRc.MOUNT_POINT_NOT_FOUND)
    return name
