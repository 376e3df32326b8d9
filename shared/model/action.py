"""The actions a job may ask for: their parameters, what they cost, and whether twice does harm.

Both programs read this table: the coordinator refuses a bad job at submission, the agent checks
again before it admits one. How an action is done stands in `agent.actions`; docs/actions.md shows
each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from shared import limits
from shared.errors import MistakeError, nearest
from shared.ids import is_name
from shared.model.job import Step, Value

DEVICE: Final = "device."
"""How actions on attached devices begin."""
AGENT: Final = "agent."
"""How actions of the agent itself begin."""

CONFIGURE: Final = "agent.configure"
CONFIRM_WITHIN: Final = "confirm_within_s"
CONFIRM_WITHIN_S: Final = 300
"""Seconds that a change of settings has to prove itself, where a step does not say."""
SETTINGS: Final = frozenset(
    {
        *("uplink.sync_interval_s", "uplink.long_poll", "uplink.metered"),
        *("uplink.data_budget_day_kb", "uplink.data_budget_month_kb"),
        *("telemetry.commit_interval_s", "telemetry.storage_max_mb"),
        *("telemetry.storage_min_free_percent", "telemetry.disk_write_budget_mb"),
    }
)
"""Settings of agent.toml that a job may change, as far as the catalog bounds them."""


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


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate, for whoever plans a night's work on a slow bus and a metered link."""

    per_point: int = 0
    """Requests on the bus for each parameter, at most; neighbours are merged."""
    fixed: int = 0
    """Requests for the step itself."""
    commits: int = 0
    """Durable writes to the agent's flash beyond those of every job."""

    def requests(self, step: Step) -> int:
        """Return how many requests a step puts on the bus, at most."""
        points = step.params.get("points")
        return self.fixed + self.per_point * len(
            points if isinstance(points, list) else step.params
        )


@dataclass(frozen=True, slots=True)
class ActionKind:
    """What is declared about an action before anything of it runs."""

    parameters: Any
    """A type msgspec can convert the step's params to."""
    idempotent: bool
    """Doing it again leaves the device as doing it once did."""
    summary: str
    reads_only: bool = False
    """It changes nothing on the device: a locked site does not keep it."""
    may_be_empty: bool = False
    """It can be asked for without any parameter."""
    undo: str = ""
    """What puts things back as they were; empty: nothing has to be, or nothing can."""
    capability: str = ""
    """What must be there: in the device's profile, or in the agent's configuration."""
    cost: Cost = Cost()


_VALUES: Final = dict[str, int | float | bool]

ACTIONS: Mapping[str, ActionKind] = {
    "device.read": ActionKind(
        parameters=ReadParameters,
        idempotent=True,
        summary="read points now",
        undo="",
        capability="point",
        cost=Cost(per_point=1),
        reads_only=True,
    ),
    # Absolute set-points, skipped when equal and read back after: a repeat changes nothing. A
    # point that cannot be read makes a step of it one that must not be done twice.
    "device.write": ActionKind(
        parameters=_VALUES,
        idempotent=True,
        summary="write points and read them back",
        undo="for_s puts the former values back by itself; device.restore_config does at once",
        capability="writable point",
        cost=Cost(per_point=3, commits=1),
    ),
    "device.command": ActionKind(
        parameters=CommandParameters,
        idempotent=False,
        summary="do a call of the device's profile",
        undo="",
        capability="call",
        cost=Cost(fixed=2, commits=2),
    ),
    "device.read_config": ActionKind(
        parameters=ReadConfigParameters,
        idempotent=True,
        summary="read the configuration and keep it",
        undo="",
        capability="config point",
        cost=Cost(per_point=1, fixed=limits.CONFIG_POINTS, commits=1),
        reads_only=True,
        may_be_empty=True,
    ),
    "device.configure": ActionKind(
        parameters=_VALUES,
        idempotent=True,
        summary="keep the configuration, then make it as desired where it differs",
        undo="device.restore_config with from = this step",
        capability="writable point that can be read",
        cost=Cost(per_point=3, commits=2),
    ),
    "device.restore_config": ActionKind(
        parameters=RestoreConfigParameters,
        idempotent=True,
        summary="put back a configuration that was kept",
        undo="",
        capability="writable point that can be read",
        cost=Cost(fixed=3 * limits.CONFIG_POINTS, commits=1),
    ),
    "device.validate": ActionKind(
        parameters=dict[str, Value],
        idempotent=True,
        summary="compare points with what they should be; never writes",
        undo="",
        capability="point",
        cost=Cost(per_point=1),
        reads_only=True,
    ),
    "device.sync": ActionKind(
        parameters=NoParameters,
        idempotent=True,
        summary="report what the device is and says of itself",
        undo="",
        capability="",
        cost=Cost(fixed=limits.CONFIG_POINTS),
        reads_only=True,
        may_be_empty=True,
    ),
    "agent.health": ActionKind(
        parameters=NoParameters,
        idempotent=True,
        summary="tell how the agent is",
        reads_only=True,
        may_be_empty=True,
    ),
    "agent.diagnose": ActionKind(
        parameters=NoParameters,
        idempotent=True,
        summary="write a support bundle on the gateway",
        capability="room on the disk",
        cost=Cost(commits=1),
        reads_only=True,
        may_be_empty=True,
    ),
    "agent.cleanup": ActionKind(
        parameters=CleanupParameters,
        idempotent=True,
        summary="forget work that is over and acknowledged",
        cost=Cost(commits=1),
        reads_only=True,
        may_be_empty=True,
    ),
    "agent.configure": ActionKind(
        parameters=dict[str, int | float | bool],
        idempotent=True,
        summary="change the agent's own settings; rolled back unless it still works",
        undo="by itself, unless readings, and for the link a contact, confirm it in time",
        capability="settings that the catalog bounds",
        cost=Cost(commits=3),
        reads_only=True,
    ),
    # A step that was cut finds its restart noted, and itself in another process.
    "agent.restart": ActionKind(
        parameters=NoParameters,
        idempotent=True,
        summary="end the process cleanly and begin again",
        capability="a process that can begin again",
        cost=Cost(commits=2),
        reads_only=True,
        may_be_empty=True,
    ),
    "agent.run_script": ActionKind(
        parameters=ScriptParameters,
        idempotent=False,
        summary="run a script whose bytes the catalog names",
        capability="[scripts] in agent.toml",
        cost=Cost(commits=2),
    ),
}


