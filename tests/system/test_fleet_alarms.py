"""Priorities from the wire to the coordinator: an urgent reading calls, a routine one waits."""

import pytest

from tests.system.fleet import Fleet
from tests.system.fleet_parts import TCP_METER, Gateway

HOURLY_S = 3_600


def judge(gateway: Gateway, keys: str) -> None:
    """Let the meter's voltage be judged by `keys`, and its agent call by itself once an hour."""
    text = gateway.config.read_text().replace("long_poll = true", "long_poll = false")
    gateway.config.write_text(f"{text}[device.points.voltage_l1]\n{keys}\n")


@pytest.mark.slow
async def test_an_urgent_change_reaches_the_coordinator_long_before_the_next_contact(fleet: Fleet):
    await fleet.start_coordinator()
    north = await fleet.add_gateway("north", TCP_METER, start=False, sync_interval_s=HOURLY_S)
    judge(north, "deadband = 0.0\npriority = 0")
    await north.start()
    status = await north.says(
        "a second contact", lambda told: told if told["link"]["contacts"] >= 2 else None
    )
    assert status["link"]["next_in_s"] is None or status["link"]["next_in_s"] <= HOURLY_S
    await fleet.delivered(north, at_least=1)
    told = await north.status()
    assert told["balanced"]


@pytest.mark.slow
async def test_what_is_held_back_is_in_the_agents_account(fleet: Fleet):
    await fleet.start_coordinator()
    north = await fleet.add_gateway("north", TCP_METER, start=False, sync_interval_s=HOURLY_S)
    judge(north, 'deadband = "90 %"\nheartbeat_s = 0')
    await north.start()
    told = await north.says(
        "readings that were held back",
        lambda told: told if told["tally"]["suppressed"] >= 20 else None,
    )
    assert told["balanced"]
    assert told["link"]["contacts"] <= 1
