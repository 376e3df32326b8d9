"""The head of a plain contact, recognised; whatever is written otherwise is not one.

A contact of the usual size, as agents and proxies send it, is one POST with a length. Its few
headers are read here strictly: what is missing, doubled, unknown in kind or merely unusual is left
to the HTTP server that understands all of it, so nothing is refused here and nothing can be read
in two ways. Pure. Leaves out sockets (`coordinator.api.door`).
"""

import re
from dataclasses import dataclass

from shared import limits
from shared.sync.body import CONTENT_TYPE

_END = b"\r\n\r\n"
_REQUEST = re.compile(rb"POST /v1/sync(?:\?wait=(\d{1,4}))? HTTP/1\.1")
_LINE = re.compile(rb"([A-Za-z0-9-]+):[ \t]*([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?[ \t]*")
_LENGTH = re.compile(rb"\d{1,7}")
_OURS = CONTENT_TYPE.encode("ascii")
_ELSEWHERE = frozenset(
    {b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"trailer", b"te"}
)
"""Headers that change what a body is or who speaks next."""
_ONCE = frozenset({b"host", b"content-length", b"content-type", b"connection"})


@dataclass(frozen=True, slots=True)
class Head:
    """What a plain contact's head says."""

    size: int
    """Bytes of the head itself; the body follows."""
    length: int
    """Bytes of the body."""
    wait_s: int
    keep: bool
    """The connection stays for the next request."""
    forwarded: str = ""
    """Whom the nearest proxy saw; anybody may write it where there is none."""


def read_head(data: bytes | bytearray) -> Head | None:
    """Return what the first bytes of a request say; None: it is no plain contact.

    A head that has not come as a whole is none either: agents and proxies send it in one piece.
    """
    end = data.find(_END, 0, limits.QUICK_HEAD_BYTES)
    if end < 0:
        return None
    request, *lines = bytes(data[:end]).split(b"\r\n")
    asked = _REQUEST.fullmatch(request)
    wait_s = int(asked[1] or 0) if asked else 0
    said = _headers(lines) if asked and wait_s <= limits.WAIT_S else None
    if said is None or said.get(b"content-type") != _OURS or b"host" not in said:
        return None
    length, after = said.get(b"content-length", b""), said.get(b"connection", b"keep-alive").lower()
    if not _LENGTH.fullmatch(length) or after not in {b"close", b"keep-alive"}:
        return None
    if int(length) > limits.QUICK_BODY_BYTES:
        return None
    forwarded = said.get(b"x-forwarded-for", b"").rpartition(b",")[2].strip().decode("ascii")
    return Head(end + len(_END), int(length), wait_s, after == b"keep-alive", forwarded)


def _headers(lines: list[bytes]) -> dict[bytes, bytes] | None:
    """Return headers by their names in small letters; None when one of them is unusual."""
    said: dict[bytes, bytes] = {}
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None:
            return None
        name = found[1].lower()
        if name in _ELSEWHERE or (name in said and name in _ONCE):
            return None
        said[name] = found[2] or b""
    return said
