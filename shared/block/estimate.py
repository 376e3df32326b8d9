"""How likely is the next bit: adaptive counts, and the code trees that ask for one bit at a time.

Owns the frozen tables that both sides of the adaptive stage share. A *cell* is a small automaton
that has counted the zeros and ones it saw; a *tree* turns one symbol into a walk over cells, and
the two symbols before it choose the tree. Computed once, with integers only, so that every machine
has the same tables. Leaves out the arithmetic coding itself (`shared.block.adaptive`).
"""

import re
from itertools import pairwise
from typing import NamedTuple

from shared.block.stage import SPARSE

COUNTS_BOUND = 400
"""(zeros + 1) x (ones + 1) stays within it: a skewed cell grows sure, a mixed one stays nimble."""
LARGEST = 12
"""Symbols of this magnitude and beyond leave a tree through its two escape leaves."""
NEAR = 2
"""Contexts tell previous symbols apart up to this magnitude."""
SPAN = 2 * NEAR + 1
CONTEXTS = SPAN * SPAN
ALIKE = 4
"""From this magnitude on, the question "is it more?" does not depend on the context."""
START = CONTEXTS // 2
"""The context of a first symbol: as if two zeros came before."""

Path = tuple[tuple[int, int], ...]
"""One symbol in one context: which cells are asked, and what each is told."""
CellName = tuple[str, int, int]


class States(NamedTuple):
    """The automaton of a cell: per state the chance of a zero (of 65536) and the two successors."""

    first: list[int]
    """The state of so many zeros and no one; ones count on from it."""
    chance: list[int]
    after_zero: list[int]
    after_one: list[int]


class Trees(NamedTuple):
    """The decoder's view of `WALKS`: inner nodes are >= 0; leaves are negative, as list indices."""

    root: int
    """Of the tree in context `START`."""
    cell: list[int]
    zero: list[int]
    one: list[int]
    symbol: list[int]
    """Per leaf."""
    following: list[int]
    """Per leaf: the root of the next symbol's tree."""
    escape: int
    """Leaves below this one are escapes."""


