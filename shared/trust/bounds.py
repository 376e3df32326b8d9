"""Whether a step keeps within the catalog: its action, its parameters, and the device's profile.

Two moments ask. At admission nothing is known of devices: a value must lie within what the
catalog allows for *some* profile. Right before a device is written its profile is known, and
`check_write` decides.
"""

from collections.abc import Sequence

from shared.errors import Reason, RefusedError
from shared.ids import is_name, is_service
from shared.model.action import CONFIGURE, reads_only
from shared.model.action_parameters import ENDPOINT
from shared.model.job import Step, Value
from shared.trust.catalog import (
    Bound,
    Catalog,
    FlagBound,
    NamesBound,
    NumberBound,
    PointBound,
    TextBound,
)

Parameter = Value | list[str]


def check_step(catalog: Catalog, step: Step) -> None:
    """Check a step as far as no device has to be known.

    Raises:
        RefusedError: ACTION_NOT_ALLOWED or OUT_OF_BOUNDS, with the member at fault.
    """
    action = catalog.actions.get(step.action)
    if action is None:
        raise RefusedError(Reason.ACTION_NOT_ALLOWED, step.action)
    for name, value in step.params.items():
        where = f"{step.id}.{name}"
        bound = action.parameters.get(name)
        if step.action == CONFIGURE and name == ENDPOINT:
            if value not in catalog.config.endpoints:
                raise RefusedError(Reason.OUT_OF_BOUNDS, f"{where} = {value!r}"[:200])
            continue
        if bound is None and step.action == CONFIGURE:
            bound = catalog.config.settings.get(name)
        if bound is not None:
            _check_value(where, value, bound)
        elif action.by_profile:
            if not reads_only(step.action):
                _check_some_profile(where, catalog, name, value)
        else:
            raise RefusedError(Reason.OUT_OF_BOUNDS, f"{where} is not a parameter it may have")


def check_device(catalog: Catalog, steps: Sequence[Step], profile: bytes) -> None:
    """Check every write of a job for this very kind of device.

    Args:
        catalog: the one in force now.
        steps: all of the job's, of actions that the catalog has.
        profile: content hash of the device's profile.

    Raises:
        RefusedError: as `check_write`.
    """
    for step in steps:
        if not catalog.actions[step.action].by_profile or reads_only(step.action):
            continue
        for point, value in step.params.items():
            if not isinstance(value, list):
                check_write(catalog, profile=profile, point=point, value=value)


def check_write(catalog: Catalog, *, profile: bytes, point: str, value: Value) -> None:
    """Check one write to a device, right before it happens.

    Args:
        catalog: the one in force now.
        profile: content hash of the device's profile.
        point: what is written.
        value: in the profile's unit.

    Raises:
        RefusedError: PROFILE_NOT_ALLOWED or OUT_OF_BOUNDS.
    """
    points = next((entry.points for entry in catalog.profiles if entry.profile == profile), None)
    if points is None:
        if catalog.any_profile:
            return
        raise RefusedError(Reason.PROFILE_NOT_ALLOWED, profile.hex()[:16])
    if not _within(points, point, value):
        raise RefusedError(Reason.OUT_OF_BOUNDS, f"{point} = {value!r}")


def check_firmware(catalog: Catalog, *, digest: bytes, size: int, device_class: str) -> None:
    """Check an image for a device, right before it is judged.

    Args:
        catalog: the one in force now.
        digest: sha256 of the file.
        size: its bytes.
        device_class: of the device's profile.

    Raises:
        RefusedError: OUT_OF_BOUNDS.
    """
    found = next((image for image in catalog.firmware if image.sha256 == digest), None)
    if found is None:
        # The profile's own key bounds it then: who may edit that file says whose images run.
        if catalog.any_profile and not catalog.firmware:
            return
        raise RefusedError(Reason.OUT_OF_BOUNDS, f"the catalog has no image {digest.hex()[:16]}")
    if found.device_class != device_class:
        what = f"{found.id} is for {found.device_class}, another board than {device_class}"
        raise RefusedError(Reason.OUT_OF_BOUNDS, what)
    if found.size != size:
        raise RefusedError(Reason.OUT_OF_BOUNDS, f"{found.id} has {found.size} bytes, not {size}")


def release_of(catalog: Catalog, name: bytes, device_class: str) -> int | None:
    """Return the release of an image, None when the catalog does not list it for the class.

    Args:
        catalog: the one in force now.
        name: sha256 of its file, or the hash in its trailer.
        device_class: of the device's profile.
    """
    return max(
        (
            image.release
            for image in catalog.firmware
            if image.device_class == device_class
            and name in {image.sha256, image.image or image.sha256}
        ),
        default=None,
    )


def check_adoption(catalog: Catalog, *, profile: bytes, names_a_key: bool) -> None:
    """Check a profile by which a device would be attached from afar.

    Args:
        catalog: the one in force now.
        profile: its content hash.
        names_a_key: it says whose images such devices run.

    Raises:
        RefusedError: PROFILE_NOT_ALLOWED.
    """
    if any(entry.profile == profile for entry in catalog.profiles):
        return
    named = profile.hex()[:16]
    if not catalog.any_profile:
        raise RefusedError(Reason.PROFILE_NOT_ALLOWED, f"the catalog has no profile {named}")
    if names_a_key:
        # The site's own file may name such a key, or who signs the catalog; nobody in between.
        detail = f"{named} has [firmware]: the catalog has to list it"
        raise RefusedError(Reason.PROFILE_NOT_ALLOWED, detail)


def _check_some_profile(where: str, catalog: Catalog, point: str, value: Parameter) -> None:
    if catalog.any_profile:
        return
    if not any(_within(entry.points, point, value) for entry in catalog.profiles):
        raise RefusedError(Reason.OUT_OF_BOUNDS, f"no profile allows {where} = {value!r}"[:200])


def _within(points: Sequence[PointBound], name: str, value: Parameter) -> bool:
    if not isinstance(value, bool | int | float):
        return False
    return any(point.name == name and point.low <= value <= point.high for point in points)


def _check_value(where: str, value: Parameter, bound: Bound) -> None:
    if not _fits(value, bound):
        raise RefusedError(Reason.OUT_OF_BOUNDS, f"{where} = {value!r}"[:200])


def _fits(value: Parameter, bound: Bound) -> bool:
    match bound:
        case NumberBound(low, high):
            if isinstance(value, bool) or not isinstance(value, int | float):
                return False
            return low <= value <= high
        case FlagBound():
            return isinstance(value, bool)
        case TextBound(max_chars, choices):
            if not isinstance(value, str) or len(value) > max_chars:
                return False
            return not choices or value in choices
        case NamesBound(max_items):
            if not isinstance(value, list) or len(value) > max_items:
                return False
            return all(is_name(one) or is_service(one) for one in value)
