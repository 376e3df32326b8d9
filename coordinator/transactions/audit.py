"""The audit log as people read it, and its check from the first entry to the last."""

from collections.abc import Sequence

import msgspec

from coordinator.contract.audit import AuditEntry, Detail
from coordinator.contract.common import to_time
from coordinator.core.audit import START, Broken, Entry, Head, follow
from coordinator.core.ports import Row, Tx, fetch

_PAGE = 1_000
"""Entries in memory at once while the whole log is followed."""


def list_audit(
    *, before: int, action: str, object_: str, size: int
) -> Tx[tuple[list[AuditEntry], bool]]:
    """Return up to `size` entries older than a number, newest first, and whether there are more."""
    rows = yield from fetch("audit_before", before, action, object_, size + 1)
    return [_view(row) for row in rows[:size]], len(rows) > size


def verify_audit(expected: Head | None) -> Tx[Head | Broken]:
    """Follow the chain from its beginning; return its head, or the first entry that breaks it.

    Args:
        expected: a head that was noted elsewhere: a log that was cut off or made anew shows.
    """
    head: Head | Broken = START
    while isinstance(head, Head):
        rows = yield from fetch("audit_after", head.number, _PAGE)
        if not rows:
            if expected is not None and head.number < expected.number:
                return Broken(head.number + 1, "is missing: the log was longer once")
            break
        head = follow(head, _entries(rows), expected=expected)
    return head


def _entries(rows: Sequence[Row]) -> list[tuple[Entry, bytes]]:
    return [(_entry(row), row[-1]) for row in rows]


def _entry(row: Row) -> Entry:
    number, at_ms, actor, source, action, object_, detail, _ = row
    return Entry(
        number=number,
        at_ms=at_ms,
        actor=actor,
        source=source,
        action=action,
        object=object_,
        detail=detail,
    )


def _view(row: Row) -> AuditEntry:
    number, at_ms, actor, source, action, object_, detail, digest = row
    return AuditEntry(
        number=number,
        at=to_time(at_ms),
        actor=actor,
        source=source,
        action=action,
        object=object_,
        detail=msgspec.json.decode(detail, type=Detail),
        hash=digest.hex(),
    )
