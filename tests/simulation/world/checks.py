"""What must be true of a world once it has come to rest: one small function for each promise.

Read from the files that the stopped programs left, and from the devices' own ledgers. Owns the
judgement; each finding is a sentence. Leaves out what happened (`play`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from coordinator.core.reconcile import OPEN_BELOW, Known, fold
from shared.block.codec import decode
from shared.block.schema import Schema
from shared.errors import Reason
from shared.ids import AgentId
from shared.model.job import TERMINAL_EXECUTION, ExecutionState, Step, TaskState
from shared.model.reading import Quality
from shared.wire.messages import Receipt
from tests.simulation.world.files import rows
from tests.simulation.world.people import Asked, Set
from tests.simulation.world.site import COUNTED, Site
from tests.simulation.world.wishes import ONCE

NEEDED = 2
_UNDONE = {ExecutionState.EXPIRED, ExecutionState.REJECTED, ExecutionState.SUPERSEDED}


@dataclass(frozen=True)
class Rest:
    """A world at rest: every program has stopped, and its files say what it knew."""

    centre: Path
    """The coordinator's database."""
    sites: Sequence[Site]
    asked: Sequence[Asked]
    standing: Sequence[Asked | Set]
    """What runs again and again (`rollout_checks`, `trigger_checks`)."""
    guests: Sequence[Site]
    """Gateways that went before, and copies of them."""
    ended_s: float
    """When the agents were stopped."""

    def findings(self) -> Iterator[str]:
        """Yield what is not as it was promised."""
        for site in self.sites:
            yield from nothing_is_lost_in_silence(self, site)
            yield from the_account_is_balanced(self, site)
            yield from no_effect_happens_twice(self, site)
            yield from nothing_runs_that_nobody_wanted(self, site)
            yield from receipts_tell_the_truth(self, site)
            yield from what_was_observed_is_believed(self, site)
            yield from receipts_count_in_any_order(self, site)
            yield from everything_comes_to_an_end(self, site)
        for guest in self.guests:
            yield from no_effect_happens_twice(self, guest)
            yield from nothing_runs_that_nobody_wanted(self, guest)


def nothing_is_lost_in_silence(rest: Rest, site: Site) -> Iterator[str]:
    """Every reading that was recorded arrived once, or is in the ledger of losses."""
    arrived = Counter(readings_of(rest.centre, site.agent))
    for reading, times in sorted(arrived.items()):
        if times > 1:
            yield f"{site.name}: reading {reading} was delivered {times} times"
    # Other bytes under a number that is taken are kept for a person: a store was put back.
    aside = set(readings_of(rest.centre, site.agent, table="block_aside"))
    missing = sorted(site.recorded.keys() - arrived.keys() - aside)
    ((lost, said),) = rows(
        rest.centre,
        "SELECT sum(lost), sum(max(lost, said_lost)) FROM telemetry_store WHERE agent_id = $1",
        site.agent,
    )
    # After a restore too: rows that the copy lacks are told again, but those that were damaged.
    lost = said if site.lost_its_account else lost
    for reading in missing:
        if not site.excused(recorded_s := site.recorded[reading]):
            yield f"{site.name}: reading {reading} of {recorded_s:.0f} s is lost: nothing took it"
            break
    told = [reading for reading in missing if not site.is_uncounted(site.recorded[reading])]
    if len(told) > (lost or 0) and not site.put_back:
        yield f"{site.name}: {len(missing)} readings are lost, the ledger says {lost or 0}"


def the_account_is_balanced(rest: Rest, site: Site) -> Iterator[str]:
    """What the agent counts is what the coordinator has, and nothing is left to deliver."""
    found = rows(
        site.folder / "data" / "telemetry.db",
        "SELECT epoch, sampled, suppressed, delivered, stored, lost FROM state",
    )
    for epoch, sampled, suppressed, delivered, stored, lost in found:
        if sampled != suppressed + delivered + stored + lost:
            yield f"{site.name}: {sampled} sampled readings are not accounted for"
        if stored:
            yield f"{site.name}: {stored} readings still wait"
        here = rows(
            rest.centre,
            "SELECT readings, lost FROM telemetry_store WHERE agent_id = $1 AND epoch = $2",
            site.agent,
            epoch,
        )
        if not site.was_restored and here != [(delivered, lost)]:
            yield f"{site.name}: it delivered {delivered} and lost {lost}, the centre has {here}"
        elif here and here[0][1] != lost and not site.lost_its_account:
            yield f"{site.name}: it lost {lost}, the centre was told of {here[0][1]}"


