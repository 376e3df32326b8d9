"""Uploads over lines that lose much: what the device has kept is gone on from, however often."""

import asyncio
from pathlib import Path

import pytest

from firmware_sim.smp.os_group import Buffers
from shared import limits
from shared.errors import Reason
from tests.simulation.loop import World, simulate
from tests.smp_parts import image
from tests.smp_world import Bench

NEW = image("2.0.0", size=24_000)


def losing(bench: Bench, nth: int) -> list[int]:
    """Lose the answers to every so manieth request; count those."""
    lost = [0]
    carry = bench.bus._carry

    async def lossy(frame: bytes) -> bytes | None:
        answer = await carry(frame)
        if bench.node.requests % nth:
            return answer
        lost[0] += 1
        return None

    bench.bus._carry = lossy  # type: ignore[method-assign]
    return lost


@pytest.mark.parametrize(
    ("burst", "nth"), [(limits.SMP_BURST, 5), pytest.param(8, 12, id="halts between whole bursts")]
)
def test_an_upload_goes_on_as_long_as_it_gets_on(
    burst: int, nth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "SMP_BURST", burst)

    async def scenario(world: World) -> None:
        bench = Bench(world, tmp_path)
        bench.node._os._buffers = Buffers(size=160)
        lost = losing(bench, nth)
        outcome = await bench.update(NEW)
        assert outcome.reason is None, outcome
        assert bench.runs() == "2.0.0"
        assert lost[0] > limits.UPLOAD_BEGINNINGS

    simulate(scenario, seed=0)


def test_a_device_that_forgets_again_and_again_is_given_up(tmp_path: Path):
    async def scenario(world: World) -> None:
        bench = Bench(world, tmp_path)
        bench.node._os._buffers = Buffers(size=384)
        carry = bench.bus._carry

        async def forgetful(frame: bytes) -> bytes | None:
            await asyncio.sleep(0)
            if bench.node.requests % 50 == 49 and bench.node.requests < 50 * 40:
                bench.node._images.forget()
            return await carry(frame)

        bench.bus._carry = forgetful  # type: ignore[method-assign]
        outcome = await bench.update(NEW)
        assert outcome.reason is Reason.DEVICE_EXCEPTION
        assert "the device forgot the image 16 times" in outcome.detail
        assert bench.runs() == "1.0.0"

    simulate(scenario, seed=0)
