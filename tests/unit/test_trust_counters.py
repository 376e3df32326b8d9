"""Counters that never go back: two copies, two slots, one signed way out when all are lost."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import limits
from shared.clock import WallMs
from shared.errors import Reason, RefusedError
from shared.trust.counters import (
    FILE_BYTES,
    Counters,
    Slots,
    decode_slot,
    encode_slot,
    newest,
    next_write,
    read_slots,
    recovered,
)
from shared.wire.messages import SignedFloor
from tests.unit.trust_world import NOW, make_root

numbers = st.integers(0, 3)
copies = st.builds(
    Counters,
    epoch=st.integers(1, 3),
    root_version=numbers,
    catalog_version=numbers,
    policy_version=numbers,
    restore_epoch=numbers,
    bundle_seq=numbers,
    counter=numbers,
    floor_ms=numbers,
)
largest = Counters(**dict.fromkeys(Counters.__struct_fields__, limits.INT_MAX))


def place(c: Counters) -> tuple[int, int, int]:
    return (c.epoch, c.restore_epoch, c.bundle_seq)


@given(copies, copies)
def test_the_higher_of_two_copies_wins_number_by_number(a: Counters, b: Counters) -> None:
    both = a.joined(b)
    assert place(both) == max(place(a), place(b))
    assert both.root_version == max(a.root_version, b.root_version)
    assert both.counter == max(a.counter, b.counter)
    newer = [c for c in (a, b) if c.epoch == both.epoch]
    for name in ("catalog_version", "policy_version", "floor_ms"):
        assert getattr(both, name) == max(getattr(c, name) for c in newer)
    assert both == b.joined(a)
    assert both.joined(a) == both


@given(copies, st.integers(1, 4), st.integers(1, 4))
def test_only_a_higher_epoch_begins_counters_anew(c: Counters, epoch: int, version: int) -> None:
    root = make_root(epoch=epoch, version=version)
    after = c.under(root)
    assert after.root_version == max(c.root_version, version)
    assert after.counter == c.counter
    if epoch <= c.epoch:
        assert place(after) == place(c)
        assert after.floor_ms == c.floor_ms
    else:
        assert place(after) == (epoch, 0, 0)
        assert (after.catalog_version, after.policy_version) == (0, 0)
        assert after.floor_ms == root.issued_ms


def test_without_a_readable_copy_an_agent_has_no_counters_rather_than_zero() -> None:
    assert newest([None, None]) is None
    assert newest([]) is None
    one = Counters(epoch=1, root_version=1, bundle_seq=5)
    assert newest([None, one]) == one
    older = Counters(epoch=1, root_version=1, bundle_seq=4, counter=9)
    assert newest([older, one]) == Counters(epoch=1, root_version=1, bundle_seq=5, counter=9)


# --- the file -------------------------------------------------------------------------------------
def written(file: bytes, counters: Counters) -> bytes:
    offset, data = next_write(read_slots(file), counters)
    return file[:offset].ljust(offset, b"\x00") + data + file[offset + len(data) :]


@given(st.lists(copies, min_size=1, max_size=6))
def test_the_file_holds_what_was_written_last(history: list[Counters]) -> None:
    file = b""
    for counters in history:
        file = written(file, counters)
    slots = read_slots(file)
    assert (slots.counters, slots.generation) == (history[-1], len(history))
    assert len(file) <= FILE_BYTES


@given(copies, copies, st.integers(0, limits.COUNTER_SLOT_BYTES - 1), st.data())
def test_a_write_that_was_cut_short_leaves_the_copy_before_it(
    before: Counters, after: Counters, cut: int, data: st.DataObject
) -> None:
    file = written(written(b"", before), before).ljust(FILE_BYTES, b"\x00")
    offset, slot = next_write(read_slots(file), after)
    old = file[offset : offset + len(slot)]
    torn = slot[:cut] + data.draw(st.sampled_from([old[cut:], bytes(len(slot) - cut)]))
    found = read_slots(file[:offset] + torn + file[offset + len(slot) :])
    assert found.counters in {before, after}
    assert torn == slot or found.counters == before or found.generation == 3


@given(copies, st.integers(0, 400), st.integers(1, 255))
def test_a_slot_with_one_byte_changed_is_no_slot(counters: Counters, at: int, by: int) -> None:
    slot = encode_slot(1, counters)
    end = 10 + int.from_bytes(slot[8:10]) + 32
    spoiled = bytearray(slot)
    spoiled[at % end] ^= by
    assert decode_slot(slot) == (1, counters)
    assert decode_slot(bytes(spoiled)) is None


@given(st.binary(max_size=700))
def test_garbage_is_no_counter(garbage: bytes) -> None:
    assert decode_slot(garbage) is None
    assert read_slots(garbage) == Slots(0, None, 1)


def test_both_slots_spoiled_is_unattested_and_one_of_them_is_not() -> None:
    first, second = Counters(epoch=1, root_version=1), Counters(epoch=1, root_version=2)
    file = bytearray(written(written(b"", first), second))
    assert read_slots(bytes(file)).counters == second
    file[limits.COUNTER_STRIDE_BYTES] ^= 1
    assert read_slots(bytes(file)).counters == first
    file[0] ^= 1
    assert read_slots(bytes(file)).counters is None


def test_the_slots_lie_on_different_flash_pages_and_the_largest_counters_fit() -> None:
    file = written(b"", largest)
    assert len(file) == limits.COUNTER_SLOT_BYTES
    offset, data = next_write(read_slots(file), largest)
    assert (offset, len(data)) == (limits.COUNTER_STRIDE_BYTES, limits.COUNTER_SLOT_BYTES)


def test_a_sound_slot_with_another_meaning_is_no_counter() -> None:
    """A newer program's counters, read by an older one, are not guessed at."""
    from hashlib import sha256

    body = (1).to_bytes(8) + (1).to_bytes(2) + b"\x90"
    assert decode_slot(body + sha256(body).digest()) is None


# --- the signed way out ---------------------------------------------------------------------------
FLOOR = SignedFloor(1, 2, 3, 4, 5, 6, 7)


def test_lost_counters_come_back_only_as_the_coordinator_signed_them() -> None:
    root = make_root(version=2)
    assert recovered(FLOOR, root=root, now_ms=WallMs(NOW)) == Counters(
        epoch=1,
        root_version=2,
        catalog_version=3,
        policy_version=4,
        restore_epoch=5,
        bundle_seq=6,
        counter=7,
        floor_ms=NOW,
    )


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        ({"version": 1}, Reason.WRONG_ROOT_VERSION),
        ({"version": 2, "epoch": 2}, Reason.WRONG_EPOCH),
    ],
)
def test_the_roots_that_were_missed_come_first(root: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(RefusedError) as caught:
        recovered(FLOOR, root=make_root(**root), now_ms=WallMs(NOW))
    assert caught.value.reason is reason
