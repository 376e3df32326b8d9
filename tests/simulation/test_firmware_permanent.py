"""Images that somebody else marked permanent: no trial, no way back, a self-check all the same."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import firmware_sim.smp.board as boards
from firmware_sim.bootloader import Slot
from shared.errors import Reason
from tests.simulation.loop import World, simulate
from tests.smp_parts import image
from tests.smp_site import PROFILE
from tests.smp_world import Bench

NEW = image("2.0.0")
STRICT = PROFILE.replace("equals = 1", "equals = 2")


def marked(world: World, folder: Path) -> Bench:
    """A device that will start the new image for good at its next reset."""
    bench = Bench(world, folder)
    bench.loader.write(Slot.SECONDARY, 0, NEW)
    bench.loader.request(permanent=True)
    return bench


def play(scenario: Any) -> Any:
    return simulate(scenario, seed=0)


def test_it_is_checked_and_said_that_it_had_no_trial(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = marked(world, tmp_path)
        outcome = await bench.update(NEW)
        assert (outcome.reason, outcome.result["_no_trial"]) == (None, True)
        assert (outcome.result["_sent"], bench.runs()) == (0, "2.0.0")
        requests = bench.node.requests
        again = await bench.update(NEW)
        assert again.reason is None
        assert bench.node.requests == requests + 1, "it has proven itself"

    play(scenario)


def test_it_fails_its_self_check_without_a_way_back_and_that_is_said(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = marked(world, tmp_path)
        outcome = await bench.update(NEW, text=STRICT)
        assert outcome.reason is Reason.VERIFY_MISMATCH
        assert "its self-check failed: self-check read 1" in outcome.detail.replace("_", "-")
        assert "it could not be reverted: somebody else had marked it permanent" in outcome.detail
        assert outcome.result["_no_trial"] is True
        bench.assert_bootable()
        assert bench.runs() == "2.0.0"

    play(scenario)


def test_one_that_is_silent_at_the_last_look_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(boards, "POWER_BACK_MS", 30_000)

    async def scenario(world: World, cut: int | None) -> int:
        bench = marked(world, tmp_path)
        bench.bus.board_cut_after = cut
        outcome = await bench.update(NEW)
        assert outcome.reason is (None if cut is None else Reason.DEVICE_SILENT)
        assert outcome.result["_no_trial"] is True
        return bench.node.requests

    requests = play(lambda world: scenario(world, None))
    play(lambda world: scenario(world, requests - 1))


def test_an_image_with_a_trial_says_nothing_of_it(tmp_path: Path):
    async def scenario(world: World) -> None:
        outcome = await Bench(world, tmp_path).update(NEW)
        assert outcome.reason is None
        assert "_no_trial" not in outcome.result

    play(scenario)


@pytest.mark.parametrize(("text", "told"), [(PROFILE, None), (STRICT, Reason.VERIFY_MISMATCH)])
def test_a_gateway_that_is_cut_at_any_request_leaves_no_check_out(
    text: str, told: Reason | None, tmp_path: Path
):
    async def requests(world: World) -> int:
        bench = marked(world, tmp_path)
        await bench.update(NEW, text=text)
        return bench.node.requests

    async def scenario(world: World, cut: int) -> None:
        bench = marked(world, tmp_path)
        bench.bus.cut_after = cut
        with pytest.raises(asyncio.CancelledError):
            await bench.update(NEW, text=text)
        bench.bus.cut_after = None
        outcome = await bench.update(NEW, text=text)
        assert outcome.reason is told, (cut, outcome)
        assert bench.runs() == "2.0.0"

    for cut in range(min(play(requests), 12)):
        play(lambda world, cut=cut: scenario(world, cut))
