"""The catalog: everything that may ever run in a fleet, with its bounds; signed by release.

Whoever steals the coordinator can order only what stands here, within what stands here. Owns the
document and its strict decoder. Whether a job keeps within it is judged in `shared.trust.bounds`;
who may have it done is the policy's (`shared.trust.policy`).
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import is_name
from shared.trust.released import check_head, open_released
from shared.trust.root import HASH_BYTES, Root

CATALOG_TYP: Final = "catalog/1"


class NumberBound(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="number"
):
    """A number in [low, high]."""

    low: int | float
    high: int | float


class FlagBound(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="flag"
):
    """True or false."""


class TextBound(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="text"
):
    """One of `choices`; where there are none, any text of at most `max_chars`."""

    max_chars: int
    choices: list[str] = []


class NamesBound(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="names"
):
    """A list of at most `max_items` names: of points, for instance, or as ``_http._tcp``."""

    max_items: int


Bound = NumberBound | FlagBound | TextBound | NamesBound


class ActionBounds(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What one action may be asked for; a parameter that has no bound here is refused."""

    parameters: dict[str, Bound]
    by_profile: bool
    """Parameters are points of devices, bounded by `Catalog.profiles`."""


class PointBound(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A point that may be written, with values in [low, high] in the profile's unit."""

    name: str
    low: int | float
    high: int | float


class ProfileBounds(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A kind of device that may be written to: its profile by hash, and its writable points."""

    profile: bytes
    """sha256 of the profile's canonical form."""
    points: list[PointBound]


class ConfigBounds(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a remote configuration may touch."""

    endpoints: list[str]
    """Coordinators an agent may be pointed at, as URLs without a path."""
    settings: dict[str, Bound]
    """Settings by their dotted name."""


class Script(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A script that may be run, by its content."""

    name: str
    sha256: bytes


class Firmware(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An image that may be installed.

    Within a class no device gets a lower release than one that it confirmed, unless the job says
    `allow_downgrade` and the catalog has that parameter of `device.update_firmware`.
    """

    id: str
    sha256: bytes
    """Of the file."""
    size: int
    device_class: str
    release: int
    image: bytes = b""
    """The hash in the image's trailer, by which a device names what it runs: then the release of a
    device is known although nobody remembers it. Empty: not told."""


class WheelSet(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A version of the agent itself that may be installed."""

    sha256: bytes
    release: int


class Catalog(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Everything that may ever run."""

    version: int
    fleet: bytes
    epoch: int
    issued_ms: int
    expires_ms: int
    any_profile: bool
    """Devices whose profile is not listed may be written too, within the limits of the profile
    file that lies on their gateway: whoever can edit that file sets the bounds."""
    actions: dict[str, ActionBounds]
    profiles: list[ProfileBounds]
    """Sorted by hash."""
    config: ConfigBounds
    scripts: list[Script]
    """Sorted by name."""
    firmware: list[Firmware]
    """Sorted by id."""
    agents: list[WheelSet]
    """Sorted by hash."""


def open_catalog(data: bytes, root: Root) -> Catalog:
    """Return a catalog whose signatures the release keys verified.

    Raises:
        RefusedError: a check of the envelope failed, or BAD_SCHEMA.
    """
    return open_released(data, root, Catalog, CATALOG_TYP, check_catalog)


def check_catalog(catalog: Catalog) -> None:
    """Check what a catalog's types leave open.

    Raises:
        RefusedError: BAD_SCHEMA with the member at fault.
    """
    check_head(catalog)
    if len(catalog.actions) > limits.CATALOG_ACTIONS:
        raise _bad("too many actions")
    for name, action in catalog.actions.items():
        if len(action.parameters) > limits.ACTION_PARAMETERS:
            raise _bad(f"too many parameters of {name!r}")
        for parameter, bound in action.parameters.items():
            _check_bound(f"{name}.{parameter}", bound)
    _ascending("profiles", [entry.profile for entry in catalog.profiles], limits.ITEMS_PER_ARRAY)
    for entry in catalog.profiles:
        _check_profile(entry)
    _check_config(catalog.config)
    _check_files(catalog)


def _check_bound(where: str, bound: Bound) -> None:
    match bound:
        case NumberBound():
            if bound.low > bound.high:
                raise _bad(f"{where}: from {bound.low} to {bound.high}")
        case TextBound():
            most = limits.TEXT_BYTES
            if not 0 <= bound.max_chars <= most or len(bound.choices) > limits.ITEMS_PER_MAP:
                raise _bad(f"{where}: at most {most} characters")
        case NamesBound():
            if not 1 <= bound.max_items <= limits.ITEMS_PER_ARRAY:
                raise _bad(f"{where}: {bound.max_items} items")
        case FlagBound():
            pass


def _check_profile(entry: ProfileBounds) -> None:
    if len(entry.profile) != HASH_BYTES:
        raise _bad("a profile is named by 32 bytes")
    _ascending("points", [point.name for point in entry.points], limits.POINTS)
    for point in entry.points:
        if not is_name(point.name) or point.low > point.high:
            raise _bad(f"point {point.name[:60]!r} from {point.low} to {point.high}")


def _check_config(config: ConfigBounds) -> None:
    _ascending("endpoints", config.endpoints, limits.ENDPOINTS)
    if len(config.settings) > limits.ACTION_PARAMETERS:
        raise _bad("too many settings")
    for name, bound in config.settings.items():
        _check_bound(name, bound)


def _check_files(catalog: Catalog) -> None:
    most = limits.CATALOG_FILES
    _ascending("scripts", [script.name for script in catalog.scripts], most)
    _ascending("firmware", [image.id for image in catalog.firmware], most)
    _ascending("agents", [wheels.sha256 for wheels in catalog.agents], most)
    hashes = [
        *(script.sha256 for script in catalog.scripts),
        *(image.sha256 for image in catalog.firmware),
        *(wheels.sha256 for wheels in catalog.agents),
    ]
    if any(len(digest) != HASH_BYTES for digest in hashes):
        raise _bad("a file is named by 32 bytes")
    names = [name for image in catalog.firmware for name in (image.id, image.device_class)]
    if not all(map(is_name, [*names, *(script.name for script in catalog.scripts)])):
        # They become parts of file names on gateways.
        raise _bad("a file's name has lower case letters, digits, - and _ only")
    if any(len(image.image) not in {0, HASH_BYTES} for image in catalog.firmware):
        raise _bad("an image is named by 32 bytes")
    counts = [*(image.size for image in catalog.firmware)]
    releases = [*(image.release for image in catalog.firmware)]
    releases += [wheels.release for wheels in catalog.agents]
    if min([*counts, *releases], default=0) < 0:
        raise _bad("a size or a release is negative")


def _ascending(what: str, keys: Sequence[bytes] | Sequence[str], most: int) -> None:
    """Check that a list is sorted without twins: one catalog has one form."""
    if len(keys) > most:
        raise _bad(f"too many {what}")
    ordered: list[bytes | str] = sorted(set(keys))
    if list(keys) != ordered:
        raise _bad(f"{what} are not in ascending order")


def _bad(what: str) -> RefusedError:
    return RefusedError(Reason.BAD_SCHEMA, what)
