"""What must be true in the end of rollouts, and of jobs that ran again and again.

Small judgements as those of `checks`, over the same files. Leaves out jobs that run once.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from coordinator.core.reconcile import STOPPED
from coordinator.core.rollout_policy import RolloutState
from shared.model.job import ExecutionState
from tests.simulation.world.checks import values_of
from tests.simulation.world.files import rows
from tests.simulation.world.people import Asked
from tests.simulation.world.site import Site

_GOOD = ExecutionState.SUCCEEDED


def stages_come_in_turn(centre: Path, rollouts: Sequence[Asked]) -> Iterator[str]:
    """Nobody of a later stage was released before one of the first did well, but for
    a person who said so.

    A rollout that a person advanced, or let go on after a failure, is his own affair.
    """
    for asked in rollouts:
        later, good = (
            rows(
                centre,
                "SELECT 1 FROM rollout_member m JOIN execution e ON e.execution_id = m.execution_id"
                f" WHERE m.job_id = $1 AND {where}",
                asked.job,
            )
            for where in ("m.stage > 0", f"m.stage = 0 AND e.state = {int(_GOOD)}")
        )
        if later and not good and not asked.waved_on:
            yield f"{asked.spec.name} went on to its second stage with nobody well in the first"


def what_is_taken_back_is_undone(
    centre: Path, rollouts: Sequence[Asked], sites: Sequence[Site]
) -> Iterator[str]:
    """Where a rollout had succeeded or was stopped half-way, and was rolled back, it is undone."""
    for asked in rollouts:
        (undo,) = values_of(asked.spec.compensation, once=True)
        for site in sites:
            undone = rows(
                centre,
                "SELECT u.state FROM rollout r JOIN execution e ON e.job_id = r.job_id"
                " LEFT JOIN execution u ON u.job_id = r.undo AND u.agent_id = e.agent_id"
                " WHERE r.job_id = $1 AND r.state = $2 AND e.agent_id = $3"
                " AND (e.state = $4 OR e.state = $5 AND e.cancel_how = $6)",
                asked.job,
                RolloutState.ROLLED_BACK,
                site.agent,
                _GOOD,
                ExecutionState.CANCELED,
                STOPPED,
            )
            for (state,) in undone:
                if state is None:
                    yield f"{site.name}: {asked.spec.name} was rolled back, but not here"
                elif state == _GOOD and not _times(site, undo):
                    yield f"{site.name}: {asked.spec.name} counts as undone, and is not"


def a_firing_works_once(centre: Path, standing: Sequence[Asked], site: Site) -> Iterator[str]:
    """What runs again and again did not run more often than it fired."""
    if site.forgot_jobs or site.was_restored:
        return
    for asked in standing:
        (value,) = values_of(asked.spec.steps, once=True)
        found = rows(
            centre,
            "SELECT execution_id FROM execution WHERE job_id = $1 AND agent_id = $2",
            asked.job,
            site.agent,
        )
        fired = sum(site.walk.firings.get(uid, 0) for (uid,) in found)
        if _times(site, value) > fired:
            times = _times(site, value)
            yield f"{site.name}: {asked.spec.name} fired {fired} times and ran {times} times"


def _times(site: Site, value: int) -> int:
    """Return how often a value was set on the device where it was set most often."""
    effects = site.plant.effects()
    return max(effects[unit, value] for unit in range(1, site.plant.units + 1))
