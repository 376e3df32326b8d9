"""Small values as the database keeps them: packed ranges, JSON texts, audit entries."""

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from coordinator.core.audit import START, Entry, Head, chained, split_actor
from coordinator.core.ports import Scalar, Tx, execute, fetch_one
from coordinator.transactions.outbox import tell_deed
from shared import limits
from shared.clock import WallMs
from shared.errors import RefusedError
from shared.model.job import JobSpec, Value
from shared.sync.ranges import Ranges
from shared.wire.codec import pack, unpack

_RANGE_BYTES = 20
"""Two integers of nine bytes and their array."""
_RANGES_BYTES = (limits.RANGES + 1) * _RANGE_BYTES
_REMEMBERED = 4_096
_FEW = 2
"""Ranges of a set that is remembered: 1 to n, with a gap or none. With `limits.RANGES` of them, the
remembered ones would be more than a gigabyte, at the wish of whoever has a key and leaves gaps."""
_FEW_BYTES = _FEW * _RANGE_BYTES


def pack_ranges(ranges: Ranges) -> bytes:
    """Return the bytes of a set of numbers; most agents have received 1 to n without a gap."""
    return _pack_few(ranges) if len(ranges.spans) <= _FEW else _pack(ranges)


def unpack_ranges(data: bytes) -> Ranges:
    """Return the set of numbers that `pack_ranges` packed."""
    return _unpack_few(data) if len(data) <= _FEW_BYTES else _unpack(data)


def _pack(ranges: Ranges) -> bytes:
    return pack(list(ranges))


def _unpack(data: bytes) -> Ranges:
    return Ranges(tuple(unpack(data, list[tuple[int, int]], bound=_RANGES_BYTES)))


_pack_few = lru_cache(_REMEMBERED)(_pack)
_unpack_few = lru_cache(_REMEMBERED)(_unpack)


def unpack_result(data: bytes) -> dict[str, Value]:
    """Return a task's result, as its receipt brought it."""
    return unpack(data, dict[str, Value], bound=limits.REPORT_BYTES)


def read_spec(packed: bytes) -> JobSpec | None:
    """Return what a job says; None where nobody can read it, for one job is to stop no other."""
    try:
        return unpack(packed, JobSpec, bound=limits.SPEC_BYTES)
    except RefusedError:
        return None


def to_json(value: object) -> str:
    """Return compact JSON, the same for equal values."""
    return msgspec.json.encode(value, order="deterministic").decode()


def audit(
    now_ms: WallMs, *, actor: str, action: str, object_: str, detail: Mapping[str, Scalar]
) -> Tx[None]:
    """Write who did what, in the transaction of the change itself, at the end of the chain.

    Whoever listens to events hears of it too, where it is such a deed.

    Args:
        now_ms: when.
        actor: who, and from where (`coordinator.core.audit.actor_at`).
        action: the noun and the verb, ``job.submit``.
        object_: what it was done to, ``job:ID``.
        detail: what else a person asks for later; never a secret.
    """
    row = yield from fetch_one("audit_head")
    head = Head(*row) if row else START
    who, source = split_actor(actor)
    entry = Entry(
        number=head.number + 1,
        at_ms=now_ms,
        actor=who,
        source=source,
        action=action,
        object=object_,
        detail=to_json(detail),
    )
    yield from execute(
        "audit_insert",
        entry.number,
        entry.at_ms,
        entry.actor,
        entry.source,
        entry.action,
        entry.object,
        entry.detail,
        chained(head.hash, entry),
    )
    yield from tell_deed(action, object_, now_ms, actor=who, detail=detail)
