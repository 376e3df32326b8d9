"""Where a block ends, and rows as columns."""

from dataclasses import replace

from agent.core.batcher import STEP_MS, Address, build_block, cut, readings_in
from agent.core.ports import PollRow
from shared import limits
from shared.block.codec import decode, encode
from shared.clock import ClockState, Instant, MonoMs, WallMs
from shared.ids import BlockSeq, SchemaHash, StoreEpoch
from shared.model.reading import Quality

ADDRESS = Address(StoreEpoch(bytes(16)), BlockSeq(7), SchemaHash(bytes(8)))
START = Instant(
    wall_ms=WallMs(1_000_000),
    mono_ms=MonoMs(50_000),
    boot_id=bytes(16),
    state=ClockState.SYNCED,
    err_ms=3,
)


def row(after_ms: int = 0, *, channels=(0, 1), stepped_ms: int = 0, **changes) -> PollRow:
    at = replace(
        START,
        wall_ms=WallMs(START.wall_ms + after_ms + stepped_ms),
        mono_ms=MonoMs(START.mono_ms + after_ms),
        **changes,
    )
    values = [1.5 + channel for channel in channels]
    return PollRow(
        channels=channels, at=at, values=values, qualities=[Quality.GOOD] * len(channels)
    )


def test_rows_of_one_calm_clock_make_one_block():
    rows = [row(1_000 * number) for number in range(100)]
    assert cut(rows) == [rows]


def test_no_rows_make_no_block():
    assert cut([]) == []


def test_a_block_is_full_at_its_number_of_readings():
    rows = [row(number) for number in range(limits.BLOCK_POINTS // 2 + 1)]
    first, second = cut(rows)
    assert sum(map(readings_in, first)) == limits.BLOCK_POINTS
    assert second == rows[-1:]


def test_cells_that_were_not_due_fill_a_block_too():
    wide = tuple(range(limits.CHANNELS))
    qualities = [Quality.GOOD] * limits.CHANNELS
    values = [1.0] + [None] * (limits.CHANNELS - 1)
    rows = [
        PollRow(channels=wide, at=row(number).at, values=values, qualities=qualities)
        for number in range(20)
    ]
    assert [len(batch) for batch in cut(rows)] == [7, 7, 6]


def test_a_step_of_the_clock_begins_a_new_block():
    rows = [row(0), row(1_000, stepped_ms=STEP_MS), row(2_000, stepped_ms=2 * STEP_MS + 1)]
    assert [len(batch) for batch in cut(rows)] == [2, 1]


def test_a_step_back_begins_a_new_block():
    assert len(cut([row(5_000), row(6_000, stepped_ms=-STEP_MS - 1)])) == 2


def test_small_steps_do_not_add_up_inside_one_block():
    rows = [row(1_000 * number, stepped_ms=1_500 * number) for number in range(6)]
    assert [len(batch) for batch in cut(rows)] == [2, 2, 2]


def test_a_step_against_the_row_before_counts_although_the_first_row_is_near():
    rows = [row(0), row(1_000, stepped_ms=1_900), row(2_000, stepped_ms=-200)]
    assert [len(batch) for batch in cut(rows)] == [2, 1]


def test_another_boot_or_another_trust_in_the_clock_begins_a_new_block():
    rows = [row(0), row(1, state=ClockState.HOLDOVER), row(2, boot_id=bytes(15) + b"1")]
    assert [len(batch) for batch in cut(rows)] == [1, 1, 1]


def test_rows_of_the_same_channels_share_a_group_and_its_times():
    rows = [row(0), row(10, channels=(2,)), row(1_000), row(1_010, channels=(2,))]
    block = build_block(rows, ADDRESS)
    pair, single = block.groups
    assert (pair.channels, pair.times_ms) == ((0, 1), [1_000_000, 1_001_000])
    assert pair.columns == [[1.5, 1.5], [2.5, 2.5]]
    assert (single.channels, single.columns) == ((2,), [[3.5, 3.5]])
    assert decode(encode(block)) == block


def test_a_block_says_by_which_clock_it_was_taken():
    rows = [row(0), row(1_000, err_ms=40)]
    block = build_block(rows, ADDRESS)
    assert (block.wall_ms, block.mono_ms, block.clock_state) == (
        START.wall_ms,
        START.mono_ms,
        ClockState.SYNCED,
    )
    # The bound has to hold for the worst row.
    assert block.err_ms == 40
    assert (block.seq, block.priority) == (7, 2)


def test_a_cell_without_value_counts_only_if_it_says_why():
    mixed = PollRow(
        channels=(0, 1, 2),
        at=START,
        values=[None, None, 4],
        qualities=[Quality.GOOD, Quality.BAD_COMM, Quality.GOOD],
    )
    assert readings_in(mixed) == 2
    assert build_block([mixed], ADDRESS).count == 2
