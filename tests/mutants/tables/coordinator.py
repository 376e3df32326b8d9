"""What the coordinator accepts: clones, quarantine, restore; and the attacker's own reach."""

from tests.mutants.mutant import Mutant, cuts

_MEMBERS = "tests/system/test_coordinator_membership.py::test_"
_CHAIN = "tests/unit/test_trust_chain.py::test_"
_CONTACTS = "tests/system/test_coordinator_contacts.py::test_"
_CLONE = "what_one_honest_machine_cannot_have_signed_is_a_clone"
_QUARANTINE = "a_quarantine_stops_grants_and_nothing_else"
_MACHINE = "tests/property/test_trust_machine.py"
_STOLEN = "a_stolen_director_does_not_leave_the_catalog_or_the_policy"
_PLAY = "tests/unit/test_trust_plays.py::test_"
_WAITS = "tests/system/test_coordinator_answers.py::test_a_wait_for_a_job_"
_WISH = "tests/system/test_coordinator_membership.py::test_"
_DOOR = "tests/system/test_coordinator_door.py::test_"
_AGAIN = "tests/unit/test_told_again.py::test_"
_STORE = "tests/unit/test_telemetry_store.py::test_"
_LISTEN = "tests/unit/test_coordinator_listen.py::test_"
_SOURCES = "tests/unit/test_sources.py::test_"
_ADDRESSES = "tests/system/test_coordinator_sources.py::test_"
_MADE = "(SELECT j.created_ms FROM job j WHERE j.job_id = execution.job_id)"
_RESTORED = "(SELECT coalesce(max(at_ms), 0) FROM restore)"
_CANCEL = "tests/unit/test_coordinator_cancel.py::test_"
_HEAD = "tests/unit/test_contact_head.py::test_"
_MADE_UP = "tests/unit/test_made_up_devices.py::test_"


_chain = cuts("chain", "shared/sync/incoming.py", _CHAIN)
_fold = cuts("made-up", "coordinator/core/reconcile.py")
_folding = cuts("made-up", "coordinator/transactions/folding.py", _MADE_UP)
_shown = cuts("made-up", "coordinator/transactions/jobs.py", _MADE_UP)
_seen = cuts("made-up", "coordinator/store/queries/triggers.sql", _MADE_UP)


def _machine(name: str, file: str, old: str, new: str, play: str) -> Mutant:
    """A check that one play finds missing each time, and the random attacker sooner or later."""
    tests = (_PLAY + play, _MACHINE)
    return Mutant(f"attacker-{name}", f"shared/trust/{file}.py", old, new, tests)


