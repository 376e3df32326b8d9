"""`device.put_file`, `device.get_file`: a file into a device's memory, and one out of it.

Owns when there is nothing to do and what proves that it went well: length and sum, as the device
tells them. Leaves out the protocol (`agent.core.files.FilePort`) and how a file comes to this
gateway and from it (`agent.services`).
"""

import asyncio
import hashlib
import zlib

import msgspec

from agent.actions.hand import Hand, faulted
from agent.core.device import DeviceSettings
from agent.core.files import FilePort, Filing
from agent.core.ports import StepOutcome
from agent.core.queue import Problem
from shared import limits
from shared.errors import Reason, RefusedError, WorldError
from shared.model.action_parameters import GetFileParameters, PutFileParameters
from shared.model.artifact import parse_artifact
from shared.model.job import Step, Value

_DRY_RUN = "_dry_run"
_PROTOCOLS = frozenset({"smp"})
"""Those whose devices may have files."""


class PutFileAction:
    """Makes a file of the device have the content of an artifact; gives what was sent for it."""

    name = "device.put_file"

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return that a device of this kind has no files."""
        return _fileless(step, device)

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
        """Send what the device lacks; a content that is there already costs a look."""
        if not isinstance(driver.driver, Filing) or driver.firmware is None:
            return StepOutcome(Reason.STEP_FAILED, f"{driver.device} takes no files here")
        files = driver.driver.files
        wanted = msgspec.convert(step.params, PutFileParameters)
        try:
            digest = parse_artifact(wanted.artifact, where="artifact")
            path = await driver.firmware.shelf.obtain(digest, wanted.size)
            content = await asyncio.to_thread(path.read_bytes)
            before = await files.look(wanted.path)
            same = before is not None and before.is_all_of(content)
            told: dict[str, Value] = {"bytes": len(content), "_skipped": same, "_sent": 0}
            if driver.dry_run:
                return StepOutcome(result={**told, _DRY_RUN: True})
            if not same:
                told["_sent"] = await files.put(wanted.path, content)
            return await _proven(files, wanted.path, content, told)
        except RefusedError as error:
            return StepOutcome(error.reason, error.detail)
        except WorldError as error:
            return faulted(error)


class GetFileAction:
    """Takes a file out of the device; it lies on the gateway, and is brought if the link allows."""

    name = "device.get_file"

    def check(self, step: Step, device: DeviceSettings) -> Problem | None:
        """Return that a device of this kind has no files."""
        return _fileless(step, device)

    async def run(self, step: Step, driver: Hand) -> StepOutcome:
        """Read all of it, checked by the device's own sum."""
        if not isinstance(driver.driver, Filing) or driver.bring is None:
            return StepOutcome(Reason.STEP_FAILED, f"{driver.device} gives no files here")
        files, wanted = driver.driver.files, msgspec.convert(step.params, GetFileParameters)
        try:
            if driver.dry_run:
                seen = await files.look(wanted.path)
                told: dict[str, Value] = {_DRY_RUN: True, "_found": seen is not None}
                return StepOutcome(result=told | ({} if seen is None else {"bytes": seen.size}))
            content = await files.get(wanted.path, limits.FILE_TAKEN_BYTES)
            sha256 = hashlib.sha256(content).hexdigest()
            name = f"{driver.owner.execution.hex()}-{sha256[:16]}"
            brought = await driver.bring(name, content, wanted.upload)
        except WorldError as error:
            return faulted(error)
        return StepOutcome(
            result={
                "bytes": len(content),
                "crc32": zlib.crc32(content),
                "sha256": sha256,
                "file": name,
                "upload": brought,
            }
        )


async def _proven(
    files: FilePort, name: str, content: bytes, told: dict[str, Value]
) -> StepOutcome:
    """Return what came of it, by the device's own word."""
    after = await files.look(name)
    if after is None or after.size != len(content):
        has = "has no such file" if after is None else f"has {after.size} bytes of it"
        what = f"the device {has}, {len(content)} were sent"
        return StepOutcome(Reason.VERIFY_MISMATCH, what, told)
    told["_checked"] = "size" if after.crc32 is None else "crc32"
    if after.crc32 is not None:
        told["crc32"] = after.crc32
        if not after.is_beginning_of(content):
            return StepOutcome(Reason.VERIFY_MISMATCH, "the device has another content", told)
    return StepOutcome(result=told)


def _fileless(step: Step, device: DeviceSettings) -> Problem | None:
    if device.profile.protocol in _PROTOCOLS:
        return None
    detail = f"{step.id}: {device.id} speaks {device.profile.protocol}, which knows no files"
    return Problem(Reason.BAD_PARAMETERS, detail)
