"""`outstation` waits: on the stream, without one, over a restart, until somebody stops it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from urllib.parse import urlsplit

import pytest

from coordinator.cli.__main__ import main
from shared.model.job import ExecutionState, TaskState
from tests.system.approvals_world import token_of
from tests.system.coordinator_world import client_of, found_in, job_body, serving

INTERRUPTED = 130
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
async def place(tmp_path):
    return await found_in(tmp_path)


@pytest.fixture
async def world(place):
    async with serving(place) as url, client_of(place, url) as made:
        yield made


@pytest.fixture
async def pump(world):
    return await world.gateway("pump-1")


@pytest.fixture
def job_file(tmp_path):
    file = tmp_path / "job.json"
    file.write_text(json.dumps(job_body("pump-1")))
    return file


@contextlib.asynccontextmanager
async def command(world, *arguments):
    """A command in a process of its own, as a person or a script has it."""
    environment = {
        "OUTSTATION_URL": world.url,
        "OUTSTATION_CONFIG": str(world.place.directory.admin),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "coordinator.cli", *map(str, arguments)),
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(stream, words):
    """Read on until a line with some words."""
    while said := (await stream.readline()).decode():
        if words in said:
            return said
    raise AssertionError(f"nobody said {words!r}")


async def waits(world, gauge):
    """Wait until the coordinator holds something open; the test's own time limit ends it."""
    while f"{gauge} 1" not in (await world.get("/metrics")).body.decode():
        await asyncio.sleep(0)


async def do(pump, number=1):
    """Do the work of a gateway."""
    (work,) = (await pump.ordered()).jobs
    state = ExecutionState.SUCCEEDED
    await pump.contact(receipts=[pump.receipt(number, work.execution, state)])


async def test_a_wait_is_woken_by_the_stream(world, pump, run, job_file):
    waiting = asyncio.create_task(run("jobs", "submit", job_file, "--wait"))
    await waits(world, "event_streams")
    await do(pump)
    status, out, _ = await waiting
    assert (status, "accepted for 1 agent" in out, "SUCCEEDED" in out) == (0, True, True)
    assert "event_streams 0" in (await world.get("/metrics")).body.decode()


async def test_who_may_not_listen_waits_by_asking(world, pump, run, monkeypatch):
    monkeypatch.setenv(
        "OUTSTATION_TOKEN", await token_of(world.place, "olga", "jobs:read,executions:read")
    )
    job = (await world.submit("pump-1"))["id"]
    waiting = asyncio.create_task(run("jobs", "wait", job))
    await waits(world, "waiting_requests")
    await do(pump)
    assert (await waiting)[0] == 0


async def test_a_wait_that_is_too_long_says_where_the_job_is(world, pump, run):
    job = (await world.submit("pump-1"))["id"]
    status, _, err = await run("jobs", "wait", job, "--timeout", 1)
    assert (status, "1 QUEUED" in err, "it goes on" in err) == (7, True, True)
    status, _, err = await run("jobs", "cancel", job, "--wait", "--timeout", 1)
    assert status == 0, "no agent has it: there is nothing to wait for"


async def test_what_a_gateway_brings_after_its_word_is_waited_for(world, pump, run):
    asked = asyncio.create_task(run("agents", "diagnose", pump.name, "--wait", 2))
    await waits(world, "event_streams")
    (work,) = (await pump.ordered()).jobs
    made = {"file.sha256": "ab" * 32}
    done = pump.receipt(1, work.execution, TaskState.DONE, device="own", result=made)
    over = pump.receipt(2, work.execution, ExecutionState.SUCCEEDED)
    await pump.contact(receipts=[done, over])
    status, _, err = await asked
    assert (status, "has not brought it yet" in err) == (7, True), err


async def test_a_watch_that_is_too_long_says_where_the_rollout_is(world, pump, run):
    job = (await world.submit("pump-1", rollout={}))["id"]
    status, out, err = await run("rollouts", "watch", job, "--timeout", 1)
    assert (status, "RUNNING" in out, "it goes on" in err) == (7, True, True)


async def test_nobody_waits_for_a_coordinator_that_never_answered(place, monkeypatch, capsys):
    monkeypatch.setenv("OUTSTATION_CONFIG", str(place.directory.admin))
    assert (
        await asyncio.to_thread(main, ["jobs", "wait", "0192f1c3-0000-7000-8000-000000000000"]) == 5
    )
    assert "no coordinator answers" in capsys.readouterr().err


async def test_a_wait_goes_on_over_a_restart_of_the_coordinator(place, job_file):
    async with contextlib.AsyncExitStack() as stack:
        async with serving(place) as url, client_of(place, url) as world:
            pump = await world.gateway("pump-1")
            waiting = await stack.enter_async_context(
                command(world, "jobs", "submit", job_file, "--wait")
            )
            await line(waiting.stdout, "accepted")
        await line(waiting.stderr, "the wait goes on")
        async with serving(place, urlsplit(url).port or 0) as url, client_of(place, url) as world:
            pump.client = world
            await line(waiting.stderr, "answers again")
            await do(pump)
            assert await waiting.wait() == 0
            assert "SUCCEEDED" in (await waiting.stdout.read()).decode()


@pytest.mark.parametrize("wait", ["jobs submit", "rollouts watch"])
async def test_who_stops_a_wait_is_told_what_goes_on(world, pump, job_file, wait):
    job = ""
    if wait == "rollouts watch":
        job = (await world.submit("pump-1", rollout={}))["id"]
    arguments = [job] if job else [job_file, "--wait"]
    async with command(world, *wait.split(), *arguments) as waiting:
        said = await line(waiting.stdout, "")
        job = job or said.split()[1]
        waiting.send_signal(signal.SIGINT)
        assert await waiting.wait() == INTERRUPTED
        err = (await waiting.stderr.read()).decode()
        noun = wait.split()[0]
        follow = "wait" if noun == "jobs" else "watch"
        assert "goes on" in err
        assert f"outstation {noun} {follow} {job}" in err
    assert (await world.read(f"/v1/jobs/{job}"))["counts"] == {"QUEUED": 1}


async def test_what_the_command_line_makes_has_a_trace_that_it_tells(
    world, pump, run, job_file, monkeypatch
):
    status, out, _ = await run("jobs", "submit", job_file)
    (job,) = (await world.read("/v1/jobs"))["items"]
    assert (status, len(job["trace"])) == (0, 32)
    assert f"its trace is {job['trace']}" in out
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-b7ad6b7169203331-01")
    status, out, _ = await run("jobs", "clone", job["id"])
    assert f"its trace is {TRACE}" in out
