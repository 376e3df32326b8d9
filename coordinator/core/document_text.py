"""Values that the texts of catalog and policy share: hashes, keys, times, tables by name."""

import datetime as dt
import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, TypeVar

from shared.errors import MistakeError
from shared.model.toml_text import TomlTable

T = TypeVar("T")

_HEX32: Final = re.compile(r"[0-9a-fA-F]{64}")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_MOST: Final = 2**53 - 1
"""Integers on the wire are those that every reader understands the same way."""
_YEARS: Final = (2000, 9000)


def digest(table: TomlTable, key: str) -> bytes:
    """Return 32 bytes that were written as 64 hex digits."""
    text = table.string(key)
    if not _HEX32.fullmatch(text):
        raise table.mistake(f"{key} has 64 hex digits", key=key)
    return bytes.fromhex(text)


def strings(table: TomlTable, key: str) -> Sequence[str]:
    """Return a list of texts; an absent one reads as empty."""
    value = table.values.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise table.mistake(f"{key} is a list of texts", key=key, mend=f'write {key} = ["..."]')
    if len(set(value)) != len(value):
        raise table.mistake(f"{key} names something twice", key=key)
    return value


def of_each(
    table: TomlTable, key: str, known: Sequence[str], read: Callable[[TomlTable], T]
) -> dict[str, T]:
    """Return what `read` makes of each table under `key`, by the name it stands under."""
    names = table.values.get(key, {})
    inner = table.table(key, tuple(names) if isinstance(names, dict) else ())
    for name, value in inner.values.items():
        if not isinstance(value, dict):
            raise inner.mistake(f"{name} is a table", key=name, mend=f"write {name} = {{ ... }}")
    return {name: read(inner.table(name, known)) for name in inner.values}


def plain_number(table: TomlTable, key: str) -> int | float:
    """Return a number as the wire has it: an integer where it is one."""
    number: Decimal = table.number(key)
    if number == number.to_integral_value():
        if abs(number) > _MOST:
            raise table.mistake(f"{key} is beyond 2 to the 53", key=key)
        return int(number)
    return float(number)


def expiry(root: TomlTable) -> int | None:
    """Return the time after which a document counts no more, None where the text names none."""
    value = root.values.get("expires")
    if value is None:
        return None
    mend = "write expires = 2030-12-31"
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    if not isinstance(value, dt.datetime):
        raise root.mistake("expires is a date, without quotes", key="expires", mend=mend)
    if value.tzinfo is None:
        raise root.mistake("expires needs its time zone", key="expires", mend=mend)
    if not _YEARS[0] <= value.year <= _YEARS[1]:
        raise root.mistake(f"expires cannot be in {value.year}", key="expires", mend=mend)
    return round(value.timestamp() * 1000)


def render_expiry(expires_ms: int) -> str:
    """Return the line that `expiry` reads."""
    return f"expires = {time_text(expires_ms)}"


def time_text(moment_ms: int) -> str:
    """Return a time in RFC 3339, UTC, to the millisecond."""
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    moment = epoch + dt.timedelta(milliseconds=moment_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def key_text(name: str) -> str:
    """Return a name as a TOML key."""
    return name if _BARE.fullmatch(name) else quoted(name)


def quoted(text: str) -> str:
    """Return a text as a TOML basic string."""
    # JSON's are the same but for DEL; its escapes of what is beyond 16 bits TOML does not know.
    # Whoever signs reads it: nothing may end a line or hide either.
    said = json.dumps(text, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in said)


def quoted_list(texts: Sequence[str]) -> str:
    """Return texts as a TOML array."""
    return f"[{', '.join(map(quoted, texts))}]"


def public_key(text: str, *, where: str) -> bytes:
    """Return the 32 bytes of a public key written as 64 hex digits.

    Raises:
        MistakeError: it is none.
    """
    if not _HEX32.fullmatch(text):
        raise MistakeError("a public key has 64 hex digits", where=where)
    return bytes.fromhex(text)
