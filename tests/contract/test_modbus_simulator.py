"""Our driver against the product's own simulated devices, on a pseudo-terminal and over TCP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.ports import Bus, BusSettings, Driver, Urgency
from agent.drivers.registry import make_driver
from firmware_sim.clock import SimTime, SystemTicks
from firmware_sim.device import Device
from firmware_sim.ledger import Ledger
from firmware_sim.model import Model, Point
from firmware_sim.models import find_model, shipped_models
from firmware_sim.ports import serve_pty, serve_tcp
from firmware_sim.station import Line, Station
from shared.errors import Reason, WorldError
from shared.ids import DeviceId
from shared.model.profile import Profile, parse_profile
from tests.contract.patience import HASTY_MS, PATIENT_MS, given_up, heard_out


def profile_of(model: Model) -> Profile:
    """Return the profile that a person would write from the model's register map."""
    head = f'profile = 1\nname = "{model.name}"\nkind = "sim"\nprotocol = "modbus"\n'
    return parse_profile(head + "".join(map(_section, model.points)), source=model.name)


def _section(point: Point) -> str:
    lines = [
        "[[point]]",
        f'name = "{point.name}"',
        f'at = {{ table = "{point.table}", address = {point.address}, type = "{point.kind}" }}',
        f'scale = "1e{point.scale}"',
        f'unit = "{point.unit}"',
    ]
    if point.writable:
        lines += ["writable = true", f"min = {point.low}", f"max = {point.high}"]
    return "\n".join(lines) + "\n"


@dataclass
class Site:
    """A simulated device whose time stands still, and the driver that speaks to it."""

    station: Station
    device: Device
    bus: Bus
    driver: Driver
    ledger: list[dict[str, object]]

    def shown(self, name: str) -> float:
        """Return what the device's registers show for a point, by the device's own account."""
        point = self.device.model.expect(name)
        order = self.device.model.word_order
        value = self.device.value(point, self.station.time.now_s())
        return point.decode(point.encode(value, order), order)


@asynccontextmanager
async def site_on(
    line: Line, model: Model, folder: Path, *, timeout_ms: int = PATIENT_MS, retries: int = 0
) -> AsyncIterator[Site]:
    device, notes = Device(model), list[dict[str, object]]()
    ledger = Ledger(lambda text: notes.append(json.loads(text)), SystemTicks())
    station = Station(line, [device], ledger=ledger, time=SimTime(speed=0.0))
    port = folder / "port"
    serving = serve_pty(station, port) if line is Line.SERIAL else serve_tcp(station)
    async with serving as far:
        tcp_port = getattr(far, "port", 0)
        url = f"serial://{port}?baud=9600" if line is Line.SERIAL else f"tcp://127.0.0.1:{tcp_port}"
        bus = open_bus(
            BusSettings(name="b", url=url, response_timeout_ms=timeout_ms, retries=retries)
        )
        settings = DeviceSettings(id=DeviceId("sim"), bus="b", address=1, profile=profile_of(model))
        try:
            yield Site(station, device, bus, make_driver(settings, bus), notes)
        finally:
            await bus.close()


@pytest.fixture(params=Line)
def line(request: pytest.FixtureRequest) -> Line:
    return request.param


@pytest.mark.parametrize("model", shipped_models(), ids=lambda model: model.name)
async def test_every_point_reads_as_the_device_shows_it(line: Line, model: Model, tmp_path: Path):
    async with site_on(line, model, tmp_path) as site:
        names = [point.name for point in model.points]
        readings = await site.driver.read(names, urgency=Urgency.POLL)
        assert {r.point: r.value for r in readings} == {name: site.shown(name) for name in names}


async def test_each_read_reaches_the_device_once(line: Line, tmp_path: Path):
    async with site_on(line, find_model("pump"), tmp_path) as site:
        for count in range(1, 6):
            [reading] = await site.driver.read(["poll_count"], urgency=Urgency.POLL)
            assert reading.value == count


async def test_a_setpoint_is_written_once_by_the_devices_own_ledger(line: Line, tmp_path: Path):
    async with site_on(line, find_model("pump"), tmp_path) as site:
        await site.driver.write({"setpoint": 1234})
        assert site.shown("setpoint") == 1234
        assert [entry["values"] for entry in site.ledger if entry.get("applied")] == [[1234]]


async def test_a_write_whose_answer_is_lost_happens_once(line: Line, tmp_path: Path):
    pump = find_model("pump")
    async with site_on(line, pump, tmp_path, retries=3) as site:
        site.station.add_faults("lost-reply")
        writing = asyncio.create_task(site.driver.write({"setpoint": 1234}))
        with pytest.raises(WorldError) as caught:
            await given_up(site.bus, writing, when=lambda: site.station.requests)
        assert caught.value.reason is Reason.DEVICE_SILENT
        assert [entry["values"] for entry in site.ledger if entry.get("applied")] == [[1234]]


async def test_a_gap_that_does_not_exist_is_read_around(line: Line, tmp_path: Path):
    strict = replace(find_model("pump"), allow_gaps=False)
    async with site_on(line, strict, tmp_path) as site:
        names = ["running", "poll_count"]
        for _ in range(2):
            readings = await site.driver.read(names, urgency=Urgency.POLL)
            assert all(reading.value is not None for reading in readings)
        assert site.station.requests == 1 + 2 * 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("silence", Reason.DEVICE_SILENT),
        ("garbage", Reason.DEVICE_BAD_FRAME),
        ("exception=6", Reason.DEVICE_EXCEPTION),
    ],
)
async def test_a_fault_is_a_reading_without_a_value_and_passes(
    line: Line, fault: str, reason: Reason, tmp_path: Path
):
    timeout_ms = HASTY_MS if fault == "silence" else PATIENT_MS
    async with site_on(line, find_model("soil"), tmp_path, timeout_ms=timeout_ms) as site:
        site.station.add_faults(fault)
        asked = asyncio.create_task(site.driver.read(["p1_vwc"], urgency=Urgency.POLL))
        [faulty] = await (heard_out(site.bus, asked) if fault == "garbage" else asked)
        assert (faulty.value, faulty.reason) == (None, reason)
    async with site_on(line, find_model("soil"), tmp_path) as site:
        [reading] = await site.driver.read(["p1_vwc"], urgency=Urgency.POLL)
        assert reading.value == site.shown("p1_vwc")


async def test_a_bad_checksum_is_noticed(tmp_path: Path):
    async with site_on(Line.SERIAL, find_model("soil"), tmp_path) as site:
        site.station.add_faults("bad-crc")
        [reading] = await site.driver.read(["p1_vwc"], urgency=Urgency.POLL)
        assert reading.reason is Reason.DEVICE_BAD_FRAME
