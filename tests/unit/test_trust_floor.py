"""Time without a clock: what moves the floor, what never does, and silence in powered time."""

import inspect

from hypothesis import given
from hypothesis import strategies as st

from shared import limits
from shared.clock import Instant, MonoMs, WallMs
from shared.trust import floor
from shared.trust.floor import (
    TimeKept,
    Told,
    aged,
    begun_anew,
    first_floor,
    heard,
    present,
    raised,
)
from tests.unit.trust_world import DAY, HOUR, NOW, make_root

ROOT = make_root()
BOOT, NEXT_BOOT = b"a" * 16, b"b" * 16
KEPT = TimeKept(floor_ms=WallMs(NOW), silent_ms=0, boot_id=BOOT, mono_ms=MonoMs(1_000))


def at(mono_ms: int, boot: bytes = BOOT, wall_ms: int = 0) -> Instant:
    return Instant(wall_ms=WallMs(wall_ms), mono_ms=MonoMs(mono_ms), boot_id=boot)


def test_a_new_agent_knows_its_build_and_its_root() -> None:
    for build, expected in ((NOW + 5, NOW + 5), (0, ROOT.issued_ms)):
        kept = first_floor(ROOT, build_ms=WallMs(build), at=at(7))
        assert (kept.floor_ms, kept.silent_ms, kept.mono_ms) == (expected, 0, 7)


def test_no_wall_clock_moves_the_floor() -> None:
    """NTP is not authenticated: whoever spoofs it must not make every document expire."""
    for wall_ms in (0, NOW - 10 * 365 * DAY, NOW + 10 * 365 * DAY):
        later = aged(KEPT, at(1_000, wall_ms=wall_ms))
        assert later == KEPT
        assert present(Told(WallMs(NOW), BOOT, MonoMs(0)), at(9, wall_ms=wall_ms)) == NOW + 9
    assert "wall_ms" not in inspect.getsource(floor)


def test_a_verified_document_raises_the_floor_and_never_lowers_it() -> None:
    assert raised(KEPT, NOW + 9, ROOT).floor_ms == NOW + 9
    assert raised(KEPT, NOW - 9, ROOT).floor_ms == NOW
    assert raised(KEPT, NOW + 9, ROOT).silent_ms == KEPT.silent_ms


def test_nobody_speaks_of_a_time_after_the_end_of_the_keys() -> None:
    end = ROOT.expires_ms
    for said in (end + 1, end + 2, limits.INT_MAX):
        assert raised(KEPT, said, ROOT).floor_ms == end + 1
        assert heard(KEPT, said, ROOT).floor_ms == end + 1


def test_an_answer_ends_the_silence() -> None:
    silent = aged(KEPT, at(1_000 + DAY))
    assert silent.silent_ms == DAY
    assert heard(silent, NOW, ROOT).silent_ms == 0


def test_powered_time_raises_the_floor_a_little_less_than_it_took() -> None:
    year = 365 * DAY
    later = aged(KEPT, at(1_000 + year))
    assert later.floor_ms == NOW + year - year * limits.DRIFT_PPM // 1_000_000
    assert later.silent_ms == year


def test_a_restart_counts_what_is_certain_as_time_and_what_is_possible_as_silence() -> None:
    later = aged(KEPT, at(HOUR, NEXT_BOOT))
    assert later.floor_ms == NOW + HOUR - HOUR * limits.DRIFT_PPM // 1_000_000
    assert later.silent_ms == HOUR + limits.POWERED_SAVE_MS
    assert aged(later, at(HOUR, NEXT_BOOT)) == later


def test_switching_a_gateway_off_each_hour_does_not_stop_its_silence_from_growing() -> None:
    kept = KEPT
    for boot in range(24):
        kept = aged(kept, at(0, boot.to_bytes(16)))
    assert kept.silent_ms >= DAY


def test_a_higher_epoch_voids_what_was_claimed_about_time() -> None:
    spoiled = raised(KEPT, limits.INT_MAX, ROOT)
    later = make_root(version=2, epoch=2, issued_ms=NOW + 5)
    assert begun_anew(spoiled, later, build_ms=WallMs(0)).floor_ms == NOW + 5
    assert begun_anew(spoiled, later, build_ms=WallMs(NOW + 6)).floor_ms == NOW + 6


def test_what_an_answer_told_of_the_present_holds_for_this_boot_only() -> None:
    told = Told(WallMs(NOW), BOOT, MonoMs(5_000))
    assert present(told, at(8_000)) == NOW + 3_000
    assert present(told, at(8_000, NEXT_BOOT)) is None
    assert present(None, at(8_000)) is None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("tick"), st.integers(0, DAY)),
            st.tuples(st.just("boot"), st.integers(0, DAY)),
            st.tuples(st.just("said"), st.integers(0, limits.INT_MAX)),
            st.tuples(st.just("heard"), st.integers(0, limits.INT_MAX)),
        ),
        max_size=20,
    )
)
def test_the_floor_never_goes_back_within_an_epoch(events: list[tuple[str, int]]) -> None:
    kept, mono, boot = KEPT, 1_000, 0
    for kind, value in events:
        before = kept
        if kind in {"said", "heard"}:
            kept = (raised if kind == "said" else heard)(kept, value, ROOT)
        else:
            mono, boot = (mono + value, boot) if kind == "tick" else (value, boot + 1)
            kept = aged(kept, at(mono, BOOT if boot == 0 else boot.to_bytes(16)))
            assert kept.silent_ms >= before.silent_ms
        assert kept.floor_ms >= before.floor_ms
