"""Looking for devices, on buses with devices of the simulator at their far ends."""

import json
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.ports import Bus, BusSettings
from agent.core.settings import DiscoverySettings
from agent.services.calendar import Calendar
from agent.services.lookout import Lookout
from agent.services.mdns import announced, sighting_of
from firmware_sim.clock import SystemTicks
from firmware_sim.device import Device
from firmware_sim.ledger import Ledger
from firmware_sim.models import find_model
from firmware_sim.ports import serve_pty, serve_tcp
from firmware_sim.station import Line, Station
from shared import limits
from shared.clock import MonoMs
from shared.errors import Reason
from shared.model.action_parameters import DiscoverParameters
from shared.model.candidate import CandidateWord, Sighting, read_words
from shared.runtime.clock import SystemClock
from tests.agent_parts import HandClock, device
from tests.contract.patience import HASTY_MS, PATIENT_MS, waited_for
from tests.contract.slave import serving
from tests.contract.wires import plugged
from tests.sim_parts import pump

LOOPBACK = "127.0.0.1"


@dataclass
class Site:
    """A lookout over one bus."""

    folder: Path
    bus: Bus
    station: Station
    clock: HandClock = field(default_factory=HandClock)
    pauses: list[float] = field(default_factory=list)

    def lookout(self, *devices: DeviceSettings, **settings: Any) -> Lookout:
        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)

        return Lookout(
            self.folder,
            {"line": self.bus},
            devices,
            DiscoverySettings(**settings),
            now=Calendar(self.clock).now,
            pause=pause,
        )


def models(*names: str) -> list[Device]:
    """Devices by MODEL@UNIT."""
    pairs = [name.split("@") for name in names]
    return [Device(find_model(model), unit=int(unit)) for model, unit in pairs]


def attached(unit: int) -> DeviceSettings:
    return replace(device(f"pump-{unit}"), address=unit)


@asynccontextmanager
async def site_on(kind: str, folder: Path, devices: list[Device]) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        if kind == "tcp":
            station = Station(Line.TCP, devices)
            port = (await stack.enter_async_context(serve_tcp(station))).port
            url = f"tcp://{LOOPBACK}:{port}"
        else:
            station = Station(Line.SERIAL, devices)
            await stack.enter_async_context(serve_pty(station, folder / "line"))
            url = f"serial://{folder}/line?baud=115200"
        bus = open_bus(BusSettings(name="line", url=url, response_timeout_ms=60, retries=3))
        stack.push_async_callback(bus.close)
        waited_for(bus, *(one.unit for one in devices))
        yield Site(folder, bus, station)


def words(outcome) -> dict[str, CandidateWord]:
    assert outcome.reason is None, outcome
    result = {f"look.{name}": value for name, value in outcome.result.items()}
    return {word.place: word for word in read_words(result)}


def wish(first: int = 1, last: int = 6, **more) -> DiscoverParameters:
    return DiscoverParameters(first=first, last=last, ways=["modbus"], **more)


@pytest.mark.parametrize("kind", ["serial", "tcp"])
async def test_whoever_answers_on_a_bus_is_a_candidate_with_what_it_says(kind, tmp_path):
    async with site_on(kind, tmp_path, models("pump@2", "meter@5")) as site:
        outcome = await site.lookout().discover(wish(), dry_run=False)
    found = words(outcome)
    assert set(found) == {"line/2", "line/5"}
    assert (found["line/2"].vendor, found["line/2"].model) == ("Outstation", "pump")
    assert found["line/5"].serial.startswith("SIM-")
    assert (outcome.result["found"], outcome.result["asked"], outcome.result["left"]) == (2, 6, 0)


async def test_attached_devices_are_left_alone_and_each_address_is_asked_once(tmp_path):
    async with site_on("serial", tmp_path, models("pump@2", "pump@3")) as site:
        taken = attached(2)
        outcome = await site.lookout(taken).discover(wish(), dry_run=False)
        assert set(words(outcome)) == {"line/3"}
        slaves = site.bus.counters.slaves
        assert 2 not in slaves
        assert [slaves[n].requests for n in (1, 4, 5, 6)] == [1] * 4, "a probe is one attempt"


