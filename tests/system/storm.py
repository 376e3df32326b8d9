"""A storm over one gateway: kills, torn contacts, a vanishing link, while orders keep arriving.

Owns the blows and the moments at which they fall. The moments are tied to what happens, not to the
clock: a reading that was just served, bytes that just crossed the link, a register that was just
written, a process that just began. Leaves out what must hold afterwards: that is the test's.
"""

import random
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import assert_never

from tests.system.fleet import Fleet, set_pumps
from tests.system.fleet_parts import Gateway, until

FIRST_SETPOINT = 1000
_HANDSHAKE_BYTES = 1_500


class Blow(Enum):
    """What can befall a gateway."""

    KILL_AGENT = auto()
    KILL_COORDINATOR = auto()
    BLACK_HOLE = auto()
    """The link's packets vanish for a while."""
    TEAR = auto()
    """Each contact is reset somewhere in its middle, for a while."""
    STOP = auto()
    """The agent is stopped in good order, and started again."""


class Storm:
    """One run of blows, and the jobs that were ordered meanwhile."""

    def __init__(self, fleet: Fleet, gateway: Gateway, chance: random.Random) -> None:
        self.jobs: list[str] = []
        """Each wants a setpoint that no other does: its place in this list + FIRST_SETPOINT."""
        self._fleet, self._gateway, self._chance = fleet, gateway, chance
        self._coordinator_is_up = True

    async def rage(self, blows: Sequence[Blow]) -> None:
        """Strike in random order; afterwards everything runs, and one more job was ordered."""
        for blow in self._chance.sample(blows, len(blows)):
            # Half the time the agent is struck while the coordinator is still down.
            if blow is not Blow.KILL_AGENT or self._chance.random() < 0.5:
                await self._mend()
            await self._strike(blow)
        await self._mend()
        await self._order()
        await self._gateway.polled()

    async def _strike(self, blow: Blow) -> None:
        gateway, link = self._gateway, self._gateway.link
        match blow:
            case Blow.KILL_AGENT:
                await self._moment()
                await gateway.kill()
                await gateway.start()
            case Blow.KILL_COORDINATOR:
                await self._moment()
                await self._fleet.coordinator.kill()
                self._coordinator_is_up = False
            case Blow.BLACK_HOLE:
                await self._order()
                link.black_hole(True)
                await self._after_polls()
                link.black_hole(False)
            case Blow.TEAR:
                await self._order()
                link.reset_after_bytes = self._chance.randrange(_HANDSHAKE_BYTES, 7_000)
                await self._after_polls()
                link.reset_after_bytes = None
            case Blow.STOP:
                await gateway.polled()
                await gateway.stop()
                await gateway.start()
            case _:
                assert_never(blow)

    async def _moment(self) -> None:
        """Wait for a random moment."""
        moments = [self._after_polls, self._after_polls, self._at_once]
        if self._coordinator_is_up:
            await self._order()
            moments += [self._after_bytes, self._after_a_write, self._after_a_write]
        await self._chance.choice(moments)()

    async def _order(self) -> None:
        setpoint = FIRST_SETPOINT + len(self.jobs)
        self.jobs.append(await self._fleet.submit(set_pumps(setpoint, selector="site=storm")))

    async def _mend(self) -> None:
        if not self._coordinator_is_up:
            await self._fleet.coordinator.start()
            self._coordinator_is_up = True

    # --- moments ------------------------------------------------------------------------------
    async def _at_once(self) -> None:
        """While a process that was started just now is still coming up, or while work begins."""

    async def _after_polls(self) -> None:
        await self._grown("polls", self._gateway.polls, self._chance.randint(1, 15))

    async def _after_bytes(self) -> None:
        size = self._chance.randint(1, 12_000)
        await self._grown("bytes", lambda: self._gateway.link.stats.total_bytes, size)

    async def _after_a_write(self) -> None:
        """Between an effect and its receipt."""
        await self._grown("writes", self._gateway.writes, 1)

    async def _grown(self, what: str, count: Callable[[], int], more: int) -> None:
        goal = count() + more

        async def reached() -> bool | None:
            self._gateway.check()
            return True if count() >= goal else None

        await until(f"{more} more {what}", reached)
