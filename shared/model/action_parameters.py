"""What each action takes: the parameters of a step, checked as far as no device has to be known.

Owns their shape and the sentence for what cannot be. Which action takes which stands in
`shared.model.action`; how far a catalog lets them go in `shared.trust.bounds`.
"""

import re
from typing import Final, Literal

import msgspec

from shared import limits
from shared.errors import MistakeError, nearest
from shared.ids import is_name, is_service
from shared.model.candidate import WAYS, Way
from shared.model.condition import Kind, Vocabulary
from shared.model.condition_text import parse_condition
from shared.model.job import Step

ENDPOINT: Final = "uplink.endpoint"
"""The setting that says where the coordinator is; the catalog lists what it may be."""
LOOK_S: Final = 20
"""Seconds of one look, where a step does not say: it fits into a step's usual time."""
CONFIRM_WITHIN: Final = "confirm_within_s"
CONFIRM_WITHIN_S: Final = 300
"""Seconds that a change of settings has to prove itself, where a step does not say."""
SETTINGS: Final = frozenset(
    {
        *(ENDPOINT, "uplink.discover"),
        *("uplink.sync_interval_s", "uplink.long_poll", "uplink.metered"),
        *("uplink.data_budget_day_kb", "uplink.data_budget_month_kb"),
        *("telemetry.commit_interval_s", "telemetry.storage_max_mb"),
        *("telemetry.storage_min_free_percent", "telemetry.disk_write_budget_mb"),
    }
)
"""Settings of agent.toml that a job may change, as far as the catalog bounds them."""
RULES: Final = "rules"
"""Of `device.validate`: conditions over the device's points that have to hold."""
SAVED: Final = "saved"
"""Of `device.validate`: the name of a configuration that was kept."""
DEVICE_FACTS: Final = Vocabulary({}, {"device.": Kind.ANY})
"""What a rule of `device.validate` may name."""
Upload = Literal["always", "unmetered", "never"]


class ReadParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`device.read`: which points to read now."""

    points: list[str]

    def __post_init__(self) -> None:
        """Refuse to read nothing."""
        if not self.points:
            raise ValueError("it names no point")


class CommandParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`device.command`: a call of the device's profile, with a value where the call takes one."""

    call: str
    value: int | float | bool | None = None


class ReadConfigParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`device.read_config`: the points to keep; without any, those the profile calls config."""

    points: list[str] = []
    save_as: str = ""
    """Kept under this name too, for other jobs, until it is saved again."""

    def __post_init__(self) -> None:
        """Refuse a name that is none."""
        if self.save_as and not is_name(self.save_as):
            raise ValueError(f"{self.save_as[:40]!r} is no name")


class RestoreConfigParameters(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"step": "from"}
):
    """`device.restore_config`: which configuration to put back, by one of two names."""

    step: str = ""
    """``from``: the step of this job that read or changed it."""
    saved: str = ""

    def __post_init__(self) -> None:
        """Refuse none and both."""
        if bool(self.step) == bool(self.saved):
            raise ValueError("it says either from (a step) or saved (a name)")


class NoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For actions that take none."""


class ScriptParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`agent.run_script`: a script by its name in the catalog."""

    script: str

    def __post_init__(self) -> None:
        """Refuse a name that is none: it becomes a part of a path."""
        if not is_name(self.script):
            raise ValueError(f"{self.script[:40]!r} is no name")


class FetchParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`agent.fetch`: a file by its content, as `shared.model.artifact` writes its name."""

    artifact: str
    size: int

    def __post_init__(self) -> None:
        """Refuse a name that is none, and a size that no artifact has."""
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", self.artifact):
            raise ValueError(f"{self.artifact[:40]!r} is not sha256: and 64 hex digits")
        if not 1 <= self.size <= limits.ARTIFACT_BYTES:
            raise ValueError(f"size is 1 to {limits.ARTIFACT_BYTES} bytes")


class DiscoverParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`agent.discover`: where to look for devices, and for how long."""

    buses: list[str] = []
    """Names; empty: all of them."""
    ways: list[Way] = msgspec.field(default_factory=lambda: list(WAYS))
    """`modbus`: addresses are asked; `smp`: ports of nobody; `mdns`: the network is listened to."""
    services: list[str] = []
    """Of `mdns`, as ``_http._tcp``; empty: as the gateway's own file says."""
    first: int = 1
    """Address at which `modbus` begins."""
    last: int = 247
    for_s: int = LOOK_S
    """Seconds after which it stops; the next look goes on there."""
    follow: bool = False
    """Adopted devices that answer elsewhere are followed; a policy's class can leave it out."""

    def __post_init__(self) -> None:
        """Refuse a range that is none, and more than a look can be."""
        if not 1 <= self.first <= self.last <= 247:
            raise ValueError("first and last are addresses from 1 to 247")
        if not 1 <= self.for_s <= limits.DISCOVERY_S:
            raise ValueError(f"for_s is 1 to {limits.DISCOVERY_S}")
        if len(self.services) > limits.MDNS_SERVICES:
            raise ValueError(f"at most {limits.MDNS_SERVICES} services are listened for")
        if wrong := next((one for one in self.services if not is_service(one)), ""):
            raise ValueError(f"{wrong[:40]!r} is no service; write _http._tcp")


class AdoptParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`agent.adopt`: which device is where and what it is, or which one is let go."""

    device: str
    """The id it gets."""
    bus: str = ""
    address: int = 0
    artifact: str = ""
    """Its profile: ``sha256:`` and 64 hex digits."""
    size: int = 0
    poll_interval_s: int | float = 60
    serial: str = ""
    """What it has to say its serial number is, where it says one."""
    confirm_within_s: int = CONFIRM_WITHIN_S
    remove: bool = False
    """Let a device go that was adopted before."""

    def __post_init__(self) -> None:
        """Refuse a name that is none, and a device that is nowhere."""
        if not is_name(self.device):
            raise ValueError(f"{self.device[:40]!r} is no name")
        if not 1 <= self.confirm_within_s <= limits.TRIAL_S:
            raise ValueError(f"confirm_within_s is 1 to {limits.TRIAL_S}")
        if self.remove:
            return
        if not self.bus or not 0 <= self.address <= 255:
            raise ValueError("it says no bus, or an address that is none")
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", self.artifact):
            raise ValueError("artifact is not sha256: and 64 hex digits")
        if not 1 <= self.size <= limits.PROFILE_BYTES:
            raise ValueError(f"size is 1 to {limits.PROFILE_BYTES} bytes")
        low, high = limits.POLL_MIN_MS / 1000, limits.POLL_MAX_MS / 1000
        if not low <= self.poll_interval_s <= high:
            raise ValueError(f"poll_interval_s is {low:g} to {high:g}")


class UpdateFirmwareParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`device.update_firmware`: an image by its content, and what it has to be."""

    artifact: str
    """``sha256:`` and 64 hex digits."""
    size: int
    version: str = ""
    """What the image must say it is; empty leaves it to the image."""
    image: int = 0
    """Which of a device's processors it is for."""
    allow_downgrade: bool = False

    def __post_init__(self) -> None:
        """Refuse a size that no image has."""
        if not 1 <= self.size <= limits.FIRMWARE_BYTES:
            raise ValueError(f"size = {self.size} is not from 1 to {limits.FIRMWARE_BYTES}")
        if not 0 <= self.image <= limits.FIRMWARE_IMAGES:
            raise ValueError(f"image = {self.image} is not from 0 to {limits.FIRMWARE_IMAGES}")


class PutFileParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`device.put_file`: a file by its content, and where it belongs in the device."""

    artifact: str
    """``sha256:`` and 64 hex digits."""
    size: int
    path: str
    """In the device's file system, as ``/lfs/calibration``."""

    def __post_init__(self) -> None:
        """Refuse a size that no such file has, and a path that is none."""
        if not 1 <= self.size <= limits.FILE_PUT_BYTES:
            raise ValueError(f"size = {self.size} is not from 1 to {limits.FILE_PUT_BYTES}")
        _check_path(self.path)


class GetFileParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`device.get_file`: which file, and whether it is brought to the coordinator."""

    path: str
    upload: Upload = "unmetered"
    """Where bytes cost it stays on the gateway, unless somebody says ``always``."""

    def __post_init__(self) -> None:
        """Refuse a path that is none."""
        _check_path(self.path)


def _check_path(path: str) -> None:
    if not re.fullmatch(r"(/[A-Za-z0-9._-]+){2,8}", path) or len(path) > limits.FILE_PATH_CHARS:
        raise ValueError(f"{path[:80]!r} is no path in a device; write /lfs/calibration")


class CleanupParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`agent.cleanup`: what stays; see `agent.core.tidying.Tidying`."""

    keep: int = limits.EXECUTIONS_KEPT
    max_bytes: int = 0
    older_than_s: int = 0
    damaged: bool = False

    def __post_init__(self) -> None:
        """Refuse bounds that would forget too much, or nothing a number can say."""
        if self.keep < limits.EXECUTIONS_KEPT_LEAST:
            raise ValueError(f"keep is at least {limits.EXECUTIONS_KEPT_LEAST}")
        if self.max_bytes < 0 or self.older_than_s < 0:
            raise ValueError("bytes and ages are not negative")


class DiagnoseParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`agent.diagnose`: whether the bundle is brought to the coordinator."""

    upload: Upload = "unmetered"
    """Where bytes cost it stays on the gateway, unless somebody says ``always``."""


def check_settings(step: Step, where: str) -> None:
    """Check a change of the agent's settings: their names, and that its trial fits the step.

    Raises:
        MistakeError: names the setting.
    """
    for name, value in step.params.items():
        if name not in SETTINGS and name != CONFIRM_WITHIN:
            close = nearest(name, SETTINGS)
            mend = f"did you mean {close!r}?" if close else f"use {', '.join(sorted(SETTINGS))}"
            what = f"{name[:60]!r} is no setting that a job may change"
            raise MistakeError(what, where=f"{where}.params", mend=mend)
        if isinstance(value, str) != (name == ENDPOINT):
            kind = "an address" if name == ENDPOINT else "a number or true or false"
            raise MistakeError(f"{name} is {kind}", where=f"{where}.params.{name}")
    check_trial(step, where)


def check_trial(step: Step, where: str) -> None:
    """Check that a trial ends within its step.

    Raises:
        MistakeError: it does not.
    """
    within_s = step.params.get(CONFIRM_WITHIN, CONFIRM_WITHIN_S)
    if not isinstance(within_s, int) or not 1 <= within_s <= min(limits.TRIAL_S, step.timeout_s):
        raise MistakeError(
            f"{CONFIRM_WITHIN} = {within_s} does not fit into timeout_s = {step.timeout_s}",
            where=f"{where}.params",
            mend=f"write both, {CONFIRM_WITHIN} the smaller one",
        )


def check_desired(step: Step, where: str) -> None:
    """Check a desired state: numbers by point, the name of a kept one, and rules that can be read.

    Raises:
        MistakeError: names the point or the rule.
    """
    for name, value in step.params.items():
        if name == RULES and isinstance(value, list):
            _check_rules(value, f"{where}.params.{RULES}")
        elif name == RULES or isinstance(value, list) or isinstance(value, str) != (name == SAVED):
            raise MistakeError(
                f"{name} = {value!r} is no value of a point"[: limits.DETAIL_CHARS],
                where=f"{where}.params",
                mend="write numbers, saved = the name of a configuration that was kept, and"
                " rules = a list of conditions",
            )


def _check_rules(rules: list[str], where: str) -> None:
    if not 1 <= len(rules) <= limits.VALIDATE_RULES:
        raise MistakeError(
            f"{len(rules)} rules; 1 to {limits.VALIDATE_RULES} are possible", where=where
        )
    for number, text in enumerate(rules):
        parse_condition(text, DEVICE_FACTS, where=f"{where}[{number}]")


def check_look(step: Step, where: str) -> None:
    """Check that a look ends within its step.

    Raises:
        MistakeError: it does not.
    """
    for_s = step.params.get("for_s", LOOK_S)
    if isinstance(for_s, int) and for_s + limits.LAST_PROBE_S > step.timeout_s:
        raise MistakeError(
            f"for_s = {for_s} does not fit into timeout_s = {step.timeout_s}",
            where=f"{where}.params.for_s",
            mend=f"write timeout_s = {for_s + limits.LAST_PROBE_S}",
        )
