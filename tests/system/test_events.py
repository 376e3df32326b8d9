"""Events over REST and the command line: streamed as they happen, resumed, cut, and limited."""

import asyncio
import contextlib
import json
import sqlite3
from contextlib import asynccontextmanager, closing

import aiohttp
import pytest

from coordinator.contract.events import EVENT_STREAM_TYPE
from coordinator.services.waiting import Waiter
from shared import limits
from shared.model.job import ExecutionState
from tests.system.approvals_world import token_of
from tests.system.test_cli_jobs import pump, world

__all__ = ["pump", "world"]


class Listener:
    """One stream, read by hand."""

    def __init__(self, response):
        self.response = response
        self.last = ""
        self.comments = []
        self.kinds = []

    async def event(self):
        """Return the next event; None at the end."""
        data = None
        while line := await self.response.content.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                self.last = value
            elif name == "data":
                data = json.loads(value)
            elif name == "event":
                self.kinds.append(value)
            elif line.startswith(b":"):
                self.comments.append(value)
            elif data is not None and line == b"\n":
                return data
        return None

    async def types(self, count):
        return [(await self.event())["type"] for _ in range(count)]


@asynccontextmanager
async def listening(world, query="", *, last=None, token=None):
    headers = {"Authorization": f"Bearer {token or world.token}"}
    headers |= {} if last is None else {"Last-Event-ID": str(last)}
    async with world.session.get(
        f"{world.url}/v1/events/stream{query}", headers=headers
    ) as response:
        assert response.status == 200, await response.read()
        assert response.headers["Content-Type"] == EVENT_STREAM_TYPE
        yield Listener(response)


async def done(world, gateway, number=1, **changes):
    """Let a job succeed on a gateway."""
    job = await world.submit(gateway.name, **changes)
    (granted,) = (await gateway.ordered()).jobs
    receipt = gateway.receipt(number, granted.execution, ExecutionState.SUCCEEDED)
    await gateway.contact(receipts=[receipt])
    return job


async def test_a_job_is_followed_from_its_submission_to_its_end(world, pump):
    async with listening(world) as listener:
        job = await done(world, pump)
        types = await listener.types(3)
    assert types == ["job.submitted", "execution.changed", "job.completed"]
    found = await world.read(f"/v1/events?subject=job:{job['id']}")
    assert [one["type"] for one in found["items"]] == types
    (changed,) = [one for one in found["items"] if one["type"] == "execution.changed"]
    assert changed["specversion"] == "1.0"
    assert changed["source"].startswith("urn:outstation:fleet:")
    assert changed["data"]["state"] == "SUCCEEDED"


async def test_whoever_comes_back_hears_everything_once(world, pump):
    await done(world, pump)
    async with listening(world, "?after=0") as listener:
        await listener.types(4)  # the last is told once the others are
    async with listening(world, "?after=0&seconds=0") as listener:
        heard = [await listener.event()]
        first = listener.last
    async with listening(world, "?seconds=0", last=first) as listener:
        while event := await listener.event():
            heard.append(event)
    everything = (await world.read("/v1/events"))["items"]
    assert [one["id"] for one in heard] == [one["id"] for one in everything]
    assert listener.comments == ["come back: the stream's time is over"]


async def test_a_stream_from_before_what_is_kept_says_that_something_is_missing(world, pump):
    newest = (await world.read("/v1/events?order=newest&page_size=1"))["items"][0]["id"]
    async with listening(world, f"?seconds=0&after={int(newest) + 9}") as listener:
        assert await listener.event() == {"after": int(newest) + 9}
    assert listener.kinds == ["missed"]


async def test_a_stream_with_nothing_to_say_shows_that_it_lives(world, pump, monkeypatch):
    monkeypatch.setattr(limits, "EVENT_BEAT_S", 0.01)
    newest = (await world.read("/v1/events?order=newest&page_size=1"))["items"][0]["id"]
    async with listening(world, "?type=alarm") as listener:
        reading = asyncio.create_task(listener.event())
        while not (listener.comments and listener.last):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert listener.comments[0] == "nothing new"
    assert listener.last == newest, "whoever comes back need not look at all of this again"


async def test_a_limited_token_hears_of_its_agents_only(world, pump):
    south = await world.gateway("valve-1", site="south")
    token = await token_of(world.place, "southerner", "viewer", selector="site=south")
    await done(world, pump)
    await done(world, south)
    async with listening(world, "?after=0", token=token) as listener:
        events = [await listener.event() for _ in range(4)]
    assert [one["type"] for one in events] == [
        *("agent.enrolled", "job.submitted"),
        *("execution.changed", "job.completed"),
    ]
    assert events[0]["data"]["agent"] == "valve-1"


async def test_a_stream_ends_with_its_token(world, pump, monkeypatch):
    monkeypatch.setattr(limits, "EVENT_BEAT_S", 0.01)
    made = (await world.post("/v1/tokens", {"name": "guest", "scopes": ["viewer"]})).json
    async with listening(world, "?type=alarm&seconds=30", token=made["token"]) as listener:
        await world.post(f"/v1/tokens/{made['id']}/revoke", {})
        assert await listener.event() is None
    assert listener.comments[-1] == "A valid bearer token is needed; come back then"


async def always_woken(waiter, seconds):
    """Wait as on a fleet where something happens all the time."""
    await asyncio.sleep(0)
    return True


