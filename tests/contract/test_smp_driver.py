"""What the SMP driver promises, on a console and over UDP, against a device that can misbehave."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.firmware import Updatable
from agent.core.ports import Urgency
from agent.drivers.registry import make_driver
from agent.drivers.smp.packet import V1, V2
from firmware_sim.clock import SystemTicks
from firmware_sim.ledger import Ledger
from firmware_sim.smp.os_group import Buffers
from shared.errors import MistakeError, Reason, WorldError
from shared.model.reading import Quality
from tests.agent_parts import device
from tests.contract.patience import PATIENT_MS, given_up
from tests.smp_parts import image, loader
from tests.smp_site import Site, profile, site_on
from tests.unit.test_modbus_import import BUS

KINDS = ["udp", "serial"]


@pytest.fixture(params=KINDS)
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_on(request.param, tmp_path) as site:
        yield site


# --- reading ------------------------------------------------------------------------------------
async def test_readings_come_in_the_order_asked_for_one_request_a_group(site: Site):
    points = ["boots", "moisture", "self_check", "temperature"]
    readings = await site.driver.read(points, urgency=Urgency.POLL)
    assert [one.point for one in readings] == points
    assert all(one.quality is Quality.GOOD for one in readings)
    assert [readings[0].value, readings[2].value] == [1, 1]
    assert 0 < float(readings[1].value or 0) < 1, "scaled"
    assert site.node.requests == 2


async def test_a_point_the_profile_does_not_have_says_so_beside_those_it_has(site: Site):
    unknown, known = await site.driver.read(["colour", "boots"], urgency=Urgency.POLL)
    assert (unknown.value, unknown.reason) == (None, Reason.POINT_UNKNOWN)
    assert (known.value, known.quality) == (1, Quality.GOOD)


async def test_nothing_asked_for_asks_nothing(site: Site):
    assert await site.driver.read([], urgency=Urgency.POLL) == []
    assert site.node.requests == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_silent_device_gives_readings_without_values(kind: str, tmp_path: Path):
    async with site_on(kind, tmp_path, faults=("silence",), timeout_ms=PATIENT_MS) as site:
        asked = asyncio.create_task(site.driver.read(["moisture", "boots"], urgency=Urgency.POLL))
        readings = await given_up(site.bus, asked, when=lambda: site.node.requests)
        assert [one.reason for one in readings] == [Reason.DEVICE_SILENT] * 2
        assert site.node.requests == 1, "the second group is not asked in vain"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusing_device_says_so_in_each_of_its_points(kind: str, tmp_path: Path):
    async with site_on(kind, tmp_path, faults=("exception=6",)) as site:
        readings = await site.driver.read(["moisture", "boots"], urgency=Urgency.POLL)
        assert [one.reason for one in readings] == [Reason.DEVICE_EXCEPTION] * 2
        with pytest.raises(WorldError, match="the device says: not in this state"):
            await site.driver.client.echo("hi")


@pytest.mark.parametrize("fault", ["garbage", "bad-crc"])
async def test_garbage_on_a_console_is_no_answer(fault: str, tmp_path: Path):
    async with site_on("serial", tmp_path, faults=(fault,), timeout_ms=50) as site:
        (reading,) = await site.driver.read(["boots"], urgency=Urgency.POLL)
        assert reading.value is None
        assert reading.reason in {Reason.DEVICE_BAD_FRAME, Reason.DEVICE_SILENT}


async def test_lines_of_others_on_a_console_do_no_harm(tmp_path: Path):
    async with site_on("serial", tmp_path, faults=("noise",)) as site:
        (reading,) = await site.driver.read(["boots"], urgency=Urgency.POLL)
        assert reading.value == 1


async def test_a_device_that_finds_the_second_version_too_new_is_spoken_to_in_the_first(
    site: Site,
):
    assert site.driver.client.dialect.version == V2
    site.node.add_faults("exception=13")
    with pytest.raises(WorldError, match="protocol too new"):
        await site.driver.client.echo("hi")
    site.node.clear_faults()
    assert site.driver.client.dialect.version == V1
    assert await site.driver.client.echo("text") == "text"


async def test_a_device_says_what_it_is(site: Site):
    identity = await site.driver.identify()
    assert identity is not None
    assert identity.model == "outstation_sim/node"
    assert identity.firmware == "1.0.0"
    assert identity.more["os"] == "Zephyr"


# --- writing ------------------------------------------------------------------------------------
async def test_a_statistic_cannot_be_written(site: Site):
    with pytest.raises(MistakeError, match="boots: the point is read-only"):
        await site.driver.write({"boots": 1})
    with pytest.raises(MistakeError, match="has no point 'colour'"):
        site.driver.expected({"colour": 1})
    assert site.node.requests == 0


def test_smp_is_spoken_over_its_own_ports_only():
    settings = replace(device("soil-1"), profile=profile())
    with pytest.raises(MistakeError, match="over serial:// and udp:// only"):
        make_driver(settings, BUS)


# --- uploads ------------------------------------------------------------------------------------
async def test_an_upload_arrives_and_is_listed(site: Site):
    assert isinstance(site.driver, Updatable)
    content = image("2.0.0", size=30_000)
    sent = await site.driver.firmware.upload(content, image=0, digest=b"")
    listed = {one.slot: one for one in await site.driver.firmware.slots()}
    assert listed[1].version == "2.0.0"
    assert not listed[1].pending
    assert sent == len(content), "nothing was sent twice"
    assert site.node.overrun == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("buffers", [Buffers(size=384, count=1), Buffers(size=4096, count=8)])
async def test_pieces_are_as_large_as_the_device_can_hold(
    kind: str, buffers: Buffers, tmp_path: Path
):
    async with site_on(kind, tmp_path, buffers=buffers) as site:
        content = image("2.0.0", size=20_000)
        await site.driver.firmware.upload(content, image=0, digest=b"")
        assert [one.version for one in await site.driver.firmware.slots()] == ["1.0.0", "2.0.0"]
        assert (site.node.malformed, site.node.overrun) == (0, 0)
        most = min(buffers.size, 1_472) if kind == "udp" else buffers.size
        assert site.node.requests < 4 + len(content) / (most - 80)


async def test_an_image_too_large_is_refused_in_words(tmp_path: Path):
    async with site_on("udp", tmp_path, boot=loader(sectors=4)) as site:
        with pytest.raises(WorldError, match="the image is too large for the slot"):
            await site.driver.firmware.upload(image("2.0.0", size=30_000), image=0, digest=b"")


@pytest.mark.parametrize("kind", KINDS)
async def test_an_upload_goes_on_where_it_was_when_the_plug_is_back(kind: str, tmp_path: Path):
    content = image("2.0.0", size=40_000)
    lines: list[bytes] = []
    ledger = Ledger(lines.append, SystemTicks())
    async with site_on(kind, tmp_path, timeout_ms=500, ledger=ledger) as site:
        sending = asyncio.create_task(site.driver.firmware.upload(content, image=0, digest=b""))
        while site.node.requests < 10:
            assert not sending.done(), sending
            await asyncio.sleep(0)
        await site.unplug()
        before = [row["next"] for row in map(json.loads, lines) if "next" in row]
        lines.clear()
        while site.bus.counters.up and not site.bus.counters.timeouts:
            await asyncio.sleep(0)
        await site.plug()
        await sending
        assert [one.version for one in await site.driver.firmware.slots()] == ["1.0.0", "2.0.0"]
    resumed = [row for row in map(json.loads, lines) if row.get("smp") == [1, 1]]
    assert resumed[0]["off"] == 0, "it asks by announcing the image once more"
    assert min(row["next"] for row in resumed) == before[-1]
    assert min(row["off"] for row in resumed[1:]) == before[-1]
