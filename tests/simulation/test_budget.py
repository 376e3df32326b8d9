"""A link whose bytes are limited, on virtual days: what is spent, what waits, what goes anyway."""

import asyncio
from dataclasses import replace
from pathlib import Path

from agent.core.budget import BudgetSettings
from agent.core.settings import UplinkSettings
from agent.store.contact import ContactStore
from tests.simulation.uplink_box import Box, play

DAY_S = 86_400
FEW = UplinkSettings(sync_interval_ms=60_000, budget=BudgetSettings(day_bytes=20_000))
MONTHLY = replace(FEW, budget=BudgetSettings(month_bytes=40_000))


def left_of_day(box: Box) -> float:
    return DAY_S - box.world.clock.wall_ms() / 1000 % DAY_S


async def sent(box: Box) -> int:
    """Return all bytes that the link ever carried."""
    standing = await box.store.standing()
    return standing.bytes_up + standing.bytes_down


def test_a_day_is_never_spent_twice_and_every_reading_arrives_when_it_turns(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(left_of_day(box) + 1)
        for _ in range(3):
            before, left = await sent(box), left_of_day(box) - 2
            while left > 0:
                await box.poll()
                await asyncio.sleep(step := min(60.0, left))
                left -= step
            assert await sent(box) - before <= 20_000
            assert (await box.telemetry.tally()).stored > 0, "readings wait"
            assert box.purse.allowance().rung > 0
            await asyncio.sleep(130)
            tally = await box.telemetry.tally()
            assert tally.delivered >= tally.sampled - 3, "the new day took them along"

    play(tmp_path, scenario, FEW)


def test_alarms_call_at_once_beyond_the_limit(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(60)
        box.purse.charge(50_000)
        await asyncio.sleep(60)  # for the contact that was planned before
        calls = len(box.line.calls)
        await asyncio.sleep(3_600)
        assert len(box.line.calls) == calls
        box.uplink.nudge(urgent=True)
        await asyncio.sleep(1)
        assert len(box.line.calls) == calls + 1

    play(tmp_path, scenario, FEW)


def test_a_restart_does_not_give_the_bytes_back(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(600)
        spent = (await ContactStore(box.file).standing()).spent
        assert spent == box.purse.spent
        assert spent.day_bytes == spent.month_bytes == await sent(box) > 0

    play(tmp_path, scenario, FEW)


def test_a_month_that_is_spent_keeps_a_sign_of_life(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(60)
        box.purse.charge(40_000)
        calls = len(box.line.calls)
        await asyncio.sleep(3 * DAY_S)
        assert len(box.line.calls) - calls in {2, 3}

    play(tmp_path, scenario, MONTHLY)
