"""What every driver promises, on every kind of port that it knows, with the profiles we ship.

A new driver is a line of `tests.driver_rigs.RIGS`; what it promises beyond this stands in a file of
its own. Devices are simulated ones on real ports, so the shipped profiles are proven here too.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.ports import Urgency
from shared.errors import MistakeError, Reason, WorldError
from shared.model.reading import Quality
from tests.contract.patience import PATIENT_MS, given_up, waited_for
from tests.driver_rigs import RIGS, Plugged, Rig, plugged_in

HASTY_MS = 60


@pytest.fixture(params=list(RIGS))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    return RIGS[request.param](tmp_path)


@pytest.fixture
async def plugged(rig: Rig) -> AsyncIterator[Plugged]:
    async with plugged_in(rig) as plugged:
        yield plugged


def polled(rig: Rig) -> list[str]:
    return [point.name for point in rig.profile.polled]


def talks(rig: Rig) -> bool:
    """Tell whether the device speaks by itself, so that it counts no requests of ours."""
    return "line" in rig.profile.sections and rig.profile.sections["line"].talk == "listen"


# --- reading ------------------------------------------------------------------------------------
async def test_every_point_of_the_profile_is_read_in_the_order_asked_for(plugged: Plugged):
    names = list(reversed([point.name for point in plugged.rig.profile.points]))
    readings = await plugged.driver.read(names, urgency=Urgency.POLL)
    assert [one.point for one in readings] == names
    assert {one.point: one.reason for one in readings if one.quality is not Quality.GOOD} == {}


async def test_what_the_profile_says_of_health_holds(plugged: Plugged):
    for rule in plugged.rig.profile.health:
        (reading,) = await plugged.driver.read([rule.point], urgency=Urgency.COMMAND)
        assert rule.holds(reading.value), rule.text


async def test_a_point_the_profile_does_not_have_says_so_beside_those_it_has(plugged: Plugged):
    known = polled(plugged.rig)[0]
    readings = await plugged.driver.read(["colour", known], urgency=Urgency.POLL)
    assert (readings[0].value, readings[0].reason) == (None, Reason.POINT_UNKNOWN)
    assert readings[1].quality is Quality.GOOD


async def test_nothing_asked_for_asks_nothing(plugged: Plugged):
    assert await plugged.driver.read([], urgency=Urgency.POLL) == []
    assert plugged.bus.counters.requests == 0


# --- devices that misbehave -----------------------------------------------------------------------
async def test_a_silent_device_gives_readings_without_values_after_one_wait(rig: Rig):
    rig.told.add_faults("silence")
    if talks(rig):
        pytest.skip("whose sentences are waited for is waited for as long as the profile says")
    async with plugged_in(rig, timeout_ms=HASTY_MS) as plugged:
        readings = await plugged.driver.read(polled(rig), urgency=Urgency.POLL)
        assert {one.reason for one in readings} == {Reason.DEVICE_SILENT}
        assert {one.value for one in readings} == {None}
        assert plugged.bus.counters.requests == 1, "the rest is not asked in vain"
        rig.told.clear_faults()


@pytest.mark.parametrize("fault", ["garbage", "cut", "bad-crc"])
async def test_an_answer_that_is_none_gives_no_value_and_the_next_one_does(rig: Rig, fault: str):
    try:
        rig.told.add_faults(fault)
    except MistakeError:
        pytest.skip("this device cannot have that fault")
    timeout_ms = None if talks(rig) else HASTY_MS
    async with plugged_in(rig, timeout_ms=timeout_ms) as plugged:
        readings = await plugged.driver.read(polled(rig)[:1], urgency=Urgency.POLL)
        carried = fault == "bad-crc" and readings[0].quality is Quality.GOOD
        assert readings[0].value is None or carried, "only where nothing carries a checksum"
        if not talks(rig):
            assert not carried or not checked(rig)
    rig.told.clear_faults()
    async with plugged_in(rig) as plugged:
        readings = await plugged.driver.read(polled(rig)[:1], urgency=Urgency.POLL)
        assert readings[0].quality is Quality.GOOD


async def test_a_refusing_device_says_so(rig: Rig):
    rig.told.add_faults("exception=6")
    if talks(rig) or rig.profile.name == "soil-probe":
        pytest.skip("such devices have no word for no")
    async with plugged_in(rig) as plugged:
        readings = await plugged.driver.read(polled(rig)[:1], urgency=Urgency.POLL)
        assert [one.reason for one in readings] == [Reason.DEVICE_EXCEPTION]
        if rig.write:
            with pytest.raises(WorldError) as caught:
                await plugged.driver.write(rig.write)
            assert caught.value.reason is Reason.DEVICE_EXCEPTION


# --- the port -------------------------------------------------------------------------------------
async def test_a_port_that_is_away_gives_no_values_and_they_return_with_it(plugged: Plugged):
    name = polled(plugged.rig)[0]
    await plugged.driver.read([name], urgency=Urgency.POLL)
    await plugged.pull()
    readings = await plugged.driver.read([name], urgency=Urgency.COMMAND)
    assert [one.value for one in readings] == [None]
    assert readings[0].reason in {Reason.BUS_DOWN, Reason.DEVICE_SILENT}
    await plugged.put_back()
    (reading,) = await plugged.driver.read([name], urgency=Urgency.COMMAND)
    assert reading.quality is Quality.GOOD


async def test_a_port_that_goes_in_the_middle_of_an_answer_comes_back_without_the_half(rig: Rig):
    try:
        rig.told.add_faults("cut")
    except MistakeError:
        pytest.skip("test_bus pulls the port in the middle of such frames")
    name = polled(rig)[0]
    async with plugged_in(rig, timeout_ms=HASTY_MS) as plugged:
        await plugged.driver.read([name], urgency=Urgency.POLL)
        await plugged.pull()
        await plugged.driver.read([name], urgency=Urgency.COMMAND)
        rig.told.clear_faults()
        await plugged.put_back()
        waited_for(plugged.bus, rig.address)
        (reading,) = await plugged.driver.read([name], urgency=Urgency.COMMAND)
        assert reading.quality is Quality.GOOD


# --- writing --------------------------------------------------------------------------------------
async def test_what_was_written_reads_as_was_expected(plugged: Plugged):
    if not plugged.rig.write:
        pytest.skip("nothing of it can be written")
    expected = plugged.driver.expected(plugged.rig.write)
    await plugged.driver.write(plugged.rig.write)
    readings = await plugged.driver.read(list(expected), urgency=Urgency.COMMAND)
    assert {one.point: one.value for one in readings} == expected


async def test_a_write_without_an_answer_is_not_sent_again(rig: Rig):
    if not rig.write:
        pytest.skip("nothing of it can be written")
    rig.told.add_faults("lost-reply")
    async with plugged_in(rig, timeout_ms=PATIENT_MS) as plugged:
        plugged.bus.settings = replace(plugged.bus.settings, retries=3)
        writing = asyncio.create_task(plugged.driver.write(rig.write))
        with pytest.raises(WorldError) as caught:
            await given_up(plugged.bus, writing, when=lambda: rig.told.requests)
        assert caught.value.reason is Reason.DEVICE_SILENT
        assert rig.told.requests == 1


async def test_what_cannot_be_written_is_refused_before_anything_is_sent(plugged: Plugged):
    read_only = next(one.name for one in plugged.rig.profile.points if not one.writable)
    for mistake in ({"colour": 1}, {read_only: 1}, dict.fromkeys(plugged.rig.write, "much")):
        if not mistake:
            continue
        with pytest.raises(MistakeError):
            await plugged.driver.write({**plugged.rig.write, **mistake})
        with pytest.raises(MistakeError):
            plugged.driver.expected(mistake)
    assert plugged.bus.counters.requests == 0


# --- what it is -----------------------------------------------------------------------------------
async def test_a_device_says_what_it_is_or_has_no_words_for_it(plugged: Plugged):
    identity = await plugged.driver.identify()
    assert (identity is not None) == plugged.rig.identifies
    if identity is not None:
        assert identity.model
        assert identity.firmware


def checked(rig: Rig) -> bool:
    """Tell whether answers carry a checksum."""
    return rig.profile.protocol not in {"http_json", "snmp", "mqtt"}
