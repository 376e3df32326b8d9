"""The agent's HTTPS on real sockets: pinned, resumed, bounded in time, broken off, counted."""

import asyncio
import os
import select
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator

import pytest

from agent.core.uplink import Delivered, Fault, LinkFailed
from agent.services import http_connection
from agent.services.contact_http import HttpLink
from agent.services.endpoint import Endpoint
from coordinator.keys.certificates import Authority, create_authority, issue_server
from shared import limits
from tests.bench.process import memory_mb
from tests.system.http_server import NOW, Server, reply, serving, silence

PROBLEM = b'{"type":"urn:outstation:problem:x","title":"No","detail":"because"}'


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    folder = tmp_path_factory.mktemp("ca")
    return create_authority(folder / "ca.pem", folder / "ca.key", name="fleet", now_ms=NOW)


@pytest.fixture
async def tls(tmp_path, authority) -> AsyncIterator[tuple[Server, HttpLink]]:
    async with serving(tmp_path, authority) as server:
        link = HttpLink(
            Endpoint("127.0.0.1", server.port, "", tls=True),
            ca_pem=authority.pem.decode(),
            where="test",
        )
        yield server, link
        await link.close()


@pytest.fixture
async def plain(tmp_path) -> AsyncIterator[tuple[Server, HttpLink]]:
    async with serving(tmp_path, None) as server:
        link = HttpLink(Endpoint("127.0.0.1", server.port, "", tls=False), ca_pem="", where="test")
        yield server, link
        await link.close()


async def say(link: HttpLink, body: bytes = b"hello", *, wait_s: int = 0, keep: bool = False):
    return await link.exchange(body, wait_s=wait_s, keep=keep)


async def test_a_contact_is_one_post_with_its_wait_and_its_type(tls):
    server, link = tls
    server.handler = reply("200 OK", b"answer")
    end = await say(link, b"x" * 40_000, wait_s=7)
    assert isinstance(end, Delivered)
    assert end.body == b"answer"
    (request,) = server.requests
    assert request.line == "POST /v1/sync?wait=7 HTTP/1.1"
    assert request.headers["content-type"] == "application/vnd.outstation.contact"
    assert request.body == b"x" * 40_000


async def test_sessions_are_resumed_over_connections_and_cost_less(tls):
    server, link = tls
    server.handler = reply("200 OK", b"answer")
    ends = [await say(link) for _ in range(3)]
    assert server.connections == 3
    assert server.resumed == [False, True, True]
    assert (link.connections, link.resumed) == (3, 2)
    first, *later = [end.up + end.down for end in ends]
    assert all(size < first for size in later), "no certificate travels again"


@pytest.mark.parametrize("keep", [False, True])
async def test_a_session_is_looked_at_once_and_not_at_each_contact(tls, keep):
    """Each look is lost memory, see `Connection`: 200 of them would be more than a megabyte."""
    server, link = tls
    server.handler = reply("200 OK", b"answer")
    await say(link, keep=keep)
    session, before_mb = link._session, memory_mb(os.getpid())["rss_mb"]
    for _ in range(200):
        await say(link, keep=keep)
    assert link._session is session is not None
    assert all(server.resumed[1:])
    assert memory_mb(os.getpid())["rss_mb"] < before_mb + 0.7


async def test_a_session_that_grows_old_is_followed_by_a_new_one(tls, monkeypatch):
    server, link = tls
    server.handler = reply("200 OK", b"answer")
    await say(link)
    session = link._session
    seconds = session.time + session.timeout * 0.8
    monkeypatch.setattr("agent.services.http_connection.time.time", lambda: seconds)
    await say(link)
    assert link._session is not session
    assert server.resumed == [False, True]


async def test_a_kept_connection_is_used_again(tls):
    server, link = tls
    server.handler = reply("200 OK", b"answer")
    first, second = await say(link, keep=True), await say(link, keep=True)
    assert server.connections == 1
    assert 0 < second.up < first.up, "counted per contact, not per connection"
    await say(link, keep=False)
    await say(link)
    assert server.connections == 2


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_without_a_word(plain):
    server, link = plain

    async def answer_and_close(request, writer):
        await reply("200 OK", b"answer")(request, writer)
        writer.close()

    server.handler = answer_and_close
    await say(link, keep=True)
    end = await say(link, keep=True)
    assert isinstance(end, Delivered)
    assert server.connections == 2


