"""SMP group 1: which images a device has, and how it gets another one.

Owns the upload's state, which lives in memory as on a real device: a cut link finds it again, a
reset does not. Leaves out what the bootloader makes of the slots. Written from Zephyr's
"Application/software image management group".
"""

from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256

from firmware_sim.bootloader import Bootloader, Slot, Swap
from firmware_sim.mcuboot import HEADER_BYTES, NON_BOOTABLE, Image
from firmware_sim.smp.board import Board
from firmware_sim.smp.packet import Fields, Payload, Rc, RefusalError

GROUP = 1
_MAGIC = bytes.fromhex("3db8f396")
_SHA_BYTES = 32


class ImageRc(IntEnum):
    """The group's own refusals."""

    HASH_NOT_FOUND = 8
    NO_FREE_SLOT = 9
    FLASH_WRITE_FAILED = 12
    INVALID_SLOT = 14
    INVALID_OFFSET = 20
    INVALID_LENGTH = 21
    INVALID_IMAGE_HEADER = 22
    INVALID_IMAGE_HEADER_MAGIC = 23
    INVALID_HASH = 24
    CURRENT_VERSION_IS_NEWER = 27
    IMAGE_ALREADY_PENDING = 28
    INVALID_IMAGE_TOO_LARGE = 30
    INVALID_IMAGE_DATA_OVERRUN = 31
    IMAGE_SETTING_TEST_TO_ACTIVE_DENIED = 33


_BAD_STATE = {ImageRc.NO_FREE_SLOT, ImageRc.CURRENT_VERSION_IS_NEWER, ImageRc.IMAGE_ALREADY_PENDING}
_INVALID = {
    ImageRc.INVALID_SLOT,
    ImageRc.INVALID_OFFSET,
    ImageRc.INVALID_LENGTH,
    ImageRc.INVALID_IMAGE_HEADER,
    ImageRc.INVALID_IMAGE_HEADER_MAGIC,
    ImageRc.INVALID_HASH,
}


def _refusal(rc: ImageRc) -> RefusalError:
    plain = Rc.BAD_STATE if rc in _BAD_STATE else Rc.INVALID if rc in _INVALID else Rc.UNKNOWN
    return RefusalError(rc, group=GROUP, plain=plain)


@dataclass(slots=True)
class _Upload:
    size: int
    sha: bytes
    offset: int = 0


