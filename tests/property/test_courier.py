"""A forgetful courier: sticks lost, late, doubled, cut, mixed up; in the end both sides agree.

The real agent's stores and carrier, and a real coordinator; only the files in between are the
courier's.
"""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.courier_world import ROOM, Crossing

steps = st.one_of(
    st.tuples(st.just("poll"), st.integers(1, 60)),
    st.tuples(st.just("up"), st.sampled_from([ROOM, 40_000, 20_000])),
    st.tuples(st.just("down")),
    st.tuples(st.just("deliver"), st.integers(0, 9), st.sampled_from([0, 0, 0, 5, 300, 5_000])),
    st.tuples(st.just("job")),
)


@settings(max_examples=10)
@given(st.lists(steps, max_size=25))
@example([("poll", 60), ("up", ROOM), ("deliver", 0, 0), ("job",), ("down",), ("poll", 9)])
@example(
    [
        *[("poll", 60), ("up", 20_000), ("poll", 60), ("up", ROOM), ("deliver", 1, 0)],
        *[("job",), ("down",), ("job",), ("down",), ("deliver", 3, 0), ("deliver", 2, 0)],
        *[("deliver", 0, 0), ("deliver", 0, 0), ("deliver", 1, 5_000)],
    ]
)
def test_whatever_the_courier_does_nothing_is_lost_doubled_or_held_against_anybody(
    script: list[tuple[Any, ...]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), script))


async def play(folder: Path, script: list[tuple[Any, ...]]) -> None:
    async with AsyncExitStack() as stack:
        crossing = Crossing(folder, stack)
        await crossing.begin()
        for step in script:
            match step:
                case ("poll", count):
                    await crossing.poll(count)
                case ("up", room):
                    await crossing.fill_up(room)
                case ("down",):
                    await crossing.fill_down()
                case ("deliver", index, cut) if crossing.sticks:
                    await crossing.deliver(index, cut)
                case ("job",):
                    await crossing.job()
        await crossing.settle()
        await crossing.check()
