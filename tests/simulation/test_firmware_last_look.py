"""Boards that go back over the last look of a trial: what nobody saw well is not kept."""

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import firmware_sim.smp.board as boards
from firmware_sim.smp.image_group import ImageGroup
from firmware_sim.smp.packet import Fields, Payload
from shared.errors import Reason
from tests.simulation.loop import World, simulate
from tests.smp_parts import image
from tests.smp_site import PROFILE
from tests.smp_world import Bench, Kept

NEW = image("2.0.0")
CRASHES = image("2.0.0", body=b"outstation-sim: crashes-after=5")
SOAKING = PROFILE.replace("soak_s = 0", "soak_s = 4")


def play(scenario: Any) -> Any:
    return simulate(scenario, seed=0)


def listening(bench: Bench) -> list[str]:
    """What the bootloader does from here on, start by start."""
    swaps: list[str] = []
    note: Callable[[dict[str, object]], None] = bench.node.board._note

    def hear(entry: dict[str, object]) -> None:
        if entry.get("event") == "boot":
            swaps.append(str(entry["swap"]))
        note(entry)

    bench.node.board._note = hear
    return swaps


@pytest.fixture(params=["one image", "two images"])
def several(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device with a second processor is told by name what to keep."""
    if request.param == "one image":
        return
    read = ImageGroup.read_state

    def more(group: ImageGroup, fields: Fields) -> Payload:
        told = read(group, fields)
        radio = {"image": 1, "slot": 0, "version": "1.0.0", "hash": bytes(32), "active": True}
        return {**told, "images": [*told["images"], radio]}  # type: ignore[misc]

    monkeypatch.setattr(ImageGroup, "read_state", more)


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("away_ms", [1_200, 2_400, 3_600, 4_800])
def test_a_board_that_is_away_at_the_last_look_is_not_taken_for_well(
    away_ms: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(boards, "POWER_BACK_MS", away_ms)

    async def scenario(world: World, cut: int) -> int:
        bench = Bench(world, tmp_path)
        swaps = listening(bench)
        bench.bus.board_cut_after = cut
        outcome = await bench.update(NEW)
        assert "permanent" not in swaps, (cut, swaps)
        kept = "revert" not in swaps
        assert outcome.reason is (None if kept else Reason.FIRMWARE_REVERTED), (cut, outcome)
        assert bench.runs() == ("2.0.0" if kept else "1.0.0"), (cut, outcome)
        return bench.node.requests

    most = play(lambda world: scenario(world, 1_000))
    for cut in range(most - 8, most):
        play(lambda world, cut=cut: scenario(world, cut))


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("boot_ms", "crash_ms"), [(2_100, 4_372), (2_100, 4_380), (2_200, 4_272), (2_200, 4_276)]
)
def test_an_image_that_crashes_at_the_last_look_is_not_kept(
    boot_ms: int, crash_ms: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(boards, "BOOT_MS", boot_ms)
    read = boards.read_firmware

    def crashing(body: bytes) -> boards.Firmware:
        found = read(body)
        return dataclasses.replace(found, crashes_after_ms=found.crashes_after_ms and crash_ms)

    monkeypatch.setattr(boards, "read_firmware", crashing)

    async def scenario(world: World) -> None:
        bench = Bench(world, tmp_path)
        swaps = listening(bench)
        outcome = await bench.update(CRASHES, text=SOAKING)
        assert (outcome.reason, swaps) == (Reason.FIRMWARE_REVERTED, ["test", "revert"])
        assert bench.runs() == "1.0.0"

    play(scenario)


def test_a_word_that_comes_when_the_board_is_back_already_keeps_what_runs(tmp_path: Path):
    """Its supply fails after the last look, while the gateway's card takes its time."""

    async def scenario(world: World) -> None:
        bench = Bench(world, tmp_path)

        class Slow(Kept):
            async def keep_config(self, owner: Any, device: Any, names: Any, values: Any) -> None:
                await super().keep_config(owner, device, names, values)
                if any(name.endswith("-proven") for name in names):
                    bench.node.board.lose_power(bench.node.time.ticks.mono_ms())
                    await asyncio.sleep(5)

        bench.memory = Slow()
        swaps = listening(bench)
        outcome = await bench.update(NEW)
        assert (outcome.reason, swaps) == (Reason.FIRMWARE_REVERTED, ["test", "revert"])
        bench.assert_bootable()
        assert bench.runs() == "1.0.0"

    play(scenario)
