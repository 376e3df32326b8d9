"""Packets of SMP: an eight-byte header, a CBOR map, and how a refusal looks in both versions.

Owns request to bytes and bytes to reply (Zephyr, "SMP Protocol Specification"; integers of the
header are big-endian). Leaves out framing on a serial line (`console`), sequence and windows
(`codec`, `burst`) and what the commands mean (`client`).
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cbor2

from shared import limits

HEADER: Final = struct.Struct(">BBHHBB")
"""Version and operation, flags, payload length, group, sequence, command."""
READ, WRITE = 0, 2
V1, V2 = 0, 1
"""Versions as the header counts them; they differ in what a refusal looks like."""
_OP_BITS, _VERSION_BITS, _VERSION_SHIFT = 0x07, 0x03, 3

NOT_SUPPORTED: Final = 8
TOO_NEW: Final = 13
_GENERAL: Final = {
    1: "unknown error",
    2: "no memory left",
    3: "invalid value",
    4: "timeout",
    5: "no such entry",
    6: "not in this state",
    7: "answer too large",
    8: "not supported",
    9: "corrupt",
    10: "busy",
    11: "access denied",
    12: "protocol too old",
    13: "protocol too new",
}
"""Zephyr's ``mcumgr_err_t``."""
IMAGE_GROUP: Final = 1
_IMAGE: Final = {
    1: "unknown error",
    6: "its flash cannot be opened",
    7: "its flash cannot be read",
    8: "its flash cannot be written",
    9: "its flash cannot be erased",
    10: "no slot is free",
    12: "its flash could not be written",
    13: "its flash could not be read",
    14: "no such slot",
    15: "no memory left",
    20: "a wrong offset",
    21: "no length was given",
    22: "the image's header is broken",
    23: "it is no image",
    24: "a wrong hash",
    27: "what runs is newer",
    28: "an image waits for its test already",
    30: "the image is too large for the slot",
    31: "more data than was announced",
    33: "what runs cannot be tested",
}
"""The most telling of ``img_mgmt_err_code_t``."""
_SETTINGS: Final = {
    1: "unknown error",
    2: "the setting's name is too long",
    3: "no such setting",
    4: "the setting cannot be read",
    5: "no such group of settings",
    6: "the setting cannot be written",
    7: "the setting cannot be deleted",
    8: "settings cannot be saved",
}
"""``settings_mgmt_ret_code_t``."""
_FILES: Final = {
    1: "unknown error",
    2: "the file's name is none",
    3: "no such file",
    4: "it is no file but a directory",
    5: "the file cannot be opened",
    8: "the file cannot be read",
    10: "the file cannot be written",
    14: "no such file system",
    15: "the file is empty",
}
"""The most telling of ``fs_mgmt_ret_code_t``."""
_WORDS: Final = {None: _GENERAL, IMAGE_GROUP: _IMAGE, 3: _SETTINGS, 8: _FILES}


@dataclass(frozen=True, slots=True)
class Request:
    """One command, before it has a number and a frame."""

    op: int
    group: int
    command: int
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The device said no."""

    rc: int
    group: int | None = None
    """The group that defines `rc`; None: it is a general one."""

    @property
    def text(self) -> str:
        """Return what it says, for people.

        >>> Refusal(8).text, Refusal(23, 1).text, Refusal(5, 63).text
        ('not supported', 'it is no image', 'reason 5 of group 63')
        """
        known = _WORDS.get(self.group, {})
        where = "" if self.group is None else f" of group {self.group}"
        return known.get(self.rc) or f"reason {self.rc}{where}"


Reply = Mapping[str, Any] | Refusal
"""What a device answered: its values, or no. Values are checked where they are used."""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer, and which request it is the answer to."""

    op: int
    group: int
    command: int
    sequence: int
    reply: Reply

    def answers(self, request: Request, sequence: int) -> bool:
        """Tell whether it is the answer to that request."""
        return (self.op, self.group, self.command, self.sequence) == (
            request.op + 1,
            request.group,
            request.command,
            sequence,
        )


def encode(request: Request, *, sequence: int, version: int) -> bytes:
    """Return the packet of a request."""
    payload: bytes = cbor2.dumps(dict(request.values))
    first = version << _VERSION_SHIFT | request.op
    head = HEADER.pack(first, 0, len(payload), request.group, sequence, request.command)
    return head + payload


def decode(packet: bytes) -> Response | None:
    """Return the answer that a packet is, None when it is none: noise, a request, another's."""
    if not HEADER.size <= len(packet) <= limits.SMP_PACKET_BYTES:
        return None
    first, _, size, group, sequence, command = HEADER.unpack_from(packet)
    if first >> _VERSION_SHIFT & _VERSION_BITS > V2 or len(packet) - HEADER.size != size:
        return None
    reply = _reply(packet[HEADER.size :])
    if reply is None:
        return None
    return Response(first & _OP_BITS, group, command, sequence, reply)


def _reply(payload: bytes) -> Reply | None:
    try:
        values = cbor2.loads(payload)
    # Tags of CBOR make dates, fractions, patterns: their errors are as many as their kinds.
    except Exception:  # noqa: BLE001
        return None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        return None
    error = values.get("err")
    if isinstance(error, dict):
        rc, group = _count(error.get("rc")), _count(error.get("group"))
        return None if rc is None else Refusal(rc, group)
    rc = _count(values.get("rc", 0))
    if rc is None:
        return None
    return Refusal(rc) if rc else values


def _count(value: object) -> int | None:
    """Return a small whole number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
        return None
    return value
