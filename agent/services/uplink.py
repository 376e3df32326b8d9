"""Meets the coordinator: waits until a contact is due, makes it, and works out the next one.

Owns the one contact in flight and how the link stands. When stands in `agent.core.uplink`, what is
said in `agent.services.contact`. Idle, it sleeps until the next contact and wakes for nothing else.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from agent.core.ladder import UNLIMITED, Allowance
from agent.core.settings import UplinkSettings
from agent.core.uplink import (
    Answered,
    ContactPlan,
    Fault,
    LinkFailed,
    LinkState,
    after_contact,
    begun,
    body_budget,
    first_contact,
    is_pressed,
    next_contact,
    nudged,
    weighed,
)
from agent.services.contact import Contact, Link
from agent.services.purse import Purse
from shared.clock import Clock, Entropy, MonoMs
from shared.runtime.logs import Events

_log = Events(__name__)

KEEP_MS = 60_000
"""A connection is kept for a contact this near; servers drop idle ones after 60 to 75 seconds."""
CONTACT_MAX_S = 900
"""A whole contact: four times what the first body takes at 600 bytes a second. Longer, and the
peer only drips, or the body was too much for the line: the next one has half of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkHealth:
    """How the link is, for people."""

    state: LinkState | None = None
    contacts: int = 0
    """Answered ones since the agent started."""
    in_contact: bool = False
    next_ms: MonoMs = MonoMs(0)
    """When the next contact is due, if nothing comes up before."""


class Hours(Protocol):
    """When the line is open at all."""

    def reachable(self, at_ms: MonoMs) -> MonoMs:
        """Return the first moment from `at_ms` on at which it is."""


