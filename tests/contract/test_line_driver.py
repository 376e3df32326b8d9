"""What only the driver of lines promises: sensors that need time, sentences unasked, neighbours."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agent.buses.factory import open_bus
from agent.core.ports import BusSettings, Urgency
from agent.drivers.registry import make_driver
from firmware_sim.bench import Bench
from firmware_sim.device import Device
from firmware_sim.line.device import FAULTS
from firmware_sim.line.gauge import Gauge
from firmware_sim.line.ports import serve_line_tcp
from firmware_sim.line.sdi12 import Probe
from firmware_sim.line.weather import sentence
from firmware_sim.models import find_model
from shared.errors import MistakeError, Reason
from shared.ids import DeviceId
from shared.model.profile import parse_profile
from shared.model.reading import Quality
from tests.agent_parts import device
from tests.contract.patience import HASTY_MS, PATIENT_MS, given_up, has_heard, waited_for
from tests.contract.wires import plugged
from tests.driver_rigs import SHIPPED, shipped
from tests.http_site import http_site


def bench(model: str, unit: int = 1) -> Bench:
    return Bench(Device(find_model(model), unit=unit), can=FAULTS)


def driver_for(
    url: str, profile: str, address: int = 0, text: str | None = None, *, ms: int = PATIENT_MS
):
    bus = open_bus(BusSettings(name="b", url=url, response_timeout_ms=ms, retries=0))
    known = parse_profile(text, source="own.toml") if text else shipped(profile)
    settings = replace(device("d-1"), id=DeviceId("d-1"), address=address, profile=known)
    return bus, make_driver(settings, bus)


# --- sensors that need time -----------------------------------------------------------------------
async def test_a_sensor_that_needs_a_second_is_waited_for_until_it_calls():
    """Longer than the port waits for an answer: the sensor itself says how long it takes."""
    probe = Probe(bench("soil"), ready_s=1)
    async with serve_line_tcp([probe]) as port:
        bus, driver = driver_for(f"tcp://{port.where}", "soil-probe", ms=800)
        names = ["water_content", "temperature", "conductivity"]
        readings = await driver.read(names, urgency=Urgency.POLL)
        assert [one.quality for one in readings] == [Quality.GOOD] * 3
        assert probe.bench.requests == 3, "measure, D0, D1"
        assert bus.counters.slaves[0].usual_ms is None, "measuring teaches no patience"
        await bus.close()


async def test_a_sensor_that_needs_longer_than_it_may_gives_no_value():
    text = (SHIPPED / "soil-probe.toml").read_text().replace("15000", "2000")
    async with serve_line_tcp([Probe(bench("soil"), ready_s=3)]) as port:
        bus, driver = driver_for(f"tcp://{port.where}", "", text=text)
        (reading,) = await driver.read(["temperature"], urgency=Urgency.POLL)
        assert (reading.value, reading.reason) == (None, Reason.DEVICE_BAD_FRAME)
        await bus.close()


async def test_sensors_on_one_wire_answer_for_themselves():
    probes = [Probe(bench("soil"), address=name, ready_s=0) for name in ("0", "a")]
    async with serve_line_tcp(probes) as port:
        for address in (0, 10, 36):
            bus, driver = driver_for(f"tcp://{port.where}", "soil-probe", address)
            waited_for(bus, 36, ms=HASTY_MS)
            (reading,) = await driver.read(["temperature"], urgency=Urgency.POLL)
            assert (reading.quality is Quality.GOOD) == (address != 36), "nobody is called A"
            await bus.close()
        assert [probe.bench.requests for probe in probes] == [3, 3]


async def test_gauges_on_one_line_answer_for_themselves():
    gauges = [Gauge(bench("tank", unit)) for unit in (1, 12)]
    gauges[1].bench.set_value("level", 77.0)
    async with serve_line_tcp(gauges) as port:
        bus, driver = driver_for(f"tcp://{port.where}", "tank-gauge", 12)
        (reading,) = await driver.read(["level"], urgency=Urgency.POLL)
        assert reading.value == 77.0
        assert [gauge.bench.requests for gauge in gauges] == [0, 1]
        await bus.close()


# --- sentences that come unasked ------------------------------------------------------------------
async def heard(folder: Path, spoken: bytes, names: list[str]):
    """Say something while the driver listens; return what it makes of it."""
    async with plugged("tcp", folder) as wire:
        bus, driver = driver_for(wire.url, "nmea-weather")
        reading = asyncio.create_task(driver.read(names, urgency=Urgency.POLL))
        while not bus.counters.requests:
            await asyncio.sleep(0)
        wire.say(spoken)
        try:
            return await given_up(bus, reading, when=lambda: has_heard(bus) >= len(spoken))
        finally:
            await bus.close()


async def test_sentences_that_came_count_although_others_did_not(tmp_path: Path):
    spoken = sentence("WIMWV,225,R,4.5,M,A")
    readings = await heard(tmp_path, spoken, ["wind_speed", "pressure"])
    assert (readings[0].value, readings[0].quality) == (4.5, Quality.GOOD)
    assert (readings[1].value, readings[1].reason) == (None, Reason.POINT_UNKNOWN)


@pytest.mark.parametrize(
    "spoken",
    [
        sentence("IIMWV,225,R,4.5,M,A"),
        sentence("WIMWV,225,R,4.5,M,A").replace(b"4.5", b"9.5"),
        sentence("WIMWV,225,R,4.5,M,A").replace(b"*", b""),
        sentence("WIMWVX,225,R,4.5,M,A"),
    ],
    ids=["another talker", "damaged", "unchecked", "another sentence"],
)
async def test_sentences_of_others_and_damaged_ones_do_not_count(spoken: bytes, tmp_path: Path):
    (reading,) = await heard(tmp_path, spoken, ["wind_speed"])
    assert reading.value is None


async def test_a_sentence_in_the_middle_of_noise_is_found_and_south_is_negative(tmp_path: Path):
    spoken = b"5.2,M\xff\x00$WIM" + sentence("GPGLL,3351.600,S,15112.300,E,1,A,A")
    readings = await heard(tmp_path, spoken, ["latitude", "longitude"])
    assert [round(float(one.value or 0), 4) for one in readings] == [-33.86, 151.205]


async def test_a_field_that_is_empty_has_no_value(tmp_path: Path):
    readings = await heard(tmp_path, sentence("WIMWV,,R,4.5,M,A"), ["wind_direction", "wind_speed"])
    assert [one.value for one in readings] == [None, 4.5]


# --- who carries what -----------------------------------------------------------------------------
async def test_lines_are_not_spoken_over_http():
    async with http_site() as site:
        settings = replace(device("d-1"), profile=shipped("tank-gauge"))
        with pytest.raises(MistakeError, match="lines are spoken over serial://"):
            make_driver(settings, site.bus)


async def test_a_line_that_carries_its_own_echo_is_read(tmp_path: Path):
    async with plugged("tcp", tmp_path) as wire:
        bus, driver = driver_for(wire.url, "tank-gauge", 1)
        reading = asyncio.ensure_future(driver.read(["level"], urgency=Urgency.POLL))
        asked = await wire.heard(8)
        wire.say(asked)
        body = b">01+12.5,+3.0,OK"
        wire.say(body + b"%02X\r" % (sum(body) % 256))
        assert [one.value for one in await reading] == [12.5]
        await bus.close()