class ImageGroup:
    """The commands of group 1."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._upload: _Upload | None = None
        self.full = False
        """While a fault is on: no write to flash succeeds."""

    @property
    def _loader(self) -> Bootloader:
        return self._board.loader

    def forget(self) -> None:
        """Lose what stood in memory: the board was reset."""
        self._upload = None

    # --- state -----------------------------------------------------------------------------------
    def read_state(self, _: Fields) -> Payload:
        """Return what stands in the slots (command 0, read)."""
        swap = self._loader.next_swap()
        rows = ((slot, self._loader.image(slot)) for slot in Slot)
        return {
            "images": [_row(slot, image, swap) for slot, image in rows if image is not None],
            "splitStatus": 0,
        }

    def write_state(self, fields: Fields) -> Payload:
        """Test, or keep, the image of that hash; without one, keep what runs (command 0, write)."""
        wanted, confirm = fields.data("hash"), fields.flag("confirm")
        if wanted is None:
            if not confirm:
                raise _refusal(ImageRc.INVALID_HASH)
            self._loader.confirm()
            return self.read_state(fields)
        slot = self._slot_of(wanted)
        if slot is Slot.PRIMARY:
            if not confirm:
                raise _refusal(ImageRc.IMAGE_SETTING_TEST_TO_ACTIVE_DENIED)
            self._loader.confirm()
            return self.read_state(fields)
        swap = self._loader.next_swap()
        if swap is Swap.REVERT or (swap is Swap.PERMANENT and not confirm):
            raise _refusal(ImageRc.IMAGE_ALREADY_PENDING)
        self._loader.request(permanent=confirm)
        return self.read_state(fields)

    def _slot_of(self, wanted: bytes) -> Slot:
        for slot in Slot:
            image = self._loader.image(slot)
            if image is not None and image.digest == wanted:
                return slot
        raise _refusal(ImageRc.HASH_NOT_FOUND)

    # --- upload ----------------------------------------------------------------------------------
    def upload(self, fields: Fields) -> Payload:
        """Take a piece of an image; say where the next one goes (command 1, write)."""
        offset, data = fields.number("off"), fields.data("data") or b""
        if offset is None:
            raise _refusal(ImageRc.INVALID_OFFSET)
        if offset == 0:
            if self._resumes(fields):
                assert self._upload is not None, "what is resumed has begun"
                return {"off": self._upload.offset}
            self._begin(fields, data)
        upload = self._upload
        if upload is None or offset != upload.offset:
            # Not refused: the client is told where to go on.
            return {"off": 0 if upload is None else upload.offset}
        if offset + len(data) > upload.size:
            raise _refusal(ImageRc.INVALID_IMAGE_DATA_OVERRUN)
        if self.full:
            raise _refusal(ImageRc.FLASH_WRITE_FAILED)
        self._loader.write(Slot.SECONDARY, offset, data)
        upload.offset += len(data)
        return self._finish(upload) if upload.offset == upload.size else {"off": upload.offset}

    def _resumes(self, fields: Fields) -> bool:
        upload, sha = self._upload, fields.data("sha")
        return upload is not None and bool(sha) and sha == upload.sha and upload.offset > 0

    def _begin(self, fields: Fields, data: bytes) -> None:
        size, sha = fields.number("len"), fields.data("sha") or b""
        if size is None:
            raise _refusal(ImageRc.INVALID_LENGTH)
        if fields.number("image"):
            raise _refusal(ImageRc.INVALID_SLOT)
        if len(data) < HEADER_BYTES:
            raise _refusal(ImageRc.INVALID_IMAGE_HEADER)
        if not data.startswith(_MAGIC):
            raise _refusal(ImageRc.INVALID_IMAGE_HEADER_MAGIC)
        if len(sha) > _SHA_BYTES:
            raise _refusal(ImageRc.INVALID_HASH)
        if size > self._loader.layout.image_bytes:
            raise _refusal(ImageRc.INVALID_IMAGE_TOO_LARGE)
        if self._loader.next_swap() is not Swap.NONE:
            raise _refusal(ImageRc.NO_FREE_SLOT)
        if fields.flag("upgrade") and not self._is_newer(data):
            raise _refusal(ImageRc.CURRENT_VERSION_IS_NEWER)
        self._upload = None
        if not self.full:
            self._loader.erase(Slot.SECONDARY)
        self._upload = _Upload(size, sha)

    def _is_newer(self, data: bytes) -> bool:
        running = self._loader.image(Slot.PRIMARY)
        # Major, minor, revision, build: where they stand in the header.
        parts = (data[20:21], data[21:22], data[22:24], data[24:28])
        offered = tuple(int.from_bytes(part, "little") for part in parts)
        return running is None or offered > tuple(running.version)

    def _finish(self, upload: _Upload) -> Payload:
        self._upload = None
        answer: dict[str, object] = {"off": upload.offset}
        if upload.sha:
            content = self._loader.content(Slot.SECONDARY, upload.size)
            answer["match"] = sha256(content).digest() == upload.sha
        return answer

    # --- the rest --------------------------------------------------------------------------------
    def erase(self, fields: Fields) -> Payload:
        """Erase the slot that does not run (command 5, write)."""
        slot = fields.number("slot")
        if slot not in {None, Slot.SECONDARY}:
            raise _refusal(ImageRc.INVALID_SLOT)
        if self._loader.next_swap() is not Swap.NONE:
            raise _refusal(ImageRc.NO_FREE_SLOT)
        self._upload = None
        self._loader.erase(Slot.SECONDARY)
        return {}

    def read_slots(self, _: Fields) -> Payload:
        """Return the slots' sizes (command 6, read)."""
        layout = self._loader.layout
        slots: list[dict[str, object]] = [
            {"slot": int(slot), "size": layout.slot_bytes} for slot in Slot
        ]
        slots[Slot.SECONDARY]["upload_image_id"] = 0
        return {"images": [{"image": 0, "slots": slots, "max_image_size": layout.image_bytes}]}


def _row(slot: Slot, image: Image, swap: Swap) -> dict[str, object]:
    """Return one image as the state command lists it."""
    primary = slot is Slot.PRIMARY
    secondary = not primary
    # While an unconfirmed image runs, the one that a revert goes back to counts as confirmed.
    confirmed = primary if swap is not Swap.REVERT else secondary
    return {
        "image": 0,
        "slot": int(slot),
        "version": str(image.version),
        "hash": image.digest,
        "bootable": not image.flags & NON_BOOTABLE,
        "pending": secondary and swap in {Swap.TEST, Swap.PERMANENT},
        "confirmed": confirmed,
        "active": primary,
        "permanent": secondary and swap is Swap.PERMANENT,
    }
