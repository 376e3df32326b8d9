"""The adaptive stage: a binary range coder whose probabilities learn as it goes.

Stage 2 of the format. Each bit is asked of a cell (`shared.block.estimate`) that has counted what
it was told before, so nothing about the statistics of a block is sent. A carry waits in its word
until the writer finishes, so the reader never sees one.

The two `residuals` loops are where an agent's processor time goes: state lives in locals, calls
are avoided, and the code tree is three list look-ups a bit.
"""

import struct
from itertools import chain, repeat

from shared.block.estimate import LARGEST, START, STATES, TREES, WALKS, bank_of, state_of
from shared.block.stage import NUMBER_BITS, ROLES, Field, Role, Use, malformed, noise_bits, role

FULL = 1 << 48
"""The range at the start; a word of 16 bits moves whenever it falls below `LOW`."""
LOW = 1 << 32
LOW_MASK = LOW - 1

_BEYOND = 1 << 40
"""Zero words there are behind the last byte; more than any bound lets a reader ask for."""

_CELLS = 96
"""Per role: one per size of a number, then one per prefix of a small number."""
_SMALL = 3
"""Numbers of up to this many bits below the leading one have a cell for each prefix."""
_PREFIX = NUMBER_BITS + 1

_LIKELY = 5
"""As if a cell had been told its usual answer so often before."""
_NO = (
    (role(Field.TENS, Use.VALUE), 0),
    (role(Field.UNIT, Use.VALUE), 0),
    (role(Field.TENS, Use.MARK), 0),
    (role(Field.UNIT, Use.MARK), 0),
    (role(Field.SHAPE, Use.VALUE), 2),
    (Role.KIN, 0),
)
"""Cells that mostly hear zeros: a series in units of one, of one of the first shapes."""
_YES = (
    (Role.ONE_GROUP, 0),
    (Role.WIDTH, 0),
    (Role.IN_ORDER, 0),
    (Role.REST, 0),
    (Role.PLAIN, 0),
    *((role(Field.FIRST, Use.VALUE), size) for size in range(5)),
)
"""Cells that mostly hear ones: nothing missing, channels in order, values of some size."""


def _fresh_cells() -> list[list[int]]:
    cells = [[state_of(0, 0)] * _CELLS for _ in range(ROLES)]
    for known, counts in ((_NO, (_LIKELY, 0)), (_YES, (0, _LIKELY))):
        for known_role, cell in known:
            cells[known_role][cell] = state_of(*counts)
    return cells


_FRESH = _fresh_cells()
"""By role; a block uses a few of them, and copies those."""
assert _PREFIX + (2 << _SMALL) <= _CELLS, "a role has too few cells"


class _Cells(dict[int, list[int]]):
    """What the cells of each role have counted so far."""

    def __missing__(self, role: int) -> list[int]:
        cells = self[role] = _FRESH[role].copy()
        return cells


def _raw_parts(bits: int) -> tuple[tuple[int, int], ...]:
    """Return (width, bits below) of the parts in which raw bits are coded, high ones first."""
    return tuple((min(16, top), max(0, top - 16)) for top in range(bits, 0, -16))


_RAW = [_raw_parts(bits) for bits in range(NUMBER_BITS + 1)]


def _roundest(low: int, end: int) -> int:
    """Return the number from `low` up to, not including, `end` that ends in the most zero bits."""
    zeros = next(n for n in range(48, -1, -1) if -(-low >> n) << n < end)
    return -(-low >> zeros) << zeros


