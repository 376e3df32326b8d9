"""What keeps a task from beginning for now: window, preconditions, hands inside the cabinet.

Owns asking; the task waits until the time that is returned, and is looked at again then, or when
the site is unlocked. Leaves out whether it may begin at all (`agent.services.guard`).
"""

from collections.abc import Callable, Mapping

from agent.core.course import Rest
from agent.core.executor import Claim
from agent.core.moment import Moment
from agent.core.queue import due_in
from agent.services.facts import Facts
from shared import limits
from shared.errors import MistakeError, Reason
from shared.model.action import ACTIONS
from shared.model.condition import Condition
from shared.model.schedule import find_zone, gate
from shared.model.spec_check import conditions_of

_FOR_EVER_MS = limits.DELAY_S * 1000


class Gates:
    """The way in of every attempt."""

    def __init__(self, facts: Facts, *, zone: str, locked_ms: Callable[[], int]) -> None:
        """Wire it up.

        Args:
            facts: answers preconditions.
            zone: the site's, by its IANA name.
            locked_ms: for how long the site is still locked; 0: it is not.
        """
        self._facts, self._zone, self._locked_ms = facts, zone, locked_ms

    async def closed(self, claim: Claim, now: Moment) -> Rest | None:
        """Return until when an attempt has to wait, None when it may begin."""
        spec = claim.spec
        changes = any(not ACTIONS[step.action].reads_only for step in spec.every_step)
        if changes and not spec.dry_run and (locked := self._locked_ms()):
            return Rest(due_in(locked, now), Reason.SITE_LOCKED, "somebody works on the site")
        if spec.window and (rest := self._window(claim, now)):
            return rest
        return await self._preconditions(claim, now)

    def _window(self, claim: Claim, now: Moment) -> Rest | None:
        window = claim.spec.window
        assert window is not None, "see `closed`"
        try:
            zone = find_zone(window.zone, site=self._zone, where="window.zone")
        except MistakeError as error:
            return Rest(due_in(_FOR_EVER_MS, now), Reason.WINDOW_CLOSED, str(error))
        seen = gate(window, now.today_ms, zone)
        if seen.is_open:
            return None
        wait = _FOR_EVER_MS if seen.until_ms is None else seen.until_ms - now.today_ms
        detail = f"its window {window.cron} is closed"
        return Rest(due_in(min(wait, _FOR_EVER_MS), now), Reason.WINDOW_CLOSED, detail)

    async def _preconditions(self, claim: Claim, now: Moment) -> Rest | None:
        conditions: Mapping[str, Condition] = conditions_of(claim.spec)
        own = {"job.attempt": claim.attempt}
        for place, condition in conditions.items():
            if not place.startswith("preconditions["):
                continue
            holds = await self._facts.holds(condition, claim.device, own)
            if not holds:
                how = "cannot be told" if holds is None else "does not hold"
                detail = f"{condition.text} {how}"[: limits.DETAIL_CHARS]
                due = due_in(limits.PRECONDITION_MS, now)
                return Rest(due, Reason.PRECONDITION_OPEN, detail)
        return None
