"""Artifacts decided: names in jobs, ranges, room, pace, what the budget leaves."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.artifacts import (
    Kept,
    Pace,
    Shut,
    Wanted,
    allowed_bytes,
    hopeless,
    next_span,
    paced,
    put_off,
    to_let_go,
)
from agent.core.ladder import UNLIMITED, Allowance, Rung
from coordinator.core.artifacts import Part, asked_part, check_room, piece_digest
from shared import limits
from shared.clock import MonoMs
from shared.errors import MistakeError
from shared.model.artifact import artifact_text, artifacts_of, parse_artifact
from shared.model.job import JobSpec, Step
from shared.model.mcuboot import read_header, read_trailer

NAME = artifact_text(bytes(range(32)))


def job(**params: object) -> JobSpec:
    return JobSpec(name="x", steps=[Step("get", "agent.fetch", params)])  # type: ignore[arg-type]  # also wrong ones


def test_a_name_is_read_as_it_is_written():
    assert parse_artifact(NAME, where="") == bytes(range(32))
    for wrong in ("", NAME[:-1], NAME.upper(), NAME + "0", "md5:" + "0" * 64, f"{NAME}\n"):
        with pytest.raises(MistakeError, match="does not name an artifact"):
            parse_artifact(wrong, where="steps")


def test_a_job_names_its_files_with_their_sizes():
    assert artifacts_of(job(artifact=NAME, size=7)) == {bytes(range(32)): 7}
    assert artifacts_of(job(points=["p"])) == {}
    two = JobSpec(
        name="x",
        steps=[Step("a", "agent.fetch", {"artifact": NAME, "size": 7})],
        final_steps=[Step("b", "agent.fetch", {"artifact": NAME, "size": 8})],
    )
    with pytest.raises(MistakeError, match="is not its size") as told:
        artifacts_of(two)
    assert told.value.where == "finally[0].params.size"


@pytest.mark.parametrize("size", [0, -2, 1.5, True, "7"])
def test_a_size_that_is_none_is_refused_with_its_place(size):
    with pytest.raises(MistakeError) as told:
        artifacts_of(job(artifact=NAME, size=size))
    assert told.value.where == "steps[0].params.size"


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40))
def test_a_range_is_within_the_file_or_none(start, end, size):
    part = asked_part(f"bytes={start}-{end}", size)
    if start >= size:
        assert part is None
    elif end < start:
        assert part == Part(0, size, size)
    else:
        assert part == Part(start, min(size, end + 1), size)


@pytest.mark.parametrize(
    "text", ["", "bytes=", "bytes=-", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b"]
)
def test_what_is_no_single_range_asks_for_the_whole(text):
    assert asked_part(text, 10) == Part(0, 10, 10)


def test_a_piece_may_come_with_a_digest_and_one_that_is_none_is_a_mistake():
    assert piece_digest("") is None
    assert piece_digest(f"md5=:x:, sha-256=:{'A' * 43}=:") == bytes(32)
    for wrong in ("sha-256=:AAAA:", "sha-256=x", "md5=:AAAA:", "sha-256=:A:"):
        with pytest.raises(MistakeError):
            piece_digest(wrong)


def test_there_is_room_for_so_many_and_so_much():
    check_room(0, 0, limits.ARTIFACTS_BYTES)
    with pytest.raises(MistakeError, match="do not fit"):
        check_room(0, 1, limits.ARTIFACTS_BYTES)
    with pytest.raises(MistakeError, match="already"):
        check_room(limits.ARTIFACTS, 0, 1)


def test_pieces_follow_the_line_and_failures_wait_longer_and_longer():
    slow = paced(Pace(), got=6_000, took_ms=10_000, now_ms=MonoMs(0), fraction=1.0)
    assert slow.piece == limits.PIECE_LEAST_BYTES
    fast = Pace()
    for _ in range(9):
        fast = paced(fast, got=fast.piece, took_ms=1, now_ms=MonoMs(0), fraction=1.0)
    assert fast.piece == limits.PIECE_BYTES
    waits = []
    state = fast
    for _ in range(12):
        state = paced(state, got=0, took_ms=1, now_ms=MonoMs(0), fraction=1.0)
        waits.append(state.not_before_ms)
    assert waits == sorted(waits)
    assert waits[0] == limits.FETCH_RETRY_S * 1000
    assert waits[-1] == limits.FETCH_RETRY_MAX_S * 1000
    assert paced(state, got=1, took_ms=1, now_ms=MonoMs(0), fraction=1.0).failures == 0


def test_a_file_that_comes_altered_waits_for_up_to_a_day_and_its_pieces_change_nothing():
    pace, waits = Pace(), []
    for _ in range(14):
        pace = put_off(pace, altered=True, now_ms=7, fraction=1.0)
        waits.append((pace.not_before_ms - 7) // 1000)
        pace = paced(pace, got=9, took_ms=1, now_ms=MonoMs(0), fraction=1.0)
        assert (pace.failures, pace.not_before_ms) == (0, 0), "it comes as any other"
    assert waits[:3] == [60, 120, 240]
    assert waits[-1] == limits.FETCH_ALTERED_MAX_S


def test_what_the_disk_does_not_take_waits_longer_and_longer():
    pace, waits = Pace(altered=2), []
    for _ in range(6):
        pace = put_off(pace, altered=False, now_ms=7, fraction=1.0)
        waits.append((pace.not_before_ms - 7) // 1000)
    assert waits == [60, 120, 240, 480, limits.FETCH_RETRY_MAX_S, limits.FETCH_RETRY_MAX_S]
    assert pace.altered == 2


def test_nobody_waits_for_a_file_that_came_altered_and_rests_for_long():
    wanted = Wanted(bytes(32), 5)
    rest_ms = limits.FETCH_RETRY_MAX_S * 1000
    soon = Pace(altered=5, not_before_ms=MonoMs(rest_ms))
    assert hopeless(wanted, soon, 0) == ""
    later = Pace(altered=5, not_before_ms=MonoMs(rest_ms + 1000))
    assert "came altered 5 times" in hopeless(wanted, later, 0)
    assert hopeless(wanted, replace(later, altered=0), 0) == ""


def test_a_span_never_goes_beyond_the_file_or_what_is_allowed():
    assert next_span(0, 10, Pace(), 4).end == 4
    assert next_span(9, 10, Pace(), 4).end == 10


def test_files_take_less_than_half_of_the_budget_and_leave_a_contact_its_tokens():
    assert allowed_bytes(UNLIMITED, 1) == limits.PIECE_BYTES
    short = allowed_bytes(Allowance(rung=Rung.FRESH, tokens=1 << 20), 5_000)
    assert isinstance(short, Shut)
    assert short.wait_ms == 5_000
    assert isinstance(allowed_bytes(Allowance(tokens=10_000, pace_ms=9), 1), Shut)
    some = allowed_bytes(Allowance(tokens=100_000), 1)
    assert isinstance(some, int)
    assert some < 100_000


kept_files = st.lists(
    st.builds(Kept, st.binary(min_size=1, max_size=1), st.integers(0, 50), st.integers(0, 9)),
    unique_by=lambda one: one.digest,
    max_size=8,
)


@given(kept_files, st.sets(st.binary(min_size=1, max_size=1), max_size=4), st.integers(0, 60))
def test_what_a_job_needs_never_goes_and_no_more_goes_than_has_to(kept, needed, room):
    gone = to_let_go(kept, needed, room=room, most=100)
    if gone is None:
        stays = sum(one.size for one in kept if one.digest in needed)
        assert stays + room > 100
        return
    assert not {one.digest for one in gone} & needed
    left = sum(one.size for one in kept) - sum(one.size for one in gone)
    assert left + room <= 100
    if gone:
        assert left + gone[-1].size + room > 100, "the last one did not have to go"


@given(st.binary(max_size=80))
def test_no_bytes_upset_whoever_looks_at_an_image(data):
    read_header(data)
    read_header(struct.pack("<I", 0x96F3B83D) + data)
    read_trailer(data)
    read_trailer(struct.pack("<HH", 0x6907, 60) + data)
