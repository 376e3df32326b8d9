"""Answers of HTTP/1.1 from bytes: framing, bounds, and nothing but its own error for garbage."""

import http.client
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.services.http_answer import Head, HttpError, read_body, read_head

BOUND = 1_000
CHUNKS = b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"


def parse(data: bytes, *, bound: int = BOUND) -> tuple[Head, bytes, bytes]:
    """Return head, body, and what is left in the stream."""
    stream = io.BytesIO(data)
    head = read_head(stream)
    return head, read_body(stream, head, bound), stream.read()


def answer(*fields: str, body: bytes = b"", status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode("latin-1") + body


@pytest.mark.parametrize(
    ("data", "body", "left"),
    [
        (answer("Content-Length: 3", body=b"abcHTTP"), b"abc", b"HTTP"),
        (answer("content-length:3  ", body=b"abc"), b"abc", b""),
        (answer("Content-Length: 0", body=b"next"), b"", b"next"),
        (answer(body=b"until the end"), b"until the end", b""),
        (
            answer("Transfer-Encoding: chunked", body=CHUNKS + b"n"),
            b"abc0123456789",
            b"n",
        ),
        (answer("Transfer-Encoding: Chunked", body=b"0\r\nTrailer: x\r\n\r\n"), b"", b""),
        (answer("Content-Length: 9", status="204 No Content", body=b"n"), b"", b"n"),
        (b"HTTP/1.1 200 \nContent-Length: 1\n\na", b"a", b""),
        (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", b"a", b""),
    ],
    ids=range(9),
)
def test_a_body_ends_where_its_framing_says(data, body, left):
    head, *rest = parse(data)
    assert rest == [body, left]
    assert head.status in {200, 204}


def test_interim_answers_are_skipped():
    data = answer(status="100 Continue") + answer("X: y", status="103 Early Hints")
    head, body, _ = parse(data + answer("Content-Length: 1", body=b"a"))
    assert (head.status, body) == (200, b"a")


def test_a_repeated_field_is_one_list():
    head, _, _ = parse(answer("X-A: 1", "x-a: 2", "Content-Length: 0"))
    assert head.fields["x-a"] == "1, 2"


@pytest.mark.parametrize(
    ("data", "is_last"),
    [
        (answer("Content-Length: 0"), False),
        (answer("Content-Length: 0", "Connection: Close"), True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", False),
    ],
)
def test_who_closes_says_so(data, is_last):
    assert parse(data)[0].is_last is is_last


@pytest.mark.parametrize("coding", ["Content-Length: 5000", "Transfer-Encoding: chunked", "X: y"])
def test_no_more_than_the_bound_and_one_byte_is_read(coding):
    body = b"x" * 5000 if "chunked" not in coding else b"1388\r\n" + b"x" * 5000 + b"\r\n0\r\n\r\n"
    _, got, _ = parse(answer(coding, body=body))
    assert got == b"x" * (BOUND + 1)


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno field\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\r\n",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10 + b"A: " + b"b" * 9_000,
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(101)) + b"\r\n",
        answer("Content-Length: 4", body=b"abc"),
        answer("Content-Length: -1", body=b"abc"),
        answer("Content-Length: 1", "Content-Length: 2", body=b"abc"),
        answer("Content-Length: ²", body=b"abc"),
        answer("Transfer-Encoding: gzip", body=b"abc"),
        answer("Transfer-Encoding: chunked", body=b"4\r\nabc\r\n0\r\n\r\n"),
        answer("Transfer-Encoding: chunked", body=b"2\r\nabc\r\n0\r\n\r\n"),
        answer("Transfer-Encoding: chunked", body=b"-1\r\nabc\r\n0\r\n\r\n"),
        answer("Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n" + b"T: x\r\n" * 101),
        answer(status="100 Continue") * 11,
    ],
    ids=range(19),
)
def test_what_is_no_answer_is_refused(data):
    with pytest.raises(HttpError):
        parse(data)


def test_a_stream_that_ends_before_the_answer_was_closed():
    with pytest.raises(ConnectionResetError):
        parse(b"")


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: answer("A: b") + tail))
@example(answer("Transfer-Encoding: chunked", body=b"F" * 20))
def test_any_bytes_are_an_answer_or_its_error(data):
    try:
        _, body, _ = parse(data)
    except (HttpError, ConnectionResetError):
        return
    assert len(body) <= BOUND + 1


class Wire:
    """What `http.client` takes for a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


TOKENS = st.text("abcxyz-", min_size=1, max_size=8).map(lambda name: f"X-{name}")
VALUES = st.text("abc 123;=,", max_size=12)


@given(
    status=st.integers(200, 599).filter(lambda status: status not in (204, 304)),
    fields=st.dictionaries(TOKENS, VALUES, max_size=5),
    body=st.binary(max_size=200),
    chunks=st.lists(st.integers(1, 60), max_size=6) | st.none(),
)
def test_an_answer_reads_as_the_standard_library_reads_it(status, fields, body, chunks):
    lines = [f"{name}: {value}" for name, value in fields.items()]
    if chunks is None:
        data = answer(*lines, f"Content-Length: {len(body)}", body=body, status=f"{status} Says")
    else:
        pieces, rest = [], body
        for size in chunks:
            pieces.append(rest[:size])
            rest = rest[size:]
        framed = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in [*pieces, rest] if one)
        coded = framed + b"0\r\n\r\n"
        data = answer(*lines, "Transfer-Encoding: chunked", body=coded, status=f"{status} Says")
    head, got, _ = parse(data)
    oracle = http.client.HTTPResponse(Wire(data), method="POST")  # type: ignore[arg-type] # a duck
    oracle.begin()
    assert (head.status, head.reason) == (oracle.status, oracle.reason)
    assert got == oracle.read()
    for name in fields:
        assert head.fields[name.lower()] == (oracle.getheader(name) or "").strip(" ")
    assert head.is_last == oracle.will_close
