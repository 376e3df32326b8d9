"""kill -9 of agent and coordinator at random moments: no promise broken, nobody has to help.

The moments are tied to what happens, not to the clock: a reading that was just served, bytes that
just crossed the link, a register that was just written, a process that just began.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.system.fleet import Fleet, set_pumps
from tests.system.fleet_checks import check_account, settle
from tests.system.fleet_parts import RTU_PUMP, TCP_PUMP, Gateway, seeded, until

AGENT, COORDINATOR = "agent", "coordinator"
PUMPS = ("pump-1", "pump-2")


class Storm:
    """One run of kills, and the jobs that were ordered meanwhile."""

    def __init__(self, fleet: Fleet, gateway: Gateway, chance: random.Random) -> None:
        self.fleet, self.gateway, self.chance = fleet, gateway, chance
        self.jobs: list[str] = []
        self.coordinator_is_up = True

    async def order(self) -> None:
        """Submit a job that no other equals: each is exactly one write to each pump."""
        setpoint = 1000 + len(self.jobs)
        self.jobs.append(await self.fleet.submit(set_pumps(setpoint, selector="site=storm")))

    async def kill(self, whom: str) -> None:
        """Wait for a random moment, and strike."""
        moments = [self.after_polls, self.after_polls, self.at_once]
        if self.coordinator_is_up:
            await self.order()
            moments += [self.after_bytes, self.after_a_write, self.after_a_write]
        await self.chance.choice(moments)()
        if whom is AGENT:
            await self.gateway.kill()
            await self.gateway.start()
        else:
            await self.fleet.coordinator.kill()
            self.coordinator_is_up = False

    async def mend(self) -> None:
        """Start the coordinator again, if it is down."""
        if not self.coordinator_is_up:
            await self.fleet.coordinator.start()
            self.coordinator_is_up = True

    # --- moments ------------------------------------------------------------------------------
    async def at_once(self) -> None:
        """While a process that was started just now is still coming up, or while work begins."""

    async def after_polls(self) -> None:
        await self.grown("polls", self.gateway.polls, self.chance.randint(1, 15))

    async def after_bytes(self) -> None:
        size = self.chance.randint(1, 12_000)
        await self.grown("bytes", lambda: self.gateway.link.stats.total_bytes, size)

    async def after_a_write(self) -> None:
        """Between an effect and its receipt."""
        await self.grown("writes", lambda: sum(len(self.writes(pump)) for pump in PUMPS), 1)

    async def grown(self, what: str, count: Callable[[], int], more: int) -> None:
        goal = count() + more

        async def reached() -> bool | None:
            return True if count() >= goal else None

        await until(f"{more} more {what}", reached)

    def writes(self, pump: str) -> list[int]:
        return self.gateway.record(pump).setpoints()


@pytest.mark.slow
@pytest.mark.parametrize(("agent_kills", "coordinator_kills"), [(8, 5)])
async def test_kills_at_random_moments_break_no_promise(
    fleet: Fleet, agent_kills: int, coordinator_kills: int
) -> None:
    chance = seeded("whom to kill, and when")
    await fleet.start_coordinator()
    gateway = await fleet.add_gateway("storm", RTU_PUMP, TCP_PUMP, enrol=False, start=False)
    # At the terminal, not over REST: this process has been in the coordinator's database.
    claim = await fleet.coordinator.claim(fleet.folder / "claim.json", site="storm")
    await gateway.enrol(claim)
    await gateway.start()
    await fleet.delivered(gateway)
    storm = Storm(fleet, gateway, chance)
    victims = [AGENT] * agent_kills + [COORDINATOR] * coordinator_kills
    chance.shuffle(victims)
    for whom in victims:
        # Half the time the agent is struck while the coordinator is still down.
        if whom is COORDINATOR or chance.random() < 0.5:
            await storm.mend()
        await storm.kill(whom)
    await storm.mend()
    await storm.order()
    await gateway.polled()

    rows = [await fleet.admin.finished(job) for job in storm.jobs]
    for pump in PUMPS:
        check_writes(storm.writes(pump), [task_of(row, pump) for row in rows])
    await settle(fleet, gateway)
    await check_account(fleet, gateway)


def task_of(executions: list[Any], device: str) -> str:
    """Return the state of a job's only execution on one device."""
    (execution,) = executions
    (state,) = (task["state"] for task in execution["tasks"] if task["device"] == device)
    return str(state)


def check_writes(written: list[int], states: list[str]) -> None:
    """Assert that each order that succeeded is one write, in the order of their submission.

    A task that was struck three times in its middle is put aside for a person (`limits.CRASHES`):
    that is an end too, with one write or none.
    """
    ordered = {1000 + number: state for number, state in enumerate(states)}
    assert set(states) <= {"DONE", "QUARANTINED"}, states
    assert written == sorted(set(written)), "a write was repeated, or came too late"
    assert {value for value, state in ordered.items() if state == "DONE"} <= set(written)
    assert set(written) <= set(ordered)
    assert states.count("QUARANTINED") <= len(states) // 5, states
