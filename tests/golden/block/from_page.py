"""A second decoder, written from docs/block-format.md alone, by the page's own names.

It shares no code with `shared.block`, is slow and trusts its input. The tables of the adaptive
stage are read out of the page, so a page that falls behind the format fails a test.
"""

import re
import struct
import zlib
from collections import defaultdict
from pathlib import Path

PAGE = (Path(__file__).parents[3] / "docs" / "block-format.md").read_text()
PRIORS = [
    line.replace(" ", "") for line in re.findall(r"^[0-3]  ([0-9a-v ]+)$", PAGE, re.MULTILINE)
]
RESIDUAL_CELLS = [
    *[("zero", 0, before) for before in range(3)],
    *[("zero", last, before) for last in (1, 2) for before in range(-2, 3)],
    *[("sign", 0, 0), ("sign", 0, 1), ("sign", 1, -1), ("sign", 1, 0), ("sign", 1, 1)],
    *[("more", size, active) for size in (1, 2, 3) for active in range(5)],
    *[("more", size, 0) for size in range(4, 12)],
]
MOSTLY_ZERO = [
    ("TENS VALUE", 0),
    ("UNIT VALUE", 0),
    ("TENS MARK", 0),
    ("UNIT MARK", 0),
    ("KIN", 0),
    ("SHAPE VALUE", 2),
]
MOSTLY_ONE = [
    *[(role, 0) for role in ("ONE_GROUP", "WIDTH", "IN_ORDER", "REST", "PLAIN")],
    *[("FIRST VALUE", size) for size in range(5)],
]


def unfold(number):
    return -(number + 1) // 2 if number % 2 else number // 2