async def test_bytes_are_those_of_the_wire(plain):
    server, link = plain
    server.handler = reply("200 OK", b"a" * 1_000)
    end = await say(link, b"x" * 2_000)
    request = len(server.requests[0].line) + 2 + 2
    request += sum(len(k) + len(v) + 4 for k, v in server.requests[0].headers.items())
    assert end.up == request + 2_000
    assert end.down == len(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n") + 1_000


# --- trust --------------------------------------------------------------------------------------
async def test_a_server_of_another_authority_is_not_spoken_to(tls, tmp_path):
    server, _ = tls
    server.handler = reply("200 OK")
    other = create_authority(tmp_path / "o.pem", tmp_path / "o.key", name="other", now_ms=NOW)
    endpoint = Endpoint("127.0.0.1", server.port, "", tls=True)
    end = await say(HttpLink(endpoint, ca_pem=other.pem.decode(), where="test"))
    assert (end.fault, server.requests) == (Fault.UNTRUSTED, [])
    assert "does not prove to be the coordinator" in end.detail
    system = await say(HttpLink(endpoint, ca_pem="", where="test"))
    assert system.fault is Fault.UNTRUSTED, "the system's authorities do not know it either"


async def test_a_certificate_for_another_host_is_not_enough(tls, authority):
    server, _ = tls
    server.handler = reply("200 OK")
    endpoint = Endpoint("localhost", server.port, "", tls=True)
    end = await say(HttpLink(endpoint, ca_pem=authority.pem.decode(), where="test"))
    assert (end.fault, server.requests) == (Fault.UNTRUSTED, [])


async def test_tls_below_1_3_is_refused(tls, authority, tmp_path):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issue_server(authority, tmp_path / "old.pem", hosts=["127.0.0.1"], now_ms=NOW)
    old.load_cert_chain(tmp_path / "old.pem")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=old)
    port = listener.sockets[0].getsockname()[1]
    link = HttpLink(
        Endpoint("127.0.0.1", port, "", tls=True), ca_pem=authority.pem.decode(), where="test"
    )
    assert (await say(link)).fault is Fault.UNREACHABLE
    listener.close()
    await listener.wait_closed()


# --- refusals -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "fault"),
    [
        ("401 Unauthorized", Fault.DENIED),
        ("403 Forbidden", Fault.DENIED),
        ("409 Conflict", Fault.CONFLICT),
        ("413 Content Too Large", Fault.TOO_LARGE),
        ("429 Too Many Requests", Fault.BUSY),
        ("503 Service Unavailable", Fault.BUSY),
        ("400 Bad Request", Fault.REFUSED),
        ("302 Found", Fault.REFUSED),
        ("500 Internal Server Error", Fault.REFUSED),
    ],
)
async def test_other_statuses_are_faults_with_the_sentence_of_the_problem(plain, status, fault):
    server, link = plain
    server.handler = reply(status, PROBLEM, Retry_After="120")
    end = await say(link, keep=True)
    assert isinstance(end, LinkFailed)
    assert (end.fault, end.retry_after_s) == (fault, 120)
    assert end.detail == f"{status[:3]} because"
    assert end.up > 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry_After": "soon"}, None),
        ({"Retry_After": "9" * 30}, 999_999_999),
        (
            {
                "Retry_After": "Wed, 21 Oct 2026 07:30:00 GMT",
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            120,
        ),
        (
            {
                "Retry_After": "Wed, 21 Oct 2026 07:00:00 GMT",
                "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            0,
        ),
    ],
)
async def test_retry_after_is_a_number_or_a_date_by_the_peers_clock(plain, headers, seconds):
    server, link = plain
    server.handler = reply("503 Service Unavailable", b"not json", **headers)
    assert (await say(link)).retry_after_s == seconds


async def test_an_answer_that_is_too_long_is_not_read_to_its_end(plain):
    server, link = plain
    server.handler = reply("200 OK", b"x" * (limits.BODY_BYTES_DOWN + 100_000))
    end = await say(link, keep=True)
    assert (end.fault, end.detail) == (Fault.BAD_ANSWER, "the answer is too long")
    server.handler = reply("200 OK", b"fine")
    assert (await say(link)).body == b"fine"


