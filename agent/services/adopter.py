"""Attaches a device from afar: its profile is fetched and checked, it is asked, it is on trial.

Owns what is looked at before anything changes. The local file is never touched: the device is a
setting beside it, which proves itself or is rolled back (`agent.services.self_config`).
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from agent.core.adopted import FOLDER, PREFIX, Adopted
from agent.core.device import DeviceSettings
from agent.core.ports import ArtifactShelf, Bus, StepOutcome, Urgency
from agent.core.queue import Problem
from agent.drivers.registry import make_driver
from agent.services.self_config import SelfConfig
from shared import limits
from shared.errors import MistakeError, Reason, RefusedError, WorldError
from shared.ids import DeviceId
from shared.model.action_parameters import AdoptParameters
from shared.model.artifact import parse_artifact
from shared.model.profile import Profile, parse_profile
from shared.runtime.files import write_atomically


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopter:
    """What `agent.adopt` does."""

    data_dir: Path
    buses: Mapping[str, Bus]
    shelf: ArtifactShelf
    settings: SelfConfig
    may_adopt: Callable[[Profile], Problem | None]
    """Says why the catalog in force allows no device of such a profile."""
    aside: Collection[str] = ()
    """Names that the local file has left alone."""

    async def adopt(self, mark: str, wish: AdoptParameters, *, dry_run: bool) -> StepOutcome:
        """Attach a device, or let one go; the process that runs with it returns the outcome."""
        change: dict[str, str] = {PREFIX + wish.device: ""}
        if not wish.remove:
            if wish.device in self.aside:
                what = f"agent.toml says [discovery] aside: {wish.device} is left alone here"
                return StepOutcome(Reason.ACTION_NOT_ALLOWED, what)
            try:
                change = {PREFIX + wish.device: await self._looked_at(wish)}
            except MistakeError as error:
                return StepOutcome(Reason.PROFILE_INVALID, str(error)[: limits.DETAIL_CHARS])
            except (WorldError, RefusedError) as error:
                return StepOutcome(error.reason, error.detail)
        outcome = await self.settings.configure(
            mark, change, confirm_within_s=wish.confirm_within_s, dry_run=dry_run
        )
        if outcome.reason is not None or dry_run:
            return outcome
        if wish.remove:
            return StepOutcome(result={**outcome.result, "_let_go": wish.device})
        place = f"{wish.bus}/{wish.address}"
        return StepOutcome(result={**outcome.result, "_adopted": place})

    async def _looked_at(self, wish: AdoptParameters) -> str:
        """Return the setting of a device that is there and fits its profile.

        Raises:
            MistakeError: the profile is none, or does not go with the bus.
            RefusedError: the catalog allows no such profile, or the file was altered.
            WorldError: the file cannot be had, or the device is not there, or is another one.
        """
        bus = self.buses.get(wish.bus)
        if bus is None:
            raise MistakeError(f"there is no bus {wish.bus[:40]!r}")
        data = await self._profile(wish)
        profile = parse_profile(data.decode("utf-8", "replace"), source=wish.artifact[:20])
        if problem := self.may_adopt(profile):
            raise RefusedError(problem.reason, problem.detail)
        device = DeviceSettings(
            id=DeviceId(wish.device), bus=wish.bus, address=wish.address, profile=profile
        )
        await meet(device, bus, serial=wish.serial)
        digest = sha256(data).hexdigest()
        await asyncio.to_thread(self._keep, digest, data)
        return Adopted(
            bus=wish.bus,
            address=wish.address,
            profile=digest,
            poll_interval_ms=round(wish.poll_interval_s * 1000),
            serial=wish.serial,
        ).text()

    async def _profile(self, wish: AdoptParameters) -> bytes:
        digest = parse_artifact(wish.artifact, where="artifact")
        path = await self.shelf.obtain(digest, wish.size)
        try:
            return await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise WorldError(Reason.STORE_FAILED, f"the profile: {error.strerror}") from error

    def _keep(self, digest: str, data: bytes) -> None:
        folder = self.data_dir / FOLDER
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            write_atomically(folder / f"{digest}.toml", data)
        except OSError as error:
            raise WorldError(Reason.STORE_FAILED, f"the profile: {error.strerror}") from error


async def meet(device: DeviceSettings, bus: Bus, *, serial: str) -> None:
    """Read a device as its profile says, and compare what tells it from others.

    Args:
        device: as it is going to be attached.
        bus: where it is.
        serial: what it has to say its serial number is, where it says one; empty: anything.

    Raises:
        MistakeError: its profile does not go with the bus.
        WorldError: nobody gives a value there, or another device does.
    """
    names = [point.name for point in device.profile.polled]
    readings = await make_driver(device, bus).read(names, urgency=Urgency.COMMAND)
    reasons = {one.reason for one in readings if one.value is None}
    if not any(one.value is not None for one in readings):
        reason = next(iter(reasons - {None}), None) or Reason.DEVICE_SILENT
        raise WorldError(reason, "no point of the profile gives a value there")
    if not serial or device.profile.protocol != "modbus":
        return
    from agent.drivers.modbus.scan import Scan  # noqa: PLC0415 - on first use

    said = await Scan(bus).ask(device.address)
    if said is not None and said.serial and said.serial[: limits.CANDIDATE_CHARS] != serial:
        detail = f"the device there says its serial number is {said.serial}"
        raise WorldError(Reason.VERIFY_MISMATCH, detail)
