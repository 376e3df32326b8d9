"""What must be true in the end of the jobs that the coordinator made by itself.

That one occasion makes one job is seen as it happens (`transitions`). Small judgements as those of
`checks`: each of these jobs has its effect once, and no occasion was left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from shared.model.job import ExecutionState
from tests.simulation.loop import START_WALL_MS
from tests.simulation.world.checks import values_of
from tests.simulation.world.files import rows
from tests.simulation.world.people import Set
from tests.simulation.world.site import Site
from tests.simulation.world.triggers import EVERY_S

Fired = Mapping[tuple[str, str], tuple[int, bytes | None]]
"""As `transitions.Walk` has it."""
_SLACK_S = 1_200
"""A look of the coordinator, a service that begins again, and a clock that is wrong by minutes."""
_DONE_WELL = (
    "SELECT j.job_id FROM job j JOIN job_trigger t ON t.of_job = j.name AND t.deleted_ms IS NULL"
    " WHERE t.name = $1 AND j.targets = (SELECT count(*) FROM execution e"
    " WHERE e.job_id = j.job_id AND e.state = $2)"
)


def a_firing_has_one_effect(fired: Fired, triggers: Sequence[Set], site: Site) -> Iterator[str]:
    """What a trigger's jobs do was not done more often than there were occasions.

    A card that was put back does once more what it held admitted and not done.
    """
    if site.put_back:
        return
    effects = site.plant.effects()
    for kept in triggers:
        occasions = sum(
            name == kept.spec.name and job is not None for (name, _), (_, job) in fired.items()
        )
        for value in values_of(kept.spec.steps, once=True):
            for unit in range(1, site.plant.units + 1):
                if effects[unit, value] > occasions:
                    times = effects[unit, value]
                    yield (
                        f"{site.name}: {kept.spec.name} had {occasions} occasions,"
                        f" and was done {times} times"
                    )


def no_end_is_overheard(centre: Path, triggers: Sequence[Set]) -> Iterator[str]:
    """Whoever waits for a job's good end heard of it, and did something about it."""
    for kept in triggers:
        done = rows(centre, _DONE_WELL, kept.spec.name, ExecutionState.SUCCEEDED) if kept.of else ()
        heard = rows(
            centre,
            "SELECT 1 FROM trigger_firing f JOIN job_trigger t ON t.trigger_id = f.trigger_id"
            " WHERE t.name = $1 AND f.job_id IS NOT NULL",
            kept.spec.name,
        )
        if done and not heard:
            yield f"{kept.of} did well, and {kept.spec.name} was not made of it"


def no_time_is_left_out(
    fired: Fired, triggers: Sequence[Set], changes: Sequence[tuple[float, bool]]
) -> Iterator[str]:
    """While the coordinator works, something is done about every set time."""
    calm = [(a, b) for (a, up), (b, _) in pairwise(changes) if up]
    for kept in triggers:
        if kept.of or not kept.gone_s or not kept.saved_s:
            continue
        times = sorted(
            (at_ms - START_WALL_MS) / 1000
            for (name, _), (at_ms, _) in fired.items()
            if name == kept.spec.name
        )
        for begins_s, ends_s in calm:
            since_s, until_s = max(begins_s, kept.saved_s), min(ends_s, kept.gone_s)
            inside = [since_s, *(s for s in times if since_s < s < until_s), until_s]
            for before_s, after_s in pairwise(inside):
                if after_s - before_s > EVERY_S + _SLACK_S:
                    span = f"{before_s:.0f} and {after_s:.0f} s"
                    yield f"{kept.spec.name} left out a time between {span}"