def no_effect_happens_twice(rest: Rest, site: Site) -> Iterator[str]:
    """What may be done at most once was done at most once, on each device."""
    effects = site.plant.effects()
    for asked in rest.asked:
        for value in values_of(asked.spec.every_step, once=True):
            for unit in range(1, site.plant.units + 1):
                if effects[unit, value] > 1 and not _forgotten(site, unit, value):
                    yield f"{site.name}: {value} was set {effects[unit, value]} times on {unit}"


def _forgotten(site: Site, unit: int, value: int) -> bool:
    """Tell whether the card that was put back held a step admitted and not yet done.

    It does the step again: once more, for each card that was put back after it had been done.
    """
    done_s = site.plant.set_at(unit, value)
    return all(
        any(since_s <= before_s < put_back_s <= again_s for put_back_s, since_s in site.put_back)
        for before_s, again_s in pairwise(done_s)
    )


def nothing_runs_that_nobody_wanted(rest: Rest, site: Site) -> Iterator[str]:
    """Every effect is a step of a job for this agent, and of one that enough people agreed to."""
    wanted: dict[int, Asked | Set] = {}
    for asked in (*rest.asked, *rest.standing):
        if site.agent in asked.agents:
            wanted |= dict.fromkeys(values_of(asked.spec.every_step, once=False), asked)
    for unit, value in sorted(site.plant.effects()):
        asked_for = wanted.get(value)
        if asked_for is None:
            yield f"{site.name}: {value} was set on {unit}, which nobody asked for"
        elif (
            isinstance(asked_for, Asked) and asked_for.guarded and len(asked_for.approvals) < NEEDED
        ):
            yield f"{site.name}: {value} was set on {unit} with too few approvals"


def receipts_tell_the_truth(rest: Rest, site: Site) -> Iterator[str]:
    """Done means done, and what was refused or ran out of time before it began was not done."""
    if site.forgot_jobs or site.was_restored:
        return
    effects = site.plant.effects()
    for asked in rest.asked:
        found = rows(
            rest.centre,
            "SELECT execution_id, state FROM execution WHERE job_id = $1 AND agent_id = $2",
            asked.job,
            site.agent,
        )
        for execution, state in found:
            if state in _UNDONE and any(
                effects[unit, value]
                for unit in range(1, site.plant.units + 1)
                for value in values_of(asked.spec.every_step, once=False)
            ):
                yield f"{site.name}: {asked.spec.name} is {ExecutionState(state).name}, yet done"
            for (device,) in rows(
                rest.centre,
                "SELECT device FROM task WHERE execution_id = $1 AND state = $2",
                execution,
                TaskState.DONE,
            ):
                unit = int(device.rpartition("-")[2]) if device.startswith("pump-") else 0
                for value in values_of(asked.spec.steps, once=False) if unit else ():
                    if not effects[unit, value]:
                        yield f"{site.name}: {asked.spec.name} is done on {device}, but it is not"


def what_was_observed_is_believed(rest: Rest, site: Site) -> Iterator[str]:
    """What the agent's own database says of an execution is what the coordinator says."""
    if site.forgot_jobs or site.was_restored:
        return
    known = dict(
        rows(
            rest.centre,
            "SELECT execution_id, state FROM execution WHERE agent_id = $1",
            site.agent,
        )
    )
    for execution, state in rows(
        site.folder / "data" / "jobs.db", "SELECT id, state FROM execution"
    ):
        if known.get(execution) != state:
            there = ExecutionState(known.get(execution, 0)).name
            yield f"{site.name}: an execution is {ExecutionState(state).name}, known as {there}"


