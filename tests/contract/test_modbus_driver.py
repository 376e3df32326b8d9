"""What the Modbus driver promises, over every kind of port, against a device that can misbehave."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.ports import Bus, BusSettings, Driver, PointReading, Urgency
from agent.drivers.registry import make_driver
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.model.profile import parse_profile
from shared.model.reading import Quality
from tests.contract.patience import PATIENT_MS, given_up
from tests.contract.slave import Slave, serving
from tests.contract.wires import plugged

PROFILE = """
profile = 1
name = "pump"
kind = "pump"
protocol = "modbus"
[[point]]
name = "pressure"
at = { table = "input", address = 0, type = "int16" }
scale = 0.01
[[point]]
name = "flow"
at = { table = "input", address = 1, type = "float32" }
[[point]]
name = "level"
at = { table = "input", address = 6, type = "uint16" }
[[point]]
name = "setpoint"
at = { table = "holding", address = 100, type = "uint16" }
writable = true
scale = 0.1
max = 500
[[point]]
name = "ratio"
at = { table = "holding", address = 101, type = "float32", word_order = "little" }
writable = true
[[point]]
name = "relay"
at = { table = "coil", address = 3 }
writable = true
[[point]]
name = "door"
at = { table = "discrete", address = 9 }
"""
KINDS = {"serial": "rtu", "rtu+tcp": "rtu", "tcp": "tcp"}
INPUTS = ["pressure", "flow", "level"]
MISSING = {("input", address) for address in (1, 2, 3, 4, 5)}


def float_words(value: float) -> tuple[int, int]:
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return high, low


def cells() -> dict[tuple[str, int], int]:
    high, low = float_words(12.5)
    found = {("input", address): 0 for address in range(7)}
    found |= {("input", 0): 421, ("input", 1): high, ("input", 2): low, ("input", 6): 7}
    high, low = float_words(0.25)
    found |= {("holding", 100): 300, ("holding", 101): low, ("holding", 102): high}
    return found | {("coil", 3): 1, ("discrete", 9): 0}


@dataclass
class Site:
    """A device, its bus and the driver under test."""

    slave: Slave
    bus: Bus
    driver: Driver

    async def read(self, points: Sequence[str]) -> list[PointReading]:
        return await self.driver.read(points, urgency=Urgency.POLL)

    async def values(self, points: Sequence[str]) -> list[int | float | None]:
        return [reading.value for reading in await self.read(points)]

    async def reasons(self, points: Sequence[str]) -> list[Reason | None]:
        return [reading.reason for reading in await self.read(points)]


@asynccontextmanager
async def site_on(
    kind: str, folder: Path, *, timeout_ms: int = PATIENT_MS, retries: int = 1
) -> AsyncIterator[Site]:
    async with plugged(kind, folder) as wire, serving(wire, KINDS[kind]) as slave:
        slave.cells = cells()
        settings = BusSettings(
            name="b", url=wire.url, response_timeout_ms=timeout_ms, retries=retries
        )
        bus = open_bus(settings)
        profile = parse_profile(PROFILE, source="pump.toml")
        device = DeviceSettings(id=DeviceId("pump-1"), bus="b", address=1, profile=profile)
        try:
            yield Site(slave, bus, make_driver(device, bus))
        finally:
            await bus.close()


@pytest.fixture(params=list(KINDS))
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_on(request.param, tmp_path) as site:
        yield site


# --- reading ------------------------------------------------------------------------------------
async def test_readings_come_in_the_order_asked_for_from_merged_requests(site: Site):
    points = ["door", "level", "setpoint", "relay", "pressure", "ratio", "flow"]
    assert await site.values(points) == [0, 7, 30.0, 1, 4.21, 0.25, 12.5]
    assert sorted(pdu[0] for pdu in site.slave.heard) == [1, 2, 3, 4]


async def test_a_point_the_profile_does_not_have_says_so_beside_those_it_has(site: Site):
    unknown, known = await site.read(["colour", "level"])
    assert (unknown.point, unknown.value, unknown.reason) == ("colour", None, Reason.POINT_UNKNOWN)
    assert (known.value, known.quality) == (7, Quality.GOOD)


async def test_nothing_asked_for_asks_nothing(site: Site):
    assert await site.read([]) == []
    assert site.slave.heard == []


async def test_a_point_asked_for_twice_is_read_once(site: Site):
    assert await site.values(["level", "level"]) == [7, 7]
    assert len(site.slave.heard) == 1


async def test_registers_that_do_not_exist_in_a_gap_cost_one_refused_request_ever(site: Site):
    for address in (3, 4, 5):
        del site.slave.cells["input", address]
    for _ in range(3):
        assert await site.values(INPUTS) == [4.21, 12.5, 7]
    assert site.slave.count(4) == 1 + 3 * 2


async def test_a_register_that_does_not_exist_costs_its_own_point_only(site: Site):
    del site.slave.cells["input", 1]
    for _ in range(2):
        assert await site.values(INPUTS) == [4.21, None, 7]
        assert await site.reasons(INPUTS) == [None, Reason.DEVICE_EXCEPTION, None]


async def test_a_device_that_refuses_everything_for_a_while_is_asked_merged_again(site: Site):
    there = site.slave.cells
    site.slave.cells = {}
    assert await site.reasons(INPUTS) == [Reason.DEVICE_EXCEPTION] * 3
    site.slave.cells = there
    site.slave.heard.clear()
    assert await site.values(INPUTS) == [4.21, 12.5, 7]
    assert len(site.slave.heard) == 1


async def test_pieces_that_no_one_answers_are_tried_ever_more_rarely(site: Site):
    names = ["pressure", "setpoint", "ratio"]
    for address in (100, 101, 102):
        del site.slave.cells["holding", address]
    asked = []
    for _ in range(20):
        before = site.slave.count(3)
        assert await site.values(names) == [4.21, None, None]
        asked.append(site.slave.count(3) - before)
    assert asked == [3, 1, 3, 1, 1, 3, 1, 1, 1, 1, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3]
    await site.driver.read(names, urgency=Urgency.COMMAND)
    assert site.slave.count(3) == sum(asked) + 3, "a person is told what can be told now"
    site.slave.cells |= {("holding", address): 0 for address in (100, 101, 102)}
    assert await site.values(names) == [4.21, 0, 0]
    assert site.slave.count(3) == sum(asked) + 4


async def test_pieces_of_what_is_taken_apart_again_are_all_tried(site: Site):
    there, site.slave.cells = site.slave.cells, {}
    for _ in range(2):
        assert await site.reasons(INPUTS) == [Reason.DEVICE_EXCEPTION] * 3
    site.slave.cells = {at: value for at, value in there.items() if at not in MISSING}
    assert await site.values(INPUTS) == [4.21, None, 7]


async def test_a_busy_device_is_not_asked_in_smaller_pieces(site: Site):
    site.slave.exception = {4: 6}
    assert await site.reasons(INPUTS) == [Reason.DEVICE_EXCEPTION] * 3
    assert len(site.slave.heard) == 1


async def test_a_silent_device_is_asked_once_whatever_is_wanted_of_it(site: Site):
    site.slave.mute = True
    site.bus.settings = replace(site.bus.settings, retries=0)
    asked = asyncio.create_task(site.read(["level", "setpoint", "relay", "door"]))
    readings = await given_up(site.bus, asked, when=lambda: site.slave.heard)
    assert {(r.value, r.quality, r.reason) for r in readings} == {
        (None, Quality.BAD_COMM, Reason.DEVICE_SILENT)
    }
    assert len(site.slave.heard) == 1


async def test_a_gateway_that_speaks_for_a_silent_device_is_believed(site: Site):
    site.slave.exception = {1: 11, 2: 11, 3: 11, 4: 11}
    assert await site.reasons(["level", "setpoint", "door"]) == [Reason.DEVICE_SILENT] * 3
    assert len(site.slave.heard) == 1


async def test_a_port_that_is_away_gives_readings_without_values(site: Site):
    await site.values(["level"])
    site.slave.wire.pull()
    assert await site.reasons(["level", "relay"]) == [Reason.BUS_DOWN] * 2


async def test_readings_return_with_the_port(site: Site):
    await site.values(["level"])
    site.slave.wire.pull()
    await site.slave.wire.put_back()
    [reading] = await site.driver.read(["level"], urgency=Urgency.COMMAND)
    assert reading.value == 7
    assert site.bus.counters.reconnects == 1


# --- what a wire carries besides the answer -----------------------------------------------------
@pytest.mark.parametrize("kind", ["serial", "rtu+tcp"])
@pytest.mark.parametrize("noise", [b"\x00", b"\xff\x01\x84", b"\x01", bytes(range(40))])
async def test_noise_before_an_answer_is_skipped_on_a_line(kind: str, noise: bytes, tmp_path: Path):
    async with site_on(kind, tmp_path, retries=0) as site:
        site.slave.spoil = lambda frame: noise + frame
        assert await site.values(INPUTS) == [4.21, 12.5, 7]


@pytest.mark.parametrize("kind", list(KINDS))
async def test_answers_of_other_units_are_skipped(kind: str, tmp_path: Path):
    async with site_on(kind, tmp_path, retries=0) as site:
        slave = site.slave

        def stranger(frame: bytes) -> bytes:
            head = b"\x02" if slave.framing == "rtu" else frame[:2] + b"\x02"
            return slave.frame(head, bytes([4, 14]) + bytes(range(14))) + frame

        slave.spoil = stranger
        assert await site.values(INPUTS) == [4.21, 12.5, 7]


async def test_answers_to_other_transactions_are_skipped_on_tcp(tmp_path: Path):
    async with site_on("tcp", tmp_path, retries=0) as site:
        slave = site.slave
        other = slave.frame(b"\xff\xff\x01", bytes([4, 14]) + bytes(14))
        slave.spoil = lambda frame: other + frame
        assert await site.values(INPUTS) == [4.21, 12.5, 7]


def flipped(frame: bytes, place: int) -> bytes:
    data = bytearray(frame)
    data[place] ^= 1
    return bytes(data)


async def test_a_broken_answer_is_asked_for_again(site: Site):
    slave = site.slave
    # On a line a bit of the checksum flips; on TCP the header names another protocol.
    place = -1 if slave.framing == "rtu" else 2
    slave.spoil = lambda frame: frame if slave.count(4) > 1 else flipped(frame, place)
    assert await site.values(INPUTS) == [4.21, 12.5, 7]
    assert slave.count(4) == 2
    assert site.bus.counters.bad_frames == 1


# --- writing ------------------------------------------------------------------------------------
async def test_what_is_written_stands_in_the_device(site: Site):
    await site.driver.write({"setpoint": 12.3, "ratio": 0.5, "relay": False})
    high, low = float_words(0.5)
    assert site.slave.cells["holding", 100] == 123
    assert (site.slave.cells["holding", 101], site.slave.cells["holding", 102]) == (low, high)
    assert site.slave.cells["coil", 3] == 0
    assert [pdu[0] for pdu in site.slave.heard] == [6, 16, 5]


async def test_what_is_read_back_is_what_was_expected(site: Site):
    written = {"setpoint": 12.3, "ratio": 42.1, "relay": True}
    expected = site.driver.expected(written)
    assert site.slave.heard == []
    await site.driver.write(written)
    assert await site.values(list(written)) == list(expected.values())
    assert expected["ratio"] == pytest.approx(42.1)


@pytest.mark.parametrize(
    "mistake",
    [
        {"setpoint": 500.1},
        {"setpoint": 1.05},
        {"pressure": 1},
        {"colour": 1},
        {"ratio": "much"},
    ],
)
async def test_one_impossible_value_keeps_all_from_being_written(site: Site, mistake: dict):
    with pytest.raises(MistakeError):
        await site.driver.write({"relay": False, **mistake})
    with pytest.raises(MistakeError):
        site.driver.expected(mistake)
    assert site.slave.heard == []


async def test_a_refused_write_names_the_point_and_the_reason(site: Site):
    site.slave.exception = {6: 3}
    with pytest.raises(WorldError) as caught:
        await site.driver.write({"relay": False, "setpoint": 1})
    assert caught.value.reason is Reason.DEVICE_EXCEPTION
    assert caught.value.detail == "setpoint: illegal data value (3) (written before: relay)"


async def test_a_write_without_an_answer_is_not_sent_again(tmp_path: Path):
    for kind in KINDS:
        folder = tmp_path / kind
        folder.mkdir()
        async with site_on(kind, folder, retries=3) as site:
            site.slave.mute = True
            writing = asyncio.create_task(site.driver.write({"setpoint": 1}))
            with pytest.raises(WorldError) as caught:
                await given_up(site.bus, writing, when=partial(site.slave.count, 6))
            assert caught.value.reason is Reason.DEVICE_SILENT
            assert len(site.slave.heard) == 1


async def test_a_device_that_knows_only_the_long_write_is_asked_the_short_one_once(site: Site):
    site.slave.exception = {6: 1}
    await site.driver.write({"setpoint": 1})
    await site.driver.write({"setpoint": 2})
    assert [pdu[0] for pdu in site.slave.heard] == [6, 16, 16]
    assert site.slave.cells["holding", 100] == 20


# --- the registry -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "address", "sentence"),
    [
        ("serial:///dev/ttyS0?baud=9600", 0, "on this bus units go from 1 to 247"),
        ("rtu+tcp://127.0.0.1:4001", 248, "address 248 is no Modbus unit"),
        ("tcp://127.0.0.1", 256, "on this bus units go from 0 to 255"),
    ],
)
async def test_an_address_no_device_can_have_is_refused(url: str, address: int, sentence: str):
    profile = parse_profile(PROFILE, source="pump.toml")
    device = DeviceSettings(id=DeviceId("pump-1"), bus="b", address=address, profile=profile)
    with pytest.raises(MistakeError, match=sentence):
        make_driver(device, open_bus(BusSettings(name="b", url=url)))


@pytest.mark.parametrize("url", ["udp://a", "http://a", "snmp://a", "mqtt://a/b", "mqtts://a/b"])
async def test_a_port_that_carries_no_modbus_is_refused(url: str):
    profile = parse_profile(PROFILE, source="pump.toml")
    device = DeviceSettings(id=DeviceId("pump-1"), bus="b", address=1, profile=profile)
    bus = open_bus(BusSettings(name="b", url=url))
    sentence = "Modbus is spoken over serial://, rtu\\+tcp:// and tcp:// only"
    with pytest.raises(MistakeError, match=sentence):
        make_driver(device, bus)