async def test_a_stream_whose_filter_hides_what_happens_shows_that_it_lives(
    world, pump, monkeypatch
):
    monkeypatch.setattr(limits, "EVENT_BEAT_S", 0.01)
    monkeypatch.setattr(Waiter, "wait", always_woken)
    async with listening(world, "?type=alarm&seconds=1") as listener:
        assert await listener.event() is None
    assert set(listener.comments[:-1]) == {"nothing new"}


async def test_a_stream_ends_with_its_token_whatever_happens_meanwhile(world, pump, monkeypatch):
    monkeypatch.setattr(limits, "EVENT_BEAT_S", 0.01)
    monkeypatch.setattr(Waiter, "wait", always_woken)
    made = (await world.post("/v1/tokens", {"name": "guest", "scopes": ["viewer"]})).json
    async with listening(world, "?type=alarm&seconds=30", token=made["token"]) as listener:
        await world.post(f"/v1/tokens/{made['id']}/revoke", {})
        assert await listener.event() is None
    assert listener.comments[-1].startswith("A valid bearer token")


async def test_a_stream_ends_with_its_token_in_the_middle_of_what_was_missed(
    world, pump, monkeypatch
):
    count = 2_000
    tell_much(world, count, "x" * 8_000)  # more than what lies on its way in the system's buffers
    monkeypatch.setattr(limits, "EVENT_BEAT_S", 0.01)
    made = (await world.post("/v1/tokens", {"name": "guest", "scopes": ["viewer"]})).json
    query, heard = "?type=alarm&after=0&seconds=0", 0
    async with listening(world, query, token=made["token"]) as listener:
        await world.post(f"/v1/tokens/{made['id']}/revoke", {})
        while await listener.event():
            heard += 1
    assert heard < count
    assert listener.comments[-1].startswith("A valid bearer token")


async def test_a_listener_that_takes_nothing_is_cut_and_goes_on_without_loss(
    world, pump, monkeypatch
):
    count = 2_000
    tell_much(world, count, "x" * 8_000)  # more than what lies on its way in the system's buffers
    monkeypatch.setattr(limits, "EVENT_WRITE_S", 0.5)
    heard = []
    async with listening(world, "?type=alarm&after=0") as listener:
        transport = listener.response.connection.transport
        transport.pause_reading()
        await until_nobody_listens(world)
        transport.resume_reading()
        with contextlib.suppress(aiohttp.ClientError):
            while event := await listener.event():
                heard.append(event["id"])
    assert len(heard) < count, "it was cut"
    monkeypatch.undo()
    async with listening(world, "?type=alarm&seconds=0", last=listener.last) as listener:
        while event := await listener.event():
            heard.append(event["id"])
    assert (len(heard), len(set(heard))) == (count, count)


def tell_much(world, count, text):
    """Events, straight into the database of a coordinator that runs."""
    row = ("pump-1", json.dumps({"text": text}))
    with closing(sqlite3.connect(world.place.database)) as connection, connection:
        connection.executemany(
            "INSERT INTO event (at_ms, type, agent_id, detail) VALUES (1, 'alarm.raised', ?, ?)",
            [row] * count,
        )


async def until_nobody_listens(world):
    """Wait until nobody listens any more."""
    while "outstation_event_streams 0.0" not in (await world.get("/metrics")).body.decode():
        await asyncio.sleep(0)


async def test_too_many_listeners_are_told_to_come_back(world, pump, monkeypatch):
    monkeypatch.setattr(limits, "EVENT_STREAMS", 0)
    answered = await world.get("/v1/events/stream")
    assert (answered.status, answered.problem) == (503, "unavailable")
    assert answered.headers["Retry-After"] == "10"


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ("type=job.complete", "query.type"),
        ("subject=job:nonsense", "query.subject"),
        ("selector=site%20in", "query.selector"),
    ],
)
async def test_a_mistake_in_a_filter_is_pointed_at(world, pump, query, at):
    for path in ("/v1/events", "/v1/events/stream"):
        answered = await world.get(f"{path}?{query}")
        assert (answered.status, answered.json["at"]) == (422, at)


async def test_the_command_line_lists_and_follows_events(run, world, pump):
    job = await done(world, pump)
    status, out, _ = await run("events", "list", "--about", f"job:{job['id']}")
    assert (status, "QUEUED -> SUCCEEDED" in out) == (0, True)
    status, out, _ = await run("events", "watch", "--after", "0", "--until", "1", "--json")
    told = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    listed = json.loads((await run("events", "list", "--json"))[1])
    assert [one["id"] for one in told][::-1] == [one["id"] for one in listed]
    status, _, said = await run("events", "list", "--type", "jobs")
    assert (status, "did you mean" in said) == (2, True)


async def test_a_clone_of_a_job_in_stages_goes_in_stages_too(run, world, pump):
    rollout = {"stages": [{"name": "canary", "percentage": 50}, {"name": "rest"}]}
    job = await world.submit("pump-1", rollout=rollout, deadlines={"contact_within": "P3D"})
    status, out, _ = await run("jobs", "clone", job["id"], "--json")
    assert status == 0
    view = await world.read(f"/v1/rollouts/{json.loads(out)['id']}")
    assert [stage["name"] for stage in view["stages"]] == ["canary", "rest"]
