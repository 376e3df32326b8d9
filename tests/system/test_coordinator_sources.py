"""What comes unsigned from one address is refused unseen; who proved himself there is not."""

import asyncio
from contextlib import suppress

import pytest

from coordinator.app import serve
from coordinator.listen import Listen
from shared import limits
from shared.trust.envelope import KeySigner
from tests.system.coordinator_world import HOST, body, open_world, trust
from tests.system.test_coordinator_door import answer, line_to, post

STRANGER = KeySigner(b"somebody else's key...........ok")


@pytest.fixture
async def behind(tmp_path, monkeypatch):
    """Two gateways, and the URL that a proxy in front of their coordinator has."""
    monkeypatch.setattr(limits, "SOURCE_FAILURES", 3)
    monkeypatch.setattr(limits, "SOURCE_FAILURES_PER_S", 0.0)
    async with open_world(tmp_path) as world:
        gateways = [await world.gateway(name) for name in ("pump", "valve")]
        for one in gateways:
            await one.contact()
        place = world.place
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    listen = Listen(host=HOST, port=0, behind_proxy=True)
    task = asyncio.create_task(serve(place, listen, ready=url.set_result))
    try:
        yield (*gateways, await url)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def status(url, data, address, *more):
    """What a contact that the proxy had from an address is answered."""
    forwarded = [f"X-Forwarded-For: {one}" for one in address.split("|")]
    async with line_to(url, None) as (reader, writer):
        writer.write(post(data, *forwarded, *more))
        return (await answer(reader)).status


@pytest.mark.parametrize("door", [(), ("X-Forwarded-Proto: https", "TE: trailers")])
async def test_an_address_that_sends_what_nobody_signed_is_refused_unseen(behind, door):
    pump, valve, url = behind
    good = body(pump.report())
    assert await status(url, good, "192.0.2.7", *door) == 200
    bad = body(valve.report(signer=STRANGER))
    answers = [await status(url, bad, "192.0.2.7", *door) for _ in range(5)]
    assert answers == [403, 403, 403, 429, 429]
    assert await status(url, good, "192.0.2.7", *door) == 200, "it proved itself there"
    own = body(valve.report())
    assert await status(url, own, "192.0.2.7", *door) == 429, "it did not yet"
    assert await status(url, own, "192.0.2.8", *door) == 200
    assert await status(url, own, "192.0.2.7", *door) == 429, "its name is not theirs there"


@pytest.mark.parametrize("door", [(), ("X-Forwarded-Proto: https", "TE: trailers")])
async def test_a_stranger_who_uses_a_gateways_name_at_its_address_does_not_shut_it_out(
    behind, door
):
    pump, _, url = behind
    good = body(pump.report())
    assert await status(url, good, "192.0.2.7", *door) == 200
    bad = body(pump.report(signer=STRANGER))
    answers = [await status(url, bad, "192.0.2.7", *door) for _ in range(5)]
    assert answers == [403, 403, 403, 429, 429]
    assert await status(url, good, "192.0.2.7", *door) == 200
    assert await status(url, bad, "192.0.2.7", *door) == 429
    assert await status(url, good, "192.0.2.8", *door) == 200


@pytest.mark.parametrize("door", [(), ("TE: trailers",)])
async def test_an_address_that_the_sender_wrote_himself_is_not_believed(behind, door):
    _, valve, url = behind
    bad = body(valve.report(signer=STRANGER))
    for one in range(3):
        assert await status(url, bad, f"198.51.100.{one}, 192.0.2.7", *door) == 403
        assert await status(url, bad, f"198.51.100.{one}|192.0.2.9", *door) == 403
    assert await status(url, bad, "198.51.100.9, 192.0.2.7", *door) == 429
    assert await status(url, bad, "198.51.100.9|192.0.2.9", *door) == 429


async def test_without_a_proxy_nobody_is_believed_who_he_says_he_is(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SOURCE_FAILURES", 1)
    async with open_world(tmp_path) as world:
        valve = await world.gateway("valve")
        bad, context = body(valve.report(signer=STRANGER)), trust(world.place)
        async with line_to(world.url, context) as (reader, writer):
            for _ in range(3):
                writer.write(post(bad, "X-Forwarded-For: 192.0.2.7"))
                assert (await answer(reader)).status == 403


async def test_a_proxy_that_does_not_say_who_calls_stands_for_nobody(behind):
    _, valve, url = behind
    bad = body(valve.report(signer=STRANGER))
    async with line_to(url, None) as (reader, writer):
        for _ in range(6):
            writer.write(post(bad))
            assert (await answer(reader)).status == 403
