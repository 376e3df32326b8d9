"""Agents without a memory of what they began, or with an older one: what is known of it then."""

from tests.mutants.mutant import Mutant, cuts

_WORLD = "tests/simulation/test_world.py::test_no_promise_is_broken_in_the_world_of"
_TESTS = "tests/unit/test_presumed_lost.py::test_"
_OLDER = "what_an_older_card_tells_under_numbers_that_are_taken_counts"

_presume = cuts("lost", "coordinator/store/queries/lost.sql", _TESTS)
_plot = cuts("lost", "coordinator/store/queries/lost.sql", _WORLD)
_receipts = cuts("older-card", "coordinator/transactions/receipts.py", _TESTS, usual=_OLDER)
_contact = cuts("older-card", "coordinator/transactions/contact.py", _TESTS)
_agent = cuts("older-card", "agent/store/contact.py")
_NEXT = (
    "tests/unit/test_told_again.py::test_"
    "a_report_says_which_receipt_comes_next_also_when_none_waits"
)
_history = cuts("history", "coordinator/transactions/lost.py", _TESTS)
_carried = cuts("return", "coordinator/transactions/carried.py", _TESTS)
_store = cuts("store", "coordinator/store/queries/jobs.sql", _TESTS)
_release = cuts("released", "coordinator/transactions/membership.py", _TESTS)

_derived = cuts("derived", "coordinator/core/derived.py", "tests/unit/test_derived_ids.py::test_")

