"""Bytes <-> values: size first, one canonical form, then types.

The only module that imports msgpack. Owns the rules that make two readers see one document:
a value is accepted only if packing it again gives the same bytes, so duplicate keys, overlong
integers and float32 are refused; numbers are finite, integers fit 53 bits, nesting is bounded.
Leaves out signatures (`shared.trust`) and the framing of whole contacts (`shared.sync.body`).
"""

import math
from typing import NoReturn, TypeVar

import msgpack
import msgspec

from shared import limits
from shared.errors import Reason, RefusedError

T = TypeVar("T")


def pack(value: object) -> bytes:
    """Return the canonical msgpack form of a Struct, or of plain lists, maps and scalars."""
    plain = msgspec.to_builtins(value, builtin_types=(bytes,), order="deterministic")
    packed: bytes = msgpack.packb(plain, use_bin_type=True)
    return packed


def unpack(data: bytes, type_: type[T], *, bound: int) -> T:
    """Return the value that `data` stands for, as `type_`.

    Args:
        data: one whole msgpack document.
        type_: a msgspec Struct or any type msgspec can convert to.
        bound: the most bytes this kind of document may have; checked before anything else.

    Raises:
        RefusedError: too long, not canonical, or not of that type; nothing else is raised.
    """
    if len(data) > bound:
        raise RefusedError(Reason.TOO_LONG, f"{len(data)} bytes, at most {bound}")
    plain = _plain(data, bound)
    _inspect(plain, limits.DEPTH)
    if pack(plain) != data:
        raise RefusedError(Reason.NOT_CANONICAL)
    try:
        return msgspec.convert(plain, type_, builtin_types=(bytes,), strict=True)
    except msgspec.ValidationError as error:
        raise RefusedError(Reason.BAD_SCHEMA, str(error)) from None


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
    if depth == 0:
        raise RefusedError(Reason.BAD_SHAPE, "nested too deeply")
    match value:
        case list():
            for item in value:
                _inspect(item, depth - 1)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise RefusedError(Reason.BAD_SHAPE, "a map key that is not text")
                _inspect(item, depth - 1)
        case bool():
            pass
        case int():
            if abs(value) > limits.INT_MAX:
                raise RefusedError(Reason.BAD_SHAPE, "an integer beyond 53 bits")
        case float():
            # -0.0 equals 0.0 but packs differently: two readers could disagree on "the same".
            if not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0):
                raise RefusedError(Reason.BAD_SHAPE, "a float that is not finite")
        case _:
            pass
