"""Open rows: numbered in order, forgotten once committed, accounted for when they give way."""

from agent.core.open_rows import Gap, OpenRow, OpenRows
from shared.errors import Reason
from tests.unit.test_batcher import row


def filled(rows: int, size: int = 100) -> OpenRows:
    opened = OpenRows(1)
    for number in range(rows):
        opened.add(row(number), size)
    return opened


def test_numbers_go_on_where_an_earlier_process_stopped():
    opened = OpenRows(41)
    assert opened.next_number == 41
    assert [opened.add(row(), 10).number for _ in range(2)] == [41, 42]


def test_committed_rows_are_forgotten_and_the_rest_stays():
    opened = filled(5)
    opened.forget(3)
    assert [item.last for item in opened.items()] == [4, 5]
    assert (opened.size, opened.readings, opened.first_number) == (200, 4, 4)


def test_a_number_that_is_committed_is_never_given_again():
    opened = OpenRows(1)
    opened.forget(10)
    assert opened.add(row(), 1).number == 11


def test_nothing_gives_way_below_the_bound():
    opened = filled(5)
    assert not opened.shed(500, after=0, reason=Reason.STORE_FULL)
    assert len(opened) == 5


def test_the_oldest_rows_give_way_and_leave_their_account():
    opened = filled(10)
    assert opened.shed(800, after=0, reason=Reason.STORE_FULL)
    gap, *rest = opened.items()
    assert isinstance(gap, Gap)
    assert (gap.number, gap.last, gap.readings) == (1, 4, 8)
    assert gap.first_ms == row(0).at.wall_ms
    assert gap.last_ms == row(3).at.wall_ms
    assert [item.last for item in rest] == [5, 6, 7, 8, 9, 10]
    assert (opened.size, opened.readings) == (600, 12)


def test_a_gap_grows_instead_of_multiplying():
    opened = filled(10)
    opened.shed(800, after=0, reason=Reason.STORE_FULL)
    for number in range(10, 14):
        opened.add(row(number), 100)
    opened.shed(800, after=0, reason=Reason.STORE_FULL)
    gap, *rest = opened.items()
    assert isinstance(gap, Gap)
    assert (gap.number, gap.last, gap.readings) == (1, 8, 16)
    assert all(isinstance(item, OpenRow) for item in rest)
    assert opened.next_number == 15


def test_rows_on_their_way_to_the_disk_do_not_give_way():
    opened = filled(10)
    assert opened.shed(800, after=6, reason=Reason.STORE_BUSY)
    kinds = [(type(item), item.last) for item in opened.items()]
    assert kinds[:6] == [(OpenRow, number) for number in range(1, 7)]
    assert kinds[6] == (Gap, 10)


def test_a_gap_is_forgotten_like_the_rows_it_stands_for():
    opened = filled(10)
    opened.shed(800, after=0, reason=Reason.STORE_FULL)
    opened.forget(4)
    assert opened.first_number == 5
    assert opened.size == 600
