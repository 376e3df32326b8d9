"""`device.update_firmware`: another image into a device that can always go back to the old one.

Owns the order of an update: the image is judged before the device is touched, it runs on trial
until the device has proven itself, and success is what the device shows afterwards. Each move is
decided from the device's slots (`agent.core.firmware`), so a repeat after any cut goes on from
where the device is. Leaves out the file's way here (`agent.core.ports.ArtifactShelf`).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from agent.actions.hand import Hand, faulted
from agent.actions.write import DRY_RUN, SKIPPED
from agent.core.device import DeviceSettings
from agent.core.firmware import (
    FirmwarePort,
    FirmwareSource,
    Move,
    SlotImage,
    Stuck,
    Updatable,
    next_move,
)
from agent.core.firmware_image import check_image
from agent.core.ports import StepOutcome, Urgency
from agent.core.queue import Problem
from shared import limits
from shared.errors import MistakeError, Reason, RefusedError, WorldError
from shared.model.action_parameters import UpdateFirmwareParameters
from shared.model.artifact import parse_artifact
from shared.model.firmware import FirmwareSection
from shared.model.job import Step, Value
from shared.model.mcuboot import FirmwareImage, parse_version, read_image

VERSION, BEFORE, SENT = "_version", "_before", "_sent"
"""Result members: what it runs now, what it ran before, bytes of the image that were sent."""
NO_TRIAL = "_no_trial"
"""Result member: somebody else had marked the image permanent, nothing could have reverted it."""
FROM_COORDINATOR, FROM_NEIGHBOURS = "_from_coordinator", "_from_neighbours"
"""Whence the image's bytes came to this gateway."""
_AWAY = frozenset({Reason.DEVICE_SILENT, Reason.DEVICE_BAD_FRAME, Reason.BUS_DOWN})
"""What a device that starts again looks like."""