COORDINATOR = (
    Mutant(
        "report-signature",
        "shared/trust/envelope.py",
        "        signer == key and _verifies(public_key, signature, message)\n",
        "        signer == key\n",
        (
            "tests/system/test_coordinator_false_reports.py::test_any_altered_byte_of_a_report_is_refused_and_uses_nothing",
        ),
    ),
    Mutant(
        "key-vouches-only-in-use",
        "coordinator/transactions/membership.py",
        "            identity = yield from use_key(agent, identity, key, now_ms)\n",
        "",
        (_MEMBERS + "a_key_may_vouch_for_another_before_its_first_report_and_retires_the_old_one",),
    ),
    Mutant(
        "schema-vouched-for",
        "coordinator/core/intake.py",
        "        if hashlib.sha256(data).digest() not in vouched:\n            continue\n",
        "",
        (_CONTACTS + "a_schema_that_no_report_vouches_for_is_ignored_and_counted",),
    ),
    _chain("same-number", "if here not in {None, digest} or", "if", _CLONE),
    _chain(
        "predecessor",
        "if here not in {None, digest} or before not in {None, previous}:",
        "if here not in {None, digest}:",
        _CLONE,
    ),
    _chain(
        "last-report",
        "        here = last.digest if counter == last.counter else here\n",
        "",
        _CLONE,
    ),
    _chain(
        "next-names-the-last",
        "        before = last.digest if counter == last.counter + 1 else before\n",
        "",
        _CLONE,
    ),
    _chain("alive", "    if memory.stray:\n", "    if False:\n", _CLONE),
    _chain(
        "lost-twice",
        "jobs_epoch != last.jobs_epoch and not memory.left",
        "jobs_epoch != last.jobs_epoch",
        "a_declared_loss_of_the_store_is_no_offence_and_the_old_store_never_comes_back",
    ),
    _chain(
        "loss-is-no-offence",
        "return Chain.LOST if new_store else Chain.CLONE",
        "return Chain.CLONE",
        "a_declared_loss_of_the_store_is_no_offence_and_the_old_store_never_comes_back",
    ),
    _chain(
        "loss-needs-life",
        "    seen = here is not None\n",
        "    if new_store:\n        return Chain.LOST\n    seen = here is not None\n",
        "a_replay_from_a_store_that_a_backup_does_not_know_quarantines_nobody",
    ),
    _chain(
        "replay-is-no-clone",
        "    return Chain.STALE if seen else Chain.LATE\n\n\ndef remembered",
        "    return Chain.CLONE\n\n\ndef remembered",
        "a_replay_of_an_old_report_puts_nobody_into_quarantine",
    ),
    _chain(
        "gap-is-no-clone",
        "return Chain.NEXT if counter == last.counter + 1 else Chain.GAP",
        "return Chain.NEXT if counter == last.counter + 1 else Chain.CLONE",
        "a_gap_is_no_offence",
    ),
    _chain(
        "learns-predecessors",
        "return (own, (report.counter - 1, report.previous)) if report.previous else (own,)",
        "return (own,)",
        "a_report_teaches_its_own_hash_and_its_predecessors",
    ),
    _chain(
        "quarantine",
        "chain in _GRANTED and attested and not quarantined",
        "chain in _GRANTED and attested",
        _QUARANTINE,
    ),
    _chain(
        "grants-attested",
        "chain in _GRANTED and attested and",
        "chain in _GRANTED and",
        _QUARANTINE,
    ),
    _chain("grants-to-clones", "return chain in _GRANTED and", "return", _QUARANTINE),
    _chain(
        "both-branches-are-kept",
        "return BlockVerdict.APART if quarantined else BlockVerdict.CONFLICT",
        "return BlockVerdict.CONFLICT",
        "in_quarantine_a_block_under_a_taken_number_is_kept_apart_and_not_refused",
    ),
    _chain(
        "signed-once-per-store",
        "return idempotent or signed_under in {None, jobs_epoch}",
        "return True",
        "what_may_have_run_before_a_loss_is_not_signed_again",
    ),
    _machine(
        "signature",
        "envelope",
        "InvalidSignature, ValueError):\n        return False",
        "InvalidSignature, ValueError):\n        return True",
        "a_signature_that_was_made_up_orders_nothing",
    ),
    _machine(
        "root-quorum",
        "root",
        "        _signed_by(data, trusted)\n",
        "        pass\n",
        "the_key_set_is_not_taken_over",
    ),
    _machine(
        "audience",
        "admission",
        "    _audience,\n    _agent_key,\n",
        "    _agent_key,\n",
        "a_neighbours_order_does_not_run_here",
    ),
    _machine("replay", "admission", "    _sequence,\n", "", "no_order_counts_a_second_time"),
    _machine(
        "nonce",
        "admission",
        "    _reply_nonce,\n",
        "",
        "a_time_that_answers_nothing_is_not_believed",
    ),
    _machine("bounds", "bounds", "point.low <= value <= point.high", "True", _STOLEN),
    _machine("class", "policy", "return named is not None and", "return True or", _STOLEN),
    _machine(
        "approvals",
        "granting",
        "    if len(counted) >= rule.threshold:\n",
        "    if True:\n",
        _STOLEN,
    ),
    _machine(
        "rollback",
        "keyset",
        "max(least, held.document.version if held else 0)",
        "0",
        "an_older_catalog_or_policy_does_not_come_back",
    ),
    _machine(
        "far-future",
        "floor",
        "most = min(said_ms, root.expires_ms + 1)",
        "most = said_ms",
        "no_time_after_the_end_of_the_keys_is_believed",
    ),
    Mutant(
        "door-other-codings",
        "coordinator/api/head.py",
        "if name in _ELSEWHERE or (",
        "if (",
        (_HEAD + "what_is_doubled_folded_or_smuggled_is_left_to_aiohttp",),
    ),
    Mutant(
        "door-doubled-length",
        "coordinator/api/head.py",
        "(name in said and name in _ONCE)",
        "False",
        (_HEAD + "what_is_doubled_folded_or_smuggled_is_left_to_aiohttp",),
    ),
    Mutant(
        "turns-without-a-bound",
        "coordinator/services/turns.py",
        "if queue.inside >= self._most:",
        "if False:",
        ("tests/unit/test_turns.py::test_beyond_the_bound_it_is_turned_away",),
    ),
    Mutant(
        "restore-gap-taken-for-lost",
        "coordinator/transactions/blocks.py",
        "if restored is None or heard < restored[0]:",
        "if restored is None:",
        (_AGAIN + "a_gap_is_waited_for_until_the_agent_heard_of_the_restore",),
    ),
    Mutant(
        "restore-expires-what-was-signed",
        "coordinator/store/queries/jobs.sql",
        "    AND job_id >= $6;",
        "    AND $6 = $6;",
        (_CANCEL + "what_a_restore_forgot_to_have_signed_is_overdue_and_not_expired",),
    ),
    Mutant(
        "restore-expires-a-later-stage",
        "coordinator/store/queries/jobs.sql",
        "    AND job_id >= $6;",
        f"    AND (job_id >= $6 OR created_ms > {_RESTORED});",
        (_CANCEL + "what_a_restore_forgot_to_have_signed_is_overdue_and_not_expired",),
    ),
    Mutant(
        "restore-expires-what-a-trigger-made-again",
        "coordinator/store/queries/jobs.sql",
        "    AND job_id >= $6;",
        f"    AND (job_id >= $6 OR {_MADE} > {_RESTORED});",
        (_CANCEL + "what_a_restore_forgot_to_have_signed_is_overdue_and_not_expired",),
    ),
    Mutant(
        "restore-calls-off-what-a-trigger-made-again",
        "coordinator/store/queries/standing.sql",
        "    AND job_id >= $6\n",
        f"    AND (job_id >= $6 OR {_MADE} > {_RESTORED})\n",
        (_CANCEL + "what_a_restore_forgot_to_have_signed_is_called_off_at_the_agent",),
    ),
    Mutant(
        "restore-told-nothing",
        "agent/store/receipts.py",
        '        db.execute(_SQL["tell_receipts_again"], bind(had.receipts_to))\n',
        "",
        (_AGAIN + "receipts_that_a_copy_lacks_are_told_again_as_they_were",),
    ),
    Mutant(
        "restore-ends-untold",
        "agent/store/receipts.py",
        "        _tell_anew(db, untold, at)\n",
        "",
        (_AGAIN + "how_a_job_ended_is_told_when_its_receipts_are_gone",),
    ),
    Mutant(
        "restore-told-for-ever",
        "agent/store/receipts.py",
        '        db.execute(_CONTACT["hear_epoch"], bind(had.restore_epoch))\n',
        "",
        (_AGAIN + "a_restore_is_acted_upon_once",),
    ),
    Mutant(
        "restore-losses-untold",
        "agent/store/blocks.py",
        "        ledger.tell_again(db, freed.had.ledger_to)\n",
        "        pass\n",
        (_STORE + "losses_that_a_coordinator_from_a_copy_lacks_are_told_again_as_they_were",),
    ),
    Mutant(
        "sources-without-a-bound",
        "coordinator/services/sources.py",
        "self._left(bucket) < 1",
        "False",
        (_SOURCES + "who_has_failed_too_often_is_refused_until_time_has_passed",),
    ),
    Mutant(
        "sources-by-any-name",
        "coordinator/services/sources.py",
        'agent if self.is_home(source, agent) else ""',
        "agent",
        (_SOURCES + "a_name_helps_nobody_at_an_address_where_it_never_proved_itself",),
    ),
    Mutant(
        "sources-shut-out-who-proved-himself",
        "coordinator/services/sources.py",
        'agent if self.is_home(source, agent) else ""',
        '""',
        (_SOURCES + "who_proved_himself_from_an_address_is_not_held_up_by_strangers_there",),
    ),
    Mutant(
        "sources-shut-out-by-its-name",
        "coordinator/services/verifier.py",
        "            if key is None or not claimed.is_signed_by(key):\n",
        "            if True:\n",
        (_ADDRESSES + "a_stranger_who_uses_a_gateways_name_at_its_address_does_not_shut_it_out",),
    ),
    Mutant(
        "sources-name-is-enough",
        "coordinator/services/verifier.py",
        "            if key is None or not claimed.is_signed_by(key):\n",
        "            if key is None:\n",
        (_ADDRESSES + "a_stranger_who_uses_a_gateways_name_at_its_address_does_not_shut_it_out",),
    ),
    Mutant(
        "sources-told-by-anybody",
        "coordinator/api/door.py",
        "self._door.behind_proxy and head.forwarded",
        "head.forwarded",
        (_ADDRESSES + "without_a_proxy_nobody_is_believed_who_he_says_he_is",),
    ),
    Mutant(
        "sources-first-forwarded",
        "coordinator/api/server.py",
        '[""])[-1]',
        '[""])[0]',
        (_LISTEN + "what_a_proxy_adds_as_a_header_of_its_own_stands_last",),
    ),
    Mutant(
        "turns-without-a-rest",
        "coordinator/services/turns.py",
        "queue.rest_until_s = now_s + rest_s",
        "queue.rest_until_s = 0.0",
        ("tests/unit/test_turns.py::test_whose_contacts_wait_for_each_other_rests_between_them",),
    ),
    Mutant(
        "turns-of-all",
        "coordinator/services/intake.py",
        "self._turns.turn(seen.agent)",
        'self._turns.turn(AgentId(""))',
        (_DOOR + "one_agents_flood_is_turned_away_and_others_are_taken_in",),
    ),
    Mutant(
        "wait-for-a-job-goes-on",
        "coordinator/api/jobs.py",
        "woken = await waiter.wait(left_ms / 1000)",
        "woken = await waiter.wait(left_ms / 1000) and False",
        (_WAITS + "goes_on_when_what_woke_it_changed_nothing",),
    ),
    Mutant(
        "wish-after-a-hold",
        "coordinator/services/intake.py",
        "return replace(recorded, order=order, wish=wish),",
        "return replace(recorded, order=order),",
        (_WISH + "a_wish_reaches_an_agent_whose_contact_was_held_for_no_time_at_all",),
    ),
    _fold(
        "tasks",
        "if len(tasks) > limits.TASKS_PER_EXECUTION:",
        "if False:",
        _MADE_UP + "of_more_devices_than_an_execution_may_touch_the_same_stay",
    ),
    _fold(
        "tasks-as-they-come",
        "for device in sorted(tasks)[: limits",
        "for device in list(tasks)[: limits",
        "tests/property/test_reconcile.py"
        "::test_of_more_devices_than_are_kept_the_same_stay_in_any_order",
    ),
    _folding(
        "tasks-that-gave-way",
        '        yield from execute("task_forget", agent, execution, device)\n',
        "        pass\n",
        "of_more_devices_than_an_execution_may_touch_the_same_stay",
    ),
    _seen(
        "devices",
        "WHERE agent_id = $1) < $4",
        "WHERE agent_id = $1) < $4 + 9",
        "devices_of_an_agent_are_remembered_up_to_a_bound",
    ),
    _shown(
        "history",
        "newest[:most][::-1]",
        "newest[::-1]",
        "the_end_of_a_long_history_is_shown_and_that_there_is_more",
    ),
    _shown(
        "pages",
        "        room -= len(tasks)\n",
        "",
        "executions_of_many_tasks_come_on_more_pages",
    ),
)
