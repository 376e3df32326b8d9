"""Bytes <-> values: size first, one canonical form, then types.

The only module that imports msgpack. Owns the rules that make two readers see one document:
a value is accepted only if packing it again gives the same bytes, so duplicate keys, overlong
integers and float32 are refused; numbers are finite, integers fit 53 bits, nesting is bounded.
Leaves out signatures (`shared.trust`) and the framing of whole contacts (`shared.sync.body`).
"""

import math
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any, NoReturn, TypeVar, cast

import msgpack
import msgspec

from shared import limits
from shared.errors import Reason, RefusedError

T = TypeVar("T")


def pack(value: object) -> bytes:
    """Return the canonical msgpack form of a Struct, or of plain lists, maps and scalars.

    Orders leave out members at their end that say nothing: an older agent refuses members it does
    not know, for they might restrict, and reads what does not use them.
    """
    plain = msgspec.to_builtins(value, builtin_types=(bytes,), order="deterministic")
    if isinstance(value, msgspec.Struct) and value.__struct_config__.forbid_unknown_fields:
        _shorten(value, plain)
    packed: bytes = msgpack.packb(plain, use_bin_type=True)
    return packed


def _shorten(value: object, plain: Any) -> None:  # noqa: ANN401  # whatever msgspec makes of it
    """Take what says nothing off the end of strict structs, in place, all the way down."""
    if isinstance(value, msgspec.Struct):
        inside = [getattr(value, name) for name in value.__struct_fields__]
        tag = len(plain) - len(inside)
        for default in _silent(type(value)):
            if inside[-1] != default():
                break
            inside.pop()
        del plain[tag + len(inside) :]
        _shorten(inside, plain[tag:])
    elif isinstance(value, list):
        for one, its in zip(value, plain, strict=True):
            if type(its) is list or type(its) is dict:
                _shorten(one, its)
    elif isinstance(value, dict):
        for key, its in plain.items():
            if type(its) is list or type(its) is dict:
                _shorten(value[key], its)


@cache
def _silent(kind: type[msgspec.Struct]) -> tuple[Callable[[], object], ...]:
    """Return what makes the defaults of a strict struct's last members, the very last first."""
    found: list[Callable[[], object]] = []
    if not kind.__struct_config__.forbid_unknown_fields:
        return ()
    for member in reversed(msgspec.structs.fields(kind)):
        if member.default_factory is not msgspec.NODEFAULT:
            found.append(member.default_factory)
        elif member.default is not msgspec.NODEFAULT:
            found.append(partial(_same, member.default))
        else:
            break
    return tuple(found)


def _same(value: T) -> T:
    return value


def unpack(data: bytes, type_: type[T], *, bound: int, items: int = limits.ITEMS) -> T:
    """Return the value that `data` stands for, as `type_`.

    Args:
        data: one whole msgpack document.
        type_: a msgspec Struct or any type msgspec can convert to.
        bound: the most bytes this kind of document may have; checked before anything else.
        items: the most values it may be made of, counted before any of them exists.

    Raises:
        RefusedError: too long, not canonical, or not of that type; nothing else is raised.
    """
    if len(data) > bound:
        raise RefusedError(Reason.TOO_LONG, f"{len(data)} bytes, at most {bound}")
    _count(data, items)
    plain = _plain(data, bound)
    _inspect(plain, limits.DEPTH)
    if msgpack.packb(plain, use_bin_type=True) != data:
        raise RefusedError(Reason.NOT_CANONICAL)
    try:
        return msgspec.convert(plain, type_, builtin_types=(bytes,), strict=True)
    except msgspec.ValidationError as error:
        raise RefusedError(Reason.BAD_SCHEMA, str(error)) from None


def _count(data: bytes, most: int) -> None:
    """Walk over the headers, building nothing; refuse what is incomplete or beyond `most` values.

    msgpack makes room for what a header claims before it has seen any of it: 1,800 bytes of nested
    claims cost 20 MB. Here a bomb costs what it takes to count to `most`.
    """
    position, open_values, seen, size = 0, 1, 0, len(data)
    while open_values:
        if position >= size:
            raise RefusedError(Reason.BAD_SHAPE, "it ends too early")
        seen += 1
        if seen > most:
            raise RefusedError(Reason.BAD_SHAPE, f"more than {most} values")
        first = data[position]
        if (step := _STEPS[first]) > 0:
            position += step
            open_values += _INNER[first] - 1
            continue
        if first not in _SIZED:
            raise RefusedError(Reason.BAD_SHAPE, "a type that documents do not have")
        digits, bytes_each, values_each = _SIZED[first]
        claimed = int.from_bytes(data[position + 1 : position + 1 + digits])
        position += 1 + digits + claimed * bytes_each
        open_values += claimed * values_each - 1


