"""The arithmetic of some rollup orders together: which hours they touch, and the minutes in them.

Slow, pure, and meant for a thread: each block is decoded once as far as there is room to keep what
came out, and one that cannot be decoded is told instead of stopping the others. Leaves out reading,
writing and their order (`coordinator.services.rollups`).
"""

from collections.abc import Iterable
from functools import lru_cache

from coordinator.core.rollup import Minutes, minutes_touched
from coordinator.transactions.rollups import Due, Folded, Ground, Hour, folded
from shared import limits
from shared.block.codec import decode_groups
from shared.block.schema import Schema
from shared.errors import RefusedError
from shared.ids import AgentId
from shared.model.reading import Group

_Key = tuple[AgentId, bytes, int]
_Groups = tuple[Group, ...] | None
Planned = tuple[list[Hour], list[Due]]
"""The hours that some orders touch, and the orders of blocks that cannot be decoded."""


class Decoded:
    """Blocks of one batch by agent, store and number."""

    def __init__(self) -> None:
        self._kept: dict[_Key, _Groups] = {}
        self._room = limits.ROLLUP_CELLS

    def groups(self, key: _Key, data: bytes) -> _Groups:
        """Return a block's rows; None: its bytes say nothing that can be read."""
        if key in self._kept:
            return self._kept[key]
        try:
            header, groups = decode_groups(data)
        except RefusedError:
            self._kept[key] = None
            return None
        if header.count <= self._room:
            self._room -= header.count
            self._kept[key] = groups
        return groups


def plan(orders: Iterable[Due], decoded: Decoded) -> Planned:
    """Return what some orders come to."""
    touched: dict[tuple[AgentId, int], set[int]] = {}
    unreadable = []
    for one in orders:
        if one.data is None:
            continue
        groups = decoded.groups((one.agent, one.epoch, one.seq), one.data)
        if groups is None:
            unreadable.append(one)
        elif one.is_readable:
            for hour_ms, minutes in minutes_touched(groups, one.shift_ms).items():
                touched.setdefault((one.agent, hour_ms), set()).update(minutes)
    hours = [Hour(*key, frozenset(minutes)) for key, minutes in sorted(touched.items())]
    return hours, unreadable


def fold_all(grounds: Iterable[Ground], decoded: Decoded) -> list[Folded]:
    """Compute hours whose blocks are all at hand, and merge them into what is stored."""
    found = []
    for ground in grounds:
        minutes = Minutes(ground.hour.hour_ms, ground.hour.minutes)
        add(minutes, ground, decoded)
        found.append((ground.hour, minutes.buckets(), ground.stored))
    return folded(found)


def add(minutes: Minutes, ground: Ground, decoded: Decoded) -> None:
    """Fill minutes of an hour with some of its blocks."""
    for schema, one in ground.blocks:
        groups = decoded.groups((ground.hour.agent, one.epoch, one.seq), one.data)
        if groups is not None:
            minutes.add(_schema(schema), groups, one.shift_ms, one.sureness)


@lru_cache(maxsize=256)
def _schema(data: bytes) -> Schema:
    return Schema.decode(data)
