"""Updates of devices whose bootloaders were built in other ways than the usual one."""

from pathlib import Path

import pytest

from firmware_sim.mcuboot import Build, Version, make_image
from shared.errors import Reason
from tests.simulation.loop import World, simulate
from tests.smp_parts import KEY
from tests.smp_world import Bench

BUILDS = {
    "SHA-512": Build(sha512=True),
    "signed as a whole": Build(sha512=True, pure=True),
    "with its key": Build(whole_key=True),
}


def made(version: int, build: Build) -> bytes:
    return make_image(bytes(9_000), Version(version), KEY, build)


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS.keys())
def test_a_device_takes_images_that_were_signed_for_its_bootloader(build: Build, tmp_path: Path):
    async def go(world: World) -> None:
        bench = Bench(world, tmp_path, first=made(1, build), build=build)
        outcome = await bench.update(made(2, build))
        assert outcome.reason is None, outcome
        assert bench.runs() == "2.0.0"
        again = await bench.update(made(2, build))
        assert again.result["_skipped"] is True

    simulate(go, seed=0)


@pytest.mark.parametrize("runs", [Build(), Build(sha512=True)])
def test_an_image_for_a_bootloader_with_another_hash_is_refused_before_it_is_sent(
    runs: Build, tmp_path: Path
):
    async def go(world: World) -> None:
        bench = Bench(world, tmp_path, first=made(1, runs), build=runs)
        outcome = await bench.update(made(2, Build(sha512=not runs.sha512)))
        assert outcome.reason is Reason.FIRMWARE_REFUSED
        assert "it knows its images by their SHA-" in outcome.detail
        assert (outcome.result["_sent"], bench.node.requests) == (0, 1), "one look"

    simulate(go, seed=0)