class Uplink:
    """The service that makes contacts."""

    name = "uplink"

    def __init__(
        self,
        contact: Contact,
        link: Link,
        settings: UplinkSettings,
        *,
        clock: Clock,
        entropy: Entropy,
        ordered: Callable[[], None],
        purse: Purse | None = None,
        hours: Hours | None = None,
    ) -> None:
        """Wire it up.

        Args:
            contact: makes one contact.
            link: the way to the coordinator.
            settings: the operator's choices.
            clock: of this machine.
            entropy: spreads a fleet.
            ordered: called when a contact brought work.
            purse: what the bytes of the day leave; None: no limit.
            hours: when the line is open; None: always.
        """
        self._contact, self._link, self._settings = contact, link, settings
        self._clock, self._entropy, self._ordered = clock, entropy, ordered
        self._purse, self._hours = purse, hours
        self._state: LinkState | None = None
        self._woken = asyncio.Event()
        self._plan: ContactPlan | None = None
        self._held = False
        """The coordinator may hold the exchange back: what comes up breaks it off."""
        self._contacts = 0

    @property
    def health(self) -> LinkHealth:
        """Return how the link stands."""
        if self._state is None:
            return LinkHealth()
        plan = self._next()
        return LinkHealth(
            state=self._state,
            contacts=self._contacts,
            in_contact=self._plan is not None,
            next_ms=plan.at_ms,
        )

    def nudge(self, *, urgent: bool = False) -> None:
        """Say that there is something to bring: receipts, or an alarm."""
        if self._state is None:
            return  # the first contact takes everything along
        self._state = nudged(self._state, self._clock.mono_ms(), urgent=urgent)
        self._woken.set()
        if self._held:
            self._link.abort()

    def weigh(self, waiting_bytes: int) -> None:
        """Say how many bytes of readings wait; where bytes cost, that decides when to call."""
        if self._state is not None and self._settings.metered:
            self._state = weighed(self._state, waiting_bytes)
            self._woken.set()

    async def run(self) -> None:
        """Make contacts until cancelled."""
        if self._state is None:
            fraction = self._entropy.fraction()
            self._state = first_contact(self._settings, self._clock.mono_ms(), fraction=fraction)
            await self._contact.prepare()
        try:
            while True:
                self._woken.clear()
                plan = self._next()
                if await self._reached(plan.at_ms):
                    await self._meet(plan)
        finally:
            await self._link.close()

    async def farewell(self, timeout_s: float) -> None:
        """Say the last after `run` has ended, if the link was up, within `timeout_s`.

        A report that still waits for its answer goes first: that takes a contact of its own.
        """
        state = self._state
        if state is None or state.failures or state.answered_ms is None:
            return
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    more = True
                    while more:
                        plan = ContactPlan(self._clock.mono_ms(), seal=True, wait_s=0)
                        end = await self._meet(plan)
                        more = isinstance(end, Answered) and (
                            end.resent or (end.left and end.progress)
                        )
        finally:
            await self._link.close()

    @property
    def _allowed(self) -> Allowance:
        return UNLIMITED if self._purse is None else self._purse.allowance()

    def _next(self) -> ContactPlan:
        """Return the next contact: as the link and the budget want it, within the line's hours."""
        assert self._state is not None, "run() comes first"
        now_ms = self._clock.mono_ms()
        plan = next_contact(self._state, self._settings, now_ms, self._allowed)
        if self._hours is None:
            return plan
        opens_ms = self._hours.reachable(plan.at_ms)
        return plan if opens_ms == plan.at_ms else ContactPlan(opens_ms, seal=True, wait_s=0)

    async def _reached(self, at_ms: MonoMs) -> bool:
        """Wait for a moment; False when something came up before."""
        left_s = (at_ms - self._clock.mono_ms()) / 1000
        if left_s <= 0:
            return True
        if self._purse is not None and self._purse.settings.is_limited:
            # A new day may allow what this one did not.
            left_s = min(left_s, self._purse.turns_in_ms() / 1000)
        try:
            async with asyncio.timeout(left_s):
                await self._woken.wait()
        except TimeoutError:
            return self._clock.mono_ms() >= at_ms
        return False

    async def _meet(self, plan: ContactPlan) -> Answered | LinkFailed:
        assert self._state is not None, "run() comes first"
        allowed = self._allowed
        before = self._state = begun(self._state)
        self._plan, self._held = plan, False
        try:
            end = await self._within(plan, allowed)
        finally:
            held, self._plan, self._held = self._held, None, False
        if not held:
            plan = replace(plan, wait_s=0)
        now_ms, fraction = self._clock.mono_ms(), self._entropy.fraction()
        self._state = after_contact(
            self._state, self._settings, end, now_ms, plan=plan, fraction=fraction
        )
        self._note(end, before, self._state)
        if isinstance(end, Answered) and end.ordered:
            self._ordered()
            self.nudge()  # that it was delivered is a receipt already
        if not self._is_next_near():
            await self._link.close()
        return end

    def _may_wait(self) -> bool:
        """Tell whether the exchange that begins now may be held: nothing came up meanwhile."""
        assert self._state is not None, "run() comes first"
        self._held = not is_pressed(self._state)
        return self._held

    def _is_next_near(self) -> bool:
        """Tell whether a contact follows so soon that the connection is worth keeping."""
        near = self._settings.long_poll or self._settings.sync_interval_ms <= KEEP_MS
        return near or (self._state is not None and self._state.drain)

    async def _within(self, plan: ContactPlan, allowed: Allowance) -> Answered | LinkFailed:
        assert self._state is not None, "run() comes first"
        budget = body_budget(self._state, allowed)
        try:
            async with asyncio.timeout(CONTACT_MAX_S + plan.wait_s):
                return await self._contact.run(
                    seal=plan.seal,
                    wait_s=plan.wait_s,
                    budget=budget,
                    keep=True,
                    rule=allowed.rule,
                    may_wait=self._may_wait,
                )
        except TimeoutError:
            detail = f"no end after {CONTACT_MAX_S} s"
            return LinkFailed(fault=Fault.SILENT, detail=detail, unended=True)

    def _note(self, end: Answered | LinkFailed, before: LinkState, after: LinkState) -> None:
        """Log what changed: each failure once, and the first answer after failures."""
        if isinstance(end, Answered):
            self._contacts += 1
            if before.failures or before.answered_ms is None:
                _log.event("link_up", after_failures=before.failures)
            return
        if end.fault is Fault.ABORTED:
            return
        _log.event(
            "contact_failed",
            level=logging.WARNING,
            fault=end.fault.name.lower(),
            detail=end.detail,
            failures=after.failures,
            retry_in_ms=after.due_ms - self._clock.mono_ms(),
        )
