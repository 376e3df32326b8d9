"""Bombs of nesting, counts and lengths are refused before they cost anything.

Memory is measured, not assumed: what Python allocates while a hostile document is refused stays
below a small multiple of the document itself, whoever signed it or did not.
"""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from shared import limits
from shared.errors import Reason, RefusedError
from shared.sync.body import decode_body
from shared.trust.admission import admit_bundle, admit_reply
from shared.trust.catalog import CATALOG_TYP, open_catalog
from shared.trust.documents import (
    BUNDLE_TYP,
    REPORT_TYP,
    claimed_agent,
    open_enroll,
    open_report,
    open_root,
)
from shared.trust.envelope import seal
from shared.wire.codec import pack, unpack
from tests.unit.trust_world import World, make_root, signer

MB = 1 << 20
ROOM = limits.DOCUMENT_BYTES - 256
WORLD = World()


def cost(work: Callable[[], object]) -> tuple[Reason, int]:
    """Return why something was refused, and the most memory it took meanwhile, in bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        with pytest.raises(RefusedError) as caught:
            work()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return caught.value.reason, peak


def lists(size: int) -> bytes:
    """As many empty maps as `size` bytes can hold, in arrays of the longest length."""
    row = b"\xdc\x10\x00" + b"\x80" * 4_096
    count = size // len(row)
    return b"\xdc" + count.to_bytes(2) + row * count


BOMBS = {
    "maps": lists(ROOM),
    "nested": b"\x91" * ROOM,
    "tree": b"\x9f" * 16 + b"\x90" * (ROOM - 16),
    "claims": b"\xdc\x0f\xff" * (ROOM // 3),
    "longest array": b"\xdd\xff\xff\xff\xff" + b"\xc0" * (ROOM - 5),
    "longest map": b"\xdf\xff\xff\xff\xff" + b"\xa0\xc0" * (ROOM // 2 - 3),
    "longest text": b"\xdb\xff\xff\xff\xff" + b"a" * (ROOM - 5),
    "longest bytes": b"\xc6\xff\xff\xff\xff" + b"a" * (ROOM - 5),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize(
    "door",
    [
        lambda data: open_root(data, trusted=None),
        lambda data: open_root(data, trusted=make_root()),
        lambda data: open_catalog(data, make_root()),
        lambda data: admit_bundle(data, WORLD.held()),
        lambda data: admit_reply(data, WORLD.held(), report_hash=bytes(32)),
    ],
    ids=["first root", "root", "catalog", "bundle", "reply"],
)
def test_a_bomb_costs_next_to_nothing(door: Callable[[bytes], object], bomb: bytes) -> None:
    reason, peak = cost(lambda: door(bomb))
    assert reason is Reason.BAD_SHAPE
    assert peak < 64 * 1024, f"{peak} bytes for a document that nobody vouched for"


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_that_its_role_signed_stays_within_bounds(bomb: bytes) -> None:
    """A stolen key may sign anything; the gateway has 64 MB."""
    for data, door in (
        (
            seal(BUNDLE_TYP, bomb, [signer("director")]),
            lambda data: admit_bundle(data, WORLD.held()),
        ),
        (
            seal(CATALOG_TYP, bomb, [signer("release")]),
            lambda data: open_catalog(data, make_root()),
        ),
    ):
        assert cost(lambda door=door, data=data: door(data))[1] < 8 * MB  # type: ignore[misc]


def test_a_report_and_an_enrolment_that_nobody_vouches_for_yet_cost_little() -> None:
    """The coordinator has to look into them to find out whose key must verify them."""
    inner = limits.REPORT_BYTES - 128
    full = b"\xdc" + (inner - 3).to_bytes(2) + b"\x80" * (inner - 3)
    claims = b"\xdc\x0f\xff" * (inner // 3)
    for bomb in (full, claims, claims[:1_800], b"\x91" * inner, b"\xde\x01\x00" + b"\xa0" * 9):
        for typ, door in ((REPORT_TYP, claimed_agent), ("enroll/1", open_enroll)):
            data = seal(typ, bomb, [signer("mallory")])
            assert len(data) <= limits.REPORT_BYTES
            assert cost(lambda door=door, data=data: door(data))[1] < MB  # type: ignore[misc]


def test_a_document_over_its_bound_is_refused_unread() -> None:
    huge = b"\x80" * (limits.BODY_BYTES_UP * 4)
    doors: list[Callable[[], Any]] = [
        lambda: open_report(huge, bytes(32)),
        lambda: claimed_agent(huge),
        lambda: open_enroll(huge),
        lambda: open_root(huge, trusted=None),
        lambda: admit_bundle(huge, WORLD.held()),
        lambda: unpack(huge, list[int], bound=1_000),
        lambda: decode_body(huge, bound=1_000),
    ]
    for door in doors:
        reason, peak = cost(door)
        assert reason is Reason.TOO_LONG
        assert peak < 16 * 1024


@pytest.mark.parametrize(
    "value",
    [
        [[], {}, "", b"", None, True, False, 0, -1, 127, 128, -128, 255, 256, -129],
        [65_535, 65_536, -32_769, 2**32, -(2**31) - 1, 1.5, [1] * 20, ["x"] * 70_000],
        {"a" * n: b"b" * n for n in (1, 31, 32, 255, 256, 4_000)},
        [b"x" * n for n in (255, 256, 65_535, 65_536)],
        {str(n): {str(m): m for m in range(20)} for n in range(20)},
    ],
)
def test_values_are_counted_as_msgpack_builds_them(value: Any) -> None:
    """The count is taken from the headers alone and has to agree with what they announce."""

    def size(one: Any) -> int:
        if isinstance(one, list):
            return 1 + sum(map(size, one))
        if isinstance(one, dict):
            return 1 + sum(1 + size(item) for item in one.values())
        return 1

    data = pack(value)
    with pytest.raises(RefusedError) as caught:
        unpack(data, int, bound=len(data), items=size(value))
    assert "more than" not in str(caught.value)
    with pytest.raises(RefusedError, match=f"more than {size(value) - 1} values"):
        unpack(data, int, bound=len(data), items=size(value) - 1)
