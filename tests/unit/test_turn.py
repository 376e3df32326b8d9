"""Whose turn it is: gateways that begin at once, by what they heard of each other a while ago."""

import asyncio
import random
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.core.artifacts import Wanted
from agent.core.neighbours import Advice, Pull, Says, advise
from agent.services.turn import Turn
from agent.store.artifacts import Shelf
from shared.clock import MonoMs

SIZE = 1_000_000
WANTED = Wanted(sha256(b"a file").digest(), SIZE)


class Still:
    """A clock that stands."""

    def mono_ms(self) -> MonoMs:
        return MonoMs(0)


class Copy(Shelf):
    """A shelf with so much of the file."""

    def __init__(self, held: int) -> None:
        super().__init__(Path("/nowhere"), b"b" * 16)
        self.now = held

    def shown(self, wanted: Wanted) -> int:
        assert wanted == WANTED
        return self.now


@dataclass
class Near:
    """The others of a site, heard as slowly as chance will have it."""

    name: str
    chance: random.Random
    others: dict[str, Turn] = field(default_factory=dict)
    heard: list[Says] = field(default_factory=list)

    async def ask(self, name: str, turn: Turn) -> Says:
        await loiter(self.chance)
        said = await turn.says(WANTED, free=True)
        await loiter(self.chance)
        return Says(name, said.held, said.able, said.pulling)

    async def advise(self, wanted: Wanted, mine: Says, *, afresh: bool = False) -> Advice:
        if afresh or not self.heard:
            asked = [self.ask(*one) for one in self.others.items()]
            self.heard = list(await asyncio.gather(*asked))
        me = Says(self.name, mine.held, mine.able, mine.pulling)
        return advise(me, wanted.size, self.heard, (), settled_in_ms=0)


async def loiter(chance: random.Random) -> None:
    for _ in range(chance.randrange(4)):
        await asyncio.sleep(0)


def site(held: dict[str, int], chance: random.Random) -> dict[str, tuple[Turn, Near]]:
    clock = Still()
    turns = {name: Turn(Copy(size), clock) for name, size in held.items()}  # type: ignore[arg-type]  # all that it asks a clock for
    found = {}
    for name, turn in turns.items():
        others = {other: one for other, one in turns.items() if other != name}
        turn.adviser = near = Near(name, chance, others)
        found[name] = turn, near
    return found


async def begin(turn: Turn, chance: random.Random) -> bool:
    await loiter(chance)
    return await turn.lease(WANTED)


@given(
    st.integers(0, 2**32), st.dictionaries(st.sampled_from("abcd"), st.integers(0, 9), min_size=2)
)
def test_of_those_who_begin_at_once_at_most_one_pulls_and_soon_one_does(
    seed: int, held: dict[str, int]
) -> None:
    chance = random.Random(seed)

    async def play() -> None:
        houses = site(held, chance)
        turns = [turn for turn, _ in houses.values()]
        began = await asyncio.gather(*(begin(turn, chance) for turn in turns))
        assert began.count(True) <= 1
        assert [turn.is_leased for turn in turns] == began
        if not any(began):
            # Each looks again, by what is so now.
            for turn, near in houses.values():
                near.heard.clear()
                mine = await turn.advice(WANTED, free=True)
                if mine == Pull():
                    assert await turn.lease(WANTED)
            assert sum(turn.is_leased for turn in turns) == 1

    asyncio.run(play())


async def test_what_was_said_a_while_ago_is_no_reason_to_begin() -> None:
    houses = site({"a": 20, "b": 40}, random.Random(1))
    (a, _), (b, at_b) = houses["a"], houses["b"]
    at_b.heard = [Says("a", 20, able=True)]
    assert isinstance(a._shelf, Copy)
    a._shelf.now = 40
    assert await b.advice(WANTED, free=True) == Pull()
    assert not await b.lease(WANTED)
    assert await a.lease(WANTED)


async def test_who_has_the_turn_keeps_it_though_another_would_have_gone_first() -> None:
    houses = site({"a": 0, "b": 0}, random.Random(1))
    (a, _), (b, at_b) = houses["a"], houses["b"]
    at_b.others.clear()  # it has not found its neighbour yet
    assert await b.lease(WANTED)
    assert not await a.lease(WANTED)
    at_b.others["a"] = a
    assert await b.lease(WANTED)
    b.let_go(WANTED)
    assert await a.lease(WANTED)
