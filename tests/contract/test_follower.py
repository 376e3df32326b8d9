"""An adopted device that answers at another place: followed when nothing speaks against it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from agent.buses.factory import open_bus
from agent.config import load_config
from agent.core.adopted import FOLDER, PREFIX, Adopted, adopted_in
from agent.core.ports import Bus, BusSettings
from agent.core.self_config import Remote
from agent.core.settings import DiscoverySettings
from agent.services.calendar import Calendar
from agent.services.follower import Follower
from agent.services.lookout import Lookout
from agent.services.self_config import NAME, SelfConfig, load_remote
from firmware_sim.ports import serve_pty
from firmware_sim.station import Line, Station
from shared.errors import RefusedError
from shared.model.action_parameters import DiscoverParameters
from shared.model.candidate import CandidateWord, read_words
from shared.model.job import Step, Value
from shared.trust.bounds import check_step
from shared.trust.policy import ClassRule
from shared.trust.starter import OBSERVE, first_catalog, first_policy
from tests.agent_parts import HandClock
from tests.contract.patience import waited_for
from tests.sim_parts import pump

PROFILE = """profile = 1
name = "pump"
kind = "pump"
protocol = "modbus"
[match]
vendor = "outst*"
[[point]]
name = "flow"
at = { table = "input", address = 0, type = "int16" }
"""
WISH = DiscoverParameters(first=1, last=3, ways=["modbus"], follow=True)


@dataclass
class Site:
    """A gateway with three ports; the pump SIM-002 was adopted on the first of them."""

    folder: Path
    buses: dict[str, Bus]
    ports: dict[str, AsyncExitStack] = field(default_factory=dict)
    readings: int = 0
    goes_on: bool = True
    """Readings go on under whatever is on trial."""

    async def plug(self, port: str, unit: int = 2) -> None:
        """Have a device at a port."""
        self.ports[port] = AsyncExitStack()
        station = Station(Line.SERIAL, [pump(unit)])
        waited_for(self.buses[port], unit)
        await self.ports[port].enter_async_context(serve_pty(station, self.folder / port))

    async def unplug(self, port: str) -> None:
        """Take the device away, and the port with it."""
        await self.ports.pop(port).aclose()

    def process(self, *, follow: bool) -> tuple[Lookout, SelfConfig, asyncio.Event]:
        """Return the parts of one process of the agent."""
        file, left = self.folder / "agent.toml", asyncio.Event()
        config = load_config(file)

        async def readings() -> int:
            self.readings += self.goes_on
            return self.readings

        self_config = SelfConfig(
            self.folder,
            in_force=config.remote,
            attempt=lambda wanted: load_config(file, remote=wanted),
            facts=dict,
            readings=readings,
            leave=left.set,
        )
        lookout = Lookout(
            self.folder,
            self.buses,
            config.devices,
            DiscoverySettings(follow=follow),
            now=Calendar(HandClock()).now,
            pause=lambda _: asyncio.sleep(0),
        )
        adopted = adopted_in(config.remote)
        lookout.follower = Follower(self_config, self.buses, config.devices, adopted)
        return lookout, self_config, left

    async def look(
        self, *, follow: bool = True, wish: DiscoverParameters = WISH
    ) -> dict[str, Value] | None:
        """Return the result of one look, None where the process ended within it."""
        lookout, self_config, left = self.process(follow=follow)
        looking = asyncio.create_task(lookout.discover(wish, dry_run=False))
        leaving = asyncio.create_task(left.wait())
        trying = asyncio.create_task(self_config.run())
        await asyncio.wait((looking, leaving), return_when=asyncio.FIRST_COMPLETED)
        outcome = looking.result() if looking.done() else None
        tasks = (looking, leaving, trying)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if outcome is None:
            return None
        assert outcome.reason is None, outcome
        return {f"look.{name}": value for name, value in outcome.result.items()}

    @property
    def place(self) -> str:
        (device,) = load_config(self.folder / "agent.toml").devices
        return f"{device.bus}/{device.address}"


def words(result: dict[str, Value] | None) -> dict[str, CandidateWord]:
    assert result is not None
    return {one.place: one for one in read_words(result)}


PORTS = ("one", "two", "three")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    url = f"serial://{tmp_path}/{{}}?baud=115200"
    buses: dict[str, Bus] = {
        name: open_bus(
            BusSettings(name=name, url=url.format(name), response_timeout_ms=60, retries=0)
        )
        for name in PORTS
    }
    sections = [f'[[bus]]\nname = "{name}"\nurl = "{url.format(name)}"\n' for name in PORTS]
    (tmp_path / "agent.toml").write_text('[agent]\ndata_dir = "."\n' + "".join(sections))
    digest = sha256(PROFILE.encode()).hexdigest()
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / f"{digest}.toml").write_text(PROFILE)
    adopted = Adopted(bus="one", address=2, profile=digest, poll_interval_ms=1000, serial="SIM-002")
    remote = Remote(settings={f"{PREFIX}pump-7": adopted.text()})
    (tmp_path / NAME).write_bytes(msgspec.json.encode(remote))
    here = Site(tmp_path, buses)
    try:
        await here.plug("one")
        yield here
    finally:
        for bus in buses.values():
            await bus.close()
        for port in list(here.ports):
            await here.unplug(port)


async def test_a_device_at_another_port_is_followed_and_the_next_process_says_so(site):
    await site.unplug("one")
    await site.plug("two")
    assert await site.look() is None, "the process ends, another begins under the new setting"
    assert site.place == "two/2"
    told = words(await site.look())["two/2"]
    assert (told.change, told.device, told.before) == ("moved", "pump-7", "one/2")
    kept = load_remote(site.folder)
    assert kept.trial is None
    assert '"bus":"two"' in str(kept.settings[f"{PREFIX}pump-7"])
    assert words(await site.look()) == {}, "it is told once, and is no candidate"


async def test_two_that_say_they_are_it_are_told_and_nothing_changes(site):
    await site.plug("two")
    result = await site.look()
    told = words(result)["two/2"]
    assert (told.change, told.device) == ("claims", "pump-7")
    assert "it answers at its old place too" in str(result["look.trouble"])
    assert words(await site.look())["two/2"].change == "same"
    await site.unplug("one")
    await site.plug("three")
    assert "2 places" in str((await site.look())["look.trouble"])
    assert site.place == "one/2"
    await site.unplug("three")
    assert await site.look() is None, "once the doubt is over it is followed"
    assert site.place == "two/2"


async def test_what_gives_no_readings_there_is_put_back_once_and_told(site, monkeypatch):
    monkeypatch.setattr("agent.services.follower.CONFIRM_WITHIN_S", 1)
    await site.unplug("one")
    await site.plug("two")
    assert await site.look() is None
    site.goes_on = False
    assert await site.look() is None, "it is rolled back, which another process begins"
    assert site.place == "one/2"
    for _ in range(2):
        result = await site.look()
        assert words(result)["two/2"].device == "pump-7"
        assert "pump-7 is not followed" in str(result["look.trouble"])
    assert site.place == "one/2"


async def test_another_device_is_a_candidate_like_every_other(site):
    await site.unplug("one")
    await site.plug("two", unit=3)
    told = words(await site.look())["two/3"]
    assert (told.serial, told.change, told.device) == ("SIM-003", "new", "")
    assert site.place == "one/2"


async def test_the_local_file_can_forbid_to_follow(site):
    await site.unplug("one")
    await site.plug("two")
    told = words(await site.look(follow=False))["two/2"]
    assert (told.change, told.device) == ("new", "")
    assert site.place == "one/2"


async def test_a_look_that_is_not_asked_to_follow_tells_who_it_is_and_moves_nothing(site):
    await site.unplug("one")
    await site.plug("two")
    before = (site.folder / NAME).read_bytes()
    result = await site.look(wish=replace(WISH, follow=False))
    told = words(result)["two/2"]
    assert (told.change, told.device) == ("claims", "pump-7")
    assert result is not None
    why = "pump-7 is not followed: the job does not say follow = true"
    assert str(result["look.trouble"]).startswith(why)
    assert (site.folder / NAME).read_bytes() == before
    assert await site.look() is None, "asked for, it is followed"
    assert site.place == "two/2"


def test_catalog_and_policy_can_each_forbid_to_follow() -> None:
    look = Step("look", "agent.discover", {"ways": ["modbus"]})
    follow = replace(look, params={"ways": ["modbus"], "follow": True})
    catalog = first_catalog(fleet=bytes(16), issued_ms=1, expires_ms=2)
    check_step(catalog, follow)
    del catalog.actions["agent.discover"].parameters["follow"]
    check_step(catalog, look)
    with pytest.raises(RefusedError, match=r"look\.follow is not a parameter it may have"):
        check_step(catalog, follow)
    policy = first_policy(fleet=bytes(16), issued_ms=1, expires_ms=2)
    assert not policy.classes[OBSERVE].allows(look), "a look asks strangers: it is not reading"
    looks = ClassRule(0, [], 60, {"agent.discover": ["ways", "for_s"]})
    assert (looks.allows(look), looks.allows(follow)) == (True, False)


async def test_a_process_that_ended_before_the_change_looks_again(site):
    await site.unplug("one")
    await site.plug("two")
    before = (site.folder / NAME).read_bytes()
    assert await site.look() is None
    (site.folder / NAME).write_bytes(before)
    assert site.place == "one/2"
    await site.unplug("two")
    assert words(await site.look())["two/2"].change != "moved"
    assert site.place == "one/2", "what is not there any more is not followed"
