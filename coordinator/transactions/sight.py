"""What a token that is limited to some agents may see: the fleet is cut to what matches."""

from collections.abc import Sequence

from coordinator.core.ports import Row, Scalar, Tx, fetch, fetch_one
from coordinator.core.targeting import fold_labels
from shared import limits
from shared.model.selector import Selector


def sees_agent(agent: str, limit: Selector | None) -> Tx[bool]:
    """Tell whether an agent exists and is within a token's limit."""
    labels = fold_labels((yield from fetch("labels_of_one", agent)))
    return agent in labels and (limit is None or limit.matches(labels[agent]))


def sees_job(job: bytes, limit: Selector | None) -> Tx[bool]:
    """Tell whether every agent that a job is for is within a token's limit.

    One that undoes what nobody has done yet is for nobody, and seen like what it undoes. Any other
    that is for nobody may name agents of anybody.
    """
    if limit is None:
        return True
    labels = fold_labels((yield from fetch("label_rows_of_job", job)))
    if not labels:
        undone = yield from fetch_one("rollout_undone", job)
        return undone is not None and (yield from sees_job(undone[0], limit))
    return all(map(limit.matches, labels.values()))


def rows_within(
    limit: Selector | None,
    rows: str,
    labels: str,
    *,
    after: Sequence[str],
    agent: str,
    flag: bool,
    size: int,
) -> Tx[list[Row]]:
    """Return up to `size` rows of agents within a token's limit: pages are as full as any other's.

    Args:
        limit: of the token; None: there is none.
        rows: a query of cursor, agent or all of them, flag, and size, in the order of agents.
        labels: a query of those agents that have such rows: from one on, without one, how many.
        after: the cursor, an agent first.
        agent: of this one only; empty: of all.
        flag: what the query takes besides.
        size: at most so many.
    """
    if limit is None:
        return list((yield from fetch(rows, *after, agent, int(flag), size)))
    found: list[Row] = []
    first, seen = after[0], ""
    while True:
        page = fold_labels((yield from fetch(labels, first, seen, limits.PAGE_ITEMS)))
        for one in sorted(page):
            if len(found) < size and agent in {"", one} and limit.matches(page[one]):
                asked: tuple[Scalar, ...] = (*after, one, int(flag), size - len(found))
                found += yield from fetch(rows, *asked)
        if len(found) >= size or len(page) < limits.PAGE_ITEMS:
            return found
        first = seen = max(page)