async def test_living_devices_get_many_times_what_a_probe_takes(tmp_path):
    async with site_on("serial", tmp_path, models("pump@2")) as site:
        await site.lookout().discover(wish(), dry_run=False)
        assert site.pauses == []
        polled = attached(2)
        await site.lookout(polled).discover(wish(), dry_run=False)
        assert len(site.pauses) == 5


async def test_the_hours_budget_ends_a_look_and_the_next_one_goes_on_there(tmp_path):
    async with site_on("serial", tmp_path, models("pump@2", "pump@6")) as site:
        lookout = site.lookout(probes_per_hour=4)
        first = await lookout.discover(wish(), dry_run=False)
        assert (set(words(first)), first.result["left"]) == ({"line/2"}, 2)
        nothing = await lookout.discover(wish(), dry_run=False)
        assert (nothing.result["asked"], nothing.result["left"]) == (0, 6)
        site.clock.advance(3_600_000)
        again = await site.lookout(probes_per_hour=4).discover(wish(), dry_run=False)
        assert words(again)["line/6"].change == "new"
        assert words(again)["line/2"].change == "same"


async def test_time_ends_a_look(tmp_path):
    async with site_on("serial", tmp_path, models("pump@2")) as site:
        lookout = site.lookout(attached(9))

        async def pause(_: float) -> None:
            site.clock.advance(600)

        lookout._pause = pause
        outcome = await lookout.discover(wish(for_s=1), dry_run=False)
    assert (outcome.result["asked"], outcome.result["left"]) == (2, 4)


class LongHour(HandClock):
    """Time passes, and no hour ends."""

    def mono_ms(self) -> MonoMs:
        return SystemClock().mono_ms()


async def test_the_devices_own_ledger_shows_how_little_a_look_asks(tmp_path):
    notes: list[dict[str, Any]] = []
    ledger = Ledger(lambda line: notes.append(json.loads(line)), SystemTicks())
    station = Station(Line.SERIAL, models("pump@2", "pump@3", "meter@5"), ledger=ledger)
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async with serve_pty(station, tmp_path / "line"):
        url = f"serial://{tmp_path}/line?baud=115200"
        bus = open_bus(BusSettings(name="line", url=url, response_timeout_ms=60, retries=3))
        waited_for(bus, 2, 3, 5)
        settings = DiscoverySettings(probes_per_hour=9)
        now = Calendar(LongHour()).now
        lookout = Lookout(tmp_path, {"line": bus}, [attached(2)], settings, now=now, pause=pause)
        first = await lookout.discover(wish(last=12), dry_run=False)
        again = await lookout.discover(wish(last=12), dry_run=False)
        await bus.close()
    asked = int(first.result["asked"]) + int(again.result["asked"])
    heard = [note for note in notes if "fc" in note]
    assert (asked, again.result["left"]) == (9, 11), "the hour's budget, over all looks"
    assert {note["unit"] for note in heard} == {3, 5}, "an attached device hears nothing of it"
    assert {note["fc"] for note in heard} <= {3, 43}, "nothing is written"
    assert station.strangers == asked - 2, "one request to each address where nobody is"
    assert len(pauses) == asked
    # Who is silent takes the whole time for an answer: that much and its share is the others'.
    assert sum(pauses) >= limits.PROBE_SHARE * 0.06 * station.strangers


SAYS = {0: b"Acme", 1: b"P-100", 2: b"2.1", 0x80: b"SN-0042"}


