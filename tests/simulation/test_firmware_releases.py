"""What a device runs does not go back unnoticed: the catalog's releases, whatever is remembered."""

import asyncio
import contextlib
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from agent.actions.update_firmware import UpdateFirmwareAction
from firmware_sim.bootloader import Slot
from shared.errors import Reason
from shared.model.job import Step
from shared.model.mcuboot import read_image
from tests.simulation.loop import World, simulate
from tests.smp_parts import image
from tests.smp_world import Bench, Kept

# Somebody built the older source anew: only the catalog knows that it is older.
SAFE = image("2.0.0", size=9_000)
HOLED = image("2.0.0", size=9_100)
FAILS = image("2.0.0", body=b"outstation-sim: self-check=fails")
TOLD = "2.0.0 is release 6, the device had release 7, and allow_downgrade is false"


def name(data: bytes) -> bytes:
    return read_image(data).digest


def another_job(bench: Bench) -> None:
    """What the job before has tried is not this one's."""
    bench.memory.configs.clear()


def running(bench: Bench) -> bytes:
    found = bench.loader.image(Slot.PRIMARY)
    assert found is not None
    return found.digest


def benched(world: World, folder: Path, *, named: bool = True, **options: Any) -> Bench:
    """A node whose catalog counts images; `named`: it says their own hashes, too."""
    bench = Bench(world, folder, **options)
    for data, release in ((SAFE, 7), (HOLED, 6), (FAILS, 8)):
        bench.listed[sha256(data).digest()] = release
        if named:
            bench.listed[name(data)] = release
    return bench


def test_a_lower_release_of_the_same_version_is_refused_and_nothing_is_sent(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = benched(world, tmp_path, named=False)
        assert (await bench.update(SAFE)).reason is None
        requests = bench.node.requests
        outcome = await bench.update(HOLED)
        assert (outcome.reason, outcome.detail) == (Reason.FIRMWARE_REFUSED, TOLD)
        assert outcome.result["_sent"] == 0
        assert bench.node.requests == requests + 1, "one look"
        assert running(bench) == name(SAFE)

    simulate(scenario, seed=0)


def test_what_was_forgotten_is_read_back_from_the_device(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = benched(world, tmp_path)
        assert (await bench.update(SAFE)).reason is None
        bench.memory = Kept()
        outcome = await bench.update(HOLED)
        assert (outcome.reason, outcome.detail) == (Reason.FIRMWARE_REFUSED, TOLD)

    simulate(scenario, seed=0)


def test_what_somebody_put_in_at_the_site_counts_too(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = benched(world, tmp_path, first=SAFE)
        outcome = await bench.update(HOLED)
        assert (outcome.reason, outcome.detail) == (Reason.FIRMWARE_REFUSED, TOLD)

    simulate(scenario, seed=0)


def test_a_device_that_was_taken_back_at_the_site_is_told(tmp_path: Path):
    """It runs what the job wants, and yet less than it had: no quiet success."""

    async def scenario(world: World) -> None:
        bench = benched(world, tmp_path)
        assert (await bench.update(SAFE)).reason is None
        swapped = benched(world, tmp_path, first=HOLED)
        swapped.memory = bench.memory
        outcome = await swapped.update(HOLED)
        assert (outcome.reason, outcome.detail) == (Reason.FIRMWARE_REFUSED, TOLD)

    simulate(scenario, seed=0)


def test_with_permission_it_goes_back_and_counts_from_there(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = benched(world, tmp_path)
        assert (await bench.update(SAFE)).reason is None
        another_job(bench)
        assert (await bench.update(HOLED, allow_downgrade=True)).reason is None
        assert list(bench.memory.releases.values()) == [6]
        another_job(bench)
        assert (await bench.update(SAFE)).reason is None
        assert list(bench.memory.releases.values()) == [7]

    simulate(scenario, seed=0)


def test_a_release_that_failed_its_trial_does_not_count(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = benched(world, tmp_path)
        assert (await bench.update(FAILS)).reason is Reason.FIRMWARE_REVERTED
        assert bench.memory.releases == {}
        another_job(bench)
        assert (await bench.update(SAFE)).reason is None

    simulate(scenario, seed=0)


@pytest.mark.parametrize("cut_after", range(1, 40, 3))
def test_a_cut_between_confirming_and_remembering_is_made_up_for(cut_after: int, tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = benched(world, tmp_path, named=False)
        bench.bus.cut_after = cut_after
        with contextlib.suppress(asyncio.CancelledError):
            await bench.update(SAFE)
        bench.bus.cut_after = None
        assert (await bench.update(SAFE)).reason is None
        assert list(bench.memory.releases.values()) == [7]

    simulate(scenario, seed=0)


def test_a_dry_run_remembers_nothing(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = benched(world, tmp_path, first=SAFE)
        step = Step("flash", "device.update_firmware", bench.shelf.put(SAFE))
        outcome = await UpdateFirmwareAction().run(step, bench.hand(dry_run=True))
        assert (outcome.reason, bench.memory.releases) == (None, {})

    simulate(scenario, seed=0)
