"""The arithmetic of some rollup orders together: which hours they touch, and the minutes in them.

Slow, pure, and meant for a thread: each block is decoded once as far as there is room to keep what
came out, and one that cannot be decoded is told instead of stopping the others. A block of few
bytes may have readings in tens of thousands of hours: it goes in pieces. Leaves out reading,
writing and their order (`coordinator.services.rollups`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from coordinator.core.rollup import Minutes, in_order, minutes_touched
from coordinator.transactions.rollup_writes import Folded, folded
from coordinator.transactions.rollups import Due, Ground, Hour, PlacedBlock
from shared import limits
from shared.block.codec import decode_groups
from shared.block.schema import Schema
from shared.errors import RefusedError
from shared.ids import AgentId
from shared.model.reading import Group, SchemaRef

_Key = tuple[AgentId, bytes, int]
_Groups = tuple[Group, ...] | None


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of an order of which a piece was taken."""

    number: int
    """Of the order."""
    hour_ms: int
    """Where it goes on."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What is computed together."""

    hours: Sequence[Hour]
    orders: Sequence[Due]
    """Whose hours these are, to the last one."""
    unreadable: Sequence[Due]
    """Those of them whose blocks cannot be decoded."""
    last: AgentId | None
    """Whose turn it was at the end."""
    rest: Rest | None
    """Of the last one's next order."""
    is_all: bool = False
    """There was room for every order."""


class Decoded:
    """Blocks of one batch by agent, store and number."""

    def __init__(self) -> None:
        self._kept: dict[_Key, _Groups] = {}
        self._room = limits.ROLLUP_CELLS

    def groups(self, key: _Key, data: bytes) -> _Groups:
        """Return a block's rows in order; None: its bytes say nothing that can be read."""
        if key in self._kept:
            return self._kept[key]
        try:
            header, said = decode_groups(data)
        except RefusedError:
            self._kept[key] = None
            return None
        groups = tuple(map(in_order, said))
        if header.count <= self._room:
            self._room -= header.count
            self._kept[key] = groups
        return groups


def plan(orders: Sequence[Due], decoded: Decoded, begun: Mapping[AgentId, Rest]) -> Planned:
    """Return what some orders come to, as far as there is room for their hours.

    Args:
        orders: agent after agent.
        decoded: blocks of this batch.
        begun: of each agent the order that a piece was taken of.
    """
    load, unreadable, last = _Load(), [], None
    for count, one in enumerate(orders):
        groups = None
        if one.data is not None:
            groups = decoded.groups((one.agent, one.epoch, one.seq), one.data)
            if groups is None:
                unreadable.append(one)
        if groups is not None and one.is_readable:
            touched = minutes_touched(groups, one.shift_ms)
            before = begun.get(one.agent)
            if before is not None and before.number == one.number:
                touched = {at: some for at, some in touched.items() if at >= before.hour_ms}
            width = sum(len(group.channels) for group in groups)
            if not load.has_room(one, touched, width):
                rest = None
                if not load.hours:
                    last, rest = one.agent, Rest(one.number, load.take(one, touched, width))
                return Planned(load.in_order(), orders[:count], unreadable, last, rest)
            load.take(one, touched, width)
        last = one.agent
    return Planned(load.in_order(), orders, unreadable, last, None, is_all=True)


class _Load:
    """The hours of one batch."""

    def __init__(self) -> None:
        self.hours: dict[tuple[AgentId, int], set[int]] = {}
        self._weights: dict[tuple[AgentId, int, SchemaRef | None], int] = {}
        self._room = limits.ROLLUP_HOURS

    def has_room(self, order: Due, touched: Iterable[int], width: int) -> bool:
        """Tell whether all hours that an order touches can be taken."""
        more = sum(self._more(order, hour_ms, width) for hour_ms in touched)
        return not more or more <= self._room

    def take(self, order: Due, touched: Mapping[int, set[int]], width: int) -> int:
        """Take hours of an order while there is room, one at least; return where the rest begins.

        Args:
            order: whose.
            touched: minutes by hour.
            width: how many channels it has.
        """
        for hour_ms in sorted(touched):
            more = self._more(order, hour_ms, width)
            if more and self._room <= 0:
                return hour_ms
            self._room -= more
            key = order.agent, hour_ms, order.schema
            self._weights[key] = self._weights.get(key, 0) + more
            self.hours.setdefault(key[:2], set()).update(touched[hour_ms])
        return limits.INT_MAX

    def in_order(self) -> list[Hour]:
        """Return what was taken."""
        return [Hour(*key, frozenset(minutes)) for key, minutes in sorted(self.hours.items())]

    def _more(self, order: Due, hour_ms: int, width: int) -> int:
        """Return how often an hour counts that is taken for so many channels, too."""
        known = self._weights.get((order.agent, hour_ms, order.schema), 0)
        more = order.channels // limits.ROLLUP_KNOWN_CHANNELS
        return max(0, 1 + width // limits.ROLLUP_HOUR_CHANNELS + more - known)


def fold_all(grounds: Iterable[Ground], decoded: Decoded) -> list[Folded]:
    """Compute hours whose blocks are all at hand, and merge them into what is stored."""
    found = [(one, Minutes(one.hour.hour_ms, one.hour.minutes)) for one in grounds]
    add(found, decoded)
    return folded((one.hour, minutes.buckets(), one.stored) for one, minutes in found)


def add(found: Iterable[tuple[Ground, Minutes]], decoded: Decoded) -> None:
    """Fill minutes of some hours with some of their blocks, each of which is decoded once."""
    uses: dict[_Key, list[tuple[Minutes, bytes, PlacedBlock]]] = {}
    for ground, minutes in found:
        for schema, one in ground.blocks:
            key = ground.hour.agent, one.epoch, one.seq
            uses.setdefault(key, []).append((minutes, schema, one))
    for key, some in uses.items():
        groups = decoded.groups(key, some[0][2].data)
        if groups is not None:
            for minutes, schema, one in some:
                minutes.add(_schema(schema), groups, one.shift_ms, one.sureness)


@lru_cache(maxsize=256)
def _schema(data: bytes) -> Schema:
    return Schema.decode(data)
