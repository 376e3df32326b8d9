"""Several named statements as one of PostgreSQL's, so that they need one round trip.

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
    shifted: list[str] = []
    before = 0
    for text in statements:
        shifted.append(_shift(text, before))
        before += max(map(int, _PARAMETER.findall(text)), default=0)
    *inner, last = shifted
    parts = ", ".join(f"s{number} AS ({text})" for number, text in enumerate(inner))
    return f"WITH {parts} {last}"


def _shift(text: str, before: int) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + before}", text)
