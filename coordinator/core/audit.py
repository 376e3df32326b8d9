"""The audit log's hash chain: each entry's hash covers the entry and the hash before it.

So no entry can be changed, taken out or put in without changing every hash after it. Who can write
to the whole database can make a new chain: against that, keep a head (`number:hash`) elsewhere and
hold it against the log later. Owns the hash and the check of a chain; rows stand in
`coordinator.transactions.audit`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from shared.wire.codec import pack

BEGINNING = bytes(32)
"""The hash before the first entry."""

_FROM = " from "


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry as it is kept."""

    number: int
    at_ms: int
    actor: str
    source: str
    action: str
    object: str
    detail: str
    """JSON."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain, or any place in it."""

    number: int
    hash: bytes

    @property
    def text(self) -> str:
        """Return ``number:hash``, to be kept somewhere else."""
        return f"{self.number}:{self.hash.hex()}"


START = Head(0, BEGINNING)
"""Of a log without entries."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The first entry that is not what it was."""

    number: int
    why: str


def actor_at(actor: str, source: str) -> str:
    """Return who acts and from where, as one text that `split_actor` takes apart.

    >>> split_actor(actor_at("token:ab anna", "192.0.2.7"))
    ('token:ab anna', '192.0.2.7')
    """
    return f"{actor}{_FROM}{source}" if source else actor


def split_actor(actor: str) -> tuple[str, str]:
    """Return who acts and from where."""
    who, _, source = actor.partition(_FROM)
    return who, source


def chained(before: bytes, entry: Entry) -> bytes:
    """Return the hash of an entry that follows the one with the hash `before`."""
    fields = (entry.number, entry.at_ms, entry.actor, entry.source)
    return sha256(pack([before, *fields, entry.action, entry.object, entry.detail])).digest()


def follow(
    head: Head, entries: Iterable[tuple[Entry, bytes]], *, expected: Head | None = None
) -> Head | Broken:
    """Return where a chain leads, or the first entry that does not belong to it.

    Args:
        head: what the entries follow.
        entries: with the hash each was kept with.
        expected: a head that was kept elsewhere; it must be passed unless it lies further on.
    """
    for entry, kept in entries:
        if entry.number != head.number + 1:
            return Broken(head.number + 1, f"is missing: entry {entry.number} comes next")
        if chained(head.hash, entry) != kept:
            return Broken(entry.number, "was changed, or one before it was")
        head = Head(entry.number, kept)
        if expected is not None and expected.number == head.number and expected != head:
            return Broken(head.number, "is another one than when its hash was noted")
    return head


def parse_head(text: str) -> Head | None:
    """Return the head that ``number:hash`` stands for, None when it is none.

    >>> parse_head(Head(7, bytes(32)).text) == Head(7, bytes(32))
    True
    >>> parse_head("7:xyz") is None
    True
    """
    number, _, digest = text.partition(":")
    try:
        head = Head(int(number), bytes.fromhex(digest))
    except ValueError:
        return None
    return head if len(head.hash) == len(BEGINNING) and head.number > 0 else None
