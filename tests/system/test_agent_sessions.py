"""Which TLS session the agent resumes next, against a real coordinator."""

import ssl
from collections.abc import AsyncIterator

import pytest

from agent.core.uplink import Answered
from agent.services import http_connection
from shared.runtime.clock import SystemClock
from tests.bench.contact import BUDGET
from tests.bench.outpost import BenchClock, Outpost, one_device, open_centre, open_outpost


@pytest.fixture
async def post(tmp_path) -> AsyncIterator[Outpost]:
    async with open_centre(tmp_path / "coordinator") as centre:
        clock, table = BenchClock(SystemClock().wall_ms()), one_device((), 1000)
        async with open_outpost(
            tmp_path, centre, clock=clock, table=table, port=centre.port
        ) as outpost:
            yield outpost


async def sessions(post: Outpost, contacts: int, *, keep: bool) -> list[ssl.SSLSession]:
    """Make contacts; return the session in hand after each."""
    held: list[ssl.SSLSession] = []
    for _ in range(contacts):
        end = await post.contact.run(seal=True, wait_s=0, budget=BUDGET, keep=keep)
        assert isinstance(end, Answered), end
        assert post.link._session is not None
        held.append(post.link._session)
    return held


async def test_where_looks_lose_nothing_the_newest_session_is_resumed(post, monkeypatch):
    """A peer may take each only once (RFC 8446, 4.6.1), and would ask for a whole handshake."""
    monkeypatch.setattr(http_connection, "_LOOKS_LEAK", False)
    held = await sessions(post, 4, keep=False)
    assert len({session.id for session in held}) == 4
    assert (post.link.connections, post.link.resumed) == (4, 3)


@pytest.mark.parametrize("leak", [False, True])
async def test_a_connection_that_is_kept_is_looked_at_once(post, monkeypatch, leak):
    """However old its session grows, which no look makes younger."""
    monkeypatch.setattr(http_connection, "_LOOKS_LEAK", leak)
    [first] = await sessions(post, 1, keep=True)
    monkeypatch.setattr(http_connection, "_is_young", lambda _session: False)
    assert all(session is first for session in await sessions(post, 3, keep=True))
    assert post.link.connections == 1
