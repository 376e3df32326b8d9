"""A stored row of buckets says what was put in, and takes new ones in the place of old ones."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.buckets import Row, finite_sum, merged, pack_row, replaced, unpack_row
from coordinator.core.retime import Sureness

_VALUES = st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
_FEW = st.sampled_from([1, 1, 1, 60])
"""Columns of the same are what a row is short for."""


@st.composite
def _bucket(draw, at, *, is_sound):
    count = draw(_FEW)
    good, used = (count if is_sound else draw(st.sampled_from([count, 0])) for _ in range(2))
    sure = draw(st.sampled_from([Sureness.SYNCED, Sureness.UNSYNCED]))
    if not used:
        return at, count, good, 0, sure, None, None, None
    low, high = sorted([draw(_VALUES), draw(_VALUES)])
    if count == 1 or draw(st.booleans()):
        high = low
    return at, count, good, used, sure, low, high, draw(st.sampled_from([float(low), None, 0.5]))


@st.composite
def _row(draw, places):
    at = draw(st.lists(places, min_size=1, max_size=60, unique=True).map(sorted))
    is_sound = draw(st.booleans())
    if draw(st.booleans()):
        at = list(range(at[0], at[-1] + 1))
    return Row.of([draw(_bucket(one, is_sound=is_sound)) for one in at])


@given(_row(st.integers(0, 59)))
def test_a_row_comes_back_as_it_was_packed(row):
    assert unpack_row(pack_row(row)) == row


@given(
    st.none() | _row(st.integers(0, 59)), st.none() | _row(st.integers(20, 59)), st.integers(0, 59)
)
def test_the_wanted_minutes_are_the_new_ones_and_all_others_stay(old, new, more):
    wanted = {more, *(one.at for one in new.buckets())} if new else {more}
    expected = {one.at: one for one in old.buckets() if one.at not in wanted} if old else {}
    expected |= {one.at: one for one in new.buckets()} if new else {}
    row = replaced(old, wanted, new)
    found = row.buckets() if row else []
    assert found == [expected[at] for at in sorted(expected)]
    assert row is None or row == Row.of(row.figures), "of two rows that say the same, one is short"


@given(_row(st.integers(0, 59)))
def test_an_hour_is_what_its_minutes_are_together(row):
    found, minutes = merged(row.buckets(), 7), row.buckets()
    assert (found.at, found.count) == (7, sum(one.count for one in minutes))
    assert found.good == sum(one.good for one in minutes)
    assert found.used == sum(one.used for one in minutes)
    assert found.sureness == min(one.sureness for one in minutes)
    assert found.low == min((one.low for one in minutes if one.used), default=None)
    assert found.high == max((one.high for one in minutes if one.used), default=None)
    totals = [one.total for one in minutes if one.used]
    assert found.total == (None if None in totals or not totals else finite_sum(totals)[0])


def test_a_row_of_a_reading_a_minute_takes_few_bytes_also_when_it_grew():
    each = [(at, 1, 1, 1, Sureness.SYNCED, 20.5, 20.5, 20.5) for at in range(60)]
    row = None
    for at in range(0, 60, 15):
        row = replaced(row, set(range(at, at + 15)), Row.of(each[at : at + 15]))
    assert row == Row.of(each)
    assert len(pack_row(row)) < 60 * 6
