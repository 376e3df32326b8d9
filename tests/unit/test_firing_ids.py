"""What a trigger made of an event is known by its id when the event is told once more."""

from functools import partial

import pytest

from coordinator.core.derived import time_of
from coordinator.core.ports import execute, fetch_one
from shared.clock import WallMs
from shared.ids import parse_uuid, uuid7, uuid_text
from tests.unit.test_coordinator_transactions import AGENT, NOW, store
from tests.unit.test_triggers import look, occasions, on, saved, told

__all__ = ["store"]
LATER = NOW + 3_600_000
BEFORE_MS = WallMs(NOW - 60_000)
ENDED = uuid7(BEFORE_MS, bytes(10))


async def forgotten(store):
    """Forget what the trigger did, as a copy from before does."""
    row = await store.read(partial(fetch_one, "trigger_named", "t"))
    (found,) = await occasions(store)
    await store.run(partial(execute, "firing_forget", row[0], found.occasion), durable=True)


@pytest.mark.parametrize(
    ("kind", "rest", "occasion", "of_ms"),
    [
        ("job.succeeded", {"of": "another"}, f"job {uuid_text(ENDED)}", BEFORE_MS),
        ("device.lost", {}, f"{AGENT} pump-1 {ENDED.hex()}", NOW),
    ],
)
async def test_an_event_that_is_told_again_after_a_restore_makes_the_job_that_it_made(
    store, kind, rest, occasion, of_ms
):
    await saved(store, **on(kind, **rest))
    await told(store, kind=kind, occasion=occasion, at_ms=NOW + 5)
    await look(store, NOW + 5)
    (first,) = await occasions(store)
    assert time_of(parse_uuid(first.job, what="a job")) == of_ms
    await forgotten(store)
    await told(store, kind=kind, occasion=occasion, at_ms=LATER)
    await look(store, LATER)
    (again,) = await occasions(store)
    assert (again.outcome, again.job) == ("submitted", first.job)


async def test_an_event_that_names_its_time_makes_a_job_of_that_time(store):
    await saved(store, **on("agent.online"))
    await told(store, occasion=f"{AGENT} {LATER}", at_ms=LATER)
    await look(store, LATER + 5)
    (found,) = await occasions(store)
    assert time_of(parse_uuid(found.job, what="a job")) == LATER
