"""The journal's bytes: one framed, checked record for each poll row that no block holds yet.

Owns the layout and how much of a damaged file can be believed. Leaves out the file itself
(`agent.store.journal`). Only this program, on this machine, ever reads what it wrote: there is no
version to negotiate, a file of another layout reads as damaged.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from agent.core.open_rows import Gap, Item, OpenRow
from agent.core.ports import PollRow
from shared import limits
from shared.block.schema import Schema
from shared.clock import ClockState, Instant, MonoMs, WallMs
from shared.errors import Reason, RefusedError
from shared.model.reading import Quality, Value

MAGIC = b"OSj2"
INCOMPLETE = b"OSj!"
"""Stands where the magic stood once a row could not be appended: the rows that are there are good,
but later ones existed."""
ID_BYTES = 8

_FRAME = struct.Struct("<II")
"""Length and CRC-32 of the body that follows."""
_HEADER = struct.Struct("<c8s16sQQqq")
_ROW = struct.Struct("<cQqqBIIBH")
_GAP = struct.Struct("<cQQQQqqH")
_KIND_HEADER, _KIND_ROW, _KIND_GAP = b"H", b"R", b"G"
_NONE, _SIGNED, _UNSIGNED, _FLOAT = b"nqQd"
"""How a cell's value is stored; the letters are `struct`'s own."""

RECORD_BYTES = limits.SCHEMA_BYTES + 1_024
"""Longest record: the header, which holds the schema; a row of all channels has 11 kB."""


_NO_TIME = WallMs(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the database behind a journal held when the journal was last rewritten.

    If that database turns out to be unreadable, this is what is known about the loss.
    """

    readings: int = 0
    first_ms: WallMs = _NO_TIME
    last_ms: WallMs = _NO_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalHeader:
    """Which rows a journal holds, and what their columns mean."""

    id: bytes
    """8 random bytes: the database remembers how far it has taken over the journal of this id."""
    boot_id: bytes
    first: int
    """The lowest number a row in it could have: every earlier one is in the database."""
    schema: Schema
    held: Held


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a journal's bytes still say."""

    header: JournalHeader
    items: tuple[Item, ...]
    good_bytes: int
    """Length of the part that can be believed; an append continues there."""
    damaged: bool
    """Recorded rows are missing, or bytes were changed since. A record that was not finished when
    the process died is no damage: nobody was told that it is safe."""


def encode_header(header: JournalHeader) -> bytes:
    """Return the first bytes of a journal."""
    held = header.held
    fixed = _HEADER.pack(
        _KIND_HEADER,
        header.id,
        header.boot_id,
        header.first,
        held.readings,
        held.first_ms,
        held.last_ms,
    )
    return MAGIC + _framed(fixed + header.schema.encode())


def encode_row(number: int, row: PollRow) -> bytes:
    """Return the record of one row."""
    at = row.at
    forms = bytes(map(_form, row.values))
    width = len(row.channels)
    assert len(row.qualities) == len(forms) == width, "a row has one value per channel"
    values = [value for value in row.values if value is not None]
    body = _ROW.pack(
        _KIND_ROW,
        number,
        at.wall_ms,
        at.mono_ms,
        at.state,
        at.err_ms,
        row.suppressed,
        row.priority,
        width,
    )
    cells = struct.pack(f"<{width}H", *row.channels) + bytes(row.qualities) + forms
    numbers = struct.pack("<" + forms.replace(b"n", b"").decode(), *values)
    return _framed(body + cells + numbers)


def encode_gap(gap: Gap) -> bytes:
    """Return the record that stands for rows which had to give way."""
    return _framed(
        _GAP.pack(
            _KIND_GAP,
            gap.number,
            gap.last,
            gap.readings,
            gap.suppressed,
            gap.first_ms,
            gap.last_ms,
            gap.reason,
        )
    )


