"""A plain contact's head is recognised; whatever could be read in two ways is left to aiohttp."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.api.head import Head, read_head
from shared import limits
from shared.sync.body import CONTENT_TYPE

USUAL = {"Host": "localhost", "Content-Type": CONTENT_TYPE, "Content-Length": "5"}


def head(request="POST /v1/sync HTTP/1.1", *more, **changes):
    said = USUAL | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in said.items() if value is not None]
    return "\r\n".join([request, *lines, *more, "", ""]).encode("latin-1")


def test_a_usual_contact_is_recognised():
    data = head("POST /v1/sync?wait=30 HTTP/1.1", "User-Agent: outstation", "X-Forwarded-For: a")
    assert read_head(data + b"12345") == Head(len(data), 5, 30, keep=True, forwarded="a")
    assert read_head(head(Connection="close")) == Head(len(head(Connection="close")), 5, 0, False)


def test_whom_the_nearest_proxy_saw_stands_last():
    several = head("POST /v1/sync HTTP/1.1", "X-Forwarded-For: a, b", "x-forwarded-for: c,  d ")
    found = read_head(several)
    assert found is not None
    assert found.forwarded == "d"


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /v1/sync HTTP/1.1",
        "POST /v1/sync HTTP/1.0",
        "POST /v1/sync/ HTTP/1.1",
        "POST  /v1/sync HTTP/1.1",
        "POST /v1/sync?wait=1&wait=2 HTTP/1.1",
        "POST /v1/sync?wait=-1 HTTP/1.1",
        f"POST /v1/sync?wait={limits.WAIT_S + 1} HTTP/1.1",
        "POST http://localhost/v1/sync HTTP/1.1",
        "POST /v1/enroll HTTP/1.1",
        "post /v1/sync HTTP/1.1",
    ],
)
def test_another_request_is_left_to_aiohttp(request_line):
    assert read_head(head(request_line)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"Host": None},
        {"Content_Length": None},
        {"Content_Type": None},
        {"Content_Type": "application/json"},
        {"Content_Type": f"{CONTENT_TYPE}; charset=utf-8"},
        {"Content_Length": "+5"},
        {"Content_Length": "5, 5"},
        {"Content_Length": "0x5"},
        {"Content_Length": "\xb2"},
        {"Content_Length": str(limits.QUICK_BODY_BYTES + 1)},
        {"Transfer_Encoding": "chunked"},
        {"Content_Encoding": "deflate"},
        {"Expect": "100-continue"},
        {"Upgrade": "websocket"},
        {"Trailer": "Expires"},
        {"Connection": "Upgrade"},
        {"X_Odd": "caf\xe9"},
    ],
)
def test_a_head_that_is_unusual_is_left_to_aiohttp(changes):
    assert read_head(head(**changes)) is None


@pytest.mark.parametrize(
    "line",
    [
        "content-length: 5",
        "Content-Length: 6",
        "Host: other",
        "Content-Type: text/plain",
        "Content-Length : 5",
        " folded",
        "no colon",
        "X:\x00",
        "X: a\nTransfer-Encoding: chunked",
        "X: a\rTransfer-Encoding: chunked",
        "transfer-encoding:chunked",
    ],
)
def test_what_is_doubled_folded_or_smuggled_is_left_to_aiohttp(line):
    assert read_head(head("POST /v1/sync HTTP/1.1", line)) is None


def test_a_head_that_does_not_end_is_left_to_aiohttp():
    assert read_head(head()[:-1]) is None
    assert read_head(b"") is None
    assert read_head(head(X="a" * limits.QUICK_HEAD_BYTES)) is None


@given(st.binary(max_size=200))
def test_any_bytes_before_a_head_make_it_none(noise):
    assert not noise or read_head(noise + head()) is None


@given(at=st.integers(0, len(head()) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_never_changes_where_the_body_begins(at, byte):
    """Of what is still recognised; the length itself may be another one."""
    data = bytearray(head())
    data[at] = byte
    found = read_head(data)
    assert found is None or (found.size == len(head()) and found.keep)