class UpdateFirmwareAction:
    """Gives what the device runs now and ran before."""

    name = "device.update_firmware"

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return why no firmware gets into such a device, or not with such parameters."""
        section = device.profile.firmware
        if section is None:
            detail = f"{step.id}: the profile of {device.id} has no [firmware]"
            return Problem(Reason.BAD_PARAMETERS, detail)
        if step.timeout_s <= section.soak_s:
            # It would end on trial each time, and a device on trial goes back at its next start.
            soak = f"a new image has to prove itself for soak_s = {section.soak_s}"
            detail = f"{step.id}: timeout_s = {step.timeout_s} is too short: {soak}"
            return Problem(Reason.BAD_PARAMETERS, detail)
        wanted = msgspec.convert(step.params, UpdateFirmwareParameters)
        if wanted.version and parse_version(wanted.version) is None:
            return Problem(Reason.BAD_PARAMETERS, f"{step.id}: {wanted.version!r} is no version")
        return None

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
        """Bring the device to run the image; faults become outcomes."""
        section = driver.settings.profile.firmware
        assert section is not None, "the profile was checked before the step began"
        if not isinstance(driver.driver, Updatable) or driver.firmware is None:
            return StepOutcome(Reason.FIRMWARE_REFUSED, f"{driver.device} takes no firmware here")
        wanted = msgspec.convert(step.params, UpdateFirmwareParameters)
        try:
            content, image = await _judged(driver, wanted, section)
            update = _Update(driver, driver.driver.firmware, section, wanted, content, image, step)
            return await update.run()
        except RefusedError as error:
            return StepOutcome(error.reason, f"the image is refused: {error.detail}")
        except (MistakeError, WorldError) as error:
            return faulted(error)


async def _judged(
    hand: Hand, wanted: UpdateFirmwareParameters, section: FirmwareSection
) -> tuple[bytes, FirmwareImage]:
    """Return the image, once it is certain that the bootloader will take it.

    Raises:
        RefusedError: it will not, or the catalog does not allow it.
        WorldError: it is not here now.
    """
    source = hand.firmware
    assert source is not None, "it was looked at before"
    digest = parse_artifact(wanted.artifact, where="artifact")
    problem = source.may_install(digest, wanted.size, section.device_class)
    if problem is not None:
        raise RefusedError(problem.reason, problem.detail)
    if wanted.size > limits.FIRMWARE_BYTES:
        what = f"{wanted.size} bytes, at most {limits.FIRMWARE_BYTES} are possible"
        raise RefusedError(Reason.FIRMWARE_REFUSED, what)
    path = await source.shelf.obtain(digest, wanted.size)
    content = await asyncio.to_thread(path.read_bytes)
    image = read_image(content)
    check_image(image, key=section.key)
    if wanted.version and parse_version(wanted.version) != image.version:
        what = f"it is {image.version}, the job says {wanted.version}"
        raise RefusedError(Reason.FIRMWARE_REFUSED, what)
    return content, image


@dataclass(slots=True)
class _Update:
    """One update of one device."""

    hand: Hand
    port: FirmwarePort
    section: FirmwareSection
    wanted: UpdateFirmwareParameters
    content: bytes
    image: FirmwareImage
    step: Step
    sent: int = 0
    why: str = ""
    """What did not hold when it was on trial."""
    before: str = ""
    alone: bool = False
    """The device has this one image to run, no second processor's."""
    untried: bool = False
    """Its first start kept it."""

    @property
    def source(self) -> FirmwareSource:
        """Return where the image came from."""
        assert self.hand.firmware is not None, "it was looked at before"
        return self.hand.firmware

    @property
    def _mark(self) -> str:
        """Return under which name it is remembered that the device was let into the image."""
        return f"_firmware-{self.hand.owner.key.hex()}-{self.step.id}"

    @property
    def _proof(self) -> str:
        """Return under which name it is remembered that the image has proven itself."""
        return f"{self._mark}-proven"

    async def run(self) -> StepOutcome:
        """Make move after move until the device runs the image, or will not."""
        slots = await self.port.slots()
        tried = await self.hand.memory.config(self.hand.device, self._mark) is not None
        self.before = _running(slots, self.wanted.image)
        self.alone = all(one.image == 0 for one in slots)
        if problem := self._backwards(await self._had(slots)):
            return problem
        moved = False
        for _ in range(limits.FIRMWARE_MOVES):
            move = next_move(slots, image=self.wanted.image, digest=self.image.digest, tried=tried)
            if isinstance(move, Stuck):
                why = f"; {self.why}" if self.why else ""
                return StepOutcome(move.reason, f"{move.detail}{why}", self._result())
            if move is Move.DONE:
                if not self.hand.dry_run:
                    await self._keep_release()
                    if tried and (problem := await self._kept_unproven()):
                        return problem
                done: dict[str, Value] = {VERSION: self._version, SKIPPED: not moved}
                return StepOutcome(result={**self._result(), **done})
            if self.hand.dry_run:
                told: dict[str, Value] = {f"{VERSION}.new": self._version, DRY_RUN: True}
                return StepOutcome(result={**self._result(), VERSION: self.before, **told})
            moved = True
            if move is Move.PROVE and not tried:
                # Somebody else let it in. Whatever it comes to, this job does not do so again.
                await self._keep(self._mark)
            tried = tried or move in {Move.RESET, Move.PROVE}
            slots = await self._make(move)
        return StepOutcome(Reason.STEP_FAILED, "the device goes back and forth", self._result())

    @property
    def _version(self) -> str:
        return str(self.image.version)

    def _backwards(self, had: int | None) -> StepOutcome | None:
        """Return why the device keeps what it runs: what is offered is older.

        Args:
            had: the release that it may not fall below, as far as there is one.
        """
        if self.wanted.allow_downgrade:
            return None
        running = parse_version(self.before)
        what = ""
        if running is not None and self.image.version < running:
            what = f"{self._version} is older than {self.before}"
        elif had is not None and (release := self._release) is not None and release < had:
            what = f"{self._version} is release {release}, the device had release {had}"
        if not what:
            return None
        refused = f"{what}, and allow_downgrade is false"
        return StepOutcome(Reason.FIRMWARE_REFUSED, refused, self._result())

    # --- releases --------------------------------------------------------------------------------
    @property
    def _release(self) -> int | None:
        """Return what the catalog counts the image as; None: it is not listed there."""
        digest = parse_artifact(self.wanted.artifact, where="artifact")
        return self.source.release_of(digest, self.section.device_class)

    async def _had(self, slots: Sequence[SlotImage]) -> int | None:
        """Return the release of the device: what is remembered, or what it runs if that is more.

        A memory that was lost, or never saw what somebody did at the site, is made up for by the
        device's own word.
        """
        of = self.section.device_class
        # On trial that is the one which a reset brings back.
        confirmed = [one.digest for one in self._own(slots) if one.confirmed]
        known = [self.source.release_of(digest, of) for digest in confirmed]
        known.append(await self.hand.memory.release(self.hand.device, self.wanted.image, of))
        return max((release for release in known if release is not None), default=None)

    async def _keep_release(self) -> None:
        """Remember what the device has confirmed."""
        key = (self.hand.device, self.wanted.image, self.section.device_class)
        release = self._release
        if release is not None and release != await self.hand.memory.release(*key):
            await self.hand.memory.keep_release(*key, release)

    # --- no trial --------------------------------------------------------------------------------
    async def _kept_unproven(self) -> StepOutcome | None:
        """Check an image that its first start kept: somebody else had marked it permanent.

        Nothing brings the old one back then; whether the new one is well is told all the same.
        """
        if await self.hand.memory.config(self.hand.device, self._proof) is not None:
            return None
        self.untried = True
        try:
            if await self._proves():
                await self._keep(self._proof)
                return None
        except WorldError as error:
            return StepOutcome(error.reason, error.detail, self._result())
        why = self.why or f"it no longer says that it runs {self._version}"
        what = f"{why}; it could not be reverted: somebody else had marked it permanent"
        return StepOutcome(Reason.VERIFY_MISMATCH, what, self._result())

    async def _keep(self, mark: str) -> None:
        await self.hand.memory.keep_config(self.hand.owner, self.hand.device, [mark], {"tried": 1})

    # --- moves -----------------------------------------------------------------------------------
    async def _make(self, move: Move) -> Sequence[SlotImage]:
        """Do one move; return the slots after it.

        A device that falls silent meanwhile may have lost its supply: what it shows once it is
        back decides.
        """
        if move is Move.UPLOAD:
            self.sent += await self.port.upload(
                self.content, image=self.wanted.image, digest=self.image.digest
            )
            return await self.port.slots()
        try:
            match move:
                case Move.TEST:
                    await self.port.test(self.image.digest)
                case Move.RESET:
                    await self._keep(self._mark)
                    await self.port.reset()
                    return await self._returned(lambda slots: not self._waits(slots))
                case Move.PROVE if await self._proves():
                    await self._keep(self._proof)
                    await self.port.confirm(self.image.digest, alone=self.alone)
                case _ if await self._still_runs():
                    await self.port.reset()
                    return await self._returned(lambda slots: not self._runs(slots))
                case _:
                    pass  # it went back by itself
        except WorldError as error:
            if error.reason not in _AWAY:
                raise
        return await self._returned(lambda _: True)

    # --- on trial --------------------------------------------------------------------------------
    async def _proves(self) -> bool:
        """Tell whether the device is well under the new image, and stays so.

        Raises:
            WorldError: it did not answer the last look.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self.section.self_check_s
        well_since_s: float | None = None
        while True:
            now_s = loop.time()
            if not await self._still_runs():
                return False
            problem = await self._unwell()
            if problem:
                self.why, well_since_s = problem, None
            elif well_since_s is None:
                well_since_s = now_s
            if well_since_s is not None and now_s - well_since_s >= self.section.soak_s:
                self.why = ""
                # Who lost its supply over the last look may be well under the old image again.
                # Silence says neither: it may be on its way back there.
                return self._runs(await self.port.slots())
            if well_since_s is None and now_s >= until_s:
                return False
            await asyncio.sleep(limits.FIRMWARE_LOOK_MS / 1000)

    async def _still_runs(self) -> bool:
        """Tell whether it runs the image, or is too silent to say."""
        try:
            return self._runs(await self.port.slots())
        except WorldError as error:
            if error.reason not in _AWAY:
                raise
            return True

    async def _unwell(self) -> str:
        """Return the first assertion that does not hold."""
        asserted = self.hand.settings.profile.health
        if not asserted:
            return ""
        names = list(dict.fromkeys(one.point for one in asserted))
        readings = await self.hand.read(names, urgency=Urgency.COMMAND)
        found = {one.point: one.value for one in readings}
        for one in asserted:
            if not one.holds(found.get(one.point)):
                value = found.get(one.point)
                shown = "was not answered" if value is None else f"read {value}"
                return f"its self-check failed: {one.point} {shown}, {one.text} is asserted"
        return ""

    async def _returned(
        self, settled: Callable[[Sequence[SlotImage]], bool]
    ) -> Sequence[SlotImage]:
        """Return the slots once the device is back from its reset.

        Raises:
            WorldError: FIRMWARE_LOST when it does not come back in time.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self.section.boot_s
        slots: Sequence[SlotImage] | None = None
        while True:
            try:
                slots = await self.port.slots()
            except WorldError as error:
                if error.reason not in _AWAY:
                    raise
            if (slots is not None and settled(slots)) or loop.time() >= until_s:
                break
            await asyncio.sleep(limits.FIRMWARE_LOOK_MS / 1000)
        if slots is None:
            what = f"it has not come back within {self.section.boot_s} s"
            raise WorldError(Reason.FIRMWARE_LOST, what)
        return slots

    # --- what the slots say ----------------------------------------------------------------------
    def _runs(self, slots: Sequence[SlotImage]) -> bool:
        return any(one.active and one.digest == self.image.digest for one in self._own(slots))

    def _waits(self, slots: Sequence[SlotImage]) -> bool:
        return any(one.pending and one.digest == self.image.digest for one in self._own(slots))

    def _own(self, slots: Sequence[SlotImage]) -> Sequence[SlotImage]:
        return [one for one in slots if one.image == self.wanted.image]

    def _result(self) -> dict[str, Value]:
        digest = parse_artifact(self.wanted.artifact, where="artifact")
        near = self.source.shelf.given(digest, self.wanted.size)
        came: dict[str, Value] = {FROM_COORDINATOR: self.wanted.size - near, FROM_NEIGHBOURS: near}
        untried: dict[str, Value] = {NO_TRIAL: True} if self.untried else {}
        return {BEFORE: self.before, SENT: self.sent, **came, **untried}


def _running(slots: Sequence[SlotImage], image: int) -> str:
    return next((one.version for one in slots if one.active and one.image == image), "")
