"""The line to the coordinator as files see it: when it is free, what it may cost, how they ask.

Owns that contacts go first: nothing is asked for while one is at work, and a file's pieces are
as short as the line is slow. Leaves out what is fetched (`agent.services.artifacts`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from agent.core.artifacts import Shut, Span, Wanted, allowed_bytes
from agent.core.contact import Identity
from agent.core.uplink import Answered, Delivered, LinkFailed
from agent.services.calendar import Calendar
from agent.services.contact_http import HttpLink
from agent.services.http_connection import Take
from agent.services.membership import Member, MemberContact
from agent.services.purse import Purse
from agent.services.uplink import Hours
from agent.store.contact import ContactStore
from shared.clock import Clock
from shared.model.artifact import artifact_text
from shared.trust.envelope import Signer
from shared.trust.fetch import Fetch, fetch_header


class Lane:
    """Whether a contact is at work, and what the last one showed of the line."""

    def __init__(self) -> None:
        self.busy = False
        self.up = False
        self.freed: Callable[[], None] = lambda: None
        """Called when a contact has ended."""


class PoliteContact(MemberContact):
    """Contacts that files step aside for."""

    def __init__(self, member: Member, lane: Lane, **parts: Any) -> None:  # noqa: ANN401  # a contact's own
        """Wire it up; `parts` are a contact's own."""
        super().__init__(member, **parts)
        self._lane = lane

    async def run(self, **options: Any) -> Answered | LinkFailed:  # noqa: ANN401  # the same
        """Make one contact; one that is held open for work leaves the line to others."""
        self._lane.busy = not options.get("wait_s")
        up = False
        try:
            end = await super().run(**options)
            up = isinstance(end, Answered)
            return end
        finally:
            self._lane.busy, self._lane.up = False, up
            self._lane.freed()


@dataclass(frozen=True, slots=True, kw_only=True)
class LineGate:
    """`agent.services.artifacts.Gate` of a line with contacts, a budget and hours."""

    lane: Lane
    purse: Purse
    hours: Hours | None
    calendar: Calendar
    clock: Clock
    store: ContactStore

    def allowed(self) -> int | Shut:
        """Return how many bytes a request may bring now, or why none may be made."""
        if self.lane.busy:
            return Shut("a contact is at work", passing=True)
        if not self.lane.up or self.calendar.present() is None:
            return Shut("the coordinator has not been reached", passing=True)
        if self.hours is not None:
            now_ms = self.clock.mono_ms()
            opens_ms = self.hours.reachable(now_ms)
            if opens_ms > now_ms:
                return Shut("the line is closed at this hour", opens_ms - now_ms)
        return allowed_bytes(self.purse.allowance(), self.purse.turns_in_ms())

    async def charge(self, end: Delivered | LinkFailed) -> None:
        """Count what a request cost, as a contact's bytes are counted.

        Raises:
            WorldError: it could not be written down.
        """
        spent = self.purse.charge(end.up + end.down)
        await self.store.count_bytes(up=end.up, down=end.down, spent=spent)


class Way(Protocol):
    """A link that another one can be opened beside."""

    def beside(self) -> HttpLink:
        """Return another link to the same place."""


class Coordinator:
    """`agent.services.artifacts.Source`: the coordinator, asked with a signature for each file."""

    def __init__(self, way: Way, identity: Identity, signer: Signer, calendar: Calendar) -> None:
        """Ask as this agent."""
        self._way, self._identity, self._signer = way, identity, signer
        self._calendar = calendar
        self._link: HttpLink | None = None

    async def get(self, wanted: Wanted, span: Span, take: Take) -> Delivered | LinkFailed:
        """Ask for a part of a file over a connection that is kept while there is more."""
        link = self._link = self._link or self._way.beside()
        fetch = Fetch(
            fleet=self._identity.root.fleet,
            agent=self._identity.agent,
            artifact=wanted.digest,
            at_ms=self._calendar.now().today_ms,
        )
        signed = f"Authorization: {fetch_header(fetch, self._signer)}\r\n"
        path = f"/v1/fetch/{artifact_text(wanted.digest)}"
        return await link.get(path, signed + span.header, take)

    async def close(self) -> None:
        """Let go of the connection."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()
