"""A pump behind a real bus and driver, the hand that holds it, and a good step of each action."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.actions.hand import Hand
from agent.actions.registry import ACTIONS
from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.loan import Owner
from agent.core.ports import Bus, BusSettings, Driver
from agent.drivers.registry import make_driver
from agent.services.calendar import Calendar
from agent.store.devices import DeviceMemory
from agent.store.jobs import JobStore, Planned
from agent.store.jobs_file import JobsFile
from shared.model.job import Step
from shared.model.profile import parse_profile
from tests.agent_parts import (
    PUMP_TEXT,
    Fixed,
    HandClock,
    admitted,
    device,
    read_job,
    uid,
)
from tests.contract.patience import HASTY_MS, PATIENT_MS, waited_for
from tests.contract.slave import Slave, serving
from tests.contract.wires import plugged

PUMP = parse_profile(
    PUMP_TEXT.replace("writable = true", "writable = true\nconfig = true")
    + """
[[point]]
name = "boost"
at = { table = "holding", address = 2, type = "uint16" }
poll = false
writable = true
verify = "none"
max = 100

[[point]]
name = "ramp"
at = { table = "holding", address = 3, type = "uint16" }
writable = true
verify = "echo"

[[point]]
name = "tariff"
at = { table = "holding", address = 4, type = "uint16" }
writable = true
min_write_interval_s = 3600

[[point]]
name = "dose"
at = { table = "holding", address = 5, type = "uint16" }
writable = true

[[point]]
name = "serial"
at = { table = "holding", address = 9, type = "uint16" }
poll = false

[[point]]
name = "start"
at = { table = "coil", address = 0 }
writable = true

[[call]]
name = "boost"
point = "boost"

[[call]]
name = "dose"
point = "dose"

[[call]]
name = "reset"
point = "boost"
value = 99

[[call]]
name = "jog"
point = "start"
value = 1
pulse_ms = 1

[[call]]
name = "press"
point = "start"
value = 1
pulse_ms = 10000

[[call]]
name = "nudge"
point = "speed"
value = 1
pulse_ms = 1
rest = 0.05

[[call]]
name = "stop"
point = "start"
value = 0
idempotent = true
""",
    source="pump.toml",
)


def pump() -> DeviceSettings:
    return replace(device("pump-1"), profile=PUMP)


GOOD: dict[str, dict[str, Any]] = {
    "device.read": {"points": ["flow", "speed"]},
    "device.write": {"setpoint": 4200, "speed": 2.5},
    "device.command": {"call": "boost", "value": 7},
    "device.read_config": {"points": ["setpoint", "speed"], "save_as": "summer"},
    "device.configure": {"setpoint": 4200, "speed": 2.5},
    "device.restore_config": {"saved": "winter"},
    "device.validate": {"setpoint": 4200, "saved": "winter"},
    "device.sync": {},
}
"""A step of each action that a healthy pump can do; a new action is one line here."""


GIVES = {
    "device.command": {"boost", "_call"},
    "device.restore_config": {"setpoint"},
    "device.validate": {"setpoint", "_drift", "_drifted"},
    "device.sync": {"serial", "_profile", "_address"},
}
"""What is in its result, where that is more than the points it names."""


@dataclass
class Bench:
    """A device and the hand that holds it."""

    driver: Hand
    slave: Slave
    memory: DeviceMemory
    clock: HandClock
    bus: Bus

    def mute(self) -> None:
        """Let the device fall silent."""
        self.slave.mute = True
        waited_for(self.bus, self.driver.settings.address, ms=HASTY_MS)

    def unmute(self) -> None:
        """Let it answer again."""
        self.slave.mute = False
        waited_for(self.bus, self.driver.settings.address)

    def hand(self, driver: Driver | None = None, **changes: Any) -> Hand:
        if driver is not None:
            changes["driver"] = driver
        return replace(self.driver, **changes)


@asynccontextmanager
async def open_bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """A pump behind a real bus and a real driver, beside a real jobs.db."""
    clock = HandClock()
    calendar = Calendar(clock)
    file = await JobsFile(tmp_path, Fixed()).open()
    memory = DeviceMemory(file, now=calendar.now)
    bundle = admitted(1, (uid(1), read_job("flow")))
    planned = [Planned(job, (pump().id,)) for job in bundle.jobs]
    await JobStore(file).admit(bundle, planned, now=calendar.now())
    async with plugged("tcp", tmp_path) as wire, serving(wire, "tcp") as slave:
        slave.cells |= {("input", 0): 7, ("holding", 0): 100, ("holding", 1): 15}
        slave.cells |= {("holding", n): 0 for n in range(2, 8)}
        slave.cells |= {("holding", 9): 4711, ("coil", 0): 0}
        bus = open_bus(
            BusSettings(name="line", url=wire.url, response_timeout_ms=PATIENT_MS, retries=0)
        )
        hand = Hand(
            driver=make_driver(pump(), bus),
            settings=pump(),
            memory=memory,
            owner=Owner(uid(1)),
            may_write=lambda *_: None,
        )
        await memory.keep_config(Owner(uid(2)), hand.device, ["winter"], {"setpoint": 50})
        try:
            yield Bench(hand, slave, memory, clock, bus)
        finally:
            await bus.close()
            await file.close()


# --- device.write -------------------------------------------------------------------------------
def write(**values: float) -> Step:
    return Step("s", "device.write", dict(values))


def command(call: str, **params: float) -> Step:
    return Step("s", "device.command", {"call": call, **params})


async def run(wanted: Step, driver: Hand):
    return await ACTIONS[wanted.action].run(wanted, driver)
