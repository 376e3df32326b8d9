"""Files by their content: whose they are, that they are what they say, that they stay."""

from tests.mutants.mutant import Mutant

_COORDINATOR = "tests/system/test_coordinator_artifacts.py::test_"
_LIES = "tests/simulation/test_artifacts.py::test_"
_UNDOING = "tests/unit/test_rollout_undoing.py::test_"
_UNIT = "tests/unit/test_artifacts.py::test_"
_FETCHERS = _COORDINATOR + "only_an_agent_that_was_given_work_with_a_file_may_fetch_it"
_TRANSACTIONS = "coordinator/transactions/artifacts.py"
_FOLDER = "coordinator/services/artifacts_folder.py"
_SERVICE = "coordinator/services/artifacts.py"
_SHARING = "tests/contract/test_sharing.py::test_"
_LAN = "tests/unit/test_lan.py::test_"
_NEAR = "tests/unit/test_neighbours.py::test_"
_TURN = "tests/unit/test_turn.py::test_"
_STICK = "tests/unit/test_stick_pieces.py::test_"
_SEALED = "shared/trust/shared_file.py"
_FETCH = "shared/trust/fetch.py"
_CORE = "agent/core/artifacts.py"
_SHELF = "agent/store/artifacts.py"
_KEPT = "tests/system/test_coordinator_backup.py::test_"


def _mutant(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"artifact-{name}", file, old, new, tests)


