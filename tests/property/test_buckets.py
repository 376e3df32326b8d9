"""A stored row of buckets says what was put in, and takes new ones in the place of old ones."""

from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.buckets import Row, pack_row, replaced, unpack_row
from coordinator.core.retime import Sureness

_VALUES = st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
_FEW = st.sampled_from([1, 1, 1, 60])
"""Columns of the same are what a row is short for."""


@st.composite
def _bucket(draw, at):
    count = draw(_FEW)
    good, used = draw(st.sampled_from([count, 0])), draw(st.sampled_from([count, 0]))
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
    return Row.of([draw(_bucket(one)) for one in at])


@given(_row(st.integers(0, 59)))
def test_a_row_comes_back_as_it_was_packed(row):
    assert unpack_row(pack_row(row)) == row


@given(
    st.none() | _row(st.integers(0, 59)), st.none() | _row(st.integers(20, 59)), st.integers(0, 59)
)
def test_the_wanted_minutes_are_the_new_ones_and_all_others_stay(old, new, more):
    wanted = {more, *(new.at if new else ())}
    expected = {one.at: one for one in old.buckets() if one.at not in wanted} if old else {}
    expected |= {one.at: one for one in new.buckets()} if new else {}
    row = replaced(old, wanted, new)
    found = row.buckets() if row else []
    assert found == [expected[at] for at in sorted(expected)]


def test_a_row_of_a_reading_a_minute_takes_few_bytes():
    row = Row.of([(at, 1, 1, 1, Sureness.SYNCED, 20.5, 20.5, 20.5) for at in range(60)])
    assert len(pack_row(row)) < 60 * 6