_SIZED = (
    dict(zip(range(0xC4, 0xC7), ((1, 1, 0), (2, 1, 0), (4, 1, 0)), strict=True))
    | dict(zip(range(0xD9, 0xDC), ((1, 1, 0), (2, 1, 0), (4, 1, 0)), strict=True))
    | dict(zip(range(0xDC, 0xE0), ((2, 0, 1), (4, 0, 1), (2, 0, 2), (4, 0, 2)), strict=True))
)
"""First byte -> digits of its size, then bytes and values per unit: bin, str, arrays and maps."""
_SCALARS = dict.fromkeys((0xC0, 0xC2, 0xC3), 1) | dict(
    zip((0xCA, 0xCB, *range(0xCC, 0xD4)), (5, 9, 2, 3, 5, 9, 2, 3, 5, 9), strict=True)
)
"""First byte -> bytes in all: nil and booleans; floats, then unsigned and signed integers."""


def _step(first: int) -> int:
    if 0xA0 <= first < 0xC0:
        return 1 + (first & 0x1F)
    return 1 if first < 0xA0 or first >= 0xE0 else _SCALARS.get(first, 0)


def _inner(first: int) -> int:
    if 0x80 <= first < 0x90:
        return 2 * (first & 0x0F)
    return first & 0x0F if 0x90 <= first < 0xA0 else 0


_STEPS = tuple(map(_step, range(256)))
"""First byte -> bytes of the value itself; 0 where a size follows or documents have no such type.

Source: the msgpack specification, "Formats"."""
_INNER = tuple(map(_inner, range(256)))
"""First byte -> values inside it."""


def _plain(data: bytes, bound: int) -> object:
    try:
        return msgpack.unpackb(
            data,
            strict_map_key=True,
            ext_hook=_no_extensions,
            max_array_len=limits.ITEMS_PER_ARRAY,
            max_map_len=limits.ITEMS_PER_MAP,
            max_str_len=limits.TEXT_BYTES,
            max_bin_len=bound,
            max_ext_len=0,
        )
    except RefusedError:
        raise
    # msgpack raises ValueError, StackError, ExtraData, UnicodeDecodeError, TypeError and more for
    # bad input; this is the one border where all of them mean the same thing.
    except Exception as error:  # noqa: BLE001
        raise RefusedError(Reason.BAD_SHAPE, type(error).__name__) from None


def _no_extensions(code: int, _data: bytes) -> NoReturn:
    raise RefusedError(Reason.BAD_SHAPE, f"extension type {code}")


def _inspect(value: object, depth: int) -> None:
    """Check every number and key; what msgpack makes is of exactly these types."""
    kind = type(value)
    if kind is list:
        _inspect_all(cast("list[object]", value), depth - 1)
    elif kind is dict:
        inside = cast("dict[object, object]", value)
        keys = list(inside)
        if not all(type(key) is str for key in keys):
            raise RefusedError(Reason.BAD_SHAPE, "a map key that is not text")
        if keys != sorted(cast("list[str]", keys)):
            raise RefusedError(Reason.NOT_CANONICAL)
        _inspect_all(inside.values(), depth - 1)
    else:
        _inspect_all((value,), depth)


def _inspect_all(values: Iterable[object], depth: int) -> None:
    """Check values side by side: nearly all of a document are scalars, and cost no call here."""
    if depth == 0 and any(True for _ in values):
        raise RefusedError(Reason.BAD_SHAPE, "nested too deeply")
    for value in values:
        kind = type(value)
        if kind is int:
            if not _LEAST <= cast("int", value) <= limits.INT_MAX:
                raise RefusedError(Reason.BAD_SHAPE, "an integer beyond 53 bits")
        elif kind is float:
            number = cast("float", value)
            # -0.0 equals 0.0 but packs differently: two readers could disagree on "the same".
            if not math.isfinite(number) or (number == 0 and math.copysign(1, number) < 0):
                raise RefusedError(Reason.BAD_SHAPE, "a float that is not finite")
        elif kind is list or kind is dict:
            _inspect(value, depth)


_LEAST = -limits.INT_MAX
