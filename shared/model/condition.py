"""Conditions over named facts: what rules, preconditions and conditional steps are written in.

Owns what a condition means. It is total: evaluating one never raises, never loops, and takes time
bounded by its length. A fact that is not known makes what depends on it unknown (Kleene's strong
three-valued logic), so `a or b` is true as soon as one of them is. Leaves out the grammar
(`shared.model.condition_text`) and which facts exist, which the caller's `Vocabulary` says.
"""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from shared.model.job import Value

Known = Value | None
"""A fact's value, or None: nobody knows."""
Look = Callable[[str], Known]
"""Returns the present value of a named fact."""


class Kind(Enum):
    """What sort of value an expression has."""

    NUMBER = "a number"
    TEXT = "a text"
    TRUTH = "true or false"
    ANY = "a value"
    """Not known before it is evaluated: a point of a device that is described elsewhere."""

    def fits(self, other: "Kind") -> bool:
        """Tell whether a value of this kind may stand where `other` is wanted."""
        return self is other or Kind.ANY in {self, other}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The facts a condition may name."""

    names: Mapping[str, Kind] = field(default_factory=dict)
    families: Mapping[str, Kind] = field(default_factory=dict)
    """Prefix, with its dot -> kind: names whose last part is not known here."""

    def kind(self, name: str) -> Kind | None:
        """Return what a name's value is, None when there is no such fact."""
        if name in self.names:
            return self.names[name]
        found = (kind for prefix, kind in self.families.items() if name.startswith(prefix))
        return next(found, None)


class Node(Protocol):
    """A part of a condition."""

    @property
    def kind(self) -> Kind:
        """Return what sort of value it has."""

    def value(self, look: Look) -> Known:
        """Return its value, None when it is unknown; never raises."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands in the text."""

    constant: Value

    @property
    def kind(self) -> Kind:
        """Return the constant's kind."""
        return kind_of(self.constant)

    def value(self, look: Look) -> Known:
        """Return the constant."""
        return self.constant


@dataclass(frozen=True, slots=True)
class Name:
    """A fact, looked up when the condition is evaluated."""

    name: str
    kind: Kind

    def value(self, look: Look) -> Known:
        """Return the fact, unless it is not what it was said to be."""
        found = look(self.name)
        if found is None or (isinstance(found, float) and not math.isfinite(found)):
            return None
        return found if kind_of(found).fits(self.kind) else None


@dataclass(frozen=True, slots=True)
class Not:
    """``not x``."""

    inner: Node
    kind: Kind = Kind.TRUTH

    def value(self, look: Look) -> Known:
        """Return the opposite."""
        found = _truth(self.inner.value(look))
        return None if found is None else not found


@dataclass(frozen=True, slots=True)
class Junction:
    """``x and y ...`` or ``x or y ...``, left to right, as far as needed."""

    decisive: bool
    """The value that settles it: true for ``or``, false for ``and``."""
    parts: tuple[Node, ...]
    kind: Kind = Kind.TRUTH

    def value(self, look: Look) -> Known:
        """Return the decisive value if any part has it, else unknown if any part is."""
        unsure = False
        for part in self.parts:
            found = _truth(part.value(look))
            if found is self.decisive:
                return self.decisive
            unsure = unsure or found is None
        return None if unsure else not self.decisive


@dataclass(frozen=True, slots=True)
class Comparison:
    """``x < y`` and its like."""

    sign: str
    left: Node
    right: Node
    kind: Kind = Kind.TRUTH

    def value(self, look: Look) -> Known:
        """Return whether it holds; values of different kinds are not comparable: unknown."""
        left, right = self.left.value(look), self.right.value(look)
        if left is None or right is None or not kind_of(left).fits(kind_of(right)):
            return None
        if self.sign not in EQUALITY and not (_is_number(left) and _is_number(right)):
            return None
        return bool(COMPARISONS[self.sign](left, right))


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``x + y``, ``abs(x)`` and their like; what has no finite result is unknown."""

    sign: str
    operands: tuple[Node, ...]
    kind: Kind = Kind.NUMBER

    def value(self, look: Look) -> Known:
        """Return the result."""
        numbers: list[int | float] = []
        for operand in self.operands:
            found = operand.value(look)
            if found is None or isinstance(found, bool | str):
                return None
            numbers.append(found)
        try:
            result = FUNCTIONS[self.sign].compute(*numbers)
            # A condition is no calculator of long integers: beyond a float's range, unknown.
            return result if math.isfinite(result) else None
        except ArithmeticError:
            return None


@dataclass(frozen=True, slots=True)
class Function:
    """An operation on numbers."""

    compute: Callable[..., int | float]
    least: int
    most: int
    """How many operands it takes."""


_LIST: Final = 16
FUNCTIONS: Final[Mapping[str, Function]] = {
    "+": Function(operator.add, 2, 2),
    "-": Function(operator.sub, 2, 2),
    "*": Function(operator.mul, 2, 2),
    "/": Function(operator.truediv, 2, 2),
    "negative": Function(operator.neg, 1, 1),
    "abs": Function(abs, 1, 1),
    "min": Function(min, 2, _LIST),
    "max": Function(max, 2, _LIST),
}
EQUALITY: Final = frozenset({"==", "!="})
COMPARISONS: Final[Mapping[str, Callable[[Value, Value], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A checked condition."""

    text: str
    root: Node
    names: frozenset[str]
    """The facts it looks at."""

    def evaluate(self, look: Look) -> bool | None:
        """Return whether it holds now, None when what is known does not settle it.

        >>> from shared.model.condition_text import parse_condition
        >>> hot = parse_condition("t > 40 or alarm", Vocabulary({"t": Kind.NUMBER,
        ...                                                      "alarm": Kind.TRUTH}))
        >>> [hot.evaluate(facts.get) for facts in ({"t": 41}, {"t": 39}, {"alarm": True})]
        [True, None, True]
        """
        return _truth(self.root.value(look))


def kind_of(value: Value) -> Kind:
    """Return a value's kind."""
    if isinstance(value, bool):
        return Kind.TRUTH
    return Kind.TEXT if isinstance(value, str) else Kind.NUMBER


def _is_number(value: Known) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _truth(value: Known) -> bool | None:
    return value if isinstance(value, bool) else None
