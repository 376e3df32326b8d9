"""What is handed in can be read again by everybody; what is not stands in nobody's way."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace as changed

from coordinator.contract.signed_form import signed_form
from coordinator.transactions.issue import issue
from coordinator.transactions.jobs import list_jobs, view_job
from coordinator.transactions.submit import Submission, submit
from shared import limits
from shared.errors import MistakeError
from shared.model.job import JobSpec, Step, Targets
from shared.wire.codec import pack, unpack
from tests.unit.test_coordinator_transactions import (
    AGENT,
    ENTROPY,
    NOW,
    drafted,
    store,
    submitted,
)

__all__ = ["store"]
MAP, ARRAY, TEXT, INT = (
    limits.ITEMS_PER_MAP,
    limits.ITEMS_PER_ARRAY,
    limits.TEXT_BYTES,
    limits.INT_MAX,
)
PLACE = "steps[0].params"


def writes(params: dict[str, Any]) -> JobSpec:
    return JobSpec("set", [Step("s", "device.write", params)])


def points(count: int) -> dict[str, int]:
    return {f"p{number}": 1 for number in range(count)}


@pytest.mark.parametrize(
    "params",
    [
        points(MAP),
        {"p": ["q"] * ARRAY},
        {"p": "x" * TEXT},
        {"p": INT, "q": -INT, "r": 0.0, "s": True, "t": 1e300},
    ],
)
def test_what_just_fits_is_read_again(params):
    spec = writes(params)
    assert unpack(signed_form(spec), JobSpec, bound=limits.SPEC_BYTES) == spec


@pytest.mark.parametrize(
    ("params", "where", "what"),
    [
        (points(MAP + 1), PLACE, f"{MAP + 1} members, at most {MAP}"),
        ({"p": ["q"] * (ARRAY + 1)}, f"{PLACE}.p", f"{ARRAY + 1} entries, at most {ARRAY}"),
        ({"p": "x" * (TEXT + 1)}, f"{PLACE}.p", f"{TEXT + 1} bytes, at most {TEXT}"),
        ({"p": ["ok", "\u00e9" * TEXT]}, f"{PLACE}.p[1]", f"{2 * TEXT} bytes"),
        ({"x" * (TEXT + 1): 1}, PLACE, f"at most {TEXT}"),
        ({"p": "\ud800"}, f"{PLACE}.p", "no text"),
        ({"p": INT + 1}, f"{PLACE}.p", "at most 53 bits"),
        ({"p": -INT - 1}, f"{PLACE}.p", "at most 53 bits"),
        ({"p": 1 << 64}, f"{PLACE}.p", "at most 53 bits"),
        ({"p": -(1 << 63) - 1}, f"{PLACE}.p", "at most 53 bits"),
        ({"p": float("nan")}, f"{PLACE}.p", "finite"),
        ({"p": float("-inf")}, f"{PLACE}.p", "finite"),
        ({"p": -0.0}, f"{PLACE}.p", "write 0"),
    ],
)
def test_what_nobody_could_read_again_is_pointed_at(params, where, what):
    with pytest.raises(MistakeError) as caught:
        signed_form(writes(params))
    assert caught.value.where == where
    assert what in caught.value.what


def test_last_steps_and_targets_are_pointed_at_as_they_are_written():
    bad = Step("s", "device.write", {"p": INT + 1})
    for spec, where in (
        (JobSpec("set", [], final_steps=[bad]), "finally[0].params.p"),
        (JobSpec("set", [], compensation=[bad]), "compensation[0].params.p"),
        (JobSpec("set", [], targets=Targets(["x"] * (ARRAY + 1))), "targets.agents"),
    ):
        with pytest.raises(MistakeError) as caught:
            signed_form(spec)
        assert caught.value.where == where


def test_a_job_that_nobody_could_read_again_is_not_taken():
    step = {"id": "s", "action": "device.write", "params": points(MAP + 1)}
    with pytest.raises(MistakeError, match=f"at most {MAP}"):
        drafted(steps=[step])


async def unreadable(store):
    """Keep a job as an older coordinator took it."""
    job = drafted(name="bad")
    step = Step("s", "device.write", {"p": INT + 1})
    packed = pack(changed(job.spec, steps=[step]))
    who = Submission(actor="me", token_id="t", now_ms=NOW)
    body = partial(submit, replace(job, packed=packed), who, ENTROPY)
    return (await store.run(body, durable=False)).job


async def test_a_job_that_nobody_can_read_is_listed_and_says_so(store):
    await submitted(store, name="before")
    job = await unreadable(store)
    await submitted(store, name="after")
    views, _ = await store.read(partial(list_jobs, before=b"\xff" * 16, size=9, now_ms=NOW))
    seen = {view.name: (view.unreadable, len(view.spec.steps)) for view in views}
    assert seen == {"before": (False, 1), "bad": (True, 0), "after": (False, 1)}
    view = await store.read(partial(view_job, job, now_ms=NOW))
    assert (view.name, view.spec.name, view.unreadable) == ("bad", "bad", True)


async def test_a_job_that_nobody_can_read_keeps_no_other_from_its_agent(store):
    bad, good = await unreadable(store), (await submitted(store)).job
    assert await granted(store, b"1" * 16) == {bad, good}
    # Nobody knows whether it can be done twice: what may have run stays behind.
    assert await granted(store, b"2" * 16) == {good}


async def granted(store, epoch):
    body = partial(issue, AGENT, now_ms=NOW, again=True, jobs_epoch=epoch)
    return {grant.job for grant in (await store.run(body, durable=True)).grants}
