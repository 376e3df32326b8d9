"""A column of readings <-> series of integers: which cells are there, and of which kind.

Owns missing cells, qualities and columns that mix integers with floats. Leaves out the forms of
floats (`shared.block.floats`) and how a series is predicted (`shared.block.series`).
"""

from collections.abc import Iterator
from enum import IntEnum, unique
from typing import cast

from shared.block.figures import MOST_TAIL
from shared.block.floats import (
    MOST_DECIMALS,
    Fit,
    Form,
    Layout,
    additions_of,
    fit,
    ordered,
    outliers,
    restore,
)
from shared.block.kin import Kin
from shared.block.series import get_series, put_series
from shared.block.stage import Reader, Role, Use, Writer, malformed
from shared.model.reading import Quality, Value


@unique
class Kind(IntEnum):
    """What a value of a mixed column is; each kind is a column of its own, in this order."""

    INTEGER = 0
    FLOAT = 1
    ODD = 2
    """A float that would spoil the form of the others: NaN, infinity, an outlier."""


class Columns:
    """Writes or reads the columns of one block.

    Forms and missing cells come in patterns (every third column is a conductivity, a silent device
    has no column at all), so what a column was is a guess for the next; a reader guesses alike.
    """

    def __init__(self) -> None:
        self._layout = Layout(Form.INTEGER)
        self._after: dict[Layout, Layout] = {}
        self._marks: list[int] = []
        self._kin = Kin()

    def start_group(self) -> None:
        """Forget columns whose rows are of other times."""
        self._kin = Kin()

    def put(self, writer: Writer, column: list[Value], quality: bytes) -> None:
        """Write one column."""
        values = [value for value in column if value is not None]
        plain = len(values) == len(column) and quality.count(Quality.GOOD) == len(quality)
        writer.flag(Role.PLAIN, value=plain)
        if not plain:
            self._put_marks(writer, column, quality)
        if values:
            self._put_values(writer, values)

    def get(self, reader: Reader, rows: int) -> tuple[list[Value], bytes]:
        """Read one column of `rows` cells, and their qualities."""
        if reader.flag(Role.PLAIN):
            return self._get_values(reader, rows), bytes(rows)
        marks = self._get_marks(reader, rows)
        missing = [mark & 1 for mark in marks]
        values = iter(self._get_values(reader, rows - sum(missing)))
        column = [None if gone else next(values) for gone in missing]
        return column, bytes([mark >> 1 for mark in marks])

    def _put_marks(self, writer: Writer, column: list[Value], quality: bytes) -> None:
        pairs = zip(column, quality, strict=True)
        marks = [mark << 1 | (value is None) for value, mark in pairs]
        writer.flag(Role.REPEATED, value=marks == self._marks)
        if marks != self._marks:
            put_series(writer, marks, Use.MARK)
            self._marks = marks

    def _get_marks(self, reader: Reader, rows: int) -> list[int]:
        if not reader.flag(Role.REPEATED):
            self._marks = get_series(reader, rows, Use.MARK)
        if len(self._marks) != rows or not rows:
            raise malformed("marks of another number of cells")
        if min(self._marks) < 0 or max(self._marks) >> 1 > max(Quality):
            raise malformed("an unknown quality")
        return self._marks

    def _put_values(self, writer: Writer, values: list[int | float]) -> None:
        types = set(map(type, values))
        if types == {float}:
            floats = cast("list[float]", values)
            fitted = fit(floats)
            if fitted.layout.form is not Form.BITS or True not in outliers(floats):
                self._put_fitted(writer, fitted)
                return
        elif types == {int}:
            self._put_layout(writer, Layout(Form.INTEGER))
            put_series(writer, cast("list[int]", values), Use.VALUE, self._kin)
            return
        assert types <= {int, float}, f"a value is an int, a float or None, not {types}"
        self._put_layout(writer, Layout(Form.MIXED))
        self._put_mixed(writer, values)

    def _get_values(self, reader: Reader, count: int) -> list[Value]:
        if not count:
            return []
        layout = self._get_layout(reader)
        if layout.form is Form.MIXED:
            return self._get_mixed(reader, count)
        integers = get_series(reader, count, Use.VALUE, self._kin)
        if layout.form is Form.INTEGER:
            return cast("list[Value]", integers)
        return cast("list[Value]", self._get_floats(reader, layout, integers))

    def _put_fitted(self, writer: Writer, fitted: Fit) -> None:
        self._put_layout(writer, fitted.layout)
        put_series(writer, fitted.integers, Use.VALUE, self._kin)
        put_series(writer, fitted.additions, Use.MARK)

    def _get_floats(self, reader: Reader, layout: Layout, integers: list[int]) -> list[float]:
        additions = get_series(reader, additions_of(layout, integers), Use.MARK)
        return restore(layout, integers, additions)

    def _put_mixed(self, writer: Writer, values: list[int | float]) -> None:
        floats = [value for value in values if isinstance(value, float)]
        odd = iter(outliers(floats))
        kinds = [
            Kind.INTEGER if isinstance(value, int) else Kind.ODD if next(odd) else Kind.FLOAT
            for value in values
        ]
        put_series(writer, list(map(int, kinds)), Use.MARK)
        integers, regular, strange = (
            [value for value, kind in zip(values, kinds, strict=True) if kind is wanted]
            for wanted in Kind
        )
        put_series(writer, cast("list[int]", integers), Use.VALUE)
        if regular:
            self._put_fitted(writer, fit(cast("list[float]", regular)))
        put_series(writer, ordered(strange), Use.VALUE)

    def _get_mixed(self, reader: Reader, count: int) -> list[Value]:
        kinds = get_series(reader, count, Use.MARK)
        integers, regular, strange = (kinds.count(kind) for kind in Kind)
        if integers + regular + strange != count:
            raise malformed("an unknown kind of value")
        parts: list[Iterator[Value]] = [iter(get_series(reader, integers, Use.VALUE))]
        if regular:
            layout = self._get_layout(reader)
            whole = get_series(reader, regular, Use.VALUE, self._kin)
            parts.append(iter(self._get_floats(reader, layout, whole)))
        else:
            parts.append(iter(()))
        bits = get_series(reader, strange, Use.VALUE)
        parts.append(iter(restore(Layout(Form.BITS), bits, []) if bits else ()))
        return [next(parts[kind]) for kind in kinds]

    def _put_layout(self, writer: Writer, layout: Layout) -> None:
        guess = self._after.get(self._layout)
        writer.flag(Role.EXPECTED, value=layout == guess)
        if layout != guess:
            writer.number(Role.FORM, layout.form)
            writer.number(Role.DECIMALS, layout.decimals)
            if layout.form is Form.FIGURES:
                writer.number(Role.TAIL, layout.tail)
        self._note(layout)

    def _get_layout(self, reader: Reader) -> Layout:
        guess = self._after.get(self._layout)
        if reader.flag(Role.EXPECTED):
            if guess is None:
                raise malformed("a layout like none before")
            layout = guess
            if guess == self._layout:
                return guess  # as the last one, and noted
        else:
            form, decimals = reader.number(Role.FORM), reader.number(Role.DECIMALS)
            if form >= len(Form) or decimals > MOST_DECIMALS:
                raise malformed(f"a form {form} with {decimals} decimals")
            figures = form == Form.FIGURES
            tail = reader.number(Role.TAIL) if figures else 0
            if tail > MOST_TAIL:
                raise malformed(f"a tail of {tail} digits")
            layout = Layout(Form(form), decimals, tail)
        self._note(layout)
        return layout

    def _note(self, layout: Layout) -> None:
        self._after[self._layout] = layout
        self._layout = layout
