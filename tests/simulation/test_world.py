"""A world of a seed: it repeats itself exactly, and nothing that happens in it breaks a promise."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.world.found import PLOTS
from tests.simulation.world.play import Verdict, play
from tests.simulation.world.proof import ELSEWHERE, FAULTS, LEAST, SELDOM, WALKED, lacking

_ROOT = Path(__file__).parents[2]
_SCRIPT = "from tests.simulation.world.play import play; print(play({seed}).digest)"


def _digest(seed: int, hash_seed: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(seed=seed)],
        cwd=_ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _nothing_is_wrong(verdict: Verdict) -> None:
    """Say all that is, in one line: a mutant asks for the sentence of its judge in it."""
    assert not verdict.findings, " | ".join(verdict.findings)


@pytest.mark.slow
def test_a_seed_is_the_same_world_in_every_process():
    first, second = _digest(3, hash_seed=1), _digest(3, hash_seed=2)
    assert first == second
    assert len(first) == 64
    assert _digest(4, hash_seed=1) != first


@pytest.mark.parametrize("seed", [1, 2])
def test_no_promise_is_broken_in_a_world(seed: int):
    _nothing_is_wrong(play(seed))


@pytest.mark.parametrize("name", PLOTS)
def test_no_promise_is_broken_in_the_world_of(name: str):
    plot = PLOTS[name]
    _nothing_is_wrong(play(plot.seed, plot.stories))


def test_a_run_that_tried_too_little_proves_nothing():
    hits, walked = Counter(dict.fromkeys(FAULTS, LEAST)), Counter(dict.fromkeys(WALKED, 1))
    hits.update(SELDOM)
    assert lacking(hits, walked) == []
    hits["power cut"] -= 1
    del walked[WALKED[0]]
    assert lacking(hits, walked) == [
        f"power cut: {LEAST - 1} of {LEAST}",
        f"never walked: {WALKED[0]}",
    ]


def test_what_worlds_are_not_asked_to_walk_is_walked_by_the_test_that_is_named():
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", "0"),
            *("-p", "tests.simulation.world.walked", *ELSEWHERE.values()),
        ],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    wanted = {f"walked: {test} {edge}" for edge, test in ELSEWHERE.items()}
    assert wanted <= set(done.stdout.splitlines())