class Plain:
    """Stages 0 and 1."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, role=""):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def flag(self, role):
        return self.number()

    def residuals(self, count, scale):
        return [unfold(self.number()) for _ in range(count)]


class Cell:
    def __init__(self, zeros=0, ones=0):
        self.zeros, self.ones = zeros, ones

    def chance(self):
        return 65_536 * (5 * self.zeros + 2) // (5 * (self.zeros + self.ones) + 4)

    def tell(self, bit):
        zeros, ones = self.zeros + 1 - bit, self.ones + bit
        if (zeros + 1) * (ones + 1) > 400 and min(zeros, ones) < 2:
            return
        while (zeros + 1) * (ones + 1) > 400:
            zeros, ones = 3 * zeros // 4, 3 * ones // 4
        self.zeros, self.ones = zeros, ones


class Adaptive:
    """Stage 2."""

    def __init__(self, data):
        self.data, self.at = data, 0
        self.range, self.code = 2**48, 0
        for _ in range(3):
            self.code = self.code * 2**16 + self.word()
        self.size: defaultdict[tuple[str, int], Cell] = defaultdict(Cell)
        self.size |= {cell: Cell(5, 0) for cell in MOSTLY_ZERO}
        self.size |= {cell: Cell(0, 5) for cell in MOSTLY_ONE}
        self.prefix = defaultdict(Cell)

    def word(self):
        word = self.data[self.at : self.at + 2]
        self.at += 2
        return int.from_bytes(word + bytes(2 - len(word)))

    def settle(self):
        if self.range < 2**32:
            self.range *= 2**16
            self.code = self.code * 2**16 + self.word()

    def bit(self, cell):
        share = self.range // 2**16 * cell.chance()
        bit = int(self.code >= share)
        self.code -= share * bit
        self.range = self.range - share if bit else share
        self.settle()
        cell.tell(bit)
        return bit

    def raw(self, width):
        value = 0
        while width:
            part = min(16, width)
            self.range //= 2**part
            bits = self.code // self.range
            self.code -= bits * self.range
            self.settle()
            value, width = value * 2**part + bits, width - part
        return value

    def flag(self, role):
        return self.bit(self.size[role, 0])

    def number(self, role):
        size = 0
        while self.bit(self.size[role, size]):
            size += 1
        if size > 3:
            return 2**size + self.raw(size) - 1
        value = 1
        for _ in range(size):
            value = 2 * value + self.bit(self.prefix[role, size, value])
        return value - 1

    def residuals(self, count, scale):
        line = PRIORS[min(scale, 3)]
        cells = {
            name: Cell(int(line[2 * at], 32), int(line[2 * at + 1], 32))
            for at, name in enumerate(RESIDUAL_CELLS)
        }
        noise = max(0, scale - 2)
        last = before = 0
        values = []
        for _ in range(count):
            symbol = self.symbol(cells, last, before)
            values.append(symbol * 2**noise + self.raw(noise) - 2**noise // 2)
            last, before = max(-2, min(2, symbol)), last
        return values

    def symbol(self, cells, last, before):
        if last < 0 or (last == 0 and before < 0):
            return -self.symbol(cells, -last, -before)
        if not self.bit(cells["zero", last, before]):
            return 0
        negative = self.bit(cells["sign", min(last, 1), max(-1, min(1, before))])
        size = 1
        while size < 12:
            active = min(last + abs(before), 4) if size < 4 else 0
            if not self.bit(cells["more", size, active]):
                break
            size += 1
        if size == 12:
            size += self.number("ESCAPE")
        return -size if negative else size


class Groups:
    """What the stage carries."""

    def __init__(self, stage, first, span, count):
        self.stage, self.first, self.span, self.left = stage, first, span, count
        self.layout, self.after, self.marks, self.kin = (0, 0, 0), {}, [], []

    def read(self):
        following, groups = 0, []
        for _ in range(1 if self.stage.flag("ONE_GROUP") else self.stage.number("GROUPS")):
            width = self.stage.number("WIDTH")
            channels = list(range(following, following + width))
            if not self.stage.flag("IN_ORDER"):
                channels = self.series(width, "MARK")
            following = max(channels, default=following - 1) + 1
            rest = self.stage.flag("REST")
            rows = self.left // max(width, 1) if rest else self.stage.number("ROWS")
            times = self.times(rows)
            self.kin = []
            columns = [self.column(rows) for _ in range(width)]
            self.left -= sum(
                value is not None or quality > 0
                for values, qualities in columns
                for value, quality in zip(values, qualities, strict=True)
            )
            groups.append(
                (tuple(channels), times, [c for c, _ in columns], [q for _, q in columns])
            )
        return groups

    def times(self, rows):
        if self.stage.flag("STEADY"):
            step = self.span // (rows - 1) if rows > 1 else 0
            return [self.first + step * row for row in range(rows)]
        return [self.first + offset for offset in self.series(rows, "TIME")]

    def column(self, rows):
        marks = [0] * rows
        if not self.stage.flag("PLAIN"):
            if not self.stage.flag("REPEATED"):
                self.marks = self.series(rows, "MARK")
            marks = self.marks
        there = sum(mark % 2 == 0 for mark in marks)
        values = iter(self.values(there) if there else [])
        return [None if m % 2 else next(values) for m in marks], bytes(m // 2 for m in marks)

    def values(self, count):
        layout = self.next_layout()
        if layout[0] == 0:
            return self.series(count, "VALUE", self.kin)
        if layout[0] != 9:
            return self.floating(layout, count)
        kinds = self.series(count, "MARK")
        parts = [self.series(kinds.count(0), "VALUE")]
        parts.append(self.floating(self.next_layout(), kinds.count(1)) if 1 in kinds else [])
        parts.append([from_order(m) for m in self.series(kinds.count(2), "VALUE")])
        left = list(map(iter, parts))
        return [next(left[kind]) for kind in kinds]

    def next_layout(self):
        if self.stage.flag("EXPECTED"):
            layout = self.after[self.layout]
        else:
            form, decimals = self.stage.number("FORM"), self.stage.number("DECIMALS")
            layout = (form, decimals, self.stage.number("TAIL") if form == 8 else 0)
        self.after[self.layout] = layout
        self.layout = layout
        return layout

    def floating(self, layout, count):
        form, decimals, tail = layout
        m = self.series(count, "VALUE", self.kin)
        rooms = room_after(m, tail) if form == 8 else []
        added = count if form in {6, 7} else sum(room > 0 for room in rooms)
        a = self.series(added, "MARK")
        if form == 8:
            more = iter(a)
            m = [
                (-1 if x < 0 else 1)
                * (abs(x) * 10**tail + (next(more) * 10 ** (tail - r) if r else 0))
                for x, r in zip(m, rooms, strict=True)
            ]
        quotients = [x / float(10**decimals) for x in m]
        return {
            1: lambda: quotients,
            2: lambda: [x * float(f"1e-{decimals}") for x in m],
            3: lambda: list(map(single, quotients)),
            4: lambda: list(map(from_order, m)),
            5: lambda: [from_order(x, "<i", "<f") for x in m],
            6: lambda: [from_order(order(q) + x) for q, x in zip(quotients, a, strict=True)],
            7: lambda: [
                from_order(order(single(q)) + x) for q, x in zip(quotients, a, strict=True)
            ],
            8: lambda: quotients,
        }[form]()

    def series(self, count, use, kin=None):
        number = lambda field: self.stage.number(f"{field} {use}")  # noqa: E731 - as on the page
        if count < 2:
            return [unfold(number("FIRST")) for _ in range(count)]
        shape = number("SHAPE")
        if shape == 3:
            palette = self.series(self.stage.number("PALETTE_SIZE"), "PALETTE")
            return [palette[place] for place in self.series(count, "PLACE")]
        first = unfold(number("FIRST"))
        if shape == 1:
            slope = unfold(number("SLOPE"))
            return [first + slope * row for row in range(count)]
        unit = 10 ** number("TENS") * (number("UNIT") + 1)
        slope = unfold(number("SLOPE")) if shape in {0, 2} else 0
        place = self.stage.number("KIN") if kin is not None else 0
        share = unfold(self.stage.number("SHARE")) if place else 0
        e = self.stage.residuals(count - 1 - (shape == 2), number("SCALE"))
        if place:
            e = [x + (share * other + 8) // 16 for x, other in zip(e, kin[place - 1], strict=True)]
        if kin is not None:
            kin.insert(0, e)
            del kin[8:]
        values = predicted(shape, first if unit == 1 else 0, slope, e)
        return values if unit == 1 else [first + unit * value for value in values]


def predicted(shape, start, slope, e):
    v = [start]
    if shape == 0:
        for x in e:
            v.append(v[-1] + slope + x)
    elif shape == 2:
        for x in [0, *e]:
            slope += x
            v.append(v[-1] + slope)
    else:
        window, level = {4: 1, 5: 3, 6: 5}[shape], 256 * start
        for i, x in enumerate(e, 1):
            v.append((level + 128) // 256 + x)
            gap = 256 * v[i] - level
            level += gap // (i + 1) if i + 1 < 2**window else gap // 2**window
    return v


def room_after(heads, tail):
    sizes = [len(str(abs(head))) if head else 0 for head in heads]
    return [min(tail, max(sizes) - size) for size in sizes]


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def order(value):
    (bits,) = struct.unpack("<q", struct.pack("<d", value))
    return bits if bits >= 0 else bits ^ (2**63 - 1)


def from_order(number, integer="<q", real="<d"):
    most = 2 ** (8 * struct.calcsize(integer) - 1) - 1
    return struct.unpack(real, struct.pack(integer, number if number >= 0 else number ^ most))[0]


def read(data):
    """Return the header's fields in the order of the page, and the groups."""
    assert data[0] >> 4 == 1
    assert zlib.crc32(data[:1] + data[5:]) == int.from_bytes(data[1:5], "little")
    flags, numbers = data[5], Plain(data[16:])
    seq, mono_ms = numbers.number(), numbers.number()
    wall_ms, err_ms = unfold(numbers.number()), numbers.number()
    count, span = numbers.number(), numbers.number() * (1000 if flags & 32 else 1)
    first = wall_ms + (0 if flags & 16 else unfold(numbers.number()))
    body = data[16 + numbers.at :]
    stage = {0: lambda: Plain(body), 1: lambda: Plain(zlib.decompress(body))}.get(
        data[0] & 15, lambda: Adaptive(body)
    )()
    fields = (data[6:8], seq, flags & 3, data[8:12], mono_ms, wall_ms, flags >> 2 & 3, err_ms)
    return (*fields, data[12:16]), Groups(stage, first, span, count).read()
