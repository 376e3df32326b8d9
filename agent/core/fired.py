"""Which nominal times of a schedule have fired: runs of them, so that years fit into a few numbers.

A time is never fired twice, whatever the clock does, but for those that a clock far ahead fired,
beyond what there is room for: they may fire once more when they come. What was missed while it
stood wrong may still fire then. Pure. Leaves out when something fires (`agent.core.standing`).
"""

from collections.abc import Callable, Sequence

from shared import limits
from shared.clock import WallMs

Run = tuple[int, int]
"""The first and the last of nominal times that all fired, with none between them that did not."""
Following = Callable[[WallMs], WallMs | None]
"""Returns the nominal time after a moment."""


def has_fired(runs: Sequence[Run], nominal: int) -> bool:
    """Tell whether a nominal time lies in a run."""
    return any(first <= nominal <= last for first, last in runs)


def count_fired(runs: Sequence[Run], first_ms: int, last_ms: int, period_ms: int) -> int:
    """Return how many of the times first, first + period, ... last fired."""
    count = 0
    for first, last in runs:
        # The grid may have another origin than the run: only its own times count.
        begin = first_ms + -(-max(0, first - first_ms) // period_ms) * period_ms
        end = min(last, last_ms)
        count += max(0, (end - begin) // period_ms + 1) if end >= begin else 0
    return count


def with_fired(
    runs: Sequence[Run], nominal: WallMs, following: Following, *, past_ms: int
) -> tuple[Run, ...]:
    """Return the runs, ascending, with one time more.

    Of more than `limits.FIRED_RUNS` the two oldest become one, if what lies between them has passed
    for certain, by `past_ms`: what was missed there will not fire either when the clock is set back
    as far as that. Else the one farthest ahead is forgotten: what lies between a past and a future
    run has yet to fire.
    """
    if has_fired(runs, nominal):
        return tuple(runs)
    first = last = int(nominal)
    kept = []
    for run in sorted(runs):
        if run[1] < nominal and following(WallMs(run[1])) == nominal:
            first = run[0]
        elif run[0] > nominal and following(nominal) == run[0]:
            last = run[1]
        else:
            kept.append(run)
    after = sorted([*kept, (first, last)])
    while len(after) > limits.FIRED_RUNS:
        if after[1][0] <= past_ms:
            after[:2] = [(after[0][0], after[1][1])]
        else:
            del after[-2 if after[-1] == (first, last) else -1]
    return tuple(after)
