"""Puts an image into a device's free slot, from wherever the device is.

Owns beginning, resuming and giving up. The first piece announces length and hash: a device that has
begun this very image answers where it is, another begins, erasing a slot for it. So a cut at any
byte, of the link or the gateway, costs what was on its way; a device that lost its supply begins
again. Leaves out the window (`burst`).
"""

import asyncio
from hashlib import sha256

from agent.core.firmware import SlotImage
from agent.core.progress import Progress
from agent.drivers.smp.burst import UPLOAD, Burst, Ended, piece_bytes
from agent.drivers.smp.client import Client
from agent.drivers.smp.packet import IMAGE_GROUP, WRITE, Request
from shared import limits
from shared.errors import Reason, WorldError

_RESUMED = frozenset({Reason.DEVICE_SILENT, Reason.DEVICE_BAD_FRAME, Reason.BUS_DOWN})


class SmpFirmware:
    """The way firmware gets into one device; see `agent.core.firmware.FirmwarePort`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._uploading: _Upload | None = None

    @property
    def transfer(self) -> Progress | None:
        """Return what is on its way now."""
        return None if self._uploading is None else self._uploading.transfer

    async def slots(self) -> tuple[SlotImage, ...]:
        """Return the images in the device's slots."""
        return await self._client.slots()

    async def test(self, digest: bytes) -> None:
        """Let the next reset try the image that is named so."""
        await self._mark(digest, confirm=False)

    async def confirm(self, digest: bytes, *, alone: bool) -> None:
        """Keep the image that runs; see `agent.core.firmware.FirmwarePort`."""
        await self._mark(digest, confirm=True, named=not alone)

    async def _mark(self, digest: bytes, *, confirm: bool, named: bool = True) -> None:
        """Ask for it; a device that says no because it is so already is content."""
        try:
            await self._client.mark(digest if named else b"", confirm=confirm)
        except WorldError as error:
            if error.reason is not Reason.DEVICE_EXCEPTION:
                raise
            found = [one for one in await self._client.slots() if one.digest == digest]
            if not any((one.active and one.confirmed) if confirm else one.pending for one in found):
                raise

    async def reset(self) -> None:
        """Reset the device; that its answer is lost is no fault."""
        await self._client.reset()

    async def upload(self, content: bytes, *, image: int, digest: bytes) -> int:
        """Put an image into the free slot; return how many bytes of it were sent.

        Raises:
            WorldError: the device refuses it, or there was no progress any more.
        """
        self._uploading = _Upload(self._client, content, image=image, digest=digest)
        try:
            return await self._uploading.run()
        finally:
            self._uploading = None


class _Upload:
    """One image on its way."""

    def __init__(self, client: Client, content: bytes, *, image: int, digest: bytes) -> None:
        self._client, self._content, self._digest = client, content, digest
        self._announced: dict[str, object] = {
            "len": len(content),
            "sha": sha256(content).digest(),
            **({"image": image} if image else {}),
        }
        self._stalls = self._beginnings = self._sent = self._reached = 0
        self._room, self._first, self._piece, self._window = 0, 0, 0, 1

    @property
    def transfer(self) -> Progress:
        """Return how far the device has said that it is."""
        return Progress(self._reached, len(self._content))

    async def run(self) -> int:
        """Send until the device has all of it."""
        size, count = await self._client.buffers()
        self._fit(self._client.dialect.framing.packet_bytes(size))
        # Answers are made in one of the device's buffers too.
        self._window = max(1, min(count - 1, limits.SMP_WINDOW))
        offset = 0
        while offset < len(self._content):
            self._reached = offset or self._reached
            try:
                if not offset:
                    offset = await self._begin()
                    if offset > self._reached:
                        # What came to a halt had got on meanwhile.
                        self._stalls = 0
                    continue
                ended = await self._burst(offset)
            except WorldError as error:
                if error.reason not in _RESUMED:
                    raise
                if await self._stalled(error):
                    break
                offset = 0
                continue
            if ended.refusal is not None:
                raise WorldError(Reason.DEVICE_EXCEPTION, f"the device says: {ended.refusal.text}")
            if ended.match is False:
                what = "the device has another image than was sent"
                raise WorldError(Reason.VERIFY_MISMATCH, what)
            if ended.offset > offset:
                self._stalls = 0
            elif await self._stalled(WorldError(Reason.DEVICE_SILENT, "it takes no more of it")):
                break
            self._window = self._window if ended.whole else 1
            offset = min(ended.offset, len(self._content))
        return self._sent

    def _fit(self, room: int) -> None:
        """Let packets be no longer than `room`."""
        self._room = room
        self._first = piece_bytes(room, True, self._announced)  # noqa: FBT003
        self._piece = piece_bytes(room, False, {})  # noqa: FBT003

    async def _begin(self) -> int:
        """Announce the image; return where the device is."""
        data = self._content[: self._first]
        self._sent += len(data)
        values = {"off": 0, "data": data, **self._announced}
        answer = await self._client.told(
            Request(WRITE, IMAGE_GROUP, UPLOAD, values), least_wait_ms=limits.SMP_ERASE_MS
        )
        offset = answer.get("off")
        if isinstance(offset, bool) or not isinstance(offset, int) or offset < 0:
            raise WorldError(Reason.DEVICE_EXCEPTION, "the device does not say what it wants next")
        if offset > len(self._content):
            raise WorldError(Reason.DEVICE_EXCEPTION, "the device wants more than there is")
        # One that is further has gone on where it was: it erased nothing for this.
        self._beginnings += offset <= len(data)
        if self._beginnings > limits.UPLOAD_BEGINNINGS:
            what = f"the device forgot the image {limits.UPLOAD_BEGINNINGS} times"
            raise WorldError(Reason.DEVICE_EXCEPTION, what)
        return offset

    async def _burst(self, offset: int) -> Ended:
        burst = Burst(
            self._content,
            self._client.dialect,
            offset=offset,
            piece=self._piece,
            window=self._window,
            sequence=self._client.sequence,
        )
        self._sent += min(limits.SMP_BURST * self._piece, len(self._content) - offset)
        return await self._client.burst(burst)

    async def _stalled(self, error: WorldError) -> bool:
        """Count a halt; tell whether all the same the image is there: only an answer was lost."""
        self._stalls += 1
        if self._stalls > limits.UPLOAD_STALLS:
            raise error
        # A device that lost its supply needs a moment.
        await asyncio.sleep(limits.FIRMWARE_LOOK_MS / 1000 * (1 << self._stalls - 1))
        # Where pieces got lost, the device may have fewer buffers free than it has told, or its
        # console less room than its buffers: Zephyr's default holds two lines of it.
        self._window = 1
        self._fit(max(self._room // 2, min(self._room, limits.SMP_SAFE_BYTES)))
        try:
            slots = await self._client.slots()
        except WorldError:
            return False
        return any(one.digest == self._digest and not one.active for one in slots)
