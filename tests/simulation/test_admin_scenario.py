"""One hundred gateways, a third of them off for days, a canary that fails, a rollback, a return.

On each of the two databases. The canary is made of whole agents on virtual time, with pumps that
note what was set on them; the report that people read is held against these notes.
"""

import asyncio
from collections.abc import Collection, Mapping

import pytest

from coordinator.cli.rollouts_report import Report, Told
from tests.simulation.admin_fleet import (
    AGENTS,
    LOWERED,
    RAISED,
    WIDTH,
    AdminFleet,
    canary,
    live,
    printed,
)
from tests.simulation.world.ground import HOUR_S
from tests.stores import ENGINES

STOPPED = "began, and was stopped at a safe point"


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_hundred_gateways_a_failing_canary_a_rollback_and_the_return_of_a_third(engine: str):
    live(engine, _story)


async def _story(fleet: AdminFleet) -> None:
    job = await _the_canary_fails(fleet)
    await fleet.days(3)
    _check_those_who_could_tell(fleet, await fleet.report(job))
    fleet.return_()
    await fleet.days(1)
    _check_all(fleet, await fleet.report(job))
    await _the_next_attempt_reaches_everybody(fleet)


async def _the_canary_fails(fleet: AdminFleet) -> bytes:
    """A pump that gets too hot, one that is mute, a line that breaks, a gateway that is off."""
    hot, mute, _, _, severed, off = canary()
    fleet.heat(hot, 95)
    fleet.real[mute].plant.station.add_faults("silence")
    fleet.lines[severed].severs = True
    fleet.go_off(29, off)
    job = await fleet.submit("raise-setpoint")
    while (await fleet.view(job)).state != "ROLLED_BACK":
        await asyncio.sleep(HOUR_S)
    return job


def _check_those_who_could_tell(fleet: AdminFleet, found: Report) -> None:
    hot, mute, well, fine, severed, off = canary()
    rows = _checked(fleet, found, silent={severed})
    assert (rows[severed].known, rows[severed].owed) == ("not yet", "its word")
    assert fleet.did(severed) == [RAISED], "it did it, and nobody can know"
    assert rows[off].did == "nothing: it was called off"
    assert rows[off].known == "never sent"
    assert rows[mute].did == "failed, and so did undoing it"
    assert rows[hot].did == STOPPED
    assert {rows[name].account for name in (well, fine)} == {"did it; undone"}
    assert found.owed == {"its word": 1, "a person's look": 1}
    assert found.counts["nothing: its turn never came"] == AGENTS - len(canary())


def _check_all(fleet: AdminFleet, found: Report) -> None:
    _, mute, *rest = canary()
    rows = _checked(fleet, found)
    assert found.owed == {"a person's look": 1}
    assert rows[mute].owed, "nobody can ask its pump"
    for name in (*rest, *fleet.light):
        assert fleet.did(name) in ([], [RAISED, LOWERED]), "a device was left with half of it"


async def _the_next_attempt_reaches_everybody(fleet: AdminFleet) -> None:
    hot, mute, _, _, severed, off = canary()
    fleet.heat(hot, 45)
    fleet.real[mute].plant.station.clear_faults()
    before = {name: len(fleet.did(name)) for name in (*fleet.real, *fleet.light)}
    fleet.go_off(28, severed, off)
    job = await fleet.submit("raise-setpoint-again")
    await fleet.days(2)
    view = await fleet.view(job)
    assert (view.state, view.released) == ("RUNNING", AGENTS), "no gate waits for who is off"
    assert (await fleet.report(job)).owed == {"its word": 30}
    fleet.return_()
    await fleet.days(1)
    await fleet.hours(4)
    found = await fleet.report(job)
    assert (found.counts, found.owed) == ({"did it": AGENTS}, {})
    assert found.rollout.state == "FINISHED"
    for name, number in before.items():
        assert fleet.did(name)[number:] == [RAISED], "each did it, once"


def _checked(fleet: AdminFleet, found: Report, silent: Collection[str] = ()) -> Mapping[str, Told]:
    """Hold each row against the gateway itself; return the rows by gateway."""
    rows = {row.agent: row for row in found.gateways}
    assert sorted(rows) == sorted([*fleet.real, *fleet.light])
    for name in rows.keys() - silent:
        row, did = rows[name], fleet.did(name)
        assert (RAISED in did) == (row.did in {"did it", STOPPED}), (row, did)
        assert (LOWERED in did) == (row.undone == "undone"), (row, did)
    text = printed(found)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert all(f"\n{name} " in text for name in rows)
    return rows
