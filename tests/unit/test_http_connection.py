"""What the agent says over HTTP, byte for byte: each byte of a contact is paid for."""

import asyncio
import socket
import ssl
import struct
import threading
from typing import Self

import pytest

from agent.core.uplink import Delivered, Fault, LinkFailed
from agent.services.contact_http import HttpLink
from agent.services.endpoint import Endpoint, parse_url
from agent.services.http_connection import Connection, Request, tls_context
from shared.errors import MistakeError

KIND = "application/x"


class Server:
    """Answers what it is told to one request at a time, and keeps what it was sent."""

    def __init__(self, *answers: bytes, body_bytes: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard: list[bytes] = []
        self._answers, self._body_bytes = answers, body_bytes
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            for answer in self._answers:
                heard = b""
                while len(heard.partition(b"\r\n\r\n")[2]) < self._body_bytes:
                    heard += connection.recv(65_536)
                self.heard.append(heard)
                connection.sendall(answer)
            self.heard.append(connection.recv(65_536))


def answer(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def connect(server: Server, path: str = "") -> Connection:
    return Connection(parse_url(f"http://127.0.0.1:{server.port}{path}", where=""), None, None)


def request(body: bytes, *, keep: bool = False) -> Request:
    return Request(path="/v1/sync", body=body, content_type=KIND, wait_s=0, keep=keep)


def sent_twice(connection: Connection) -> int:
    """Return bytes that the kernel sent once more, which a busy machine can make it do."""
    assert connection._wire is not None
    info = connection._wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    (again,) = struct.unpack_from("=Q", info, 208)  # tcpi_bytes_retrans in linux/tcp.h
    return int(again)


def test_a_request_says_what_http_demands_and_nothing_else():
    with Server(answer(b"yes"), body_bytes=3) as server:
        connection = connect(server)
        end = connection.exchange(request(b"abc", keep=True))
        again = sent_twice(connection)
        connection.end()
    assert server.heard[0] == (
        b"POST /v1/sync HTTP/1.1\r\n"
        b"Host: 127.0.0.1:%d\r\n"
        b"Content-Type: application/x\r\n"
        b"Content-Length: 3\r\n"
        b"\r\n"
        b"abc" % server.port
    )
    assert isinstance(end, Delivered)
    assert end.body == b"yes"
    assert end.up == len(server.heard[0]) + again


def test_a_body_of_many_records_arrives_whole():
    body = bytes(range(256)) * 400
    with Server(answer(b"yes"), body_bytes=len(body)) as server:
        end = connect(server).exchange(request(body))
    assert isinstance(end, Delivered)
    assert server.heard[0].endswith(b"\r\n\r\n" + body)
    # As the kernel counts it, which on a busy machine sends a piece twice now and then.
    assert 0 <= end.up - len(server.heard[0]) < len(body)


def test_a_kept_connection_takes_the_next_request():
    with Server(answer(b"1"), answer(b"2"), body_bytes=1) as server:
        connection = connect(server)
        first = connection.exchange(request(b"a", keep=True))
        kept = connection.usable
        second = connection.exchange(request(b"b"))
    assert kept
    assert not connection.usable
    assert [end.body for end in (first, second) if isinstance(end, Delivered)] == [b"1", b"2"]
    assert server.heard[-1] == b"", "it was closed after the second"


async def test_one_broken_off_behind_its_answer_is_closed():
    with Server(answer(b"1"), body_bytes=1) as server:
        link = HttpLink(parse_url(f"http://127.0.0.1:{server.port}", where=""), ca_pem="", where="")
        task = asyncio.create_task(link.exchange(b"a", wait_s=55, keep=True))
        await asyncio.sleep(0)
        for thread in threading.enumerate():
            if thread.name == "contact":
                thread.join()  # it has the answer, and the loop does not know it yet
        connection = link._busy
        assert connection is not None
        link.abort()
        end = await task
        left_open, _ = connection._sock, connection.end()
    assert isinstance(end, Delivered)
    assert end.body == b"1"
    assert left_open is None


def test_a_connection_that_the_peer_wants_closed_is_not_used_again():
    with Server(answer(b"1", "Connection: close"), body_bytes=1) as server:
        connection = connect(server)
        end = connection.exchange(request(b"a", keep=True))
        assert isinstance(end, Delivered)
        assert not connection.usable
    assert server.heard[-1] == b""


def test_an_answer_that_is_not_http_is_a_failure_of_the_link():
    with Server(b"hello\r\n\r\n", body_bytes=1) as server:
        connection = connect(server)
        end = connection.exchange(request(b"a"))
    assert isinstance(end, LinkFailed)
    assert end.fault is Fault.UNREACHABLE
    assert not connection.usable


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://coordinator.example", "coordinator.example"),
        ("https://coordinator.example:443/", "coordinator.example"),
        ("https://coordinator.example:8443", "coordinator.example:8443"),
        ("http://localhost", "localhost"),
        ("http://127.0.0.1:443", "127.0.0.1:443"),
        ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443"),
    ],
)
def test_a_host_header_names_the_port_only_if_the_scheme_does_not(url, said):
    assert parse_url(url, where="").authority == said


@pytest.mark.parametrize(
    "url",
    [
        "https://käse.example",
        "https://coordinator.example/a b",
        "https://coordinator.example/a\r\nX: y",
        "https://coordinator.example/\x00",
        "ftp://coordinator.example",
        "https://me@coordinator.example",
        "https://coordinator.example:99999",
        "http://coordinator.example",
    ],
)
def test_a_url_that_would_not_make_a_request_is_a_mistake(url):
    with pytest.raises(MistakeError):
        parse_url(url, where="the claim")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://x", "no coordinator's URL"),
        ("https://", "no coordinator's URL"),
        ("https://host:port", "no coordinator's URL"),
        ("https://user@host", "no coordinator's URL"),
        ("https://host/?a=b", "no coordinator's URL"),
        ("https://[::1", "no coordinator's URL"),
        ("http://192.0.2.1", "clear text"),
        ("http://example.test:8080", "clear text"),
    ],
)
def test_a_url_that_cannot_be_used_is_told(url, says):
    with pytest.raises(MistakeError, match=says):
        parse_url(url, where="here")


def test_urls_that_can_be_used():
    assert parse_url("https://a.test/", where="x") == Endpoint("a.test", 443, "", tls=True)
    assert parse_url("https://a.test:9/b/", where="x") == Endpoint("a.test", 9, "/b", tls=True)
    assert parse_url("http://127.0.0.1:8", where="x") == Endpoint("127.0.0.1", 8, "", tls=False)
    with pytest.raises(MistakeError, match="ca_pem"):
        HttpLink(Endpoint("a.test", 1, "", tls=True), ca_pem="nothing", where="x")


def test_a_client_hello_is_not_filled_up():
    # With a session to resume it is 338 bytes long; OpenSSL's padding would make 517 of them.
    assert not tls_context("", where="").options & 0x10
    assert ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).options & 0x10, "else the line can go"
