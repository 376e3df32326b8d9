"""A job that would take devices back to a lower release is refused where that is known."""

from functools import partial

import pytest

from coordinator.transactions.releases import check_releases
from shared.errors import MistakeError
from shared.model.job import JobSpec, Step, Targets, Value
from shared.trust.catalog import Firmware
from tests.unit.test_coordinator_transactions import AGENT, store
from tests.unit.test_drift import UPDATE, Fleet, has_image
from tests.unit.trust_world import make_catalog

__all__ = ["store"]

NEW, OLD, OTHER = bytes(32), b"o" * 32, b"x" * 32
CATALOG = make_catalog(
    firmware=[
        Firmware("new", NEW, 9, "inv", 7),
        Firmware("old", OLD, 9, "inv", 6),
        Firmware("other", OTHER, 9, "meter", 1),
    ]
)


def update(digest: bytes, *, devices: str = "", **params: Value) -> JobSpec:
    asked: dict[str, Value | list[str]] = {
        "artifact": f"sha256:{digest.hex()}",
        "size": 9,
        **params,
    }
    step = Step("fw", "device.update_firmware", asked)
    return JobSpec("back", [step], Targets(agents=[AGENT], device_selector=devices))


@pytest.fixture
async def fleet(store):
    """One whose device ``inv`` runs what a job wished, and ``old`` something else."""
    here = Fleet(store)
    await has_image(here)
    _, execution = await here.job(UPDATE)
    told = {"fw._before": "1.0.0", "fw._version": "2.0.0", "fw._skipped": False}
    await here.tell(execution, told)
    return here


async def test_a_lower_release_than_a_device_is_known_to_have_is_one_sentence(fleet):
    check = partial(check_releases, update(OLD), [AGENT], CATALOG)
    with pytest.raises(MistakeError, match=f"inv of {AGENT} has release 7 of inv, old is") as told:
        await fleet.store.read(check)
    assert told.value.where == "steps[0].params.artifact"
    assert "allow_downgrade = true" in told.value.mend


@pytest.mark.parametrize(
    "spec",
    [
        update(OLD, allow_downgrade=True),
        update(NEW),
        update(OTHER),
        update(b"u" * 32),
        update(OLD, devices="id=inv-2"),
        update(OLD, devices="kind=inverter"),
    ],
)
async def test_what_is_allowed_or_not_known_is_left_to_the_agents(fleet, spec):
    await fleet.store.read(partial(check_releases, spec, [AGENT], CATALOG))


async def test_a_device_that_went_back_by_itself_does_not_count(store):
    fleet = Fleet(store)
    await has_image(fleet)
    _, execution = await fleet.job(UPDATE)
    await fleet.tell(execution, {"fw._before": "1.0.0"})
    await store.read(partial(check_releases, update(OLD), [AGENT], CATALOG))
