"""A link whose bytes are limited, on virtual days: what is spent, what waits, what goes anyway."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.budget import BudgetSettings
from agent.core.settings import UplinkSettings
from agent.core.uplink import Fault, LinkFailed
from agent.store.contact import ContactStore
from shared.sync.body import PartKind, decode_body
from tests.simulation.uplink_box import Box, Line, play

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


METERED = UplinkSettings(
    metered=True, sync_interval_ms=21_600_000, budget=BudgetSettings(day_bytes=100_000)
)
BUSY = 3_000
"""What the line adds to a body that is refused."""


class Refusing:
    """A coordinator that answers nothing but 503: what went up is spent all the same."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.bodies: list[list[PartKind]] = []

    async def __call__(self, body: bytes, *, wait_s: int, keep: bool) -> LinkFailed:
        self.bodies.append([part.kind for part in decode_body(body, bound=len(body))])
        await asyncio.sleep(0.05)
        return LinkFailed(fault=Fault.BUSY, detail="503", up=len(body) + BUSY)


def test_a_coordinator_in_trouble_for_days_does_not_spend_more_than_the_days_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(left_of_day(box) - 3_600)
        refusing = Refusing(box.line)
        monkeypatch.setattr(box.line, "exchange", refusing)
        for day in range(5):
            await asyncio.sleep(left_of_day(box) + 1)
            before, calls = await sent(box), len(refusing.bodies)
            left = left_of_day(box) - 2
            while left > 0:
                await box.poll()
                await asyncio.sleep(step := min(60.0, left))
                left -= step
            # A body that began on the rung before may be its largest: 32 kB.
            assert await sent(box) - before <= 115_000, f"day {day}"
            assert len(refusing.bodies) > calls, "it is asked again"

    play(tmp_path, scenario, METERED)


def test_a_report_from_earlier_carries_no_readings_once_bytes_are_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(60)
        usual, refusing = box.line.exchange, Refusing(box.line)
        for _ in range(200):
            await box.poll()
        await box.telemetry.seal()
        monkeypatch.setattr(box.line, "exchange", refusing)
        box.uplink.nudge(urgent=True)
        await asyncio.sleep(1)
        assert PartKind.BLOCK in refusing.bodies[-1]
        box.purse.charge(100_000)
        box.uplink.nudge(urgent=True)
        await asyncio.sleep(1)
        assert PartKind.BLOCK not in refusing.bodies[-1], "the same report"
        monkeypatch.setattr(box.line, "exchange", usual)
        calls = len(box.line.calls)
        box.uplink.nudge(urgent=True)
        await asyncio.sleep(1)
        assert len(box.line.calls) == calls + 2, "that report is answered, and the alarm follows"
        assert (await box.telemetry.tally()).stored > 0, "readings wait"
        await asyncio.sleep(left_of_day(box) + DAY_S / 2)
        tally = await box.telemetry.tally()
        assert tally.delivered == tally.sampled, "none was taken for told"
        assert box.brain.offences == []

    play(tmp_path, scenario, METERED)


def test_a_month_that_is_spent_keeps_a_sign_of_life(tmp_path: Path):
    async def scenario(box: Box) -> None:
        await asyncio.sleep(60)
        box.purse.charge(40_000)
        calls = len(box.line.calls)
        await asyncio.sleep(3 * DAY_S)
        assert len(box.line.calls) - calls in {2, 3}

    play(tmp_path, scenario, MONTHLY)
