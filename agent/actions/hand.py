"""A device as an action gets hold of it: its driver, and what one step may know and change there.

Owns what holds for every action alike: a dry run writes nothing, nothing is written that the
catalog does not allow, and what wears out is spared. Leaves out what each action does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.core.device import DeviceSettings
from agent.core.files import Bring
from agent.core.firmware import FirmwareSource
from agent.core.loan import Owner
from agent.core.ports import Driver, Identity, PointReading, StepOutcome, Urgency
from agent.core.queue import Problem
from agent.store.devices import DeviceMemory
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.model.job import Value

MayWrite = Callable[[bytes, str, Value], Problem | None]
"""Says why the catalog in force allows no such write: profile's content hash, point, value."""
Values = dict[str, int | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """One step's hold of one device; a `Driver` itself."""

    driver: Driver
    settings: DeviceSettings
    memory: DeviceMemory
    owner: Owner
    may_write: MayWrite
    dry_run: bool = False
    firmware: FirmwareSource | None = None
    """Where images for it come from; None: nowhere."""
    bring: Bring | None = None
    """Keeps what was read out of it; None: nothing does."""

    @property
    def device(self) -> DeviceId:
        """Return whose hand it is in."""
        return self.driver.device

    async def read(self, points: Sequence[str], *, urgency: Urgency) -> list[PointReading]:
        """Read points; see `agent.core.ports.Driver`."""
        return await self.driver.read(points, urgency=urgency)

    def expected(self, values: Mapping[str, Value]) -> Mapping[str, int | float]:
        """Return what a read gives after a write; see `agent.core.ports.Driver`."""
        return self.driver.expected(values)

    async def write(self, values: Mapping[str, Value]) -> None:
        """Write points; see `agent.core.ports.Driver`."""
        assert not self.dry_run, "a dry run writes nothing"
        await self.driver.write(values)

    async def identify(self) -> Identity | None:
        """Return what the device says of itself; see `agent.core.ports.Driver`."""
        said = await self.driver.identify()
        if said is not None:
            await self.memory.heard(self.device, said)
        return said

    def verify(self, point: str) -> str:
        """Return how a write to a point is proven."""
        found = self.settings.profile.point(point)
        assert found is not None, "points were checked before the step began"
        return found.write.verify

    async def present(self, points: Sequence[str]) -> Values | StepOutcome:
        """Return the points' values, or the outcome of a step that needs one it cannot have.

        A value out of the point's limits is a value: it is what a write shall put right.
        """
        if not points:
            return {}
        readings = await self.read(points, urgency=Urgency.COMMAND)
        found = {one.point: one.value for one in readings if one.value is not None}
        for one in readings:
            if one.value is None and one.reason is not Reason.VALUE_OUT_OF_RANGE:
                detail = f"{self.place(one.point)} cannot be read"
                return StepOutcome(one.reason or Reason.STEP_FAILED, detail, found)
        return found

    async def forbidden(self, values: Mapping[str, Value]) -> StepOutcome | None:
        """Return why some of these may not be written now: the catalog, or wear."""
        profile = self.settings.profile
        for name, value in values.items():
            if problem := self.may_write(profile.content_hash, name, value):
                return StepOutcome(problem.reason, problem.detail)
            point = profile.point(name)
            if point is None or not point.write.min_interval_s:
                continue
            left_s = await self.memory.spare_s(self.device, name)
            if left_s:
                detail = f"{self.place(name)} wears out: not before {left_s} s have passed"
                return StepOutcome(Reason.WRITTEN_TOO_SOON, detail)
        return None

    async def put(self, values: Mapping[str, Value]) -> None:
        """Write points, and note it of those that wear out.

        Raises:
            MistakeError: as `write`.
            WorldError: as `write`.
        """
        profile = self.settings.profile
        points = [point for name in values if (point := profile.point(name)) is not None]
        spared = {one.name: one.write.min_interval_s for one in points if one.write.min_interval_s}
        if spared:
            await self.memory.wrote(self.device, spared)
        await self.write(values)

    async def proven(self, expected: Mapping[str, int | float]) -> StepOutcome:
        """Return what a write came to, each point proven as its profile says."""
        again = [name for name in expected if self.verify(name) == "read_back"]
        after = await self.present(again)
        if isinstance(after, StepOutcome):
            return after
        result: dict[str, Value] = {name: after.get(name, expected[name]) for name in expected}
        for name in again:
            if after.get(name) != expected[name]:
                detail = f"{self.place(name)} reads {after.get(name)} after {expected[name]}"
                return StepOutcome(Reason.VERIFY_MISMATCH, f"{detail} was written", result)
        return StepOutcome(result=result)

    def place(self, point: str) -> str:
        """Return how people are told of a point."""
        return f"{self.device}.{point}"


def faulted(error: MistakeError | WorldError) -> StepOutcome:
    """Return the outcome of a step that a fault ended."""
    if isinstance(error, MistakeError):
        return StepOutcome(Reason.BAD_PARAMETERS, str(error))
    return StepOutcome(error.reason, error.detail)


_UNSAID = {Reason.DEVICE_SILENT, Reason.BUS_DOWN, Reason.DEVICE_BAD_FRAME}
"""Faults after which the device may or may not have obeyed."""


def is_refusal(error: BaseException) -> bool:
    """Tell whether a write that failed so surely had no effect."""
    said_no = isinstance(error, WorldError) and error.reason not in _UNSAID
    return said_no or isinstance(error, MistakeError)


def uncertain(outcome: StepOutcome, *, obeyed: bool = False) -> StepOutcome:
    """Return the outcome of a write that must not be done twice: silence is no answer.

    `obeyed`: the device did it, or some of it, before this went wrong; no fault is a "no" then.
    """
    if outcome.reason is None or not (obeyed or outcome.reason in _UNSAID):
        return outcome
    what = "had obeyed" if obeyed else "may or may not have done it"
    detail = f"{outcome.detail}; the device {what}"
    return StepOutcome(Reason.UNKNOWN_EFFECT, detail, outcome.result)
