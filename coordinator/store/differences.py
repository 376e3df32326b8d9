"""Where PostgreSQL differs from SQLite although the statements are the same text: six places.

1. *Who stands beside whom.* SQLite has one writer. PostgreSQL runs transactions at the same time,
   so each is SERIALIZABLE and is run again when it met another one: whoever writes a transaction
   writes it as if it were alone (docs/adr/0027).
2. *A commit that does not wait for the disk* is lost by a power cut with SQLite, by a kill of the
   server too with PostgreSQL: its log's last half second lives in the server's memory.
3. *Values.* PostgreSQL's text holds no NUL, its sums of whole numbers are `numeric`, its truth is
   no number. `to_text` and `CODECS` give both engines the same answers.
4. *Order.* PostgreSQL sorts text by a language unless its column says ``COLLATE "C"``, as every one
   of ours does, and gives rows in any order where a statement asks for none.
5. *The table of blocks* has a partition for each month of arrival, and `block_total` has a row for
   each change instead of each priority: contacts that bring blocks at the same time must not meet
   (`coordinator.store.partitions`).
6. *Claims.* Whoever moves a rollout or fires a trigger takes its row first, and leaves it to whom
   has it: ``FOR NO KEY UPDATE SKIP LOCKED``. SQLite's one writer has every row, and no such words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from coordinator.core.ports import Scalar

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""Stands for the NUL that a peer's text held."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How one type of PostgreSQL's travels as text."""

    type: str
    encode: Callable[[Scalar], str]
    decode: Callable[[str], Scalar]


CODECS = (
    # Nothing here has fractions: `numeric` is what sum() of whole numbers is.
    Codec("numeric", str, int),
    Codec("bool", lambda value: "t" if value else "f", lambda text: int(text == "t")),
)


_CLAIM = "FOR NO KEY UPDATE SKIP LOCKED"


def without_claims(statements: Mapping[str, str]) -> Mapping[str, str]:
    """Return statements as SQLite takes them: each row is its one writer's anyway.

    >>> dict(without_claims({"one": "SELECT $1 FOR NO KEY UPDATE SKIP LOCKED"}))
    {'one': 'SELECT $1'}
    """
    return {name: text.removesuffix(_CLAIM).rstrip() for name, text in statements.items()}


def to_text(value: Scalar) -> Scalar:
    r"""Return a value as PostgreSQL takes it: a text without NUL, anything else as it is.

    >>> to_text("pump\0"), to_text(b"\0")
    ('pump�', b'\x00')
    """
    if isinstance(value, str) and "\0" in value:
        return value.replace("\0", REPLACEMENT)
    return value
