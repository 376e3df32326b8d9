"""Readings on the coordinator: true time, rollups, retention, quotas, and whose one sees."""

from tests.mutants.mutant import Mutant
from tests.mutants.tables.drift import DRIFT

_TIME = "tests/unit/test_true_time.py::test_"
_CLEAN = "tests/unit/test_cleaning.py::test_"
_COST = "tests/unit/test_contact_cost.py::test_"
_LIMITS = "tests/system/test_coordinator_limits.py::test_"
_ROWS = "tests/property/test_buckets.py::test_"
_PACE = "tests/unit/test_rollup_pace.py::test_"
_TURNS = "tests/unit/test_rollup_turns.py::test_"
_WRITES = "tests/unit/test_rollup_writes.py::test_"
_KEEP = "tests/unit/test_coordinator_retention.py::test_"
_UNREADABLE = "tests/unit/test_unreadable_blocks.py::test_"
_CODEC = "tests/unit/test_block_codec.py::test_"
_DRIFT = "tests/unit/test_drift.py::test_"

HISTORY = (
    *DRIFT,
    Mutant(
        "drift-late-word",
        "coordinator/transactions/drift.py",
        "if at_ms < counted_ms(before.at_ms, now_ms):",
        "if False:",
        (_DRIFT + "a_word_that_comes_late_changes_nothing_that_a_newer_one_said",),
    ),
    Mutant(
        "drift-mended-by-who-looked",
        "coordinator/transactions/drift.py",
        "    if job.mends(device):\n",
        "    if job.id:\n",
        (_DRIFT + "who_wrote_to_a_device_before_it_was_as_wished_has_mended_it",),
    ),
    Mutant(
        "drift-comparisons-without-end",
        "coordinator/transactions/drift.py",
        "count[0] >= limits.WISHES",
        "count[0] < 0",
        (_DRIFT + "an_agent_has_a_bounded_number_of_comparisons",),
    ),
    Mutant(
        "readings-limited-token",
        "coordinator/api/readings.py",
        "        selectors.append(call.limit)\n",
        "        pass\n",
        (_LIMITS + "readings_of_other_agents_are_hidden_from_a_limited_token",),
    ),
    Mutant(
        "anchor-impossible",
        "coordinator/core/retime.py",
        "possible = EARLIEST_MS <= wall_ms <= now_ms + LATEST_AHEAD_MS",
        "possible = True",
        (_TIME + "an_anchor_that_cannot_be_true_is_left_out",),
    ),
    Mutant(
        "anchor-proves-a-clock-wrong",
        "coordinator/core/retime.py",
        " or _misled(said, own, fixed)",
        "",
        (_TIME + "a_synced_clock_that_an_anchor_contradicts_is_wrong",),
    ),
    Mutant(
        "anchors-that-contradict",
        "coordinator/core/retime.py",
        "if all(_agree(fix, other) for other in kept):",
        "if True:",
        (_TIME + "of_anchors_that_contradict_the_better_one_counts",),
    ),
    Mutant(
        "rollup-as-it-was-read",
        "coordinator/transactions/rollup_writes.py",
        "return rows if as_read else",
        "return rows if True else",
        (_WRITES + "minutes_that_somebody_wrote_meanwhile_stay",),
    ),
    Mutant(
        "rollup-of-what-is-being-written",
        "coordinator/transactions/rollups.py",
        " if one not in busy]",
        "]",
        (_PACE + "a_full_steps_last_write_waits_for_the_next_step_which_leaves_its_agents_out",),
    ),
    Mutant(
        "rollup-never-ended",
        "coordinator/services/rollups.py",
        "or bool(work.orders) or had_ending",
        "or bool(work.orders)",
        (_PACE + "a_full_steps_last_write_waits_for_the_next_step_which_leaves_its_agents_out",),
    ),
    Mutant(
        "rollup-of-hours-without-end",
        "coordinator/services/rolling.py",
        "return not more or more <= self._room",
        "return True",
        (_TURNS + "a_block_of_many_hours_goes_on_when_the_others_had_their_turn",),
    ),
    Mutant(
        "rollup-piece-again",
        "coordinator/services/rolling.py",
        "before.number == one.number:",
        "False:",
        (_TURNS + "a_block_of_many_hours_goes_on_when_the_others_had_their_turn",),
    ),
    Mutant(
        "rollup-of-one-agent-first",
        "coordinator/services/rollups.py",
        "            self._last = planned.last\n",
        "",
        (_TURNS + "a_block_of_many_hours_goes_on_when_the_others_had_their_turn",),
    ),
    Mutant(
        "rollup-of-many-channels",
        "coordinator/services/rolling.py",
        "1 + width // limits.ROLLUP_HOUR_CHANNELS",
        "1",
        (_TURNS + "an_hour_of_many_channels_counts_as_several",),
    ),
    Mutant(
        "rollup-hours-counted-twice",
        "coordinator/services/rolling.py",
        "limits.ROLLUP_HOUR_CHANNELS + more - known)",
        "limits.ROLLUP_HOUR_CHANNELS + more)",
        (_TURNS + "blocks_of_the_same_hours_count_once",),
    ),
    Mutant(
        "rollup-decodes-for-each-hour",
        "coordinator/services/rolling.py",
        "            for minutes, schema, one in some:\n",
        "            for minutes, schema, one in some:\n"
        "                groups = decoded.groups(key, one.data) or ()\n",
        (_TURNS + "a_block_of_many_hours_is_decoded_once_for_all_of_them",),
    ),
    Mutant(
        "rollup-of-rows-out-of-order",
        "coordinator/services/rolling.py",
        "tuple(map(in_order, said))",
        "said",
        (
            "tests/property/test_rollups.py::test_a_rollup_of_any_blocks_is_the_rollup_of_all_their_rows",
        ),
    ),
    Mutant(
        "rollup-row-that-is-long",
        "coordinator/core/buckets.py",
        "if isinstance(column, int) and column == later:",
        "if False:",
        (_ROWS + "a_row_of_a_reading_a_minute_takes_few_bytes_also_when_it_grew",),
    ),
    Mutant(
        "rollup-of-an-hour-at-a-time",
        "coordinator/core/rollup_rows.py",
        "self._data[key] = self._changed[key] =",
        "self._changed[key] =",
        (_WRITES + "two_hours_of_a_day_that_are_written_together_are_both_there",),
    ),
    Mutant(
        "rollup-in-one-transaction",
        "coordinator/transactions/rollup_writes.py",
        ">= limits.ROLLUP_SERIES:",
        ">= limits.INT_MAX:",
        (_WRITES + "hours_that_have_no_room_in_one_transaction_are_written_in_several",),
    ),
    Mutant(
        "rollup-of-rows-without-end",
        "coordinator/transactions/rollups.py",
        'len(minutes or b"") + len(hours or b"") for',
        "0 for",
        (_WRITES + "what_is_stored_takes_room_as_blocks_do",),
    ),
    Mutant(
        "rollup-of-some-minutes",
        "coordinator/transactions/rollups.py",
        "replace(hour, minutes=ALL_MINUTES) if lacks_minutes(hour.hour_ms, stored) else hour",
        "hour",
        (_KEEP + "a_late_block_for_an_hour_whose_minutes_are_gone_is_added_to_its_other_blocks",),
    ),
    Mutant(
        "rollup-of-minutes-that-went",
        "coordinator/core/rollup_rows.py",
        " or (lacks and not is_whole):",
        ":",
        (_WRITES + "an_hour_whose_minutes_go_while_some_of_them_are_computed_stays",),
    ),
    Mutant(
        "rollup-of-what-is-gone",
        "coordinator/transactions/rollups.py",
        "if hour.hour_ms < gone_ms:",
        "if False:",
        (_KEEP + "a_late_block_for_a_time_that_is_gone_leaves_its_hours_alone",),
    ),
    Mutant(
        "retention-tried-is-kept",
        "coordinator/commands/retention.py",
        "        if settings and not options.dry_run:\n",
        "        if settings:\n",
        ("tests/system/test_reports.py::test_what_a_clean_up_took_away_is_listed",),
    ),
    Mutant(
        "retention-before-rollup",
        "coordinator/store/queries/keeping.sql",
        "AND d.seq = b.seq AND d.waits = 0)",
        "AND d.seq = b.seq AND d.waits = 9)",
        (_KEEP + "nothing_goes_that_is_in_no_rollup_yet",),
    ),
    Mutant(
        "cleaning-overdue",
        "coordinator/store/queries/cleaning.sql",
        "e.state >= 30 AND",
        "e.state >= 99 AND",
        (_CLEAN + "what_an_agent_may_still_report_stays_for_ever",),
    ),
    Mutant(
        "cleaning-younger",
        "coordinator/store/queries/cleaning.sql",
        "ELSE e.updated_ms END >= $2)",
        "ELSE e.updated_ms END > 1000000000000000)",
        (_CLEAN + "a_job_stays_while_any_part_of_it_is_younger",),
    ),
    Mutant(
        "cleaning-younger-of-a-state",
        "coordinator/store/queries/cleaning.sql",
        "15, 16, 17,",
        "15, 17,",
        (_CLEAN + "a_job_stays_whatever_the_state_is_that_it_ended_in_lately",),
    ),
    Mutant(
        "cleaning-unbegun",
        "coordinator/store/queries/cleaning.sql",
        "j.expired_ms IS NOT NULL OR",
        "1 = 1 OR",
        (_CLEAN + "a_job_whose_time_to_begin_is_not_over_stays",),
    ),
    Mutant(
        "cleaning-approved",
        "coordinator/store/queries/cleaning.sql",
        "a.not_after_ms >= $3)",
        "a.not_after_ms >= $3 + 1000000000000)",
        (_CLEAN + "a_job_stays_while_what_people_signed_for_it_holds",),
    ),
    Mutant(
        "quota",
        "coordinator/transactions/quota.py",
        "if most is not None and self.bytes + size > most:",
        "if False:",
        (_KEEP + "over_its_quota_an_agent_waits_for_tomorrow_and_loses_nothing",),
    ),
    Mutant(
        "quota-of-hours",
        "coordinator/transactions/quota.py",
        "hours * limits.QUOTA_HOUR_BYTES, ",
        "0, ",
        (_KEEP + "a_block_counts_for_what_it_costs_however_few_bytes_it_has",),
    ),
    Mutant(
        "quota-of-readings",
        "coordinator/transactions/quota.py",
        ", header.count * limits.QUOTA_READING_BYTES)",
        ", 0)",
        (_KEEP + "a_block_counts_for_what_it_costs_however_few_bytes_it_has",),
    ),
    Mutant(
        "quota-of-the-day",
        "coordinator/transactions/blocks.py",
        "[save_quota(shelf.quota)] if shelf.blocks else []",
        "[]",
        (_KEEP + "bytes_of_the_day_are_counted_over_contacts",),
    ),
    Mutant(
        "one-of-several-anchors-read-ahead",
        "coordinator/transactions/known.py",
        "if oldest_ms == times[1] and",
        "if",
        (_COST + "a_boots_only_anchor_is_read_ahead_and_of_several_none",),
    ),
    Mutant(
        "boot-read-before-its-anchors-came",
        "coordinator/transactions/known.py",
        " and not report.anchors:",
        ":",
        (_COST + "what_a_report_teaches_of_a_boot_is_not_read_before_it",),
    ),
    Mutant(
        "apart-without-room",
        "coordinator/transactions/blocks.py",
        "                shelf.unkept.add(seq)\n",
        "                pass\n",
        (_KEEP + "what_contradicts_in_a_quarantine_is_kept_up_to_a_bound_and_then_left_there",),
    ),
    Mutant(
        "unreadable-without-a-word",
        "coordinator/transactions/unreadable.py",
        "    yield from count_refusals(agent, {Reason.BLOCK_MALFORMED: 1}, now_ms)\n",
        "",
        (_UNREADABLE + "what_nobody_can_decode_is_put_aside_byte_for_byte_and_told",),
    ),
    Mutant(
        "unreadable-without-room",
        "coordinator/transactions/unreadable.py",
        'if (yield from fetch_one("block_aside_exists", agent, epoch, seq, digest)) is not None:',
        "if True:",
        (_UNREADABLE + "without_room_its_bytes_stay_where_they_are",),
    ),
    Mutant(
        "checksum-at-the-door",
        "shared/block/codec.py",
        "    if zlib.crc32(data[_CRC_END:], zlib.crc32(data[:_CRC_AT])) != crc:\n",
        "    if False:\n",
        (_UNREADABLE + "a_block_that_was_damaged_before_it_was_announced_is_refused_at_the_door",),
    ),
    Mutant(
        "block-count-overdrawn",
        "shared/block/codec.py",
        "        if count < 0:",
        "        if False:",
        (_CODEC + "no_group_has_what_is_left_of_a_count_that_was_overdrawn",),
    ),
)
