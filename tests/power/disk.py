"""What a disk may hold when the power goes: recorded operations, and the liberties a disk takes.

A file's content is durable after its own sync, a name after the folder's (POSIX promises no more).
Until then the disk may have all of it, none, some in any order, or half a sector's worth of a
write. Names change in the order in which they were changed, as in every journalling file system.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tests.power.recording import Kind, Operation

SECTOR = 512
"""What a disk writes whole."""


class Cut(StrEnum):
    """What became of operations that nobody had waited for."""

    DROPPED = "dropped"
    WHOLE = "whole"
    PREFIX = "prefix"
    SUBSET = "subset"
    """Any of them, in any order."""
    TORN = "torn"
    """Some sectors of some of them; sectors may hold garbage, and sizes grow before contents."""


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)


@dataclass
class Disk:
    """The disk as it was told so far."""

    honest: bool = True
    """False: it says that it synced, and did not."""
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    """Decides what a failed sync took with it."""
    _files: dict[int, _File] = field(default_factory=dict)
    _names: dict[str, int] = field(default_factory=dict)
    _changes: list[Operation] = field(default_factory=list)

    def feed(self, operation: Operation) -> None:
        """Take one more operation."""
        match operation.kind:
            case Kind.MADE:
                self._files[operation.file] = _File()
                self._changes.append(operation)
            case Kind.UNLINKED | Kind.RENAMED:
                self._changes.append(operation)
            case Kind.WRITTEN | Kind.CUT:
                self._files[operation.file].pending.append(operation)
            case Kind.SYNCED if self.honest:
                file = self._files[operation.file]
                _apply_all(file.durable, file.pending)
                file.pending.clear()
            case Kind.FOLDER_SYNCED if self.honest:
                _rename_all(self._names, self._changes)
                self._changes.clear()
            case Kind.FAILED if operation.file and operation.offset == _SYNC_FAILED:
                self._forget(self._files[operation.file])
            case _:
                pass

    def image(self, cut: Cut, chance: random.Random) -> dict[str, bytes]:
        """Return the files that are there when the power comes back."""
        names = dict(self._names)
        kept = {Cut.DROPPED: 0, Cut.WHOLE: len(self._changes)}.get(
            cut, chance.randint(0, len(self._changes))
        )
        _rename_all(names, self._changes[:kept])
        found: dict[str, bytes] = {}
        for name, number in names.items():
            file = self._files[number]
            content = bytearray(file.durable)
            _apply_all(content, _survivors(file.pending, cut, chance))
            found[name] = bytes(content)
        return found

    def _forget(self, file: _File) -> None:
        """Do as Linux does when a sync fails: pages that were not written count as clean."""
        _apply_all(file.durable, [one for one in file.pending if self.chance.random() < 0.5])
        file.pending.clear()


_SYNC_FAILED = 2
"""recorder.c, ON_SYNC."""


def cuts(
    operations: Sequence[Operation], count: int, chance: random.Random, *, honest: bool = True
) -> Iterator[tuple[int, Cut, dict[str, bytes]]]:
    """Return `count` moments, in order, each with one way in which the power went there."""
    moments = sorted(chance.choices(range(1, len(operations) + 1), k=count))
    disk, done = Disk(honest=honest, chance=chance), 0
    for moment in moments:
        while done < moment:
            disk.feed(operations[done])
            done += 1
        cut = chance.choice(list(Cut))
        yield moment, cut, disk.image(cut, chance)


def _survivors(
    pending: Sequence[Operation], cut: Cut, chance: random.Random
) -> Iterable[Operation]:
    match cut:
        case Cut.DROPPED:
            return ()
        case Cut.WHOLE:
            return pending
        case Cut.PREFIX:
            return pending[: chance.randint(0, len(pending))]
        case Cut.SUBSET:
            some = [one for one in pending if chance.random() < 0.5]
            chance.shuffle(some)
            return some
        case Cut.TORN:
            return [piece for one in pending for piece in _torn(one, chance)]


def _torn(operation: Operation, chance: random.Random) -> Iterator[Operation]:
    """Return what is left of one write: whole, nothing, or some of its sectors."""
    fate = chance.random()
    if operation.kind is not Kind.WRITTEN or fate < 0.3:
        if fate < 0.6:
            yield operation
        return
    if fate < 0.5:
        return
    end = operation.offset + len(operation.data)
    at = operation.offset
    while at < end:
        size = min(end - at, SECTOR - at % SECTOR)
        start = at - operation.offset
        luck = chance.random()
        if luck < 0.5:
            data = operation.data[start : start + size]
            yield Operation(Kind.WRITTEN, operation.file, at, data)
        elif luck < 0.6:
            yield Operation(Kind.WRITTEN, operation.file, at, chance.randbytes(size))
        at += size


def _apply_all(content: bytearray, operations: Iterable[Operation]) -> None:
    for one in operations:
        if one.kind is Kind.CUT:
            del content[one.offset :]
            content.extend(bytes(one.offset - len(content)))
        else:
            content.extend(bytes(max(0, one.offset - len(content))))
            content[one.offset : one.offset + len(one.data)] = one.data


def _rename_all(names: dict[str, int], changes: Iterable[Operation]) -> None:
    for one in changes:
        before = [name for name, number in names.items() if number == one.file]
        for name in before:
            del names[name]
        if one.kind is not Kind.UNLINKED:
            names[one.data.decode()] = one.file
