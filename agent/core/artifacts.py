"""How a file comes to the gateway, decided: which bytes next, what an answer may be, what may go.

Pure. The bytes are kept by `agent.store.artifacts` and fetched by `agent.services.artifacts`.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from agent.core.ladder import Allowance, Rung
from agent.core.uplink import WORTH_BYTES
from shared import limits
from shared.clock import MonoMs
from shared.model.artifact import artifact_text
from shared.model.policy import full_jitter_ms

_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})")
_FIRST_BYTES = 65_536
"""Asked for before anybody knows what the line carries."""
_OK, _PARTIAL = 200, 206
_STEADY = 4
"""Pieces grow at most so much from one to the next."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that a job needs."""

    digest: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes [start, end) of a file."""

    start: int
    end: int

    @property
    def header(self) -> str:
        """Return the header line that asks for it (RFC 9110 section 14.2)."""
        return f"Range: bytes={self.start}-{self.end - 1}\r\n"


@dataclass(frozen=True, slots=True)
class Pace:
    """How the line carries files."""

    piece: int = _FIRST_BYTES
    failures: int = 0
    """Requests in a row that brought nothing, or that the disk did not take."""
    altered: int = 0
    """Whole files in a row that were not what they are called; pieces that come change nothing."""
    not_before_ms: MonoMs = MonoMs(0)


@dataclass(frozen=True, slots=True)
class Shut:
    """Why nothing may be fetched now."""

    why: str
    wait_ms: int | None = None
    """Look again after this; None: when something changes."""
    passing: bool = False
    """It is over soon: whoever waits for a file goes on waiting."""


def next_span(held: int, size: int, pace: Pace, most: int) -> Span:
    """Return what to ask for next.

    >>> next_span(10, 100, Pace(), 1000)
    Span(start=10, end=100)
    """
    assert held < size, "all of it is here"
    return Span(held, min(size, held + min(pace.piece, most)))


def paced(before: Pace, *, got: int, took_ms: int, now_ms: MonoMs, fraction: float) -> Pace:
    """Return the pace after a request that brought `got` bytes in `took_ms`."""
    if not got:
        failures = before.failures + 1
        wait_ms = full_jitter_ms(
            failures,
            initial_s=limits.FETCH_RETRY_S,
            max_s=limits.FETCH_RETRY_MAX_S,
            fraction=fraction,
        )
        return replace(before, failures=failures, not_before_ms=MonoMs(now_ms + wait_ms))
    carried = got * limits.PIECE_S * 1000 // max(1, took_ms)
    piece = min(carried, before.piece * _STEADY, limits.PIECE_BYTES)
    return Pace(max(limits.PIECE_LEAST_BYTES, piece), altered=before.altered)


def put_off(before: Pace, *, altered: bool, now_ms: int, fraction: float) -> Pace:
    """Return the pace once the disk failed, or once the whole file came and was `altered`."""
    failures, most_s = before.failures + 1, limits.FETCH_RETRY_MAX_S
    if altered:
        failures, most_s = before.altered + 1, limits.FETCH_ALTERED_MAX_S
    wait_ms = full_jitter_ms(
        failures, initial_s=limits.FETCH_PUT_OFF_S, max_s=most_s, fraction=fraction
    )
    not_before_ms = MonoMs(now_ms + wait_ms)
    if altered:
        return Pace(altered=failures, not_before_ms=not_before_ms)
    return replace(before, failures=failures, not_before_ms=not_before_ms)


def hopeless(wanted: Wanted, pace: Pace, now_ms: int) -> str:
    """Return why nobody is to wait for a file that came altered; empty: it is tried soon."""
    rest_s = (pace.not_before_ms - now_ms) // 1000
    if not pace.altered or rest_s <= limits.FETCH_RETRY_MAX_S:
        return ""
    name = artifact_text(wanted.digest)[:19]
    return f"{name} came altered {pace.altered} times; it is asked for again in {rest_s // 60} min"


def allowed_bytes(allowance: Allowance, day_ends_ms: int) -> int | Shut:
    """Return how much a request may bring by the budget of the link.

    Files are bulk: they go below one half of a day's or a month's bytes, and leave a contact's
    worth of tokens.
    """
    if allowance.rung > Rung.ALL:
        return Shut("half of the link's bytes of this day or month are spent", day_ends_ms)
    if allowance.tokens is None:
        return limits.PIECE_BYTES
    left = allowance.tokens - WORTH_BYTES
    if left < limits.PIECE_LEAST_BYTES:
        # Tokens come evenly: another look is worth it once there are some.
        return Shut("the link's bytes of this hour are spent", max(60_000, allowance.pace_ms))
    return left


def offence(status: int, fields: Mapping[str, str], span: Span, wanted: Wanted) -> str:
    """Return what is wrong with the head of an answer; empty when its body may be taken.

    A file is named by its content: another ETag, size or range is another file's.
    """
    etag = fields.get("etag", "").removeprefix("W/").strip('"')
    if etag and etag != wanted.digest.hex():
        return f"it answers with another file ({etag[:40]!r})"
    coding = fields.get("content-encoding", "identity")
    if coding != "identity":
        return f"it answers in a coding nobody asked for ({coding[:40]!r})"
    if status == _OK:
        if span.start:
            return f"it ignores that only bytes from {span.start} on are wanted"
        length = fields.get("content-length", "")
        return "" if length in {"", str(wanted.size)} else _other_size(length, wanted)
    assert status == _PARTIAL, "others are failures"
    found = _RANGE.fullmatch(fields.get("content-range", ""))
    if not found:
        return "it does not say which bytes it answers with"
    start, last, size = map(int, found.groups())
    if size != wanted.size:
        return _other_size(str(size), wanted)
    if start != span.start or not start <= last < span.end:
        return f"it answers with bytes {start}-{last} instead of {span.start}-{span.end - 1}"
    return ""


def _other_size(said: str, wanted: Wanted) -> str:
    return f"it has {said[:20]} bytes under this name, the job says {wanted.size}"


@dataclass(frozen=True, slots=True)
class Kept:
    """A file on the shelf, whole or not."""

    digest: bytes
    size: int
    used_ms: int
    """When somebody wanted it last, by the file system's clock."""


def to_let_go(
    kept: Iterable[Kept], needed: Collection[bytes], *, room: int, most: int
) -> list[Kept] | None:
    """Return what has to go so that `room` more bytes fit into `most`; None: that is not enough.

    What a job needs stays; of the rest what was wanted longest ago goes first.
    """
    found = sorted(kept, key=lambda one: (one.used_ms, one.digest))
    used = sum(one.size for one in found)
    gone: list[Kept] = []
    for one in found:
        if used + room <= most:
            break
        if one.digest not in needed:
            gone.append(one)
            used -= one.size
    return gone if used + room <= most else None
