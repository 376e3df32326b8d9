"""Which requests read which points."""

from agent.drivers.modbus.plan import Block, plan, split
from shared.model.profile import Point, RequestLimits
from shared.model.registers import RawType, RegisterAddress, Table

DEFAULT = RequestLimits()


def point(address: int, raw: RawType = "uint16", table: Table = "input") -> Point:
    return Point(name=f"{table}-{address}", at=RegisterAddress(table, address, raw))


def shape(blocks: list[Block]) -> list[tuple[Table, int, int]]:
    return [(block.table, block.address, block.count) for block in blocks]


def test_neighbours_are_read_together():
    points = [point(0), point(1, "int32"), point(3)]
    assert shape(plan(points, DEFAULT)) == [("input", 0, 4)]


def test_a_gap_of_eight_is_read_for_nothing_one_of_nine_is_not():
    assert shape(plan([point(0), point(9)], DEFAULT)) == [("input", 0, 10)]
    assert shape(plan([point(0), point(10)], DEFAULT)) == [("input", 0, 1), ("input", 10, 1)]


def test_tables_are_never_mixed():
    points = [point(0), point(1, table="holding"), point(2)]
    assert shape(plan(points, DEFAULT)) == [("holding", 1, 1), ("input", 0, 3)]


def test_a_request_never_asks_for_more_registers_than_the_device_gives():
    points = [point(address) for address in range(10)]
    small = RequestLimits(max_registers=4)
    assert shape(plan(points, small)) == [("input", 0, 4), ("input", 4, 4), ("input", 8, 2)]


def test_a_wide_point_is_never_cut_in_two():
    points = [point(0), point(1), point(2), point(3, "int64")]
    small = RequestLimits(max_registers=5)
    assert shape(plan(points, small)) == [("input", 0, 3), ("input", 3, 4)]


def test_bits_are_counted_as_bits():
    points = [point(address, "bit", "coil") for address in range(0, 2_100, 3)]
    assert shape(plan(points, DEFAULT)) == [("coil", 0, 1_999), ("coil", 2_001, 97)]


def test_a_refused_block_is_taken_apart_at_its_gaps_first_then_point_by_point():
    whole = plan([point(0), point(1), point(4)], DEFAULT)[0]
    runs = split(whole, DEFAULT)
    assert shape(runs) == [("input", 0, 2), ("input", 4, 1)]
    assert shape(split(runs[0], DEFAULT)) == [("input", 0, 1), ("input", 1, 1)]
    assert split(runs[1], DEFAULT) == []


def test_a_block_hands_each_point_its_own_registers():
    block = plan([point(5), point(7, "int32")], DEFAULT)[0]
    words = [10, 11, 12, 13]
    assert [block.words_of(p, words) for p in block.points] == [[10], [12, 13]]