def receipts_count_in_any_order(rest: Rest, site: Site) -> Iterator[str]:
    """The coordinator's truth is the fold of what the agent signed, however it is shuffled."""
    told: dict[bytes, list[tuple[int, Receipt]]] = {}
    for epoch, number, execution, device, state, attempt, reason, wall_ms in rows(
        rest.centre,
        "SELECT epoch, number, execution_id, device, state, attempt, reason, wall_ms"
        " FROM receipt WHERE agent_id = $1",
        site.agent,
    ):
        receipt = Receipt(number, execution, device, state, attempt, reason, wall_ms)
        told.setdefault(execution, []).append((epoch, receipt))
    for execution, receipts in sorted(told.items()):
        known = Known(state=ExecutionState.QUEUED)
        for epoch, receipt in sorted(receipts, key=lambda one: one[1].wall_ms * 7919 % 104729):
            known = fold(known, [receipt], epoch=epoch)
        for state, *fact in rows(
            rest.centre,
            "SELECT state, fact_epoch, fact_number FROM execution WHERE execution_id = $1",
            execution,
        ):
            # What an older card said under numbers that were taken is in no history.
            unheard = bool(site.put_back) and state in TERMINAL_EXECUTION
            unheard &= all(
                [epoch, one.number, one.state] != [*fact, state] for epoch, one in receipts
            )
            supposed = state == ExecutionState.OVERDUE and known.state not in TERMINAL_EXECUTION
            if known.rank is not None and state != known.state and not (unheard or supposed):
                name = ExecutionState(state).name
                yield f"{site.name}: receipts say {known.state.name}, the centre says {name}"


def everything_comes_to_an_end(rest: Rest, site: Site) -> Iterator[str]:
    """Whoever remembers what ran tells how it ended, and a site that can be read is read."""
    for state in unsettled(rest.centre, site):
        yield f"{site.name}: an execution is {state.name} for ever"
        break
    if site.plant.ledger.polled_s < rest.ended_s - 3 * site.poll_s:
        yield f"{site.name}: nothing was read since {site.plant.ledger.polled_s:.0f} s"


def unsettled(centre: Path, site: Site) -> Iterator[ExecutionState]:
    """Yield the states of executions that must still change.

    What was signed and never arrived stays OVERDUE: no agent has anything to say of it. Nor has one
    that does not remember; what was signed for the memory it lost waits until its time is over.
    """
    remembers = not site.forgot_jobs
    for uid, state in rows(
        centre,
        "SELECT e.execution_id, e.state FROM execution e JOIN job j ON j.job_id = e.job_id"
        " WHERE e.agent_id = $1 AND (e.state < $2 OR e.state = $3)"
        " AND NOT (e.state = $4 AND e.reason = $5 AND $6 AND j.not_after_ms > $7)",
        site.agent,
        OPEN_BELOW,
        ExecutionState.OVERDUE,
        *(ExecutionState.QUEUED, Reason.STORE_LOST, site.forgot_jobs, site.ground.true_ms),
    ):
        if state != ExecutionState.OVERDUE or (remembers and uid in site.walk.admitted):
            yield ExecutionState(state)


def values_of(steps: Sequence[Step], *, once: bool) -> Iterator[int]:
    """Yield the values that steps set; `once`: of those that may be done once only."""
    for step in steps:
        value = step.params.get("value") if step.action == ONCE else step.params.get("setpoint")
        if isinstance(value, int) and (step.action == ONCE or not once):
            yield value


def readings_of(centre: Path, agent: AgentId, *, table: str = "block") -> Iterator[tuple[str, int]]:
    """Yield every counted reading that the coordinator has of an agent, by device."""
    schemas = {
        ref: Schema.decode(data)
        for ref, data in rows(
            centre, "SELECT schema_ref, data FROM schema WHERE agent_id = $1", agent
        )
        if data is not None
    }
    for (data,) in rows(centre, f"SELECT data FROM {table} WHERE agent_id = $1", agent):
        block = decode(data)
        channels = schemas[block.schema].channels
        for group in block.groups:
            for place, index in enumerate(group.channels):
                if channels[index].point != COUNTED:
                    continue
                cells = zip(group.columns[place], group.qualities[place], strict=True)
                for value, quality in cells:
                    if quality == Quality.GOOD and value is not None:
                        yield str(channels[index].device), int(value)
