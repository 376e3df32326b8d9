"""The catalog as people write and read it: TOML with a line number in every complaint.

`parse_catalog` and `render_catalog` are each other's reverse, so that what is in force can be
shown, edited and published again. The numbers of a document (version, epoch, times) are not in the
text: publishing sets them. Leaves out the form that is signed (`shared.trust.catalog`).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from coordinator.core.document_text import (
    digest,
    expiry,
    key_text,
    of_each,
    plain_number,
    quoted_list,
    render_expiry,
    strings,
)
from shared import limits
from shared.errors import MistakeError, RefusedError, nearest
from shared.ids import is_name
from shared.model.action import ACTIONS
from shared.model.profile import Profile
from shared.model.toml_text import TomlTable, TomlText
from shared.trust.catalog import (
    ActionBounds,
    Bound,
    Catalog,
    ConfigBounds,
    Firmware,
    FlagBound,
    NamesBound,
    NumberBound,
    PointBound,
    ProfileBounds,
    Script,
    TextBound,
    WheelSet,
    check_catalog,
)

T = TypeVar("T")
ProfileFile = Callable[[str], Profile]
"""Reads the profile in a file that the text names; raises `MistakeError`."""

_ROOT_KEYS: Final = (
    *("expires", "any_profile", "action", "profile"),
    *("config", "script", "firmware", "agent"),
)
_BOUND_KEYS: Final = ("low", "high", "flag", "text", "choices", "names")
_INTEGER: Final = 2**53 - 1


@dataclass(frozen=True, slots=True)
class CatalogText:
    """What a text says."""

    content: Catalog
    """With numbers that mean nothing."""
    expires_ms: int | None
    """None: with the root document."""


def parse_catalog(text: str, *, source: str, profile_file: ProfileFile) -> CatalogText:
    """Return the catalog that `text` describes; `source` names it in complaints.

    Raises:
        MistakeError: with ``SOURCE line N``, for whatever is wrong first.
    """
    root = TomlText(text, source=source, bound=limits.DOCUMENT_BYTES).root(_ROOT_KEYS)
    actions = of_each(root, "action", ("by_profile", "parameters"), _action)
    for name in actions:
        _check_action(root, name)
    config = root.table("config", ("endpoints", "settings"))
    catalog = Catalog(
        version=1,
        fleet=bytes(16),
        epoch=1,
        issued_ms=0,
        expires_ms=0,
        any_profile=root.flag("any_profile", default=False),
        actions=actions,
        profiles=_listed(
            root,
            "profile",
            ("sha256", "file", "points"),
            lambda table: _profile(table, profile_file),
            lambda entry: entry.profile,
        ),
        config=ConfigBounds(
            sorted(strings(config, "endpoints")), of_each(config, "settings", _BOUND_KEYS, _bound)
        ),
        scripts=_listed(root, "script", ("name", "sha256"), _script, lambda one: one.name),
        firmware=_listed(
            root,
            "firmware",
            ("id", "sha256", "size", "class", "release", "image"),
            _firmware,
            lambda one: one.id,
        ),
        agents=_listed(root, "agent", ("sha256", "release"), _wheels, lambda one: one.sha256),
    )
    try:
        check_catalog(catalog)
    except RefusedError as error:
        raise MistakeError(f"cannot be a catalog: {error.detail}", where=source) from None
    return CatalogText(catalog, expiry(root))


def render_catalog(catalog: Catalog) -> str:
    """Return the text that `parse_catalog` turns into the same catalog."""
    return "\n".join(_lines(catalog)) + "\n"


def _lines(catalog: Catalog) -> Iterator[str]:
    yield render_expiry(catalog.expires_ms)
    yield f"any_profile = {json.dumps(catalog.any_profile)}"
    for name, action in sorted(catalog.actions.items()):
        yield from ("", f"[action.{key_text(name)}]")
        yield f"by_profile = {json.dumps(action.by_profile)}"
        for parameter, bound in sorted(action.parameters.items()):
            yield f"parameters.{key_text(parameter)} = {_bound_text(bound)}"
    for entry in catalog.profiles:
        yield from ("", "[[profile]]", f'sha256 = "{entry.profile.hex()}"')
        for point in entry.points:
            span = _bound_text(NumberBound(point.low, point.high))
            yield f"points.{key_text(point.name)} = {span}"
    if catalog.config.endpoints or catalog.config.settings:
        yield from ("", "[config]", f"endpoints = {quoted_list(catalog.config.endpoints)}")
        for name, bound in sorted(catalog.config.settings.items()):
            yield f"settings.{key_text(name)} = {_bound_text(bound)}"
    for script in catalog.scripts:
        yield from ("", "[[script]]", f'name = "{script.name}"')
        yield f'sha256 = "{script.sha256.hex()}"'
    for image in catalog.firmware:
        yield from ("", "[[firmware]]", f'id = "{image.id}"', f'sha256 = "{image.sha256.hex()}"')
        yield f"size = {image.size}"
        yield f'class = "{image.device_class}"'
        yield f"release = {image.release}"
        if image.image:
            yield f'image = "{image.image.hex()}"'
    for wheels in catalog.agents:
        yield from ("", "[[agent]]", f'sha256 = "{wheels.sha256.hex()}"')
        yield f"release = {wheels.release}"


def _bound_text(bound: Bound) -> str:
    match bound:
        case NumberBound(low, high):
            return f"{{ low = {low!r}, high = {high!r} }}"
        case FlagBound():
            return "{ flag = true }"
        case TextBound(most, choices):
            return f"{{ text = {most}, choices = {quoted_list(choices)} }}"
        case NamesBound(most):
            return f"{{ names = {most} }}"


def _check_action(root: TomlTable, name: str) -> None:
    if name in ACTIONS:
        return
    close = nearest(name, ACTIONS)
    raise MistakeError(
        f"there is no action {name!r}",
        where=root.text.where(("action", name)),
        mend=f"did you mean {close!r}?" if close else f"there are {', '.join(sorted(ACTIONS))}",
    )


def _action(table: TomlTable) -> ActionBounds:
    parameters = of_each(table, "parameters", _BOUND_KEYS, _bound)
    return ActionBounds(parameters, by_profile=table.flag("by_profile", default=False))


def _bound(table: TomlTable) -> Bound:
    """Return the bound in a table that has the keys of exactly one kind."""
    match tuple(key for key in _BOUND_KEYS if key in table.values):
        case ("low", "high"):
            low, high = _range(table)
            return NumberBound(low, high)
        case ("flag",) if table.flag("flag", default=False):
            return FlagBound()
        case ("text",) | ("text", "choices"):
            return TextBound(
                table.integer("text", 0, limits.TEXT_BYTES), list(strings(table, "choices"))
            )
        case ("names",):
            return NamesBound(table.integer("names", 1, limits.ITEMS_PER_ARRAY))
    raise table.mistake(
        "this is no bound",
        mend="write { low = 0, high = 10 }, { flag = true }, { text = 40 } or { names = 8 }",
    )


def _range(table: TomlTable) -> tuple[int | float, int | float]:
    low, high = (plain_number(table, key) for key in ("low", "high"))
    if low > high:
        raise table.mistake(f"low {low} is above high {high}", key="low")
    return low, high


def _profile(table: TomlTable, profile_file: ProfileFile) -> ProfileBounds:
    profile = None
    if "file" in table.values:
        if "sha256" in table.values:
            raise table.mistake("file and sha256 say the same: leave one out", key="sha256")
        try:
            profile = profile_file(table.string("file"))
        except MistakeError as error:
            raise table.mistake(f"its profile cannot be used: {error}", key="file") from None
        named = bytes(profile.content_hash)
    else:
        named = digest(table, "sha256")
    bounds = of_each(table, "points", ("low", "high"), _range)
    for name, (low, high) in bounds.items():
        _check_point(table, profile, name, low, high)
    return ProfileBounds(
        named, [PointBound(name, low, high) for name, (low, high) in sorted(bounds.items())]
    )


def _check_point(
    table: TomlTable, profile: Profile | None, name: str, low: float, high: float
) -> None:
    """Check a point against its profile, where the text names the file."""
    where = table.text.where((*table.path, "points", name))
    if not is_name(name):
        raise MistakeError(f"{name!r} cannot name a point", where=where)
    if profile is None:
        return
    point = profile.point(name)
    if point is None:
        close = nearest(name, [one.name for one in profile.points])
        mend = f"did you mean {close!r}?" if close else ""
        raise MistakeError(f"the profile has no point {name!r}", where=where, mend=mend)
    if not point.writable:
        raise MistakeError(f"the profile does not let {name!r} be written", where=where)
    if not (point.within_limits(low) and point.within_limits(high)):
        raise MistakeError(
            f"{low} to {high} goes beyond the profile's own limits of {name!r}", where=where
        )


def _script(table: TomlTable) -> Script:
    return Script(_name(table, "name"), digest(table, "sha256"))


def _firmware(table: TomlTable) -> Firmware:
    return Firmware(
        id=_name(table, "id"),
        sha256=digest(table, "sha256"),
        size=table.integer("size", 1, _INTEGER),
        device_class=_name(table, "class"),
        release=table.integer("release", 0, _INTEGER),
        image=digest(table, "image") if "image" in table.values else b"",
    )


def _wheels(table: TomlTable) -> WheelSet:
    return WheelSet(digest(table, "sha256"), table.integer("release", 0, _INTEGER))


def _name(table: TomlTable, key: str) -> str:
    name = table.string(key)
    if not is_name(name):
        raise table.mistake(
            f"{key} cannot be {name[:60]!r}",
            key=key,
            mend="use up to 40 lower case letters, digits, - and _",
        )
    return name


def _listed(
    root: TomlTable,
    key: str,
    known: Sequence[str],
    read: Callable[[TomlTable], T],
    order: Callable[[T], str | bytes],
) -> list[T]:
    """Return the items of an array in the one order a catalog has; none comes twice."""
    found: dict[str | bytes, T] = {}
    for table in root.tables(key, known):
        item = read(table)
        if order(item) in found:
            raise table.mistake(f"this {key} is listed twice")
        found[order(item)] = item
    return [found[place] for place in sorted(found, key=_as_bytes)]


def _as_bytes(place: str | bytes) -> bytes:
    return place if isinstance(place, bytes) else place.encode()
