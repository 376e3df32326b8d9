"""A fleet at play: who calls when, over one kind of line, through any weather.

Two ways to arrive: by chance, so many a second on average, whatever the coordinator's answers take
(Poisson: the way real sites do); or a fixed number at once, each answer followed by the next
contact (how much it can take). Agents are drawn at random from all, or each has one turn; nobody
makes two contacts at once. Whoever is turned away comes again after a jittered pause with the same
bytes. Leaves out what a gateway says (`gateway`).
"""

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from firmware_sim.fleet.gateway import Gateway
from firmware_sim.fleet.line import Line
from firmware_sim.fleet.tally import Tally
from firmware_sim.fleet.weather import Outage
from shared import limits
from shared.clock import Clock
from shared.errors import RefusedError
from shared.model.policy import full_jitter_ms

_OK = 200
_TURNED_AWAY = frozenset({429, 502, 503, 504})
_BACK_OFF_S, _BACK_OFF_MAX_S = 1, 60
_TRIES = 16
"""Draws until a gateway is found that is neither talking nor cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """How a fleet calls."""

    seconds: float
    rate: float = 0.0
    """Contacts a second, by chance; 0: `in_flight` at once, as fast as they are answered."""
    in_flight: int = 64
    blocks: int = 1
    """New ones in each contact."""
    outages: tuple[Outage, ...] = ()
    contacts: int = 0
    """End after so many; 0: after the time alone."""
    once: bool = False
    """End when each has made one contact, without a rate: who is turned away comes again."""
    seed: int = 0


class _Problem(msgspec.Struct, frozen=True):
    """What a refused contact is told (RFC 9457), as far as it is counted."""

    type: str = "unknown"


class Crowd:
    """All gateways of a fleet, calling."""

    def __init__(self, gateways: Sequence[Gateway], line: Line, clock: Clock, play: Play) -> None:
        self._gateways, self._line, self._clock, self._play = gateways, line, clock, play
        self._dice = random.Random(play.seed)
        self._turns = list(range(len(gateways))) if play.once else []
        """Of these each still has one."""
        self._dice.shuffle(self._turns)
        self._busy: set[int] = set()
        self._failures: dict[int, int] = {}
        self._later: list[tuple[float, int, int]] = []
        """(when, order, who): calls that were put off; a heap."""
        self._order = itertools.count()
        self._began_s = 0.0
        self._begun = 0
        self.tally = Tally()

    async def run(self) -> Tally:
        """Play to the end; contacts that have begun are finished."""
        self._began_s = time.monotonic()
        self._storms()
        if self._play.rate > 0:
            await self._by_chance()
        else:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._play.in_flight, limits.FLEET_IN_FLIGHT)):
                    group.create_task(self._again_and_again())
        return self.tally

    @property
    def passed_s(self) -> float:
        """Return for how long the fleet has played."""
        return time.monotonic() - self._began_s

    @property
    def _over(self) -> bool:
        most = self._play.contacts
        is_done = self._play.once and not (self._turns or self._later)
        is_full = bool(most and self._begun >= most)
        return is_done or is_full or self.passed_s >= self._play.seconds

    def _storms(self) -> None:
        """Let everybody call who was cut off, the moment that the line is back."""
        for outage in self._play.outages:
            for index, gateway in enumerate(self._gateways):
                if outage.concerns(gateway.seat.number):
                    self._put_off(index, outage.ends_s)

    def _put_off(self, index: int, at_s: float) -> None:
        heapq.heappush(self._later, (at_s, next(self._order), index))

    async def _again_and_again(self) -> None:
        while not self._over:
            index = self._draw()
            if index is None:
                await asyncio.sleep(0.01)
            else:
                await self._call(index)

    async def _by_chance(self) -> None:
        next_s = 0.0
        async with asyncio.TaskGroup() as group:
            while not self._over:
                next_s += self._dice.expovariate(self._play.rate)
                if (pause_s := next_s - self.passed_s) > 0:
                    await asyncio.sleep(pause_s)
                for index in self._due():
                    group.create_task(self._call(index))
                who = None if len(self._busy) >= limits.FLEET_IN_FLIGHT else self._draw()
                if who is None:
                    self.tally.dropped += 1
                else:
                    group.create_task(self._call(who))

    def _draw(self) -> int | None:
        """Return who calls next and hold a place; None when nobody was found who can."""
        for index in self._due(most=1):
            return index
        for index in self._some():
            if index in self._busy:
                continue
            if self._is_cut(index):
                self._gateways[index].sample(self._clock.wall_ms())
                continue
            self._busy.add(index)
            return index
        return None

    def _some(self) -> Iterator[int]:
        """Give some of all, or of who has a turn: who is cut off calls when the line is back."""
        for _ in range(_TRIES):
            if not self._play.once:
                yield self._dice.randrange(len(self._gateways))
            elif self._turns:
                yield self._turns.pop()

    def _due(self, most: int = limits.FLEET_IN_FLIGHT) -> list[int]:
        """Hold a place for each whose call was put off until now, as far as there are places."""
        found: list[int] = []
        room = min(most, limits.FLEET_IN_FLIGHT - len(self._busy))
        while len(found) < room and self._later and self._later[0][0] <= self.passed_s:
            _, _, index = heapq.heappop(self._later)
            if index not in self._busy and not self._is_cut(index):
                self._busy.add(index)
                found.append(index)
        return found

    def _is_cut(self, index: int) -> bool:
        number, at_s = self._gateways[index].seat.number, self.passed_s
        return any(outage.cuts(number, at_s) for outage in self._play.outages)

    async def _call(self, index: int) -> None:
        """Make one contact; its place is free afterwards."""
        gateway, now_ms = self._gateways[index], self._clock.wall_ms()
        self._begun += 1
        try:
            if not self._failures.get(index):
                for _ in range(self._play.blocks):
                    gateway.sample(now_ms)
            body = gateway.write(now_ms)
            began_s = time.perf_counter()
            try:
                answer = await self._line.post("/v1/sync", body)
            except ConnectionError:
                self._fail(index, "line", 0)
                return
            if answer.status != _OK:
                self._fail(index, _problem(answer.body, answer.status), answer.again_s)
                return
            try:
                heard = gateway.read(answer.body, now_ms)
            except RefusedError as error:
                self._fail(index, f"answer {error.reason.text}", 0)
                return
            self.tally.note_time((time.perf_counter() - began_s) * 1000)
            self._failures.pop(index, None)
            self.tally.contacts += 1
            self.tally.blocks += heard.blocks
            self.tally.readings += heard.readings
            self.tally.executions += heard.executions
            self.tally.bytes_up += len(body)
            self.tally.bytes_down += len(answer.body)
            if heard.hurry:
                self._put_off(index, self.passed_s)
        finally:
            self._busy.discard(index)

    def _fail(self, index: int, why: str, again_s: int) -> None:
        self.tally.refused[why] += 1
        failures = self._failures[index] = self._failures.get(index, 0) + 1
        wait_ms = full_jitter_ms(
            failures, initial_s=_BACK_OFF_S, max_s=_BACK_OFF_MAX_S, fraction=self._dice.random()
        )
        self._put_off(index, self.passed_s + max(again_s, wait_ms / 1000))


def _problem(body: bytes, status: int) -> str:
    """Return the name of the problem that an answer tells of."""
    try:
        return msgspec.json.decode(body, type=_Problem).type.rpartition(":")[2]
    except msgspec.MsgspecError:
        return f"status {status}"
