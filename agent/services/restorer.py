"""Puts temporary values back when their time is over: offline, after restarts, by itself.

Owns when and how often it is tried. What is lent stands in `agent.store.devices`; it was written
before the value that replaced it, so nothing that can happen to a job leaves one behind. A locked
site is left alone until it is unlocked.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from agent.core.device import DeviceSettings
from agent.core.loan import Loan
from agent.core.moment import Moment
from agent.core.ports import Driver, Urgency
from agent.store.devices import DeviceMemory
from shared import limits
from shared.clock import MonoMs
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.runtime.logs import Events

_log = Events(__name__)


class Restorer:
    """The service that takes temporary values back."""

    name = "restorer"

    def __init__(
        self,
        memory: DeviceMemory,
        *,
        devices: Mapping[DeviceId, tuple[DeviceSettings, Driver]],
        lane: Callable[[DeviceId], asyncio.Lock],
        locked_ms: Callable[[], int],
        now: Callable[[], Moment],
        told: Callable[[], None],
    ) -> None:
        """Wire it up.

        Args:
            memory: what is lent.
            devices: every device with its driver.
            lane: held while a device is changed.
            locked_ms: for how long the site is still locked; 0: it is not.
            now: the agent's time.
            told: called when a receipt was written.
        """
        self._memory, self._devices, self._lane = memory, devices, lane
        self._locked_ms, self._now, self._told = locked_ms, now, told
        self._woken = asyncio.Event()
        memory.changed = self.wake

    def wake(self) -> None:
        """Look again: something was lent, or the site was unlocked, or is so sooner."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._memory.rebase()
        while True:
            self._woken.clear()
            due = await self._memory.due()
            locked_ms = self._locked_ms()
            if due.loans and locked_ms:
                await self._sleep(locked_ms)
                continue
            for loan in due.loans:
                async with self._lane(loan.device):
                    if await self._memory.still_lent(loan):
                        await self._put_back(loan)
            if not due.loans:
                await self._sleep(self._left_ms(due.next_due_ms))

    def _left_ms(self, due_ms: MonoMs | None) -> int | None:
        if due_ms is None:
            return None
        # Timers stand still in suspend: it is looked at this often at least.
        return min(max(0, due_ms - self._now().mono_ms), limits.STANDING_LOOK_MS)

    async def _sleep(self, for_ms: int | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if for_ms is None else for_ms / 1000):
                await self._woken.wait()

    async def _put_back(self, loan: Loan) -> None:
        place = f"{loan.device}.{loan.point}"
        found = self._devices.get(loan.device)
        if found is None:
            await self._end(loan, Reason.UNDO_FAILED, f"{loan.device} is no longer attached")
            return
        try:
            detail = await _write_back(loan, *found)
        except MistakeError as error:
            detail = f"{place} could not be put back to {loan.former}: {error}"
            await self._end(loan, Reason.UNDO_FAILED, detail)
        except WorldError as error:
            await self._memory.postpone(loan, for_ms=loan.pause_s * 1000, failed=True)
            _log.event(
                "value_not_put_back",
                level=logging.WARNING,
                device=loan.device,
                point=loan.point,
                reason=error.reason.text,
                tries=loan.tries + 1,
            )
        else:
            await self._end(loan, None, detail)

    async def _end(self, loan: Loan, reason: Reason | None, detail: str) -> None:
        result = {} if reason else {f"_restored.{loan.point}": loan.former}
        await self._memory.put_back(loan, reason=reason, detail=detail, result=result)
        _log.event("value_put_back", device=loan.device, point=loan.point, detail=detail)
        self._told()


async def _write_back(loan: Loan, settings: DeviceSettings, driver: Driver) -> str:
    """Make a point what it was, and prove it; return what to tell.

    Raises:
        MistakeError: the device can no longer be given that value.
        WorldError: it did not take it now.
    """
    place = f"{loan.device}.{loan.point}"
    wanted = driver.expected({loan.point: loan.former})[loan.point]
    if await _present(loan, driver) == wanted:
        return f"{place} is {wanted} again already"
    await driver.write({loan.point: loan.former})
    point = settings.profile.point(loan.point)
    if point is not None and point.write.verify == "read_back":
        after = await _present(loan, driver)
        if after != wanted:
            detail = f"{place} reads {after} after {wanted} was written"
            raise WorldError(Reason.VERIFY_MISMATCH, detail)
    return f"{place} was put back to {wanted}"


async def _present(loan: Loan, driver: Driver) -> int | float:
    reading = (await driver.read([loan.point], urgency=Urgency.COMMAND))[0]
    if reading.value is None:
        raise WorldError(reading.reason or Reason.STEP_FAILED, f"{loan.point} cannot be read")
    return reading.value
