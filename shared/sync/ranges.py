"""Sets of numbers kept as inclusive ranges: what was received, what is acknowledged."""

from bisect import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Range = tuple[int, int]
"""First and last number, both included."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """An immutable set of integers as sorted, disjoint, non-adjacent ranges.

    >>> Ranges.of([1, 2, 3, 7]).add(4).spans
    ((1, 4), (7, 7))
    """

    spans: tuple[Range, ...] = ()

    @classmethod
    def of(cls, numbers: Iterable[int]) -> "Ranges":
        """Return the set of `numbers`."""
        return cls.joined((number, number) for number in numbers)

    @classmethod
    def joined(cls, spans: Iterable[Range]) -> "Ranges":
        """Return the union of `spans`, which may overlap and come in any order."""
        merged: list[Range] = []
        for first, last in sorted(spans):
            assert first <= last, "a range ends before it begins"
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        return cls(tuple(merged))

    def __contains__(self, number: int) -> bool:
        """Tell whether `number` is in the set, by bisection."""
        low, high = 0, len(self.spans)
        while low < high:
            middle = (low + high) // 2
            first, last = self.spans[middle]
            if number < first:
                high = middle
            elif number > last:
                low = middle + 1
            else:
                return True
        return False

    def __iter__(self) -> Iterator[Range]:
        """Iterate over the ranges, lowest first."""
        return iter(self.spans)

    def __len__(self) -> int:
        """Return how many ranges there are; what a store has to bound."""
        return len(self.spans)

    def add(self, number: int) -> "Ranges":
        """Return the set with one more number."""
        if number in self:
            return self
        at = bisect(self.spans, (number, number))
        first, last, before, after = number, number, at, at
        if at and self.spans[at - 1][1] == number - 1:
            before, first = at - 1, self.spans[at - 1][0]
        if at < len(self.spans) and self.spans[at][0] == number + 1:
            after, last = at + 1, self.spans[at][1]
        return Ranges((*self.spans[:before], (first, last), *self.spans[after:]))

    def missing(self, first: int, last: int) -> "Ranges":
        """Return what is not in the set between `first` and `last`, both included."""
        gaps: list[Range] = []
        position = first
        for start, end in self.spans:
            if end < position:
                continue
            if start > last:
                break
            if start > position:
                gaps.append((position, start - 1))
            position = end + 1
        if position <= last:
            gaps.append((position, last))
        return Ranges(tuple(gaps))
