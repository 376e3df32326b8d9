"""How firmware gets into a kind of device: the ``[firmware]`` and ``[[health]]`` of its profile.

Owns the key that its images are signed with, the times of an update, and the assertions that a
device must fulfil before an image is kept. Leaves out images (`agent.core.firmware_image`) and
doing it (`agent.actions.update_firmware`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from shared import limits
from shared.ids import is_name
from shared.model.toml_text import TomlTable

FIRMWARE_KEYS = ("key", "class", "boot_s", "self_check_s", "soak_s")
HEALTH_KEYS = ("point", "equals", "min", "max")
_KEY_BYTES = 32
"""An Ed25519 public key (RFC 8032, 5.1.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What a point must read on a healthy device."""

    point: str
    low: int | float | None = None
    high: int | float | None = None

    def holds(self, value: float | None) -> bool:
        """Tell whether a reading fulfils it; one without a value does not."""
        if value is None:
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    @property
    def text(self) -> str:
        """Return it for people.

        >>> Assertion(point="self_check", low=1, high=1).text
        'self_check = 1'
        """
        if self.low == self.high:
            return f"{self.point} = {self.low}"
        least = "" if self.low is None else f"{self.low} <= "
        most = "" if self.high is None else f" <= {self.high}"
        return f"{least}{self.point}{most}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareSection:
    """What an update of such a device has to know."""

    key: bytes
    """Ed25519 public key of whoever signs its images."""
    device_class: str
    """Which images of the catalog are for it."""
    boot_s: int = 120
    """Longest from a reset to an answer: swapping two slots takes its time."""
    self_check_s: int = 60
    """By then all assertions must hold together."""
    soak_s: int = 10
    """And go on holding for this long, before the image is kept."""

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""
        return [
            *("firmware", self.key.hex(), self.device_class),
            *(self.boot_s, self.self_check_s, self.soak_s),
        ]


class _Point(Protocol):
    @property
    def name(self) -> str: ...


def firmware_of(root: TomlTable, protocol: str) -> FirmwareSection | None:
    """Return the section of a profile, None where firmware stays as it is.

    Raises:
        MistakeError: points at the line.
    """
    if "firmware" not in root.values:
        return None
    if protocol != "smp":
        what = f"no firmware gets into a device by {protocol}"
        raise root.mistake(what, key="firmware", mend='only protocol = "smp" can')
    table = root.table("firmware", FIRMWARE_KEYS)
    name = table.string("class")
    if not is_name(name):
        raise table.mistake(f"{name[:60]!r} is no name of a class", key="class")
    default = FirmwareSection(key=b"", device_class=name)
    most = limits.FIRMWARE_WAIT_S
    return FirmwareSection(
        key=_key(table),
        device_class=name,
        boot_s=table.integer("boot_s", 1, most, default.boot_s),
        self_check_s=table.integer("self_check_s", 1, most, default.self_check_s),
        soak_s=table.integer("soak_s", 0, most, default.soak_s),
    )


def _key(table: TomlTable) -> bytes:
    text = table.string("key")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise table.mistake(
            "key is no Ed25519 public key",
            key="key",
            mend="write its 32 bytes as 64 hex digits; imgtool getpub -k KEY.pem -e raw shows them",
        )
    return key


def assertions_of(root: TomlTable, points: Sequence[_Point]) -> tuple[Assertion, ...]:
    """Return what a healthy device reads.

    Raises:
        MistakeError: points at the line.
    """
    tables = root.tables("health", HEALTH_KEYS)
    if len(tables) > limits.ASSERTIONS:
        raise root.mistake(f"{len(tables)} assertions, at most {limits.ASSERTIONS} are possible")
    names = {point.name for point in points}
    return tuple(_assertion(table, names) for table in tables)


def _assertion(table: TomlTable, names: set[str]) -> Assertion:
    point = table.string("point")
    if point not in names:
        raise table.mistake(f"{point[:60]!r} is no point of this profile", key="point")
    exact, bounds = "equals" in table.values, [k for k in ("min", "max") if k in table.values]
    if exact == bool(bounds):
        raise table.mistake("it says either equals, or min and max", mend="write equals = 1")
    low, high = ("equals", "equals") if exact else ("min", "max")
    found = Assertion(point=point, low=_number(table, low), high=_number(table, high))
    if found.low is not None and found.high is not None and found.low > found.high:
        raise table.mistake(f"min {found.low} is above max {found.high}", key="min")
    return found


def _number(table: TomlTable, key: str) -> int | float | None:
    if key not in table.values:
        return None
    number = table.number(key, Decimal(0))
    return int(number) if number == number.to_integral_value() else float(number)
