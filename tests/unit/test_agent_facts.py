"""What conditions learn of the device in work by asking it who it is."""

from dataclasses import dataclass

from agent.core.ports import Identity
from agent.services.facts import Facts
from shared.errors import Reason, WorldError
from shared.ids import DeviceId
from shared.model.condition_text import parse_condition
from shared.model.facts import job_facts
from tests.agent_parts import MemoryDevice, device

PUMP = DeviceId("pump-1")


@dataclass
class Talker(MemoryDevice):
    """A pump that says what it is, and counts how often it was asked."""

    asked: int = 0

    async def identify(self) -> Identity | None:
        self.asked += 1
        if self.silent:
            raise WorldError(Reason.DEVICE_SILENT, "no answer")
        return Identity(vendor="Acme", model="P-110")


def facts(driver: Talker) -> Facts:
    return Facts({PUMP: (device("pump-1"), driver)}, dict)


async def holds(driver: Talker, text: str) -> bool | None:
    condition = parse_condition(text, job_facts(), where="when")
    return await facts(driver).holds(condition, PUMP, {})


async def test_a_condition_may_ask_a_device_what_it_is():
    driver = Talker(PUMP)
    assert await holds(driver, "device.model == 'P-110' and device.vendor == 'Acme'") is True
    assert await holds(driver, "device.model in ('P-100', 'P-120')") is False
    assert driver.asked == 2, "once for each condition"


async def test_what_a_device_does_not_say_is_unknown_and_so_is_all_of_a_silent_one():
    assert await holds(Talker(PUMP), "device.firmware == '2.1'") is None
    assert await holds(Talker(PUMP, silent=True), "device.model == 'P-110'") is None


async def test_whoever_does_not_ask_what_a_device_is_costs_it_nothing():
    driver = Talker(PUMP)
    assert await holds(driver, "device.kind == 'pump' and device.setpoint == 100") is True
    assert driver.asked == 0
