"""What an agent keeps: trust, counters, time."""

from tests.mutants.mutant import cuts

_KEYSET = "tests/unit/test_trust_keyset.py::test_"
_COUNTERS = "tests/unit/test_trust_counters.py::test_"
_FLOOR = "tests/unit/test_trust_floor.py::test_"
_NOT_HERE = "a_document_that_does_not_belong_here_or_now_is_refused"
_OLDER = "an_older_document_is_refused_also_after_its_successor_was_lost"


_keyset = cuts("keyset", "shared/trust/keyset.py", _KEYSET)
_counters = cuts("counters", "shared/trust/counters.py", _COUNTERS)
_floor = cuts("floor", "shared/trust/floor.py", _FLOOR)

STANDING = (
    _keyset("fleet", "if document.fleet != root.fleet:", "if False:", _NOT_HERE),
    _keyset("epoch", "if document.epoch != root.epoch:", "if False:", _NOT_HERE),
    _keyset("expired", "    if moment > document.expires_ms:\n", "    if False:\n", _NOT_HERE),
    _keyset(
        "root-over",
        "    check_not_over(root, moment)\n",
        "",
        "nothing_new_is_accepted_under_an_expired_root",
    ),
    _keyset(
        "issued-after-the-roots-end",
        "moment = max(earliest_ms, document.issued_ms)",
        "moment = earliest_ms",
        _NOT_HERE,
    ),
    _keyset(
        "version-back",
        "max(least, held.document.version if held else 0)",
        "least",
        _OLDER,
    ),
    _keyset(
        "version-back-after-a-loss",
        "max(least, held.document.version if held else 0)",
        "(held.document.version if held else 0)",
        _OLDER,
    ),
    _keyset(
        "equivocation",
        "        if document != held.document:\n",
        "        if False:\n",
        "two_documents_of_one_version_are_not_both_believed",
    ),
    _keyset(
        "vouched-by-the-new-root",
        "        document = opened(envelope, root)\n        _belongs(document, root)\n",
        "        document = opened(envelope, _LAST[0])\n",
        "what_a_stolen_release_key_signed_falls_with_the_key",
    ),
    _keyset(
        "belongs-to-the-new-root",
        "        document = opened(envelope, root)\n        _belongs(document, root)\n",
        "        document = opened(envelope, root)\n",
        "a_higher_epoch_voids_catalog_policy_and_every_number_that_a_thief_used_up",
        "trust_is_verified_again_when_it_is_loaded",
    ),
    _keyset(
        "chain",
        "root = open_root(data, trusted=trust.root)",
        "root = open_root(data, trusted=None)",
        "a_root_is_neither_skipped_nor_repeated",
    ),
    _counters(
        "epoch-begins-anew",
        "        if root.epoch <= self.epoch:\n",
        "        if True:\n",
        "only_a_higher_epoch_begins_counters_anew",
    ),
    _counters(
        "only-a-higher-epoch",
        "        if root.epoch <= self.epoch:\n",
        "        if root.epoch < self.epoch:\n",
        "only_a_higher_epoch_begins_counters_anew",
    ),
    _counters(
        "report-number-kept",
        "            counter=self.counter,\n            floor_ms=root.issued_ms,\n",
        "            floor_ms=root.issued_ms,\n",
        "only_a_higher_epoch_begins_counters_anew",
    ),
    _counters(
        "higher-copy",
        "low, high = sorted(",
        "high, low = sorted(",
        "the_higher_of_two_copies_wins_number_by_number",
    ),
    _counters(
        "higher-report-number",
        "counter=max(low.counter, high.counter),",
        "counter=high.counter,",
        "the_higher_of_two_copies_wins_number_by_number",
    ),
    _counters(
        "old-epochs-floor",
        "        if low.epoch < high.epoch:\n            return joined\n",
        "",
        "the_higher_of_two_copies_wins_number_by_number",
    ),
    _counters(
        "never-silently-zero",
        "    found: Counters | None = None\n",
        "    found: Counters | None = Counters(epoch=0, root_version=0)\n",
        "without_a_readable_copy_an_agent_has_no_counters_rather_than_zero",
    ),
    _counters(
        "slot-hash",
        "    if sha256(data[:end]).digest() != data[end : end + _HASH]:\n",
        "    if False:\n",
        "a_slot_with_one_byte_changed_is_no_slot",
    ),
    _counters(
        "newer-slot",
        "found[0] > best.generation:",
        "best.generation == 0:",
        "the_file_holds_what_was_written_last",
    ),
    _counters(
        "older-slot-is-written",
        "offset = (1 - slots.newer) *",
        "offset = slots.newer *",
        "a_write_that_was_cut_short_leaves_the_copy_before_it",
    ),
    _counters(
        "told-epoch",
        "    if told.epoch != root.epoch:\n",
        "    if False:\n",
        "the_roots_that_were_missed_come_first",
    ),
    _counters(
        "told-root",
        "    if told.root_version > root.version:\n",
        "    if False:\n",
        "the_roots_that_were_missed_come_first",
    ),
    _floor(
        "end-of-the-keys",
        "most = min(said_ms, root.expires_ms + 1)",
        "most = said_ms",
        "nobody_speaks_of_a_time_after_the_end_of_the_keys",
    ),
    _floor(
        "never-back",
        "WallMs(max(kept.floor_ms, most))",
        "WallMs(most)",
        "a_verified_document_raises_the_floor_and_never_lowers_it",
    ),
    _floor(
        "drift",
        "certain = powered - powered * limits.DRIFT_PPM // 1_000_000",
        "certain = powered",
        "powered_time_raises_the_floor_a_little_less_than_it_took",
    ),
    _floor(
        "powered-time",
        "        floor_ms=WallMs(kept.floor_ms + certain),\n",
        "        floor_ms=kept.floor_ms,\n",
        "powered_time_raises_the_floor_a_little_less_than_it_took",
    ),
    _floor(
        "silence",
        "        silent_ms=kept.silent_ms + silent,\n",
        "        silent_ms=kept.silent_ms,\n",
        "an_answer_ends_the_silence",
    ),
    _floor(
        "silence-over-restarts",
        "silent = at.mono_ms + limits.POWERED_SAVE_MS",
        "silent = at.mono_ms",
        "switching_a_gateway_off_each_hour_does_not_stop_its_silence_from_growing",
    ),
    _floor(
        "another-boots-counter",
        "    if kept.boot_id == at.boot_id:\n",
        "    if True:\n",
        "a_restart_counts_what_is_certain_as_time_and_what_is_possible_as_silence",
    ),
    _floor(
        "answer-of-another-boot",
        "if told is None or told.boot_id != at.boot_id:",
        "if told is None:",
        "what_an_answer_told_of_the_present_holds_for_this_boot_only",
    ),
    _floor(
        "network-time",
        "    return WallMs(told.now_ms + max(0, at.mono_ms - told.mono_ms))\n",
        "    return WallMs(max(at.wall_ms, told.now_ms + max(0, at.mono_ms - told.mono_ms)))\n",
        "no_wall_clock_moves_the_floor",
    ),
    _floor(
        "epoch-voids-claims",
        "return replace(kept, floor_ms=WallMs(max(build_ms, root.issued_ms)))",
        "return replace(kept, floor_ms=WallMs(max(build_ms, root.issued_ms, kept.floor_ms)))",
        "a_higher_epoch_voids_what_was_claimed_about_time",
    ),
)
