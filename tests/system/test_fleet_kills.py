"""kill -9 of agent and coordinator at random moments: no promise broken, nobody has to help."""

from typing import Any

import pytest

from tests.length import AT_LENGTH, LONG
from tests.system.fleet import Fleet, set_pumps
from tests.system.fleet_checks import check_account, settle
from tests.system.fleet_parts import RTU_PUMP, TCP_PUMP, Gateway, seeded, until
from tests.system.storm import FIRST_SETPOINT, Blow, Storm

KILLS = [Blow.KILL_AGENT] * 8 + [Blow.KILL_COORDINATOR] * 5
TRIES = 5
"""On a busy machine a kill may come later than it is meant to."""
EVERYTHING = KILLS * 2 + [Blow.BLACK_HOLE, Blow.TEAR, Blow.STOP] * 6


async def test_a_kill_between_an_effect_and_its_receipt_repeats_no_write(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP, poll_interval_s=1, fault="slow=300")
    await fleet.delivered(site)
    struck = []
    for setpoint in range(2000, 2000 + TRIES):
        task = await killed_after_a_write(fleet, site, setpoint)
        struck.append(setpoint)
        assert task["state"] == "DONE"
        assert site.record("pump-2").setpoints() == struck
        if task["attempt"] == 1:
            continue  # the kill came too late: there was nothing to repeat
        assert task["attempt"] == 2
        assert task["result"] == {"apply.setpoint": setpoint, "apply._skipped": True}
        return
    pytest.fail(f"none of {TRIES} kills came before the receipt")


async def killed_after_a_write(fleet: Fleet, site: Gateway, setpoint: int) -> dict[str, Any]:
    """Kill the agent when the register is written, start it again, and return the task's end."""
    before = site.writes()
    job = await fleet.submit(set_pumps(setpoint, selector="site=site"))

    async def written() -> bool | None:
        return True if site.writes() > before else None

    await until("the register to be written", written)
    # The device takes its time to be read back.
    await site.kill()
    await site.start()
    (execution,) = await fleet.admin.finished(job)
    (task,) = execution["tasks"]
    return dict(task)


@pytest.mark.slow
async def test_kills_at_random_moments_break_no_promise(fleet: Fleet) -> None:
    await weather(fleet, KILLS)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not AT_LENGTH, reason=f"takes minutes; set {LONG}, as .ci/run does")
async def test_kills_stops_and_bad_links_together_break_no_promise(fleet: Fleet) -> None:
    await weather(fleet, EVERYTHING)


async def weather(fleet: Fleet, blows: list[Blow]) -> None:
    """Let a storm pass over a gateway, then check every promise."""
    chance = seeded("which blow, and when")
    await fleet.start_coordinator()
    gateway = await fleet.add_gateway("storm", RTU_PUMP, TCP_PUMP, enrol=False, start=False)
    # At the terminal, not over REST: this process has been in the coordinator's database.
    claim = await fleet.coordinator.claim(fleet.folder / "claim.json", site="storm")
    await gateway.enrol(claim)
    await gateway.start()
    await fleet.delivered(gateway)
    storm = Storm(fleet, gateway, chance)
    await storm.rage(blows)
    rows = [await fleet.admin.finished(job) for job in storm.jobs]
    for place in gateway.site.devices:
        states = [task_of(row, place.id) for row in rows]
        check_writes(gateway.record(place.id).setpoints(), states)
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
    ordered = {FIRST_SETPOINT + number: state for number, state in enumerate(states)}
    assert set(states) <= {"DONE", "QUARANTINED"}, states
    assert written == sorted(set(written)), "a write was repeated, or came too late"
    assert {value for value, state in ordered.items() if state == "DONE"} <= set(written)
    assert set(written) <= set(ordered)
    assert states.count("QUARANTINED") <= len(states) // 5, states
