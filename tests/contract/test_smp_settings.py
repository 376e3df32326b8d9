"""Settings as points of an SMP device: read, written, read back, kept or not, refused in words."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.core.ports import Urgency
from agent.drivers.smp.packet import READ, WRITE, Refusal, Request
from shared.errors import MistakeError, Reason, WorldError
from shared.model.reading import Quality
from tests.smp_parts import Bench
from tests.smp_site import PROFILE, Site, site_on

POINTS = """
[[point]]
name = "interval"
at = { setting = "sensor/interval", type = "uint32" }
writable = true
min = 10
max = 3600
[[point]]
name = "offset"
at = { setting = "sensor/offset", type = "int16" }
scale = 0.1
writable = true
[[point]]
name = "gone"
at = { setting = "sensor/colour", type = "uint8" }
writable = true
"""
SETTINGS = PROFILE.replace("[firmware]", f"{POINTS}[firmware]")


@pytest.fixture(params=["udp", "serial"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_on(request.param, tmp_path, text=SETTINGS) as site:
        yield site


async def test_settings_are_read_each_in_its_type(site: Site):
    readings = await site.driver.read(["offset", "interval", "boots"], urgency=Urgency.POLL)
    assert [one.value for one in readings] == [-0.5, 60, 1]
    assert site.node.requests == 3, "one for each setting, one for the group"


async def test_what_is_written_is_what_is_read_back(site: Site):
    wanted = {"interval": 900, "offset": 1.2}
    await site.driver.write(wanted)
    readings = await site.driver.read(list(wanted), urgency=Urgency.COMMAND)
    assert {one.point: one.value for one in readings} == site.driver.expected(wanted)


async def test_a_setting_that_a_device_has_not_gives_no_value_and_no_write(site: Site):
    (gone,) = await site.driver.read(["gone"], urgency=Urgency.POLL)
    assert (gone.value, gone.reason) == (None, Reason.DEVICE_EXCEPTION)
    with pytest.raises(WorldError, match="gone: the device says: no such setting") as refused:
        await site.driver.write({"interval": 30, "gone": 1})
    assert "written before: interval" in refused.value.detail


async def test_a_setting_of_another_length_is_no_value_and_is_not_cut(tmp_path: Path):
    async with site_on("udp", tmp_path, text=SETTINGS.replace("int16", "uint32")) as site:
        (wide,) = await site.driver.read(["offset"], urgency=Urgency.POLL)
        assert (wide.value, wide.quality) == (None, Quality.BAD_RANGE)
        with pytest.raises(WorldError, match="the setting cannot be written"):
            await site.driver.write({"offset": 7})


async def test_a_value_beyond_its_limits_is_never_sent(site: Site):
    with pytest.raises(MistakeError, match="outside its limits"):
        await site.driver.write({"interval": 5})
    assert site.node.requests == 0


def test_a_reset_forgets_what_was_not_saved():
    bench = Bench()
    value = {"name": "sensor/interval"}
    for number, save in ((7, False), (8, True)):
        kept = number.to_bytes(4, "little")
        assert bench.ask(WRITE, 3, 0, {**value, "val": kept}) == {}
        if save:
            assert bench.ask(WRITE, 3, 3) == {}
        bench.restart()
        found = bench.ask(READ, 3, 0, value)["val"]
        assert found == (kept if save else (60).to_bytes(4, "little"))


async def test_a_refusal_of_settings_has_words(site: Site):
    reply = await site.driver.client.ask(Request(READ, 3, 0, {"name": "colour/red"}))
    assert isinstance(reply, Refusal)
    assert reply.text == "no such group of settings"
