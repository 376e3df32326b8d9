"""Updates that cannot brick: every cut, on either side, leaves a device that runs an image."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.actions.update_firmware import UpdateFirmwareAction
from agent.core.queue import Problem
from firmware_sim.bootloader import Slot
from shared.errors import Reason
from shared.model.job import Step
from tests.simulation.loop import World, simulate
from tests.smp_parts import STRANGER, image
from tests.smp_site import PROFILE
from tests.smp_world import Bench

NEW = image("2.0.0", size=9_000)
FAILS = image("2.0.0", body=b"outstation-sim: self-check=fails")
HANGS = image("2.0.0", body=b"outstation-sim: hangs")
CRASHES = image("2.0.0", body=b"outstation-sim: crashes-after=5")
SOAKING = PROFILE.replace("soak_s = 0", "soak_s = 8")


def play(scenario: Any, seed: int = 0) -> Any:
    return simulate(scenario, seed=seed)


def test_a_good_image_is_tested_proven_confirmed_and_read_back(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = Bench(world, tmp_path)
        outcome = await bench.update(NEW, version="2.0.0")
        assert outcome.reason is None, outcome
        assert outcome.result["_version"] == "2.0.0"
        assert outcome.result["_before"] == "1.0.0"
        assert outcome.result["_skipped"] is False
        bench.assert_bootable()
        assert bench.runs() == "2.0.0", "kept through another start"

    play(scenario)


def test_what_it_runs_already_is_skipped(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = Bench(world, tmp_path)
        await bench.update(NEW)
        requests = bench.node.requests
        again = await bench.update(NEW)
        assert (again.reason, again.result["_skipped"]) == (None, True)
        assert bench.node.requests == requests + 1, "one look"
        assert again.result["_sent"] == 0

    play(scenario)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (image("2.0.0", key=STRANGER), "not signed with the key of this device's profile"),
        (NEW[:-40], "cut off"),
        (NEW[:2_000], "cut off"),
        (NEW[:300] + b"\0" + NEW[301:], "it was altered"),
        (b"\x7fELF" + NEW, "no MCUboot image"),
        (NEW + b"more", "something follows its end"),
    ],
)
def test_a_bad_image_is_one_sentence_and_the_device_is_not_touched(
    data: bytes, what: str, tmp_path: Path
):
    async def scenario(world: World) -> None:
        bench = Bench(world, tmp_path)
        outcome = await bench.update(data)
        assert outcome.reason is Reason.FIRMWARE_REFUSED
        assert what in outcome.detail
        assert bench.node.requests == 0

    play(scenario)


def test_an_image_that_the_catalog_does_not_allow_is_not_even_fetched(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = Bench(world, tmp_path)
        bench.refusal = Problem(Reason.OUT_OF_BOUNDS, "it is for meter, another board")
        outcome = await bench.update(NEW)
        assert outcome.reason is Reason.OUT_OF_BOUNDS
        assert bench.node.requests == 0

    play(scenario)


def test_an_older_image_needs_permission(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = Bench(world, tmp_path, first=image("3.0.0"))
        outcome = await bench.update(NEW)
        assert outcome.reason is Reason.FIRMWARE_REFUSED
        assert "2.0.0 is older than 3.0.0" in outcome.detail
        assert bench.node.requests == 1
        assert (await bench.update(NEW, allow_downgrade=True)).reason is None
        assert bench.runs() == "2.0.0"

    play(scenario)


def test_a_step_that_ends_before_the_image_can_have_proven_itself_is_refused(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = Bench(world, tmp_path)
        settings = bench.hand(SOAKING).settings
        params = bench.shelf.put(NEW)
        told = [
            UpdateFirmwareAction().check(
                Step("flash", "device.update_firmware", params, timeout_s=seconds), settings
            )
            for seconds in (8, 9)
        ]
        assert told[0] is not None
        assert "timeout_s = 8 is too short" in told[0].detail
        assert told[1] is None

    play(scenario)


def test_a_version_other_than_the_job_says_is_refused(tmp_path: Path):
    async def scenario(world: World) -> None:
        outcome = await Bench(world, tmp_path).update(NEW, version="2.0.1")
        assert outcome.reason is Reason.FIRMWARE_REFUSED
        assert "it is 2.0.0, the job says 2.0.1" in outcome.detail

    play(scenario)


@pytest.mark.parametrize(("data", "text"), [(FAILS, PROFILE), (HANGS, PROFILE), (CRASHES, SOAKING)])
def test_an_image_that_fails_its_trial_is_reverted_and_reported(
    data: bytes, text: str, tmp_path: Path
):
    async def scenario(world: World) -> None:
        bench = Bench(world, tmp_path)
        outcome = await bench.update(data, text=text)
        assert outcome.reason is Reason.FIRMWARE_REVERTED, outcome
        assert "1.0.0" in outcome.detail
        assert bench.runs() == "1.0.0"
        boots = bench.node.board.boots
        again = await bench.update(data, text=text)
        assert again.reason is Reason.FIRMWARE_REVERTED, "it is not tried once more"
        assert bench.node.board.boots == boots

    play(scenario)


def test_an_image_that_was_on_trial_already_and_fails_is_not_tried_by_a_repeat(tmp_path: Path):
    """Another job, or somebody at the site, had let the device in; this one looks after it."""

    async def scenario(world: World) -> None:
        bench = Bench(world, tmp_path)
        bench.loader.write(Slot.SECONDARY, 0, NEW)
        bench.loader.request(permanent=False)
        bench.node.board.lose_power(bench.node.time.ticks.mono_ms())
        await asyncio.sleep(3)
        strict = PROFILE.replace("equals = 1", "equals = 2")
        assert bench.runs() == "2.0.0", "on trial"
        assert (await bench.update(NEW, text=strict)).reason is Reason.FIRMWARE_REVERTED
        boots = bench.node.board.boots
        assert (await bench.update(NEW, text=strict)).reason is Reason.FIRMWARE_REVERTED
        assert (bench.node.board.boots, bench.runs()) == (boots, "1.0.0")

    play(scenario)


def test_an_image_whose_self_check_fails_names_what_did_not_hold(tmp_path: Path):
    async def scenario(world: World) -> None:
        strict = PROFILE.replace("equals = 1", "equals = 2")
        outcome = await Bench(world, tmp_path).update(NEW, text=strict)
        assert outcome.reason is Reason.FIRMWARE_REVERTED
        assert "self_check read 1, self_check = 2 is asserted" in outcome.detail

    play(scenario)


def test_a_bricked_device_is_reported_as_lost(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = Bench(world, tmp_path)
        bench.node.add_faults("brick")
        outcome = await bench.update(NEW)
        assert outcome.reason is Reason.FIRMWARE_LOST
        assert "has not come back within 10 s" in outcome.detail

    play(scenario)


def test_a_power_cut_at_any_flash_operation_leaves_an_image_that_runs_and_is_told(tmp_path: Path):
    async def operations(world: World) -> int:
        bench = Bench(world, tmp_path)
        begun = bench.loader.flash.operations
        assert (await bench.update(NEW)).reason is None
        return bench.loader.flash.operations - begun

    most = play(operations)
    assert most > 100

    async def scenario(world: World, cut: int) -> Reason | None:
        bench = Bench(world, tmp_path)
        bench.node.add_faults(f"power-cut={cut}")
        outcome = await bench.update(NEW)
        bench.assert_bootable()
        assert bench.runs() == ("2.0.0" if outcome.reason is None else "1.0.0"), (cut, outcome)
        return outcome.reason

    told = [play(lambda world, cut=cut: scenario(world, cut)) for cut in range(1, most + 1)]
    # A device that loses its supply while an image is on trial goes back, as it should.
    assert set(told[:-1]) == {None}
    assert told[-1] is Reason.FIRMWARE_REVERTED


def test_a_gateway_that_is_cut_at_any_request_goes_on_from_where_the_device_is(tmp_path: Path):
    async def requests(world: World) -> int:
        bench = Bench(world, tmp_path)
        assert (await bench.update(NEW)).reason is None
        return bench.node.requests

    most = play(requests)

    async def scenario(world: World, cut: int) -> None:
        bench = Bench(world, tmp_path)
        bench.bus.cut_after = cut
        with pytest.raises(asyncio.CancelledError):
            await bench.update(NEW)
        bench.bus.cut_after = None
        outcome = await bench.update(NEW)
        assert outcome.reason is None, (cut, outcome)
        assert bench.runs() == "2.0.0"
        assert bench.node.board.boots <= 2, "one start with the new image is enough"

    for cut in range(most):
        play(lambda world, cut=cut: scenario(world, cut))


def test_a_site_whose_supply_fails_at_any_request_has_a_board_that_runs(tmp_path: Path):
    """Gateway and board hang on one supply: both forget, each goes by what it has kept."""

    async def requests(world: World) -> int:
        bench = Bench(world, tmp_path)
        assert (await bench.update(NEW)).reason is None
        return bench.node.requests

    async def scenario(world: World, cut: int) -> Reason | None:
        bench = Bench(world, tmp_path)
        bench.bus.cut_after = cut
        with pytest.raises(asyncio.CancelledError):
            await bench.update(NEW)
        bench.bus.cut_after = None
        bench.assert_bootable()
        outcome = await bench.update(NEW)
        assert bench.runs() == ("2.0.0" if outcome.reason is None else "1.0.0"), (cut, outcome)
        return outcome.reason

    told = [play(lambda world, cut=cut: scenario(world, cut)) for cut in range(play(requests))]
    # What was on trial has gone back when the supply returns, and is not tried again.
    assert set(told) == {None, Reason.FIRMWARE_REVERTED}
    assert set(told[: told.index(Reason.FIRMWARE_REVERTED)]) == {None}


def test_a_board_whose_supply_fails_at_any_request_is_let_into_an_image_once(tmp_path: Path):
    async def scenario(world: World, cut: int) -> tuple[Reason | None, int]:
        bench = Bench(world, tmp_path)
        bench.bus.board_cut_after = cut
        outcome = await bench.update(NEW, text=SOAKING)
        assert bench.runs() == ("2.0.0" if outcome.reason is None else "1.0.0"), (cut, outcome)
        return outcome.reason, bench.node.requests

    _, most = play(lambda world: scenario(world, 1_000))
    told = [play(lambda world, cut=cut: scenario(world, cut))[0] for cut in range(most)]
    # From its first start on trial until it is confirmed it goes back each time.
    on_trial = told.index(Reason.FIRMWARE_REVERTED)
    confirmed = most - told[::-1].index(Reason.FIRMWARE_REVERTED)
    assert set(told[on_trial:confirmed]) == {Reason.FIRMWARE_REVERTED}
    assert most - confirmed < 5, "what follows is the look at what it runs"


def test_lost_answers_cost_no_second_transfer(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = Bench(world, tmp_path)
        bench.node.add_faults("lost-reply:p=0.15")
        outcome = await bench.update(NEW)
        assert outcome.reason is None, outcome
        assert bench.runs() == "2.0.0"

    for seed in range(5):
        play(scenario, seed)
