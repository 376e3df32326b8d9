"""A device's firmware as jobs see it: slots, the port that changes them, and what to do next.

Owns the decision, made anew from what the device shows each time: an update that was cut anywhere,
by the device's supply or the gateway's, goes on from where the device is. Leaves out the image
itself (`agent.core.firmware_image`), the protocol (`agent.drivers`) and waiting
(`agent.actions.update_firmware`).

    UPLOAD -> TEST -> RESET -> PROVE -> CONFIRM -> DONE
                        |        |
                        +--------+--> a reset without confirmation brings the old image back
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol, runtime_checkable

from agent.core.ports import ArtifactShelf
from agent.core.progress import Progress
from agent.core.queue import Problem
from shared.errors import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotImage:
    """An image that stands in a slot, as the device tells it."""

    image: int
    """Of a device with several processors; mostly 0."""
    slot: int
    version: str
    digest: bytes
    """The hash in the image's trailer: its name in MCUboot's and MCUmgr's words."""
    active: bool
    confirmed: bool
    pending: bool


class FirmwarePort(Protocol):
    """What a driver has beside `Driver` if firmware can get into its device.

    Everything raises WorldError: silence, or the device's refusal in its own words.
    """

    @property
    def transfer(self) -> Progress | None:
        """Return what is on its way now."""

    async def slots(self) -> Sequence[SlotImage]:
        """Return the images in the device's slots."""

    async def upload(self, content: bytes, *, image: int, digest: bytes) -> int:
        """Put an image into the free slot, from wherever the device is; return the bytes sent."""

    async def test(self, digest: bytes) -> None:
        """Let the next reset try the image that is named so."""

    async def confirm(self, digest: bytes, *, alone: bool) -> None:
        """Keep the image that runs, which should be the one that is named so.

        Args:
            digest: its name.
            alone: the device runs one image only. Without a name nothing but what runs can be
                meant then: by its name one that waits is kept unseen.
        """

    async def reset(self) -> None:
        """Reset the device; that its answer is lost is no fault."""


@runtime_checkable
class Updatable(Protocol):
    """A driver whose device takes firmware."""

    @property
    def firmware(self) -> FirmwarePort:
        """Return the way in."""


MayInstall = Callable[[bytes, int, str], Problem | None]
"""Says why the catalog in force allows no such image: its sha256, its size, the device's class."""


ReleaseOf = Callable[[bytes, str], int | None]
"""Returns the release that the catalog gives an image for a class: by the sha256 of its file, or by
its own hash as a device tells it. None: it is not listed."""


@dataclass(frozen=True, slots=True)
class FirmwareSource:
    """Where images come from, and which of them may be used."""

    shelf: ArtifactShelf
    may_install: MayInstall
    release_of: ReleaseOf


class Move(Enum):
    """What comes next."""

    UPLOAD = auto()
    TEST = auto()
    RESET = auto()
    """Swap it in: it waits for its test."""
    PROVE = auto()
    """It runs unconfirmed: check it, then confirm, or reset it away."""
    DONE = auto()


@dataclass(frozen=True, slots=True)
class Stuck:
    """Nothing that may be done leads on."""

    reason: Reason
    detail: str


def next_move(
    slots: Sequence[SlotImage], *, image: int, digest: bytes, tried: bool
) -> Move | Stuck:
    """Return what to do next.

    Args:
        slots: as the device tells them now.
        image: which of a device's images is updated.
        digest: what it shall run.
        tried: this update has already let the device reset into it.
    """
    own = [one for one in slots if one.image == image]
    running = next((one for one in own if one.active), None)
    if running is None:
        return Stuck(Reason.FIRMWARE_REFUSED, f"it does not say what runs as image {image}")
    if running.digest == digest:
        return Move.DONE if running.confirmed else Move.PROVE
    wanted = next((one for one in own if one.digest == digest), None)
    if wanted is not None and wanted.pending:
        return Move.RESET
    if tried:
        gone = "went back to" if wanted is not None else "threw it away and runs"
        return Stuck(Reason.FIRMWARE_REVERTED, f"the device {gone} {running.version}")
    other = next((one for one in own if one.pending), None)
    if other is not None:
        return Stuck(Reason.FIRMWARE_REFUSED, f"{other.version} waits for its test already")
    if not running.confirmed:
        return Stuck(Reason.FIRMWARE_REFUSED, f"it runs {running.version} on trial; reset it first")
    if len(digest) != len(running.digest or digest):
        known, made = len(running.digest) * 8, len(digest) * 8
        what = f"it knows its images by their SHA-{known}, this one was made for SHA-{made}"
        return Stuck(Reason.FIRMWARE_REFUSED, what)
    return Move.UPLOAD if wanted is None else Move.TEST
