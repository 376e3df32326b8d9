"""Sticks on their way while an older card is put back: its numbers stand for other readings."""

from contextlib import AsyncExitStack
from pathlib import Path

from tests.courier_world import ROOM, Crossing


async def test_what_answers_a_stick_of_the_newer_card_frees_nothing_of_the_older_one(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        crossing = await _answered_before_put_back(tmp_path, stack)
        await crossing.poll(7)
        await crossing.fill_up(ROOM)
        before = await crossing.telemetry.tally()
        await crossing.deliver(2, 0)
        assert await crossing.telemetry.tally() == before, "the number is taken, not the readings"


async def test_what_is_recorded_after_a_stick_left_waits_for_the_next_one(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        crossing = await _answered_before_put_back(tmp_path, stack)
        await crossing.fill_up(ROOM)
        await crossing.fill_up(ROOM)  # numbered above what the newer card said: its return counts
        await crossing.deliver(len(crossing.sticks) - 1, 0)
        await crossing.fill_down()
        announced = (await crossing.telemetry.tally()).stored
        await crossing.poll(7)
        await crossing.telemetry.seal()
        before = await crossing.telemetry.tally()
        await crossing.deliver(len(crossing.sticks) - 1, 0)
        after = await crossing.telemetry.tally()
        assert after.delivered == announced, "what the stick brought is acknowledged"
        assert after.stored == before.stored - announced, "what no stick announced is not"


async def test_what_answers_the_newer_card_frees_no_receipts_of_the_older_one(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        crossing = Crossing(tmp_path, stack)
        await crossing.begin()
        await crossing.fill_up(ROOM)
        await crossing.deliver(-1, 0)
        await crossing.fill_down()
        await crossing.deliver(-1, 0)
        await crossing.take_picture()
        await _work(crossing)
        await crossing.fill_up(ROOM)
        await crossing.deliver(-1, 0)
        await crossing.put_back()
        await _work(crossing)
        assert crossing.receipts == 0, "it had written none when that return came"
        await crossing.fill_down()
        await crossing.deliver(-1, 0)
        assert crossing.receipts == 0, "under these numbers it told of something else"
        await crossing.settle()
        assert crossing.receipts > 0, "its own sticks are answered"


async def _work(crossing: Crossing) -> None:
    """Have it take on a job by a stick, which it writes a receipt of."""
    await crossing.job()
    await crossing.fill_down()
    await crossing.deliver(-1, 0)


async def _answered_before_put_back(folder: Path, stack: AsyncExitStack) -> Crossing:
    """Return an agent with an older card; stick 2 answers the newer one, of a block more."""
    crossing = Crossing(folder, stack)
    await crossing.begin()
    await crossing.poll(5)
    await crossing.fill_up(ROOM)
    await crossing.deliver(0, 0)
    await crossing.take_picture()
    await crossing.poll(5)
    await crossing.fill_up(ROOM)
    await crossing.deliver(1, 0)
    await crossing.fill_down()
    await crossing.put_back()
    return crossing
