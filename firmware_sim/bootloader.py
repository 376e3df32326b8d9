"""MCUboot's two slots: which image is booted, what is tested, confirmed, reverted, refused.

Owns the slots, their trailers and a swap that survives a power cut at any operation. Leaves out
the image's format (`mcuboot`) and the protocol that fills a slot (`smp`). Written from MCUboot's
design document: "Boot swap types", "Image trailer", "Swap status".

A swap goes sector by sector over a scratch sector. Every step leaves both images whole in two of
primary, secondary and scratch and is then marked, so that a boot after a power cut repeats one
step. The marks stand in a sector of their own, MCUboot keeps them in the trailers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware_sim.flash import SECTOR_BYTES, Flash
from firmware_sim.mcuboot import (
    USUAL,
    Build,
    Image,
    ImageError,
    ImageFault,
    check_image,
    read_image,
)

_MAGIC = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
"""The last 16 bytes of a slot whose trailer means something."""
_IMAGE_OK_AT, _COPY_DONE_AT = 24, 32
"""Distance of the flags from the end of the slot; each stands in 8 bytes, the largest alignment."""
_SET = b"\x01"
_STATUS = b"swap"
_BEGUN_AT, _MARKS_AT = 8, 16
_DONE = b"\x00"
_STEPS = 3
_SECTORS_MAX = 512
"""Of one slot: the marks of its swap stay inside half of the status sector."""


class Slot(IntEnum):
    """One of the two."""

    PRIMARY = 0
    SECONDARY = 1


class Swap(StrEnum):
    """What the next boot does."""

    NONE = "none"
    TEST = "test"
    PERMANENT = "permanent"
    REVERT = "revert"


_CODES = {Swap.TEST: 2, Swap.PERMANENT: 3, Swap.REVERT: 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where what stands in the flash."""

    slot_bytes: int

    def __post_init__(self) -> None:
        assert self.slot_bytes % SECTOR_BYTES == 0, "a slot has whole sectors"
        assert 2 <= self.slot_bytes // SECTOR_BYTES <= _SECTORS_MAX, "a slot has a usual size"

    @property
    def flash_bytes(self) -> int:
        """Return the size of the part: two slots, the scratch and the status sector."""
        return 2 * self.slot_bytes + 2 * SECTOR_BYTES

    @property
    def image_bytes(self) -> int:
        """Return the largest image: the last sector is the trailer's."""
        return self.slot_bytes - SECTOR_BYTES

    @property
    def scratch(self) -> int:
        """Return the offset of the scratch sector."""
        return 2 * self.slot_bytes

    @property
    def status(self) -> int:
        """Return the offset of the swap's marks."""
        return self.scratch + SECTOR_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What one boot did."""

    image: Image | None
    """What runs now; None: nothing in the primary slot can be run, the device is dead."""
    swap: Swap
    refused: ImageFault | None = None
    """Why the image of the secondary slot was thrown away."""
    resumed: bool = False
    """A swap that a power cut had interrupted was finished."""


class Bootloader:
    """Two slots in one flash, and the key whose images are run."""

    def __init__(
        self,
        flash: Flash,
        layout: Layout,
        key: Ed25519PublicKey,
        *,
        downgrade: bool = True,
        build: Build = USUAL,
    ) -> None:
        assert flash.size == layout.flash_bytes, "the layout is this part's"
        self.flash, self.layout, self.key, self.build = flash, layout, key, build
        self.downgrade = downgrade
        """Images of an older version may be swapped in."""

    # --- slots -----------------------------------------------------------------------------------
    def image(self, slot: Slot) -> Image | None:
        """Return what stands in a slot, believed or not; None if it cannot be followed."""
        try:
            return read_image(self._content(slot), self.build)
        except ImageError:
            return None

    def erase(self, slot: Slot) -> None:
        """Erase a slot with its trailer."""
        self.flash.erase(slot * self.layout.slot_bytes, self.layout.slot_bytes)

    def write(self, slot: Slot, offset: int, data: bytes) -> None:
        """Program a piece of an image."""
        assert offset + len(data) <= self.layout.image_bytes, "the trailer is not the image's"
        self.flash.write(slot * self.layout.slot_bytes + offset, data)

    def content(self, slot: Slot, size: int) -> bytes:
        """Return a slot's first bytes."""
        return self.flash.read(slot * self.layout.slot_bytes, size)

    def next_swap(self) -> Swap:
        """Return what the next boot would try (the table of "Boot swap types")."""
        if self._magic(Slot.SECONDARY):
            permanent = self._flag(Slot.SECONDARY, _IMAGE_OK_AT)
            return Swap.PERMANENT if permanent else Swap.TEST
        unconfirmed = not self._flag(Slot.PRIMARY, _IMAGE_OK_AT)
        tested = self._magic(Slot.PRIMARY) and self._flag(Slot.PRIMARY, _COPY_DONE_AT)
        return Swap.REVERT if tested and unconfirmed else Swap.NONE

    def request(self, *, permanent: bool) -> None:
        """Let the next boot swap the secondary slot in, for one boot or for good."""
        if not self._magic(Slot.SECONDARY):
            self.flash.write(self._end(Slot.SECONDARY) - len(_MAGIC), _MAGIC)
        # Last: cut off before this, it is a test, which is the safer of the two.
        if permanent and not self._flag(Slot.SECONDARY, _IMAGE_OK_AT):
            self._set(Slot.SECONDARY, _IMAGE_OK_AT)

    def confirm(self) -> None:
        """Keep what runs."""
        if self._magic(Slot.PRIMARY) and not self._flag(Slot.PRIMARY, _IMAGE_OK_AT):
            self._set(Slot.PRIMARY, _IMAGE_OK_AT)

    # --- booting ---------------------------------------------------------------------------------
    def boot(self) -> Boot:
        """Finish or begin what is due, check what is to be run.

        Raises:
            PowerCutError: the supply failed; boot again.
        """
        swap, refused = self._interrupted(), None
        resumed = swap is not Swap.NONE
        if not resumed:
            swap = self.next_swap()
            refused = self._refusal(swap)
        if refused is not None:
            self.erase(Slot.SECONDARY)
            swap = Swap.NONE
        if swap is not Swap.NONE:
            if not resumed:
                self._begin(swap)
            self._carry_on(swap)
        return Boot(image=self._runnable(), swap=swap, refused=refused, resumed=resumed)

    def _runnable(self) -> Image | None:
        try:
            image = read_image(self._content(Slot.PRIMARY), self.build)
            check_image(image, self.key, self.build)
        except ImageError:
            return None
        return image

    def _refusal(self, swap: Swap) -> ImageFault | None:
        if swap is Swap.NONE:
            return None
        try:
            image = read_image(self._content(Slot.SECONDARY), self.build)
            check_image(image, self.key, self.build)
        except ImageError as error:
            return error.fault
        running = self.image(Slot.PRIMARY)
        older = running is not None and image.version < running.version
        if older and not self.downgrade and swap is not Swap.REVERT:
            return ImageFault.OLDER
        return None

    # --- the swap --------------------------------------------------------------------------------
    def _interrupted(self) -> Swap:
        status = self.flash.read(self.layout.status, _MARKS_AT)
        if not status.startswith(_STATUS) or status[_BEGUN_AT] != _DONE[0]:
            return Swap.NONE
        return next((swap for swap, code in _CODES.items() if code == status[4]), Swap.NONE)

    def _begin(self, swap: Swap) -> None:
        images = (self.image(slot) for slot in Slot)
        size = max(image.size for image in images if image is not None)
        self.flash.erase(self.layout.status, SECTOR_BYTES)
        sectors = -(-size // SECTOR_BYTES)
        head = _STATUS + bytes((_CODES[swap],)) + sectors.to_bytes(2)
        self.flash.write(self.layout.status, head)
        self.flash.write(self.layout.status + _BEGUN_AT, _DONE)

    def _carry_on(self, swap: Swap) -> None:
        sectors = int.from_bytes(self.flash.read(self.layout.status + 5, 2))
        assert sectors < _SECTORS_MAX, "a swap covers a slot at most"
        slot, scratch = self.layout.slot_bytes, self.layout.scratch
        for sector in range(sectors):
            here = sector * SECTOR_BYTES
            there = slot + here
            for step, (source, target) in enumerate(
                ((there, scratch), (here, there), (scratch, here))
            ):
                mark = _STEPS * sector + step
                self._once(mark, partial(self._copy, source, target))
        last = _STEPS * sectors
        self._once(last, partial(self._settle, kept=swap is not Swap.TEST))
        self._once(last + 1, partial(self._erase_trailer, Slot.SECONDARY))
        self.flash.erase(self.layout.status, SECTOR_BYTES)

    def _once(self, mark: int, work: Callable[[], None]) -> None:
        """Do a step unless it is marked as done, then mark it."""
        at = self.layout.status + _MARKS_AT + mark
        if self.flash.read(at, 1) != _DONE:
            work()
            self.flash.write(at, _DONE)

    def _copy(self, source: int, target: int) -> None:
        self.flash.erase(target, SECTOR_BYTES)
        self.flash.write(target, self.flash.read(source, SECTOR_BYTES))

    def _settle(self, *, kept: bool) -> None:
        """Write the trailer of an image that was swapped in."""
        self._erase_trailer(Slot.PRIMARY)
        if kept:
            self._set(Slot.PRIMARY, _IMAGE_OK_AT)
        self._set(Slot.PRIMARY, _COPY_DONE_AT)
        self.flash.write(self._end(Slot.PRIMARY) - len(_MAGIC), _MAGIC)

    # --- trailers --------------------------------------------------------------------------------
    def _content(self, slot: Slot) -> bytes:
        return self.content(slot, self.layout.image_bytes)

    def _end(self, slot: Slot) -> int:
        return (slot + 1) * self.layout.slot_bytes

    def _erase_trailer(self, slot: Slot) -> None:
        self.flash.erase(self._end(slot) - SECTOR_BYTES, SECTOR_BYTES)

    def _magic(self, slot: Slot) -> bool:
        return self.flash.read(self._end(slot) - len(_MAGIC), len(_MAGIC)) == _MAGIC

    def _flag(self, slot: Slot, distance: int) -> bool:
        return self.flash.read(self._end(slot) - distance, 1) == _SET

    def _set(self, slot: Slot, distance: int) -> None:
        self.flash.write(self._end(slot) - distance, _SET)