async def test_a_device_that_was_plugged_in_elsewhere_keeps_its_identity(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with (
        plugged("tcp", tmp_path / "a") as one,
        plugged("tcp", tmp_path / "b") as other,
        serving(one, "tcp") as before,
        serving(other, "tcp") as after,
    ):
        wires = {"one": one, "other": other}
        buses = {
            name: open_bus(BusSettings(name=name, url=wire.url, response_timeout_ms=60))
            for name, wire in wires.items()
        }
        clock = Calendar(HandClock())
        lookout = Lookout(tmp_path, buses, [], DiscoverySettings(), now=clock.now)
        everywhere = range(wish().first, wish().last + 1)
        waited_for(buses["one"], *everywhere)
        before.says, after.mute = SAYS, True
        assert set(words(await lookout.discover(wish(), dry_run=False))) == {"one/1"}
        before.mute, after.mute, after.says = True, False, SAYS
        waited_for(buses["one"], *everywhere, ms=HASTY_MS)
        waited_for(buses["other"], *everywhere)
        assert words(await lookout.discover(wish(), dry_run=False))["other/1"].change == "new"
        found = words(await lookout.discover(wish(), dry_run=False))
        for bus in buses.values():
            await bus.close()
    assert {place: word.change for place, word in found.items()} == {"other/1": "moved"}
    assert found["other/1"].before == "one/1"
    assert found["other/1"].serial == "SN-0042"


async def test_a_network_device_that_answers_to_every_number_is_one(tmp_path):
    async with plugged("tcp", tmp_path) as wire, serving(wire, "tcp") as slave:
        slave.says = SAYS
        bus = open_bus(BusSettings(name="line", url=wire.url, response_timeout_ms=PATIENT_MS))
        site = Site(tmp_path, bus, Station(Line.TCP, [pump()]))
        outcome = await site.lookout().discover(wish(), dry_run=False)
        await bus.close()
    assert set(words(outcome)) == {"line/1"}
    assert outcome.result["asked"] == 6


async def test_who_knows_no_identification_may_have_the_common_model_of_sunspec(tmp_path):
    def text(said: bytes, size: int) -> bytes:
        return said.ljust(2 * size, b"\0")

    common = text(b"Acme", 16) + text(b"INV-10", 16) + text(b"", 8) + text(b"3.1", 8)
    common += text(b"SUN-77", 16) + bytes(4)
    image = b"SunS" + struct.pack(">HH", 1, 66) + common
    async with plugged("tcp", tmp_path) as wire, serving(wire, "tcp") as slave:
        for number, (word,) in enumerate(struct.iter_unpack(">H", image)):
            slave.cells["holding", 40_000 + number] = word
        bus = open_bus(BusSettings(name="line", url=wire.url, response_timeout_ms=PATIENT_MS))
        site = Site(tmp_path, bus, Station(Line.TCP, [pump()]))
        found = words(await site.lookout().discover(wish(), dry_run=False))["line/1"]
        await bus.close()
    said = (found.vendor, found.model, found.firmware, found.serial)
    assert said == ("Acme", "INV-10", "3.1", "SUN-77")


async def test_who_knows_neither_is_a_candidate_without_a_name(tmp_path):
    async with plugged("tcp", tmp_path) as wire, serving(wire, "tcp"):
        bus = open_bus(BusSettings(name="line", url=wire.url, response_timeout_ms=PATIENT_MS))
        site = Site(tmp_path, bus, Station(Line.TCP, [pump()]))
        found = words(await site.lookout().discover(wish(), dry_run=False))
        await bus.close()
    assert found["line/1"].model == ""


async def test_the_local_file_can_forbid_it_and_a_dry_run_asks_nobody(tmp_path):
    async with site_on("serial", tmp_path, models("pump@2")) as site:
        no = await site.lookout(allowed=False).discover(wish(), dry_run=False)
        assert no.reason is Reason.ACTION_NOT_ALLOWED
        dry = await site.lookout().discover(wish(), dry_run=True)
        assert dry.result == {"probes": 6, "_dry_run": True}
        wrong = await site.lookout().discover(wish(buses=["lne"]), dry_run=False)
        assert wrong.reason is Reason.BAD_PARAMETERS
        assert site.bus.counters.requests == 0


async def test_a_port_that_does_not_open_is_told_and_nothing_is_lost(tmp_path):
    bus = open_bus(BusSettings(name="line", url=f"serial://{tmp_path}/none?baud=9600"))
    site = Site(tmp_path, bus, Station(Line.SERIAL, [pump()]))
    outcome = await site.lookout().discover(wish(), dry_run=False)
    await bus.close()
    assert outcome.reason is None
    assert "line:" in str(outcome.result["trouble"])


def test_a_damaged_memory_is_begun_anew(tmp_path):
    (tmp_path / "candidates.json").write_bytes(b"{rubbish")
    bus = open_bus(BusSettings(name="line", url="tcp://127.0.0.1:1"))
    assert Site(tmp_path, bus, Station(Line.TCP, [pump()])).lookout().candidates == []


@pytest.mark.parametrize(
    "params",
    [
        {"first": 0},
        {"first": 9, "last": 8},
        {"last": 248},
        {"for_s": 0},
        {"for_s": limits.DISCOVERY_S + 1},
        {"ways": ["telepathy"]},
        {"services": ["http"]},
        {"services": ["_a._tcp"] * (limits.MDNS_SERVICES + 1)},
    ],
)
def test_a_wish_that_cannot_be_is_refused(params):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(params, DiscoverParameters)


# --- the network ---------------------------------------------------------------------------------
@asynccontextmanager
async def announcing(kind: str, name: str, **said: str) -> AsyncIterator[None]:
    responder = AsyncZeroconf(interfaces=[LOOPBACK])
    info = AsyncServiceInfo(
        f"{kind}.local.",
        f"{name}.{kind}.local.",
        port=80,
        parsed_addresses=[LOOPBACK],
        properties=said,
        server=f"{name}.local.",
    )
    try:
        await (await responder.async_register_service(info))
        yield
    finally:
        await responder.async_unregister_all_services()
        await responder.async_close()


async def test_who_announces_itself_is_a_candidate_by_its_name(tmp_path):
    kind = "_shelly._tcp"
    async with announcing(kind, "shellyplus1-a8032abe54dc", gen="2", app="Plus1", ver="1.4.4"):
        found = []
        for _ in range(5):
            # What was multicast a moment ago is so again after a second (RFC 6762, 6).
            found = await announced([f"{kind}.local."], listen_s=2, interfaces=[LOOPBACK])
            if found:
                break
    assert [(one.place, one.model, one.firmware) for one in found] == [
        (f"{LOOPBACK}:80", "Plus1", "1.4.4")
    ]
    assert found[0].serial == "shellyplus1-a8032abe54dc"
    assert found[0].name == "shellyplus1-a8032abe54dc._shelly._tcp"


async def test_a_look_listens_where_it_is_asked_to(tmp_path):
    bus = open_bus(BusSettings(name="line", url="tcp://127.0.0.1:1"))
    lookout = Site(tmp_path, bus, Station(Line.TCP, [pump()])).lookout(interfaces=(LOOPBACK,))
    async with announcing("_outsim._tcp", "thing-1", model="T1"):
        listening = DiscoverParameters(ways=["mdns"], services=["_outsim._tcp"])
        found: dict[str, CandidateWord] = {}
        while not found:
            found = words(await lookout.discover(listening, dry_run=False))
    assert found[f"{LOOPBACK}:80"].model == "T1"


async def test_who_announces_other_services_than_a_look_listens_for_is_not_missed(
    tmp_path, monkeypatch
):
    here = [sighting_of("_shelly._tcp.local.", "s-1._shelly._tcp.local.", "192.0.2.9", 80, {})]

    async def heard(services: Sequence[str], **_: Any) -> list[Sighting]:
        return [one for one in here if f"{one.name.partition('.')[2]}.local." in services]

    monkeypatch.setattr("agent.services.mdns.announced", heard)
    bus = open_bus(BusSettings(name="line", url="tcp://127.0.0.1:1"))
    lookout = Site(tmp_path, bus, Station(Line.TCP, [pump()])).lookout()
    for services in (["_shelly._tcp.local"], *[["_http._tcp"]] * 5):
        wish = DiscoverParameters(ways=["mdns"], services=services)
        await lookout.discover(wish, dry_run=False)
        assert [(one.place, one.lost) for one in lookout.candidates] == [("192.0.2.9:80", False)]
    here.clear()
    for _ in range(5):
        await lookout.discover(DiscoverParameters(ways=["mdns"]), dry_run=False)
    assert [one.lost for one in lookout.candidates] == [True], "it is missed where it was heard"
