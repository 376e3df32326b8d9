"""What a coordinator may ask of an agent: blocks again, and another time for the next contact."""

import asyncio
from pathlib import Path

from shared.sync.outgoing import Freed
from shared.sync.ranges import Ranges
from tests.simulation.uplink_box import Box, play


async def met(box: Box, contacts: int) -> None:
    """Wait for so many more contacts."""
    until = len(box.line.calls) + contacts
    while len(box.line.calls) < until:
        await asyncio.sleep(1)
    await asyncio.sleep(0.5)


def test_what_is_asked_for_again_is_sent_or_said_to_be_gone(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await met(box, 1)
        for _ in range(3):
            await box.poll()
            await box.telemetry.seal()
        # The second block was set aside: it is nowhere any more.
        await box.telemetry.free(Freed(Ranges.of([2]), (), 0, 0, (), safe_to=3))
        box.brain.wishes = {"wanted": [(1, 2), (9, 9)]}
        await met(box, 1)
        *_, asked_at, answered_at = box.line.times()
        assert answered_at - asked_at <= 1, "it is answered at once"
        report = box.line.calls[-1][2]
        assert report.gone == [(2, 2)], "9 was never made"

    play(tmp_path, scenario)


def test_asking_for_the_same_again_and_again_causes_no_endless_contacts(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await met(box, 1)
        await box.poll()
        box.brain.wishes = {"wanted": [(1, 1)]}
        for _ in range(600):
            await asyncio.sleep(1)
            assert len(box.line.calls) <= 13

    play(tmp_path, scenario)


def test_the_next_contact_comes_when_the_coordinator_would_like_it(tmp_path: Path):
    async def scenario(box: Box) -> None:
        box.brain.wishes = {"next_s": 7}
        await met(box, 4)
        first, *rest = box.line.times()
        assert [b - a for a, b in zip([first, *rest], rest, strict=False)] == [7] * len(rest)
        box.brain.wishes = {"next_s": 300}
        await met(box, 2)
        assert box.line.times()[-1] - box.line.times()[-2] == 300

    play(tmp_path, scenario)
