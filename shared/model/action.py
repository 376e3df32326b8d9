"""The actions a job may ask for: their parameters, what they cost, and whether twice does harm.

Both programs read this table: the coordinator refuses a bad job at submission, the agent checks
again before it admits one. How an action is done stands in `agent.actions`; docs/actions.md shows
each of them; what they take stands in `shared.model.action_parameters`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from shared import limits
from shared.errors import MistakeError
from shared.model.action_parameters import (
    AdoptParameters,
    CleanupParameters,
    CommandParameters,
    DiagnoseParameters,
    DiscoverParameters,
    FetchParameters,
    GetFileParameters,
    NoParameters,
    PutFileParameters,
    ReadConfigParameters,
    ReadParameters,
    RestoreConfigParameters,
    ScriptParameters,
    UpdateFirmwareParameters,
    check_desired,
    check_look,
    check_settings,
    check_trial,
)
from shared.model.job import Step, Value

DEVICE: Final = "device."
"""How actions on attached devices begin."""
AGENT: Final = "agent."
"""How actions of the agent itself begin."""
CONFIGURE: Final = "agent.configure"


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
    summary: str
    idempotent: bool = True
    """Doing it again leaves the device as doing it once did."""
    reads_only: bool = False
    """It changes nothing on the device: a locked site does not keep it."""
    undo: str = ""
    """What puts things back as they were; empty: nothing has to be, or nothing can."""
    needs: str = ""
    """What must be there: in the device's profile, or in the agent's configuration."""
    cost: Cost = Cost()
    check: Callable[[Step, str], None] | None = None
    """Says what else is wrong with a step at a place, where its type does not say it all."""

    @property
    def may_be_empty(self) -> bool:
        """Tell whether it can be asked for without any parameter."""
        if not issubclass(type(self.parameters), msgspec.StructMeta):
            return False
        try:
            msgspec.convert({}, self.parameters)
        except msgspec.ValidationError:
            return False
        return True


_VALUES: Final = dict[str, int | float | bool]

ACTIONS: Mapping[str, ActionKind] = {
    # --- on devices ------------------------------------------------------------------------------
    "device.read": ActionKind(
        ReadParameters, "read points now", reads_only=True, needs="point", cost=Cost(per_point=1)
    ),
    # Absolute set-points, skipped when equal and read back after: a repeat changes nothing. A
    # point that cannot be read makes a step of it one that must not be done twice.
    "device.write": ActionKind(
        _VALUES,
        "write points and read them back",
        undo="for_s puts the former values back by itself; device.restore_config does at once",
        needs="writable point",
        cost=Cost(per_point=3, commits=1),
    ),
    "device.command": ActionKind(
        CommandParameters,
        "do a call of the device's profile",
        idempotent=False,
        needs="call",
        cost=Cost(fixed=2, commits=2),
    ),
    "device.read_config": ActionKind(
        ReadConfigParameters,
        "read the configuration and keep it",
        reads_only=True,
        needs="config point",
        cost=Cost(per_point=1, fixed=limits.CONFIG_POINTS, commits=1),
    ),
    "device.configure": ActionKind(
        _VALUES,
        "keep the configuration, then make it as desired where it differs",
        undo="device.restore_config with from = this step",
        needs="writable point that can be read",
        cost=Cost(per_point=3, commits=2),
    ),
    "device.restore_config": ActionKind(
        RestoreConfigParameters,
        "put back a configuration that was kept",
        needs="writable point that can be read",
        cost=Cost(fixed=3 * limits.CONFIG_POINTS, commits=1),
    ),
    "device.validate": ActionKind(
        dict[str, Value | list[str]],
        "compare points with what they should be; never writes",
        reads_only=True,
        needs="point",
        cost=Cost(per_point=1),
        check=check_desired,
    ),
    "device.sync": ActionKind(
        NoParameters,
        "report what the device is and says of itself",
        reads_only=True,
        cost=Cost(fixed=limits.CONFIG_POINTS + 3),
    ),
    # Each move is decided from the device's slots: a repeat goes on from where the device is.
    "device.update_firmware": ActionKind(
        UpdateFirmwareParameters,
        "bring the device to run another image, on trial until it has proven itself",
        needs="[firmware]",
        cost=Cost(fixed=limits.FIRMWARE_BYTES // 16_384, commits=2),
    ),
    # What is there is looked at first: a repeat goes on behind it.
    "device.put_file": ActionKind(
        PutFileParameters,
        "make a file in the device have a content, proven by its length and sum",
        needs="a device with files (SMP)",
        cost=Cost(fixed=limits.FILE_PUT_BYTES // 1_024),
    ),
    "device.get_file": ActionKind(
        GetFileParameters,
        "read a file out of the device, and bring it if the link allows",
        reads_only=True,
        needs="a device with files (SMP)",
        cost=Cost(fixed=limits.FILE_TAKEN_BYTES // 1_024),
    ),
    # --- on the agent itself ---------------------------------------------------------------------
    "agent.health": ActionKind(NoParameters, "tell how the agent is", reads_only=True),
    "agent.diagnose": ActionKind(
        DiagnoseParameters,
        "write a support bundle, and bring it if the link allows",
        reads_only=True,
        needs="room on the disk",
        cost=Cost(commits=1),
    ),
    "agent.cleanup": ActionKind(
        CleanupParameters,
        "forget work that is over and acknowledged",
        reads_only=True,
        cost=Cost(commits=1),
    ),
    "agent.fetch": ActionKind(
        FetchParameters,
        "have a file here by its content, for later steps and jobs",
        reads_only=True,
        needs="room on the disk",
        cost=Cost(commits=1),
    ),
    # A setting beside the local file, on trial like the others.
    "agent.adopt": ActionKind(
        AdoptParameters,
        "attach a device by a published profile; rolled back unless readings go on",
        undo="agent.adopt with remove = true",
        needs="a device that answers there",
        cost=Cost(fixed=8, commits=4),
        check=check_trial,
    ),
    # What it asks of a bus changes nothing there: identifications and the registers of SunSpec.
    # With `follow` it may change where an adopted device is attached: the agent's own setting.
    "agent.discover": ActionKind(
        DiscoverParameters,
        "look for devices that nobody attached",
        reads_only=True,
        undo="of follow: agent.adopt with the former bus and address",
        needs="[discovery] does not forbid it",
        cost=Cost(fixed=247, commits=1),
        check=check_look,
    ),
    CONFIGURE: ActionKind(
        dict[str, Value],
        "change the agent's own settings; rolled back unless it still works",
        reads_only=True,
        undo="by itself, unless readings, and for the link a contact, confirm it in time",
        needs="settings that the catalog bounds",
        cost=Cost(commits=3),
        check=check_settings,
    ),
    # A step that was cut finds its restart noted, and itself in another process.
    "agent.restart": ActionKind(
        NoParameters,
        "end the process cleanly and begin again",
        reads_only=True,
        needs="a process that can begin again",
        cost=Cost(commits=2),
    ),
    "agent.run_script": ActionKind(
        ScriptParameters,
        "run a script whose bytes the catalog names",
        idempotent=False,
        needs="[scripts] in agent.toml",
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
    if kind.check is not None:
        kind.check(step, where)


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
