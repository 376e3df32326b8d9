"""Several named statements as one of PostgreSQL's, so that they need one round trip.

The same one for several sets of values goes in one way, too; its rows then begin with the number
of the set that they belong to.

All but the last stand in its WITH: they run to their end, see what was there before all of them,
and nothing of each other (postgresql.org, "Data-Modifying Statements in WITH"). Leaves out which
statements may stand together: `coordinator.core.ports.Together` says so.
"""

import re
from functools import lru_cache

from shared import limits

_PARAMETER = re.compile(r"\$(\d+)")


@lru_cache(maxsize=limits.DB_STATEMENTS)
def join(statements: tuple[str, ...]) -> str:
    """Return statements as one, whose parameters are those of all in their order.

    >>> join(("DELETE FROM a WHERE n = $1", "DELETE FROM b WHERE n = $1 RETURNING $2"))
    'WITH s0 AS (DELETE FROM a WHERE n = $1) DELETE FROM b WHERE n = $2 RETURNING $3'
    """
    shifted, _ = _in_turn(statements)
    if len(shifted) == 1:
        return shifted[0]
    *inner, last = shifted
    return f"WITH {_parts(inner)} {last}"


@lru_cache(maxsize=limits.DB_STATEMENTS)
def join_numbered(statements: tuple[str, ...]) -> str | None:
    """Return statements as one that has one more parameter, and gives it before each row.

    None where there are no rows: the last statement only changes.

    >>> join_numbered(("DELETE FROM a WHERE n = $1 RETURNING m",))
    'WITH s0 AS (DELETE FROM a WHERE n = $1 RETURNING m) SELECT CAST($2 AS BIGINT), s0.* FROM s0'
    >>> join_numbered(("DELETE FROM a WHERE n = $1",))
    """
    shifted, count = _in_turn(statements)
    last = shifted[-1]
    if not (last.startswith("SELECT") or "RETURNING" in last):
        return None
    told = f"s{len(shifted) - 1}"
    return f"WITH {_parts(shifted)} SELECT CAST(${count + 1} AS BIGINT), {told}.* FROM {told}"  # noqa: S608  # of named statements


def _in_turn(statements: tuple[str, ...]) -> tuple[list[str], int]:
    """Return statements whose parameters follow each other, and how many those are."""
    shifted: list[str] = []
    before = 0
    for text in statements:
        shifted.append(_shift(text, before))
        before += max(map(int, _PARAMETER.findall(text)), default=0)
    return shifted, before


def _parts(statements: list[str]) -> str:
    return ", ".join(f"s{number} AS ({text})" for number, text in enumerate(statements))


def _shift(text: str, before: int) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + before}", text)