class AdaptiveWriter:
    """See `shared.block.stage.Writer`."""

    def __init__(self) -> None:
        self._low, self._range = 0, FULL
        self._words: list[int] = []
        self._cells = _Cells()

    def flag(self, role: int, *, value: bool) -> None:
        """Write one bit with the role's first cell."""
        self._bit(self._cells[role], 0, int(value))

    def number(self, role: int, value: int) -> None:
        """Write the size of ``value + 1`` in unary, then the bits below its leading one."""
        assert 0 <= value < (1 << NUMBER_BITS) - 1, f"{value} does not fit a block's numbers"
        value += 1
        size, cells = value.bit_length() - 1, self._cells[role]
        for cell in range(size):
            self._bit(cells, cell, 1)
        self._bit(cells, size, 0)
        if size > _SMALL:
            self._raw(value, size)
        else:
            prefixes = _PREFIX + (1 << size)
            for below in range(size - 1, -1, -1):
                self._bit(cells, prefixes + (value >> below + 1), value >> below & 1)

    def residuals(self, values: list[int], scale: int) -> None:
        """Write each residual's high part through the trees, its noise bits as they are."""
        cells, shift = bank_of(scale), noise_bits(scale)
        _, chance, after_zero, after_one = STATES
        half, context, walks, parts = 1 << shift >> 1, START, WALKS, _RAW[shift]
        low, span, words = self._low, self._range, self._words
        for value in values:
            value += half  # noqa: PLW2901 - rounds to the nearest multiple, and is hot
            symbol = value >> shift
            inside = -LARGEST < symbol < LARGEST
            context, path = walks[context][
                symbol if inside else LARGEST if symbol > 0 else -LARGEST
            ]
            for cell, bit in path:
                state = cells[cell]
                share = (span >> 16) * chance[state]
                if bit:
                    low += share
                    span -= share
                    cells[cell] = after_one[state]
                else:
                    span = share
                    cells[cell] = after_zero[state]
                if span < LOW:
                    words.append(low >> 32)
                    low = (low & LOW_MASK) << 16
                    span <<= 16
            if not inside:
                self._low, self._range = low, span
                self.number(Role.ESCAPE, abs(symbol) - LARGEST)
                low, span = self._low, self._range
            for width, below in parts:
                span >>= width
                low += (value >> below & (1 << width) - 1) * span
                if span < LOW:
                    words.append(low >> 32)
                    low = (low & LOW_MASK) << 16
                    span <<= 16
        self._low, self._range = low, span

    def finish(self) -> bytes:
        """Return the fewest bytes that lie within the range; zeros at the end go without saying."""
        last = _roundest(self._low, self._low + self._range)
        carry, words = 0, [*self._words, last >> 32, last >> 16 & 0xFFFF, last & 0xFFFF]
        for index in range(len(words) - 1, -1, -1):
            carry, words[index] = divmod(words[index] + carry, 1 << 16)
        assert carry == 0, "the code value stays below one"
        return struct.pack(f">{len(words)}H", *words).rstrip(b"\0")

    def _bit(self, cells: list[int], cell: int, bit: int) -> None:
        state = cells[cell]
        share = (self._range >> 16) * STATES.chance[state]
        if bit:
            self._low += share
            self._range -= share
            cells[cell] = STATES.after_one[state]
        else:
            self._range = share
            cells[cell] = STATES.after_zero[state]
        self._settle()

    def _raw(self, value: int, bits: int) -> None:
        for width, below in _RAW[bits]:
            self._range >>= width
            self._low += (value >> below & (1 << width) - 1) * self._range
            self._settle()

    def _settle(self) -> None:
        if self._range < LOW:
            self._words.append(self._low >> 32)
            self._low = (self._low & LOW_MASK) << 16
            self._range <<= 16


