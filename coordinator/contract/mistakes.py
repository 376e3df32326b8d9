"""What a person got wrong in the form of a body, said so that it can be mended.

The decoder says what it wanted; here that becomes the member at fault, a sentence and the mend.
"""

import re
from collections.abc import Iterator
from typing import Any, get_args

import msgspec

from shared.errors import MistakeError, nearest

_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`", re.DOTALL)
_CHOICE = re.compile(r"Invalid enum value (.+)", re.DOTALL)
_NO_ZONE = "Expected `datetime` with a timezone component"
_SHOWN = 60


def mistake_of(error: msgspec.ValidationError, type_: Any) -> MistakeError:  # noqa: ANN401  # any Struct
    """Return the mistake in what was to become `type_`, with the member at fault.

    >>> class Body(msgspec.Struct, forbid_unknown_fields=True):
    ...     colour: str = ""
    >>> try:
    ...     msgspec.convert({"color": "red"}, Body)
    ... except msgspec.ValidationError as error:
    ...     print(mistake_of(error, Body))
    color: there is no 'color' here; did you mean colour?
    """
    what, _, at = str(error).partition(" - at `")
    place = at.rstrip("`").removeprefix("$").removeprefix(".")
    if unknown := _UNKNOWN.fullmatch(what):
        name = unknown[1][:_SHOWN]
        here = sorted(_members_at(type_, place))
        elsewhere = name in set(_members(type_))
        meant = "" if elsewhere else nearest(name, here)
        mend = f"did you mean {meant}?" if meant else f"known here: {', '.join(here)}"
        if elsewhere:
            mend = f"it belongs into another part; {mend}"
        where = f"{place}.{name}" if place else name
        return MistakeError(f"there is no {name!r} here", where=where, mend=mend)
    if choice := _CHOICE.fullmatch(what):
        said = f"{choice[1][:_SHOWN]} is not one of the words possible here"
        words = _words(type_, place)
        return MistakeError(said, where=place, mend=f"use {', '.join(words)}" if words else "")
    if what == _NO_ZONE:
        mend = "write for example 2027-01-01T18:00:00+01:00, or Z for UTC"
        return MistakeError("a time needs its zone", where=place, mend=mend)
    return MistakeError(what, where=place)


def _structs(type_: Any) -> Iterator[type[msgspec.Struct]]:  # noqa: ANN401  # any annotation
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        yield type_
        for field in msgspec.structs.fields(type_):
            yield from _structs(field.type)
    for part in get_args(type_):
        yield from _structs(part)


def _members(type_: Any) -> Iterator[str]:  # noqa: ANN401  # any annotation
    for struct in _structs(type_):
        yield from (field.encode_name for field in msgspec.structs.fields(struct))


def _members_at(type_: Any, place: str) -> set[str]:  # noqa: ANN401  # any annotation
    """Return the members that what stands at `place` may have."""
    found = [type_]
    for name in re.findall(r"(?:^|\.)(\w+)", place):
        found = [
            field.type
            for one in found
            for struct in _alternatives(one)
            for field in msgspec.structs.fields(struct)
            if field.encode_name == name
        ]
    structs = [struct for one in found for struct in _alternatives(one)]
    return {field.encode_name for one in structs for field in msgspec.structs.fields(one)}


def _alternatives(type_: Any) -> Iterator[type[msgspec.Struct]]:  # noqa: ANN401  # any annotation
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        yield type_
    for part in get_args(type_):
        yield from _alternatives(part)


def _words(type_: Any, place: str) -> list[str]:  # noqa: ANN401  # any annotation
    """Return the words that the member at `place` may have."""
    name = place.rpartition(".")[2]
    for struct in _structs(type_):
        for field in msgspec.structs.fields(struct):
            if field.encode_name == name and (found := _choices(field.type)):
                return found
    return []


def _choices(type_: Any) -> list[str]:  # noqa: ANN401  # any annotation
    if isinstance(type_, type) and hasattr(type_, "__members__"):
        return [str(one.value) for one in type_.__members__.values()]
    return [part for part in get_args(type_) if isinstance(part, str)]
