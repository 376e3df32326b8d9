"""What one agent may cost the rollups and contacts of all others."""

from tests.mutants.mutant import Mutant

_CHANNELS = "tests/unit/test_rollup_channels.py::test_"
_TIME = "tests/unit/test_true_time.py::test_"
_TURNS = "tests/unit/test_rollup_turns.py::test_"
_WALKS = "tests/unit/test_walk_turns.py::test_"
_WRITES = "tests/unit/test_rollup_writes.py::test_"

CROWDING = (
    Mutant(
        "walks-before-all-rollups",
        "coordinator/transactions/rollups.py",
        "(has and not after_walks)",
        "has",
        (_WALKS + "boots_that_begin_again_and_again_leave_rollups_their_turn",),
    ),
    Mutant(
        "walks-of-one-agent-first",
        "coordinator/store/queries/retime.sql",
        "FROM retime WHERE agent_id > $1\n",
        "FROM retime WHERE agent_id > $1 OR agent_id <= $1\n",
        (_WALKS + "agents_have_turns_to_be_placed",),
    ),
    Mutant(
        "walks-that-wait-for-nothing",
        "coordinator/transactions/retime.py",
        "ready[0] >= limits.RETIME_ORDERS:",
        "False:",
        (_WALKS + "who_has_too_much_to_be_rolled_up_is_placed_afterwards",),
    ),
    Mutant(
        "walks-nowhere-are-orders",
        "coordinator/transactions/retime.py",
        "if (new.shift_ms, new.sureness) == (old.shift_ms, old.sureness):",
        "if False:",
        (_WALKS + "a_smaller_error_alone_is_nothing_to_roll_up_again",),
    ),
    Mutant(
        "walks-all-wait",
        "coordinator/services/rollups.py",
        "self._walks + 1 if walked else limits.RETIME_TURNS",
        "0",
        (_WALKS + "who_has_too_much_to_be_rolled_up_is_placed_afterwards",),
    ),
    Mutant(
        "boots-counted-without-end",
        "coordinator/store/queries/retime.sql",
        "FROM boot WHERE agent_id = $1 LIMIT $4) n)",
        "FROM boot WHERE agent_id = $1 LIMIT $4 + 1000000) n)",
        (_TIME + "boots_and_stores_are_counted_up_to_a_bound",),
    ),
    Mutant(
        "stores-counted-without-end",
        "coordinator/store/queries/blocks.sql",
        "FROM telemetry_store WHERE agent_id = $1 LIMIT $16) n)",
        "FROM telemetry_store WHERE agent_id = $1 LIMIT $16 + 1000000) n)",
        (_TIME + "boots_and_stores_are_counted_up_to_a_bound",),
    ),
    Mutant(
        "rollup-of-a-unit-that-no-store-has",
        "coordinator/core/rollup.py",
        'if "\\0" in channel.unit:',
        "if False:",
        (_WRITES + "a_unit_with_a_nul_is_found_again",),
    ),
    Mutant(
        "rollup-of-channels-without-rows",
        "coordinator/store/queries/rollups.sql",
        "\n    AND (m.data IS NOT NULL OR h.data IS NOT NULL);",
        ";",
        (_CHANNELS + "only_channels_that_have_rows_are_read_for_an_hour_and_all_once",),
    ),
    Mutant(
        "rollup-looks-at-all-again",
        "coordinator/transactions/rollup_writes.py",
        "found = yield from stored_of(hour, first, last)",
        "found = yield from stored_of(hour, 0, limits.INT_MAX)",
        (_CHANNELS + "what_is_written_is_all_that_is_looked_at_once_more",),
    ),
    Mutant(
        "rollup-of-channels-without-end",
        "coordinator/core/rollup_rows.py",
        "and self._last < limits.ROLLUP_CHANNELS:",
        "and True:",
        (_CHANNELS + "channels_beyond_the_bound_have_no_rollups_and_harm_no_others",),
    ),
    Mutant(
        "rollup-of-channels-without-room",
        "coordinator/transactions/rollups.py",
        "* limits.ROLLUP_CHANNEL_BYTES",
        "* 0",
        (_CHANNELS + "channels_take_room_in_memory",),
    ),
    Mutant(
        "rollup-of-channels-that-count-nothing",
        "coordinator/services/rolling.py",
        "more = order.channels // limits.ROLLUP_KNOWN_CHANNELS",
        "more = 0",
        (_CHANNELS + "an_hour_counts_for_all_channels_that_its_agent_had",),
    ),
    Mutant(
        "rollup-of-a-number-that-is-taken",
        "coordinator/transactions/rollup_writes.py",
        "if last_of_all is None or last_of_all[0] != known:",
        "if False:",
        (_CHANNELS + "a_channel_that_somebody_numbered_meanwhile_keeps_its_number",),
    ),
    Mutant(
        "rollup-of-hours-read-apart",
        "coordinator/transactions/rollup_writes.py",
        "        if agent in waiting:\n",
        "        if False:\n",
        (_CHANNELS + "hours_of_an_agent_that_were_read_apart_are_written_together",),
    ),
    Mutant(
        "rollup-of-rows-without-readings",
        "coordinator/core/rollup.py",
        "if len(touched) > 1 and",
        "if False and",
        (_TURNS + "a_block_of_rows_without_readings_costs_no_more_than_its_readings",),
    ),
    Mutant(
        "rollup-of-rows-that-say-why-not",
        "coordinator/core/rollup.py",
        "if any(column[row] is not None or marks[row] != Quality.GOOD for",
        "if any(column[row] is not None for",
        (_TURNS + "a_block_of_rows_without_readings_costs_no_more_than_its_readings",),
    ),
)