def encode_items(items: Iterable[Item]) -> bytes:
    """Return the records of rows and gaps, in their order."""
    return b"".join(
        encode_gap(item) if isinstance(item, Gap) else encode_row(item.number, item.row)
        for item in items
    )


def decode_journal(data: bytes) -> Recovered | None:
    """Return what a journal holds, or None when not even its header can be believed."""
    incomplete = data.startswith(INCOMPLETE)
    if not incomplete and not data.startswith(MAGIC):
        return None
    body, at = _next(data, len(MAGIC))
    header = _header(body) if body else None
    if header is None:
        return None
    items: list[Item] = []
    while at < len(data):
        body, end = _next(data, at)
        item = _item(body, header.boot_id, end - at) if body else None
        if item is None:
            # A record cut short by the end is one that was being written; anything else was hurt.
            return Recovered(header, tuple(items), at, incomplete or end <= len(data))
        items.append(item)
        at = end
    return Recovered(header, tuple(items), at, incomplete)


def _framed(body: bytes) -> bytes:
    assert len(body) <= RECORD_BYTES, "a row has no more cells than the agent has channels"
    return _FRAME.pack(len(body), zlib.crc32(body)) + body


def _next(data: bytes, at: int) -> tuple[bytes, int]:
    """Return the body of the record at `at`, empty if it cannot be believed, and its end."""
    start = at + _FRAME.size
    if start > len(data):
        return b"", start
    length, crc = _FRAME.unpack_from(data, at)
    if not 0 < length <= RECORD_BYTES:
        return b"", start
    body = data[start : start + length]
    return (body if zlib.crc32(body) == crc else b""), start + length


def _header(body: bytes) -> JournalHeader | None:
    try:
        _, journal, boot_id, first, readings, first_ms, last_ms = _HEADER.unpack_from(body)
        schema = Schema.decode(body[_HEADER.size :])
    except (struct.error, RefusedError):
        return None
    return JournalHeader(
        id=journal,
        boot_id=boot_id,
        first=first,
        schema=schema,
        held=Held(readings=readings, first_ms=WallMs(first_ms), last_ms=WallMs(last_ms)),
    )


def _item(body: bytes, boot_id: bytes, size: int) -> Item | None:
    try:
        if body[:1] == _KIND_GAP:
            return _gap(body)
        return _row(body, boot_id, size) if body[:1] == _KIND_ROW else None
    except (struct.error, ValueError):
        return None


def _row(body: bytes, boot_id: bytes, size: int) -> OpenRow:
    _, number, wall_ms, mono_ms, state, err_ms, suppressed, priority, width = _ROW.unpack_from(body)
    at = _ROW.size
    channels = struct.unpack_from(f"<{width}H", body, at)
    at += 2 * width
    qualities = tuple(map(Quality, body[at : at + width]))
    forms = body[at + width : at + 2 * width]
    at += 2 * width
    numbers = iter(struct.unpack_from("<" + forms.replace(b"n", b"").decode(), body, at))
    values: list[Value] = [None if form == _NONE else next(numbers) for form in forms]
    row = PollRow(
        channels=channels,
        at=Instant(
            wall_ms=WallMs(wall_ms),
            mono_ms=MonoMs(mono_ms),
            boot_id=boot_id,
            state=ClockState(state),
            err_ms=err_ms,
        ),
        values=values,
        qualities=qualities,
        suppressed=suppressed,
        priority=priority,
    )
    return OpenRow.of(number, row, size)


def _gap(body: bytes) -> Gap:
    _, number, last, readings, suppressed, first_ms, last_ms, reason = _GAP.unpack_from(body)
    return Gap(
        number=number,
        last=last,
        readings=readings,
        suppressed=suppressed,
        first_ms=WallMs(first_ms),
        last_ms=WallMs(last_ms),
        reason=Reason(reason),
    )


def _form(value: Value) -> int:
    if value is None:
        return _NONE
    if isinstance(value, float):
        return _FLOAT
    return _SIGNED if value < 1 << 63 else _UNSIGNED