@pytest.mark.parametrize("garbage", [b"", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Len"])
async def test_what_is_no_http_is_a_failure(plain, garbage):
    server, link = plain

    async def babble(_, writer):
        writer.write(garbage)
        writer.close()

    server.handler = babble
    assert (await say(link)).fault is Fault.UNREACHABLE


# --- time ---------------------------------------------------------------------------------------
async def test_nobody_there_is_unreachable():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    link = HttpLink(Endpoint("127.0.0.1", port, "", tls=False), ca_pem="", where="test")
    end = await say(link)
    assert (end.fault, end.up, end.down) == (Fault.UNREACHABLE, 0, 0)
    assert f"127.0.0.1:{port}: Connection refused" in end.detail


async def test_a_peer_that_goes_silent_is_noticed(plain, monkeypatch):
    server, link = plain
    monkeypatch.setattr(http_connection, "ANSWER_S", 0.05)
    server.handler = silence
    end = await say(link)
    assert (end.fault, end.detail) == (Fault.SILENT, f"127.0.0.1:{server.port} does not answer")
    assert end.up > 0, "what was sent in vain was sent all the same"


async def test_a_handshake_that_never_ends_is_noticed(monkeypatch, authority):
    monkeypatch.setattr(http_connection, "CONNECT_S", 0.05)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        endpoint = Endpoint("127.0.0.1", mute.getsockname()[1], "", tls=True)
        link = HttpLink(endpoint, ca_pem=authority.pem.decode(), where="test")
        assert (await say(link)).fault is Fault.SILENT


async def test_an_exchange_can_be_broken_off_while_it_waits(tls):
    server, link = tls
    arrived = asyncio.Event()

    async def hold(_, __):
        arrived.set()
        await asyncio.Event().wait()

    server.handler = hold
    task = asyncio.create_task(say(link, wait_s=55, keep=True))
    await arrived.wait()
    link.abort()
    assert (await task).fault is Fault.ABORTED
    server.handler = reply("200 OK", b"again")
    assert (await say(link)).body == b"again"


async def test_an_exchange_on_a_kept_connection_can_be_broken_off_and_is_not_said_again(tls):
    server, link = tls
    arrived = asyncio.Event()

    async def hold(_, __):
        server.handler = reply("200 OK", b"said again")
        arrived.set()
        await asyncio.Event().wait()

    server.handler = reply("200 OK", b"first")
    assert (await say(link, keep=True)).body == b"first"
    server.handler = hold
    task = asyncio.create_task(say(link, wait_s=55, keep=True))
    await arrived.wait()
    link.abort()
    assert (await task).fault is Fault.ABORTED
    assert (server.connections, len(server.requests)) == (1, 2)


async def test_nothing_is_opened_for_an_exchange_that_was_broken_off_once_found_closed(plain):
    server, link = plain

    async def answer_and_close(request, writer):
        await reply("200 OK", b"answer")(request, writer)
        writer.close()

    server.handler = answer_and_close
    await say(link, keep=True)
    while not select.select([link._kept._sock], [], [], 0)[0]:
        await asyncio.sleep(0)  # until the server's end of it is here
    task = asyncio.create_task(say(link, wait_s=55, keep=True))
    await asyncio.sleep(0)
    for thread in threading.enumerate():
        if thread.name == "contact":
            thread.join()  # it has ended, and the loop does not know it yet
    link.abort()
    assert (await task).fault is Fault.ABORTED
    assert (server.connections, len(server.requests)) == (1, 1)


async def test_an_exchange_can_be_broken_off_while_it_connects(authority):
    # A full backlog: the kernel leaves further connections without an answer.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        link = HttpLink(Endpoint(address[0], address[1], "", tls=False), ca_pem="", where="test")
        task = asyncio.create_task(say(link))
        while not is_connecting(link):
            await asyncio.sleep(0)
        link.abort()
        assert (await task).fault is Fault.ABORTED
        for filler in fillers:
            filler.close()


SYN_SENT = 2


def is_connecting(link: HttpLink) -> bool:
    """Tell whether the link's socket waits for the other side's SYN."""
    wire = link._busy._wire if link._busy else None
    if wire is None:
        return False
    info = wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return bool(struct.unpack("B", info)[0] == SYN_SENT)


async def test_a_cancelled_exchange_lets_go_of_its_connection(tls):
    server, link = tls
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def hold(_, writer):
        arrived.set()
        await writer.wait_closed()

    server.handler = hold
    task = asyncio.create_task(say(link))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gone.set()
    server.handler = reply("200 OK", b"next")
    assert (await say(link)).body == b"next"