def reads_only(action: str) -> bool:
    """Tell whether an action changes nothing; one that nobody knows may change anything."""
    kind = ACTIONS.get(action)
    return kind is not None and kind.reads_only


def check_parameters(step: Step, where: str) -> None:
    """Check a step's action and parameters, as far as no device has to be known.

    Raises:
        MistakeError: names the member at fault, e.g. ``steps[0].params``.
    """
    kind = ACTIONS.get(step.action)
    if kind is None:
        known = ", ".join(sorted(ACTIONS))
        raise MistakeError(
            f"there is no action {step.action!r}", where=f"{where}.action", mend=f"use {known}"
        )
    if not step.params and not kind.may_be_empty:
        raise MistakeError("it names no point", where=f"{where}.params")
    try:
        msgspec.convert(step.params, kind.parameters)
    except msgspec.ValidationError as error:
        raise MistakeError(str(error), where=f"{where}.params") from None
    if step.action == "device.validate":
        _check_desired(step, f"{where}.params")
    if step.action == CONFIGURE:
        _check_settings(step, where)


def check_sources(steps: list[tuple[str, Step]]) -> None:
    """Check that whatever puts a configuration back names a step before it that kept one.

    Args:
        steps: all of a job's, with their places, in the order they could be done.

    Raises:
        MistakeError: names the member at fault.
    """
    kept: list[str] = []
    for where, step in steps:
        source = step.params.get("from")
        if step.action == "device.restore_config" and source is not None and source not in kept:
            mend = f"use one of {', '.join(kept)}" if kept else "begin with a device.read_config"
            what = f"no step before it is {source!r} and keeps a configuration"
            raise MistakeError(what, where=f"{where}.params.from", mend=mend)
        if step.action in {"device.read_config", "device.configure"}:
            kept.append(step.id)


def _check_settings(step: Step, where: str) -> None:
    """Check a change of the agent's settings: their names, and that its trial fits the step."""
    for name in step.params:
        if name not in SETTINGS and name != CONFIRM_WITHIN:
            close = nearest(name, SETTINGS)
            mend = f"did you mean {close!r}?" if close else f"use {', '.join(sorted(SETTINGS))}"
            what = f"{name[:60]!r} is no setting that a job may change"
            raise MistakeError(what, where=f"{where}.params", mend=mend)
    within_s = step.params.get(CONFIRM_WITHIN, CONFIRM_WITHIN_S)
    if not isinstance(within_s, int) or not 1 <= within_s <= min(limits.TRIAL_S, step.timeout_s):
        raise MistakeError(
            f"{CONFIRM_WITHIN} = {within_s} does not fit into timeout_s = {step.timeout_s}",
            where=f"{where}.params",
            mend=f"write both, {CONFIRM_WITHIN} the smaller one",
        )


def _check_desired(step: Step, where: str) -> None:
    """Check a desired state: numbers by point, and the name of a kept one."""
    for name, value in step.params.items():
        if isinstance(value, str) != (name == "saved"):
            raise MistakeError(
                f"{name} = {value!r} is no value of a point"[: limits.DETAIL_CHARS],
                where=where,
                mend="write numbers, and saved = the name of a configuration that was kept",
            )
