"""Contacts at the door, bytes on a real socket: what is answered there, and what is given on."""

import asyncio
import json
import sqlite3
import ssl
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest

from shared import limits
from shared.sync.body import CONTENT_TYPE
from tests.system.coordinator_world import body, open_world, serving, trust
from tests.system.rest_client import Answered


@pytest.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as made:
        yield made


@pytest.fixture
async def gateway(world):
    made = await world.gateway("pump-station")
    await made.contact()  # the first contact brings documents, so it is never held
    return made


@asynccontextmanager
async def line_to(url, context):
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


@pytest.fixture
async def line(world):
    async with line_to(world.url, trust(world.place)) as both:
        yield both


def post(data, *more, path="/v1/sync", content_type=CONTENT_TYPE):
    lines = [f"POST {path} HTTP/1.1", "Host: here", f"Content-Type: {content_type}"]
    lines += (
        [*more]
        if any("Transfer" in one for one in more)
        else [
            f"Content-Length: {len(data)}",
            *more,
        ]
    )
    return "\r\n".join([*lines, "", ""]).encode() + data


async def answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *lines = head.split("\r\n")[:-2]
    headers = dict(line.split(": ", 1) for line in lines)
    size = int(headers["Content-Length"])
    return Answered(int(status.split()[1]), headers, await reader.readexactly(size))


async def sent(line, data):
    reader, writer = line
    writer.write(data)
    return await answer(reader)


async def test_the_door_and_aiohttp_give_a_contact_the_same_headers(gateway, line):
    first = gateway.report()
    at_door = await sent(line, post(body(first)))
    gateway.answered_by(first, at_door)
    second = gateway.report()
    data = body(second)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)
    behind = await sent(line, post(chunked, "Transfer-Encoding: chunked"))
    gateway.answered_by(second, behind)
    names = ["Content-Type", "Content-Length", "Date"]
    assert list(at_door.headers) == list(behind.headers) == names
    assert at_door.headers["Content-Type"] == behind.headers["Content-Type"] == CONTENT_TYPE


async def test_a_refusal_reads_the_same_at_the_door_and_behind_it(line):
    at_door = await sent(line, post(b"noise"))
    behind = await sent(line, post(b"5\r\nnoise\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))
    assert (at_door.status, at_door.body) == (behind.status, behind.body)
    assert at_door.problem == "malformed"
    assert sorted(at_door.headers) == sorted(behind.headers)
    assert at_door.headers["Server"] == "outstation"


async def test_one_connection_carries_contacts_and_then_other_requests(world, gateway, line):
    for _ in range(3):
        frozen = gateway.report()
        gateway.answered_by(frozen, await sent(line, post(body(frozen))))
    asked = f"GET /v1/agents HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {world.token}\r\n\r\n"
    listed = await sent(line, asked.encode())
    assert [one["id"] for one in json.loads(listed.body)["items"]] == ["pump-station"]
    frozen = gateway.report()
    gateway.answered_by(frozen, await sent(line, post(body(frozen))))


async def test_contacts_that_are_sent_at_once_are_answered_in_their_order(gateway, line):
    first = gateway.report()
    gateway.counter, gateway.previous = first.counter, first.digest
    second = gateway.report()
    reader, writer = line
    writer.write(post(body(first)) + post(body(second)))
    assert gateway.answered_by(first, await answer(reader))[0].report == first.digest
    assert gateway.answered_by(second, await answer(reader))[0].report == second.digest


async def test_a_contact_may_come_in_any_pieces_after_its_head(gateway, line):
    frozen = gateway.report(blocks={1: gateway.block(1.0)})
    data = body(frozen, gateway.block(1.0, seq=1))
    whole, (reader, writer) = post(data), line
    writer.write(whole[: -len(data)])
    for at in range(0, len(data), 50):
        await writer.drain()
        writer.write(data[at : at + 50])
    reply, _ = gateway.answered_by(frozen, await answer(reader))
    assert reply.acked == [(1, 1)]


async def test_a_large_contact_is_read_behind_the_door(gateway, line):
    noise = bytes(limits.QUICK_BODY_BYTES + 1)
    answered = await sent(line, post(noise))
    assert answered.problem == "malformed"


async def test_who_asks_to_close_is_answered_and_let_go(gateway, line):
    frozen = gateway.report()
    answered = await sent(line, post(body(frozen), "Connection: close"))
    gateway.answered_by(frozen, answered)
    assert answered.headers["Connection"] == "close"
    assert await line[0].read() == b""


async def test_a_body_that_stops_coming_is_given_up(monkeypatch, line):
    monkeypatch.setattr(limits, "CONTACT_IDLE_S", 0.05)
    reader, writer = line
    writer.write(post(b"noise")[:-1])
    assert (await answer(reader)).problem == "timed-out"
    assert await reader.read() == b""


async def test_a_gateway_that_hangs_up_leaves_no_wait_behind(world, gateway):
    async with line_to(world.url, trust(world.place)) as (_, writer):
        writer.write(post(body(gateway.report()), path=f"/v1/sync?wait={limits.WAIT_S}"))
        while not await waiting(world):
            pass
    while await waiting(world):
        pass


async def waiting(world):
    """How many contacts are held."""
    told = (await world.get("/metrics")).body.decode()
    [line] = [one for one in told.splitlines() if one.startswith("outstation_waiting_contacts ")]
    return int(float(line.split()[1]))


async def test_a_coordinator_that_stops_answers_who_waits_and_closes_who_is_idle(tmp_path):
    async with open_world(tmp_path / "world") as world:
        gateway = await world.gateway("pump-station")
        await gateway.contact()
        place = world.place
    async with AsyncExitStack() as serves:
        url, context = await serves.enter_async_context(serving(place)), trust(place)
        async with line_to(url, context) as held, line_to(url, context) as idle:
            other = gateway.report()
            held[1].write(post(body(other), path=f"/v1/sync?wait={limits.WAIT_S}"))
            # Answered on the same loop after the held one was taken in.
            again = await sent(idle, post(b"noise"))
            assert again.problem == "malformed"
            stopping = asyncio.create_task(answer(held[0]))
            leaving = asyncio.create_task(idle[0].read())
            await serves.aclose()
            assert gateway.answered_by(other, await stopping)
            assert await leaving == b""


async def test_one_agents_flood_is_turned_away_and_others_are_taken_in(monkeypatch, world, gateway):
    monkeypatch.setattr(limits, "CROWDED_S", 0)
    other = await world.gateway("other", site="south")
    flood = body(gateway.report(blocks={1: gateway.block(1.0)}), gateway.block(1.0, seq=1))
    blocker = sqlite3.connect(world.place.database, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")  # as a long transaction of another process
    tasks = {asyncio.create_task(world.sync(flood)) for _ in range(limits.CONTACTS_AT_ONCE + 3)}
    refused: set[asyncio.Task[Answered]] = set()
    while len(refused) < 3:
        done, _ = await asyncio.wait(tasks - refused, return_when=asyncio.FIRST_COMPLETED)
        refused |= done
    theirs = asyncio.create_task(other.contact())
    for _ in range(8):  # by then theirs is at the door, too
        assert (await world.sync(flood)).status == 429
    assert not theirs.done()
    blocker.execute("COMMIT")
    blocker.close()
    assert (await theirs)[0].agent == other.name
    answers = [await one for one in tasks - refused]
    assert [one.status for one in answers] == [200] * limits.CONTACTS_AT_ONCE
    for one in refused:
        answered = one.result()
        assert (answered.status, answered.problem) == (429, "contacts-crowded")
        assert answered.headers["Retry-After"] == "10"
