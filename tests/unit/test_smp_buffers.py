"""Buffers that a device tells: what they make of an upload, however large they are."""

from typing import Any

import pytest

from agent.core.ports import BusSettings, Urgency
from agent.drivers.smp.burst import Burst, Ended
from agent.drivers.smp.client import Client
from agent.drivers.smp.console import Unframer
from agent.drivers.smp.packet import Reply
from agent.drivers.smp.upload import SmpFirmware
from shared import limits

IMAGE = bytes(300_000)


class Boasting:
    """A serial device that tells of a buffer and takes everything; keeps its longest packet."""

    settings = BusSettings(name="b", url="serial:///dev/ttyACM0")

    def __init__(self, size: int) -> None:
        self.size, self.longest = size, 0

    async def exchange(self, request: bytes, decoder: Any, *, urgency: Urgency) -> Reply | Ended:
        if not isinstance(decoder, Burst):
            reads = b"off" not in next(Unframer().feed(request))
            return {"buf_size": self.size, "buf_count": 4} if reads else {"off": 100}
        (whole,) = Unframer().feed(request)
        self.longest = max(self.longest, len(whole))
        return Ended(len(IMAGE), whole=True)


@pytest.mark.parametrize("size", [4_096, 16_384, 40_000, 66_000, 1 << 30])
async def test_no_packet_is_longer_than_its_frame_can_say(size: int):
    device = Boasting(size)
    client = Client(device, unit=0)  # type: ignore[arg-type]  # a bus of one method
    await SmpFirmware(client).upload(IMAGE, image=0, digest=bytes(32))
    least = min(size, limits.SMP_PACKET_BYTES) - 32
    assert least <= device.longest <= min(size, limits.SMP_PACKET_BYTES)