class AdaptiveReader:
    """See `shared.block.stage.Reader`."""

    def __init__(self, data: bytes) -> None:
        if data.endswith(b"\0"):
            raise malformed("an adaptive stage that ends in a zero byte")
        even = data + bytes(len(data) % 2)
        self._words = struct.unpack(f">{len(even) // 2}H", even)
        self._left = iter(self._words)
        self._zeros = repeat(0, _BEYOND)
        self._next = chain(self._left, self._zeros).__next__
        self._code: int = self._next() << 32 | self._next() << 16 | self._next()
        self._range = FULL
        self._cells = _Cells()

    def flag(self, role: int) -> bool:
        """Read one bit with the role's first cell."""
        cells = self._cells[role]
        state = cells[0]
        share = (self._range >> 16) * STATES.chance[state]
        if is_one := self._code >= share:
            self._code -= share
            self._range -= share
            cells[0] = STATES.after_one[state]
        else:
            self._range = share
            cells[0] = STATES.after_zero[state]
        self._settle()
        return is_one

    def number(self, role: int) -> int:
        """Read a number; one too large is refused."""
        cells, code, span = self._cells[role], self._code, self._range
        _, chance, after_zero, after_one = STATES
        # The size in unary, then the bits below the leading one; `left` of them, or none known yet.
        cell, value, size, left, prefixes = 0, 1, 0, -1, _PREFIX
        while left:
            state = cells[cell]
            share = (span >> 16) * chance[state]
            if bit := code >= share:
                code -= share
                span -= share
                cells[cell] = after_one[state]
            else:
                span = share
                cells[cell] = after_zero[state]
            if span < LOW:
                code = code << 16 | self._next()
                span <<= 16
            if left > 0:
                value, left = value << 1 | bit, left - 1
                cell = prefixes + value
            elif bit:
                size, cell = size + 1, cell + 1
                if size >= NUMBER_BITS:
                    raise malformed("a number beyond the format's bound")
            elif size > _SMALL:
                break
            else:
                left, prefixes = size, _PREFIX + (1 << size)
                cell = prefixes + 1
        self._code, self._range = code, span
        return (value << size | self._raw(size) if left else value) - 1

    def residuals(self, count: int, scale: int) -> list[int]:
        """Read `count` residuals that were written with `scale`."""
        cells, shift = bank_of(scale), noise_bits(scale)
        _, chance, after_zero, after_one = STATES
        node, node_cell, when_zero, when_one, symbol, following, escape = TREES
        half, parts = 1 << shift >> 1, _RAW[shift]
        code, span, following_word = self._code, self._range, self._next
        values = []
        for _ in range(count):
            while node >= 0:
                cell = node_cell[node]
                state = cells[cell]
                share = (span >> 16) * chance[state]
                if code < share:
                    span = share
                    cells[cell] = after_zero[state]
                    node = when_zero[node]
                else:
                    code -= share
                    span -= share
                    cells[cell] = after_one[state]
                    node = when_one[node]
                if span < LOW:
                    code = code << 16 | following_word()
                    span <<= 16
            value = symbol[node]
            if node < escape:
                self._code, self._range = code, span
                more = self.number(Role.ESCAPE)
                value += more if value > 0 else -more
                code, span = self._code, self._range
            for width, _ in parts:
                span >>= width
                part = code // span
                code -= part * span
                value = (value << width) + part
                if span < LOW:
                    code = code << 16 | following_word()
                    span <<= 16
            values.append(value - half)
            node = following[node]
        self._code, self._range = code, span
        return values

    def finish(self) -> None:
        """Refuse bytes that nobody read, and an end that no writer writes.

        The reader is up to three words ahead, so bytes added behind the end may have been read.
        From those words it knows where the writer's range began, and so its one way to end.
        """
        ahead = (*self._words, *[0] * min(3, _BEYOND - self._zeros.__length_hint__()))[-3:]
        window = sum(word << 16 * place for place, word in enumerate(reversed(ahead)))
        low = window - self._code & FULL - 1
        ended = _roundest(low, low + self._range) - low == self._code
        if next(self._left, None) is not None or not ended:
            raise malformed("bytes after the last column")

    def _raw(self, bits: int) -> int:
        value = 0
        for width, _ in _RAW[bits]:
            self._range >>= width
            part = self._code // self._range
            self._code -= part * self._range
            value = (value << width) + part
            self._settle()
        return value

    def _settle(self) -> None:
        if self._range < LOW:
            self._code = self._code << 16 | self._next()
            self._range <<= 16
