"""Whose turn it is to pull a file for the site, and what neighbours are told of it.

Owns this gateway's lease: which file it pulls, and when that grew last. Who goes first is decided
in `agent.core.neighbours`; asking neighbours is an `Adviser`'s; the line is
`agent.services.artifacts`'s.
"""

import asyncio
from typing import Protocol

from agent.core.artifacts import Wanted
from agent.core.neighbours import Advice, Grown, Pull, Says, grown
from agent.store.artifacts import Shelf
from shared import limits
from shared.clock import Clock


class Adviser(Protocol):
    """Knows what the other gateways of the site say; see `agent.services.neighbourhood`."""

    async def advise(self, wanted: Wanted, mine: Says, *, afresh: bool = False) -> Advice:
        """Return what to do next about a file; `afresh`: by nothing that was said before."""


class Turn:
    """Of one gateway; of one file at a time."""

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        """Wire it up; with no `adviser` it is always this gateway's turn."""
        self._shelf, self._clock = shelf, clock
        self._lease: tuple[bytes, Grown] | None = None
        self.adviser: Adviser | None = None

    @property
    def is_leased(self) -> bool:
        """Tell whether this gateway pulls, or is about to."""
        return self._lease is not None

    async def says(self, wanted: Wanted, *, free: bool) -> Says:
        """Return what neighbours may know of a file here; `free`: the line could pull it."""
        held = await asyncio.to_thread(self._shelf.shown, wanted)
        now_ms, pulling = self._clock.mono_ms(), False
        if self._lease is not None and self._lease[0] == wanted.digest:
            still = grown(self._lease[1], held, now_ms)
            self._lease = wanted.digest, still
            pulling = now_ms - still.at_ms < limits.SHARE_STALL_MS
        return Says(held=held, able=pulling or free, pulling=pulling)

    async def advice(self, wanted: Wanted, *, free: bool) -> Advice:
        """Return what to do next about a file."""
        if self.adviser is None:
            return Pull()
        mine = await self.says(wanted, free=free)
        if mine.held >= wanted.size:
            return Pull()  # it only has to be settled
        return await self.adviser.advise(wanted, mine)

    async def lease(self, wanted: Wanted) -> bool:
        """Take the turn if nobody else does; tell whether it is this gateway's.

        It is told before anybody is asked: of two that begin at once, by what each heard of the
        other a moment ago, at least the second hears of the first and leaves it to that one. If
        both hear of each other both do, and look again by what is so then.
        """
        if self.adviser is None or (self._lease and self._lease[0] == wanted.digest):
            return True
        mine = await self.says(wanted, free=True)
        if mine.held >= wanted.size:
            return True
        self._lease = wanted.digest, Grown(mine.held, self._clock.mono_ms())
        if isinstance(await self.adviser.advise(wanted, mine, afresh=True), Pull):
            return True
        self._lease = None
        return False

    def let_go(self, wanted: Wanted | None = None) -> None:
        """Tell neighbours no more that this file, or whichever it is, is pulled here."""
        if wanted is None or (self._lease and self._lease[0] == wanted.digest):
            self._lease = None