def _build_states() -> States:
    index: dict[tuple[int, int], int] = {}
    for zeros in range(COUNTS_BOUND):
        for ones in range(COUNTS_BOUND // (zeros + 1)):
            index[zeros, ones] = len(index)

    def after(state: tuple[int, int], bit: int) -> int:
        zeros, ones = state[0] + 1 - bit, state[1] + bit
        if (zeros, ones) not in index and min(zeros, ones) < 2:
            return index[state]
        while (zeros, ones) not in index:
            zeros, ones = zeros * 3 // 4, ones * 3 // 4
        return index[zeros, ones]

    # Krichevsky-Trofimov with 0.4 instead of 0.5: sensor columns are more often skewed than even.
    chance = [((5 * zeros + 2) << 16) // (5 * (zeros + ones) + 4) for zeros, ones in index]
    return States(
        [index[zeros, 0] for zeros in range(COUNTS_BOUND)],
        chance,
        [after(state, 0) for state in index],
        [after(state, 1) for state in index],
    )


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _name_cells() -> list[CellName]:
    """Return the cells of a series, in the order of the priors."""
    zero = [("zero", 0, before) for before in range(NEAR + 1)]
    zero += [("zero", last, before) for last in (1, 2) for before in range(-NEAR, NEAR + 1)]
    sign = [("sign", 0, 0), ("sign", 0, 1), ("sign", 1, -1), ("sign", 1, 0), ("sign", 1, 1)]
    more = [("more", size, active) for size in range(1, ALIKE) for active in range(2 * NEAR + 1)]
    return zero + sign + more + [("more", size, 0) for size in range(ALIKE, LARGEST)]


def _path(symbol: int, last: int, before: int, told: dict[CellName, Path]) -> Path:
    """Return the walk for `symbol` after the clipped symbols `last` and `before`.

    A context and its mirror image share cells: a fall after a fall is as likely as a rise after a
    rise, and a cell that learns from both knows it twice as soon.
    """
    if last < 0 or (last == 0 and before < 0):
        symbol, last, before = -symbol, -last, -before
    steps: list[tuple[CellName, bool]] = [(("zero", last, before), symbol != 0)]
    if symbol:
        steps.append((("sign", _sign(last), _sign(before)), symbol < 0))
        active = min(last + abs(before), 2 * NEAR)
        steps.extend(
            (("more", size, active if size < ALIKE else 0), abs(symbol) > size)
            for size in range(1, min(abs(symbol) + 1, LARGEST))
        )
    return tuple(told[name][bit] for name, bit in steps)


def _following(context: int, symbol: int) -> int:
    """Return the context after `symbol` in `context`."""
    return (max(-NEAR, min(NEAR, symbol)) + NEAR) * SPAN + context // SPAN


def _build_walks() -> list[list[tuple[int, Path]]]:
    # What a cell is told is one object in all paths: they are the bulk of this module's memory.
    told: dict[CellName, Path] = {
        name: ((number, 0), (number, 1)) for number, name in enumerate(CELLS)
    }
    near = range(-NEAR, NEAR + 1)
    # Negative symbols index from the end of their context's list.
    symbols = [*range(LARGEST + 1), *range(-LARGEST, 0)]
    return [
        [
            (_following((last + NEAR) * SPAN + before + NEAR, s), _path(s, last, before, told))
            for s in symbols
        ]
        for last in near
        for before in near
    ]


def _build_trees(walks: list[list[tuple[int, Path]]]) -> Trees:
    roots: list[int] = []
    cell: list[int] = []
    child: tuple[list[int], list[int]] = ([], [])

    def node_for(asked: int) -> int:
        cell.append(asked)
        child[0].append(0)
        child[1].append(0)
        return len(cell) - 1

    plain = [(c, s) for c in range(CONTEXTS) for s in range(1 - LARGEST, LARGEST)]
    leaves = plain + [(c, s) for c in range(CONTEXTS) for s in (-LARGEST, LARGEST)]
    leaf_of = {leaf: ~number for number, leaf in enumerate(leaves)}
    for context in range(CONTEXTS):
        roots.append(node_for(walks[context][0][1][0][0]))
        for symbol in range(-LARGEST, LARGEST + 1):
            node, path = roots[-1], walks[context][symbol][1]
            for (_, bit), (asked, _) in pairwise(path):
                child[bit][node] = child[bit][node] or node_for(asked)
                node = child[bit][node]
            child[path[-1][1]][node] = leaf_of[context, symbol]
    leaves.reverse()
    return Trees(
        root=roots[START],
        cell=cell,
        zero=child[0],
        one=child[1],
        symbol=[symbol for _, symbol in leaves],
        following=[roots[walks[context][symbol][0]] for context, symbol in leaves],
        escape=~(len(plain) - 1),
    )


STATES = _build_states()


def state_of(zeros: int, ones: int) -> int:
    """Return the state of a cell that has counted so much.

    >>> STATES.after_one[state_of(0, 0)] == state_of(0, 1)
    True
    """
    return STATES.first[zeros] + ones


CELLS = _name_cells()
WALKS = _build_walks()
"""Per context and symbol: the next context, and the path."""
TREES = _build_trees(WALKS)

_PRIORS = (
    "r1b160 01j9b1o450 1010911010 00000200c0 60k0401000 4050500000 4000000000 0000000000000000",
    "9393f5 11f931d722 0000730000 2121010031 608040c421 0010101051 1020404010 1200000303030303",
    "227923 8kbh6a2439 8k39242626 66449b3333 114253649b 1121213233 1051214232 112112131b02121b",
    "243739 6m6i6e4c7l 5j6m4c6m5j 3297ae7955 33b966ccae 22c8643233 1164323255 2222231248131301",
)
"""What the cells of a series start with, as if told before: per cell two digits of base 32, zeros
and ones, in the order of `CELLS`. One line for each sparse scale, the last for all above. Counted
over soil, weather, pumps, LoRa nodes, transformers, traffic, server load: not over one of them."""
BANKS = [
    [state_of(int(pair[0], 32), int(pair[1], 32)) for pair in re.findall("[0-9a-v]{2}", line)]
    for line in _PRIORS
]


def bank_of(scale: int) -> list[int]:
    """Return fresh cells for a series of that scale."""
    return BANKS[min(scale, SPARSE + 1)].copy()