ARTIFACTS = (
    # --- who may fetch
    _mutant(
        "named-by-work",
        "coordinator/store/queries/artifacts.sql",
        "    WHERE n.digest = a.digest AND e.agent_id = $2 AND e.signed_ms IS NOT NULL\n",
        "    WHERE n.digest = a.digest AND $2 <> ''\n",
        _FETCHERS,
    ),
    _mutant(
        "work-is-open",
        "coordinator/store/queries/artifacts.sql",
        "        AND (e.state < 10 OR e.state = 30)\n);",
        ");",
        _FETCHERS,
    ),
    _mutant(
        "request-of-this-fleet",
        _SERVICE,
        "if fetch.fleet != self.fleet:",
        "if False:",
        _FETCHERS,
    ),
    _mutant(
        "request-for-this-file",
        _SERVICE,
        "if fetch.artifact != digest:",
        "if False:",
        _FETCHERS,
    ),
    _mutant(
        "request-grows-old",
        _FETCH,
        "if fetch.at_ms < now_ms - limits.FETCH_MS:",
        "if False:",
        _FETCHERS,
    ),
    _mutant(
        "request-from-the-future",
        _FETCH,
        "if fetch.at_ms > now_ms + limits.FETCH_MS:",
        "if False:",
        _FETCHERS,
    ),
    # --- what counts
    _mutant(
        "hash-of-an-upload",
        _FOLDER,
        "if _hash(file) != digest:",
        "if False:",
        _COORDINATOR + "an_altered_file_is_refused_and_nothing_of_it_stays",
    ),
    _mutant(
        "digest-of-a-piece",
        _FOLDER,
        "if wanted is not None and hashed.digest() != wanted:",
        "if False:",
        _COORDINATOR + "a_piece_that_is_not_what_its_digest_says_is_not_kept",
    ),
    _mutant(
        "size-of-an-upload",
        _SERVICE,
        "        if len(gathered) > left:\n",
        "        if False:\n",
        _COORDINATOR + "bytes_beyond_the_announced_size_are_refused",
    ),
    _mutant(
        "one-writer",
        _FOLDER,
        "    if upload.turn != turn:\n",
        "    if False:\n",
        _COORDINATOR + "an_older_request_ends_though_the_newer_one_has_not_brought_anything_yet",
    ),
    _mutant(
        "one-writer-in-one-folder",
        _FOLDER,
        "        if file.seek(0, os.SEEK_END) != offset:\n",
        "        if file.seek(0, os.SEEK_END) < 0:\n",
        _COORDINATOR + "coordinators_with_one_folder_never_write_into_each_others_uploads",
    ),
    _mutant(
        "overtaken-goes-on",
        "coordinator/api/artifacts.py",
        "    except OvertakenError as error:\n",
        "    except ZeroDivisionError as error:\n",
        _COORDINATOR + "who_is_overtaken_through_another_coordinator_is_told_where_to_go_on",
    ),
    _mutant(
        "damaged-is-not-here",
        _FOLDER,
        "            if _hash(file) == digest:\n",
        "            if file:\n",
        _COORDINATOR + "a_damaged_file_is_mended_by_handing_it_in_again",
        _KEPT + "a_copy_that_was_damaged_meanwhile_is_copied_again",
    ),
    _mutant(
        "gone-on-with",
        _SERVICE,
        "        if now_ms - known.row.created_ms > _NOTED_MS:\n",
        "        if False:\n",
        _COORDINATOR + "an_upload_is_forgotten_a_week_after_its_last_piece_and_not_before",
    ),
    _mutant(
        "needed-stays",
        _TRANSACTIONS,
        "    if known.jobs:\n",
        "    if False:\n",
        _FETCHERS,
    ),
    _mutant(
        "named-by-what-undoes",
        "coordinator/transactions/dispatch_undo.py",
        "    yield from name_artifacts(job, spec)\n",
        "",
        _UNDOING + "what_undoes_may_fetch_its_files_and_they_stay",
    ),
    _mutant(
        "needed-while-a-rollout-goes-on",
        "coordinator/store/queries/artifacts.sql",
        "r.begun_ms IS NOT NULL AND r.state < 10",
        "r.begun_ms IS NOT NULL AND r.state < 0",
        _UNDOING + "files_of_a_rollout_stay_while_it_may_be_joined_or_taken_back",
    ),
    _mutant(
        "taken-back-with-what-is-here",
        "coordinator/transactions/rollouts_steer.py",
        "        yield from check_artifacts(undo_spec(spec))\n",
        "        pass\n",
        _UNDOING + "files_of_a_rollout_stay_while_it_may_be_joined_or_taken_back",
    ),
    _mutant(
        "job-names-what-is-here",
        _TRANSACTIONS,
        "        if row is None or row[9] is None:\n",
        "        if row is None:\n            continue\n        if row[9] is None:\n",
        _COORDINATOR + "a_job_that_names_what_is_not_here_is_refused",
    ),
    _mutant(
        "refused-before-anything-is-written",
        "coordinator/transactions/submit.py",
        "    yield from check_artifacts(job.spec)\n",
        "",
        "tests/unit/test_triggers.py::test_what_cannot_be_submitted_is_told_and_leaves_no_job",
    ),
    _mutant(
        "job-says-the-size",
        _TRANSACTIONS,
        "        if size not in {-1, row[1]}:\n",
        "        if False:\n",
        _COORDINATOR + "a_job_that_names_what_is_not_here_is_refused",
    ),
    # --- on the gateway
    _mutant(
        "hash-of-a-download",
        _SHELF,
        "if part.stat().st_size != wanted.size or _hash(part) != wanted.digest:",
        "if False:",
        _LIES + "altered_bytes_are_never_seen_and_one_sentence_says_so",
    ),
    _mutant(
        "rot-on-the-shelf",
        _SHELF,
        "if path.stat().st_size != wanted.size or _hash(path) != wanted.digest:",
        "if False:",
        _LIES + "a_file_that_rots_on_the_shelf_is_fetched_again",
    ),
    _mutant(
        "power-cut",
        _SHELF,
        "            os.truncate(old, sure)\n",
        "",
        _LIES + "after_a_power_cut_only_what_was_surely_synced_counts",
    ),
    _mutant(
        "another-range",
        _CORE,
        "    if start != span.start or not start <= last < span.end:\n",
        "    if False:\n",
        _LIES + "nothing_of_a_lie_is_kept_and_the_truth_is_taken_after_it",
    ),
    _mutant(
        "another-etag",
        _CORE,
        "    if etag and etag != wanted.digest.hex():\n",
        "    if False:\n",
        _LIES + "who_waits_is_told_once_nothing_came_again_and_again",
    ),
    _mutant(
        "needed-is-not-let-go",
        _CORE,
        "        if one.digest not in needed:\n",
        "        if True:\n",
        _UNIT + "what_a_job_needs_never_goes_and_no_more_goes_than_has_to",
    ),
    _mutant(
        "half-of-the-budget",
        _CORE,
        "    if allowance.rung > Rung.ALL:\n",
        "    if False:\n",
        _UNIT + "files_take_less_than_half_of_the_budget_and_leave_a_contact_its_tokens",
    ),
    # --- from a neighbour
    _mutant(
        "neighbour-proves-the-hash",
        _SEALED,
        "if len(nonce) != NONCE_BYTES or not hmac.compare_digest(self.prove(nonce, wish), proof):",
        "if False:",
        _SHARING + "only_who_knows_the_hash_and_the_size_is_given_anything",
    ),
    _mutant(
        "seal-of-one-request",
        _SEALED,
        '_mac(self.secret, b"seal", asked, salt, wish.encode())',
        '_mac(self.secret, b"seal", salt, wish.encode())',
        _SHARING + "a_span_is_sealed_to_its_request_alone",
    ),
    _mutant(
        "name-of-one-site",
        _SEALED,
        "_mac(digest, _FILE, fleet, site.encode(), size.to_bytes(8))",
        "_mac(digest, _FILE, fleet, size.to_bytes(8))",
        _SHARING + "another_site_has_nothing_from_here",
    ),
    _mutant(
        "liar-is-left-alone",
        "agent/services/neighbourhood.py",
        "        file.alone = True\n",
        "        file.alone = False\n",
        _SHARING + "once_a_neighbour_lied_the_coordinator_is_asked_and_no_other_neighbour",
    ),
    _mutant(
        "neighbours-bytes-are-noted",
        "agent/services/artifacts.py",
        "            if not mixed or self.neighbours is None:\n",
        "            if True:\n",
        _SHARING + "a_neighbour_that_alters_bytes_is_caught_and_left_alone",
    ),
    _mutant(
        "cut-off-piece-costs",
        "agent/services/artifacts.py",
        "detail=detail, down=taker.got)",
        "detail=detail)",
        _LIES + "what_came_of_a_piece_that_did_not_end_in_time_is_counted",
    ),
    _mutant(
        "one-pulls",
        "agent/core/neighbours.py",
        "    if before and (not mine.able or min(map(_rank, before)) < _rank(mine)):\n",
        "    if False:\n",
        _NEAR + "a_line_that_costs_nothing_goes_first",
    ),
    _mutant(
        "told-before-it-is-asked",
        "agent/services/turn.py",
        "        self._lease = wanted.digest, Grown(mine.held, self._clock.mono_ms())\n",
        "",
        _TURN + "of_those_who_begin_at_once_at_most_one_pulls_and_soon_one_does",
    ),
    _mutant(
        "begun-by-what-is-so-now",
        "agent/services/turn.py",
        "mine, afresh=True), Pull)",
        "mine), Pull)",
        _TURN + "what_was_said_a_while_ago_is_no_reason_to_begin",
    ),
    _mutant(
        "one-asks-afresh",
        "agent/services/neighbourhood.py",
        "        if afresh or self._clock.mono_ms()",
        "        if self._clock.mono_ms()",
        _SHARING + "who_begins_to_pull_asks_its_neighbours_once_more",
    ),
    _mutant(
        "shown-while-it-becomes-whole",
        _SHELF,
        "return self._part(wanted.digest), self._whole(wanted.digest)",
        "return self._whole(wanted.digest), self._part(wanted.digest)",
        "tests/unit/test_shelf_writers.py::test_a_copy_that_becomes_whole_is_shown_all_the_while",
    ),
    _mutant(
        "who-stands-still-is-not-awaited",
        "agent/core/neighbours.py",
        "one.able and one.id not in gone",
        "one.able",
        _NEAR + "who_stands_still_is_not_waited_for",
    ),
    _mutant(
        "nobody-is-asked-on-the-internet",
        "agent/services/lan.py",
        'near = [one for one in addresses if is_near(one) and ":" not in one]',
        "near = list(addresses)",
        _LAN + "a_neighbour_is_reached_in_a_network_that_both_are_in",
    ),
    _mutant(
        "offered-on-the-lan-alone",
        "agent/services/lan.py",
        "if is_near(str(network.ip)) and (named if allowed else is_lan(name)):",
        "if named or not allowed:",
        _LAN + "files_are_offered_on_lans_and_not_to_the_internet_or_over_a_modem",
        _LAN + "even_a_person_cannot_offer_files_to_the_internet",
    ),
    # --- from a stick
    _mutant(
        "one-writer-of-a-part",
        _SHELF,
        "            if not self._is_last():\n",
        "            if False:\n",
        "tests/unit/test_shelf_writers.py::test_however_writers_take_turns_the_file_is_the_file",
    ),
    _mutant(
        "stick-brings-what-is-needed",
        "agent/services/stick_shelf.py",
        "        if needed.get(piece.digest) != piece.size:\n",
        "        if False:\n",
        _STICK + "what_no_order_names_is_not_taken",
    ),
    _mutant(
        "piece-within-its-file",
        "shared/sync/piece.py",
        "fits = piece.start + len(piece.data) <= piece.size <= limits.SHELF_BYTES",
        "fits = True",
        _STICK + "a_piece_that_lies_outside_of_its_file_is_refused",
    ),
    _mutant(
        "wrong-stick-falls-back",
        "agent/services/artifacts.py",
        "self._own.pop(wanted.digest, 0) < wanted.size and not mixed",
        "False",
        _LIES + "wrong_bytes_of_a_stick_cost_a_download_and_no_attempt",
    ),
    _mutant(
        "altered-costs-less-and-less",
        _CORE,
        "    return Pace(max(limits.PIECE_LEAST_BYTES, piece), altered=before.altered)\n",
        "    return Pace(max(limits.PIECE_LEAST_BYTES, piece))\n",
        _LIES + "a_file_that_comes_altered_costs_less_and_less",
    ),
    _mutant(
        "altered-is-told-at-once",
        _CORE,
        "    if not pace.altered or rest_s <= limits.FETCH_RETRY_MAX_S:\n",
        "    if True:\n",
        _UNIT + "nobody_waits_for_a_file_that_came_altered_and_rests_for_long",
    ),
    _mutant(
        "disk-waits-longer",
        _CORE,
        "    failures, most_s = before.failures + 1, limits.FETCH_RETRY_MAX_S\n",
        "    failures, most_s = 1, limits.FETCH_RETRY_MAX_S\n",
        _UNIT + "what_the_disk_does_not_take_waits_longer_and_longer",
    ),
    _mutant(
        "refused-are-heard-again",
        "agent/services/sharing.py",
        "            granted = False\n",
        "            granted = True\n",
        _SHARING + "who_is_refused_is_not_heard_again_on_that_connection",
    ),
)