LOST = (
    Mutant(
        "queued-again-untold",
        "coordinator/transactions/executions.py",
        "    yield from recall(job, made, now_ms)\n",
        "",
        (_TESTS + "what_was_told_before_a_job_is_queued_again_after_a_restore_counts",),
    ),
    Mutant(
        "made-again-untold",
        "coordinator/transactions/executions.py",
        "    if job < (yield from certain_from()):\n",
        "    if False:\n",
        (_TESTS + "what_was_told_before_a_job_is_queued_again_after_a_restore_counts",),
    ),
    _derived(
        "of-any-agent",
        'f"execution {agent}"',
        '"execution"',
        "an_order_made_again_has_the_same_id_and_every_other_one_another",
    ),
    _plot(
        "never-presumed",
        "AND (fact_epoch",
        "AND 0 = 1 AND (fact_epoch",
        "[an older card has never heard of what the newer one began]",
        "[how a job ended was lost with the memory of it]",
        says="an execution is IN_PROGRESS for ever",
    ),
    _presume(
        "by-no-store",
        "AND (fact_epoch <> coalesce(",
        "AND (-1 = coalesce(",
        "what_was_begun_under_a_lost_store_is_overdue_until_somebody_tells_of_it",
    ),
    _presume(
        "by-a-newer-store",
        "AND (fact_epoch <> coalesce(",
        "AND (fact_epoch < coalesce(",
        "an_older_card_that_calls_has_no_memory_of_what_a_newer_one_began",
    ),
    _presume(
        "stands-for-ever",
        "state BETWEEN 1 AND 4",
        "state IN (1, 3, 4)",
        "a_standing_job_of_a_lost_store_does_not_stand_for_ever",
    ),
    _presume(
        "waits-for-ever",
        "state BETWEEN 1 AND 4",
        "state IN (2, 3, 4)",
        "what_had_not_begun_is_lost_as_well_its_deadline_may_be_months_away",
    ),
    _presume(
        "signed-once-more",
        "AND state = 0 AND signed_seq IS NULL\n",
        "AND state = 0 AND signed_seq IS NULL AND 0 = 1\n",
        "what_neither_side_remembers_is_not_ordered_once_more",
    ),
    _presume(
        "unsure-without-a-restore",
        "    AND job_id < $5\n",
        "    AND $5 = $5\n",
        "what_was_ordered_after_a_restore_goes_to_whoever_forgot",
    ),
    _presume(
        "unsure-of-what-is-released-later",
        "    AND job_id < $5\n",
        "    AND job_id < $5 AND created_ms <= (SELECT max(at_ms) FROM restore)\n",
        "who_forgot_begins_no_rollout_that_went_on_after_the_restore",
    ),
    _presume(
        "members-are-sure",
        "AND m.execution_id IS NULL AND m.stage >= 0",
        "AND 0 = 1",
        "who_forgot_begins_no_rollout_that_a_lost_coordinator_may_have_released",
    ),
    _presume(
        "unheard-by-who-has-begun-anew",
        "OR fact_number >= $6)\n",
        "OR fact_number >= $6 - $6)\n",
        "what_an_older_card_has_begun_anew_is_not_lost_for_what_the_newer_one_told",
    ),
    _history(
        "of-a-report-that-waited",
        "report.counter > carried[0]:\n",
        "report.counter > 0:\n",
        "a_report_that_waited_when_a_stick_told_of_more_is_no_older_card",
    ),
    Mutant(
        "older-card-that-a-copy-took-for-the-newer",
        "agent/store/queries/jobs.sql",
        "FROM outbox)) - 1, 0)",
        "FROM outbox)), 0)",
        ("tests/unit/test_told_again.py::test_the_last_receipt_that_both_have_is_told_again",),
    ),
    _agent(
        "that-says-nothing-of-the-next-receipt",
        "next_receipt=written + 1",
        "next_receipt=0",
        _NEXT,
    ),
    _contact(
        "that-is-silent-is-not-older",
        "<= reconciled.receipts_to:\n",
        "<= 0:\n",
        "an_older_card_that_has_nothing_to_tell_says_how_far_it_has_come",
    ),
    _contact(
        "that-does-not-say-is-older",
        "if newest and 0 < report.next_receipt",
        "if newest and 0 <= report.next_receipt",
        "an_older_card_that_has_nothing_to_tell_says_how_far_it_has_come",
    ),
    _history(
        "is-no-word",
        "yield from fold_history(agent, execution, now_ms)",
        "yield from ()",
        "what_was_told_before_a_rollout_went_on_after_a_restore_counts",
    ),
    _carried(
        "for-the-last-caller",
        ", jobs_epoch=jobs_epoch\n",
        "\n",
        "a_stick_brings_a_new_store_nothing_that_was_signed_for_another_one",
    ),
    _carried(
        "is-as-sure-as-before",
        "if row is None and (yield from _other_store(agent, report)) is not None:",
        "if False:",
        "a_stick_brings_a_new_store_nothing_that_may_have_been_signed_before_a_restore",
    ),
    _receipts(
        "is-a-repeat",
        "if here.get(receipt.number) != _said(receipt)",
        "if False",
    ),
    _receipts(
        "is-a-firings-repeat",
        "if here.get(receipt.number) != _said(receipt)",
        "if here.get(receipt.number, _said(receipt)) != _said(receipt)",
        "what_an_older_card_tells_under_the_number_of_a_firing_counts",
    ),
    _receipts("numbers-of-its-own-only", "if missing:", "if False:"),
    _receipts(
        "raises-no-alarm",
        "new[firing.execution].append(firing)",
        "pass",
        "an_alarm_of_an_older_card_is_told_under_any_number_and_once",
    ),
    _receipts(
        "knows-all",
        'yield from presume_lost(agent, b"", now_ms)',
        "pass",
        "an_older_card_has_not_heard_of_what_the_newer_one_began",
    ),
    _contact(
        "calls-unnoticed",
        "if newest and reconciled.outlived:",
        "if False:",
        "what_a_stick_told_of_a_newer_store_is_lost_once_the_older_card_calls",
    ),
    _store(
        "never-outlived",
        "n.ordinal > s.ordinal",
        "n.ordinal > s.ordinal + 9",
        "a_store_is_outlived_once_its_agent_has_had_another_one",
    ),
    _release(
        "remembers",
        '    yield from presume_lost(AgentId(agent), b"", now_ms)\n',
        "",
        "who_ends_a_quarantine_does_not_know_which_machine_is_left",
    ),
)
