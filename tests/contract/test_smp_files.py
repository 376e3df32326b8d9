"""Files of an SMP device as points: how long they are, and whether they are the right ones."""

import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.core.files import FileSeen
from agent.core.ports import Urgency
from agent.drivers.smp.packet import WRITE, Request
from shared.errors import MistakeError, Reason
from tests.smp_site import PROFILE, Site, site_on

POINTS = """
[[point]]
name = "calibration"
at = { file = "/lfs/calibration", field = "crc32" }
[[point]]
name = "calibration_size"
at = { file = "/lfs/calibration", field = "size" }
[[point]]
name = "log_size"
at = { file = "/lfs/log", field = "size" }
scale = 0.001
"""
FILES = PROFILE.replace("[firmware]", f"{POINTS}[firmware]")
DATA = bytes(range(256)) * 3


@pytest.fixture(params=["udp", "serial"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_on(request.param, tmp_path, text=FILES) as site:
        yield site


async def put(site: Site, name: str, data: bytes) -> None:
    for at in range(0, len(data), 256):
        values = {"name": name, "off": at, "data": data[at : at + 256], "len": len(data)}
        await site.driver.client.told(Request(WRITE, 8, 0, values))


async def test_what_is_known_of_a_file_is_one_request(site: Site):
    await put(site, "/lfs/calibration", DATA)
    requests = site.node.requests
    readings = await site.driver.read(["calibration_size", "calibration"], urgency=Urgency.POLL)
    assert [one.value for one in readings] == [len(DATA), zlib.crc32(DATA)]
    assert site.node.requests == requests + 1
    assert site.driver.profile.points[-3].writable is False


async def test_a_length_alone_has_nothing_read_through(site: Site):
    await put(site, "/lfs/log", DATA)
    (size,) = await site.driver.read(["log_size"], urgency=Urgency.POLL)
    assert size.value == pytest.approx(0.768)


async def test_another_content_has_another_value(site: Site):
    await put(site, "/lfs/calibration", DATA)
    (before,) = await site.driver.read(["calibration"], urgency=Urgency.POLL)
    await put(site, "/lfs/calibration", DATA[:-1] + b"!")
    (after,) = await site.driver.read(["calibration"], urgency=Urgency.POLL)
    assert before.value != after.value


async def test_a_file_that_is_not_there_has_no_value_and_the_rest_has(site: Site):
    names = ["calibration", "log_size", "boots"]
    gone, also, boots = await site.driver.read(names, urgency=Urgency.POLL)
    assert (gone.value, gone.reason) == (None, Reason.DEVICE_EXCEPTION)
    assert (also.value, boots.value) == (None, 1)


async def test_what_is_known_of_a_file_is_not_written(site: Site):
    with pytest.raises(MistakeError, match="the point is read-only"):
        await site.driver.write({"log_size": 1})


async def test_a_file_goes_in_and_out_over_each_kind_of_port(site: Site):
    files = site.driver.files
    assert await files.look("/lfs/calibration") is None
    assert await files.put("/lfs/calibration", DATA) == len(DATA)
    assert await files.look("/lfs/calibration") == FileSeen(len(DATA), zlib.crc32(DATA))
    assert await files.get("/lfs/calibration", len(DATA)) == DATA
    assert await files.put("/lfs/calibration", DATA + b"more") == 4, (
        "it went on behind what is there"
    )
    assert await files.put("/lfs/calibration", DATA) == len(DATA), "and began anew"
