"""Fixtures of the simulated world."""

from collections.abc import Callable
from functools import partial

import pytest

from tests.simulation.loop import simulate


@pytest.fixture(params=range(3), ids=lambda seed: f"seed-{seed}")
def in_simulation(request: pytest.FixtureRequest) -> Callable:
    """Run a scenario on virtual time: `in_simulation(scenario)`, once per seed."""
    return partial(simulate, seed=request.param)
