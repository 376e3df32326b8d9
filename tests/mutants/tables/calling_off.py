"""What is called off, what stands, and what an agent told of it once."""

from tests.mutants.mutant import Mutant

_CANCEL = "tests/unit/test_coordinator_cancel.py::test_"
_FILES = "tests/unit/test_coordinator_retention.py::test_"
_CLI = "tests/system/test_cli_jobs.py::test_"
_QUARANTINE = (
    "tests/system/test_quarantine_cancel.py"
    "::test_a_quarantined_gateway_is_told_to_stop_and_nothing_else"
)
_BY_STICK = (
    "tests/system/test_quarantine_cancel.py"
    "::test_a_stick_tells_a_quarantined_gateway_to_stop_and_nothing_else"
)
_HELD = "tests/system/test_quarantine_cancel.py::test_a_gateway_whose_contact_is_held_"
_SIGNED = "what_was_signed_is_called_off_in_every_bundle_until_a_receipt_settles_it"


def _cancel(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    named = tuple(_CANCEL + test for test in tests)
    return Mutant(f"cancel-{name}", f"coordinator/{file}", old, new, named)


CALLING_OFF = (
    _cancel(
        "in-the-bundle",
        "transactions/issue.py",
        "    return Order(seq, granted, cancels)\n",
        "    return Order(seq, granted)\n",
        _SIGNED,
    ),
    _cancel(
        "alone-in-the-bundle",
        "transactions/issue.py",
        "    if not granted and not cancels:\n",
        "    if not granted:\n",
        _SIGNED,
    ),
    _cancel(
        "what-a-restore-forgot",
        "transactions/cancel.py",
        "        certain,\n",
        '        b"",\n',
        "what_a_restore_forgot_to_have_signed_is_called_off_at_the_agent",
    ),
    _cancel(
        "asked-before",
        "transactions/cancel.py",
        "    if cancel_ms is not None:\n        return CalledOff(())\n",
        "",
        "called_off_again_nothing_changes",
    ),
    _cancel(
        "over",
        "transactions/cancel.py",
        "return not open_ and not rolling and not waits",
        "return False",
        "a_job_that_is_over_cannot_be_called_off",
    ),
    _cancel(
        "too-late",
        "core/reconcile.py",
        "return STOPPED if known.state is ExecutionState.CANCELED else TOO_LATE",
        "return STOPPED",
        "an_execution_that_ended_was_called_off_too_late",
    ),
    _cancel(
        "proof-stays",
        "core/reconcile.py",
        "    if before or not asked or known.state not in TERMINAL_EXECUTION:\n",
        "    if not asked or known.state not in TERMINAL_EXECUTION:\n",
        "what_an_agent_proved_stays_when_it_says_less_after_a_loss",
    ),
    _cancel(
        "memory-lost",
        "core/reconcile.py",
        "return UNKNOWN if lost and said == NEVER_DELIVERED else str(said)",
        "return str(said)",
        "an_agent_that_lost_its_memory_proves_nothing",
    ),
    Mutant(
        "firing-moves-nothing",
        "coordinator/transactions/receipts.py",
        "        own = [fact for fact in facts if not fact.count]\n",
        "        own = facts\n",
        (_CLI + "history_is_complete_whatever_is_told_twice_and_moves_nothing",),
    ),
    Mutant(
        "history-bounded",
        "coordinator/transactions/firings.py",
        '    yield from execute("firings_forget_most", agent, execution, *most)\n',
        "",
        (_FILES + "of_one_standing_job_only_the_newest_history_stays",),
    ),
    # --- while an agent is quarantined
    Mutant(
        "quarantine-gets-work",
        "coordinator/transactions/contact.py",
        "again=again, grants=not quarantined)",
        "again=again)",
        (_QUARANTINE,),
    ),
    Mutant(
        "quarantine-is-told-no-stop",
        "coordinator/transactions/contact.py",
        "    if contact.with_orders and earns and identity.may_hear and",
        "    if contact.with_orders and earns and identity.may_work and",
        (_QUARANTINE,),
    ),
    Mutant(
        "quarantine-gets-work-while-held",
        "coordinator/transactions/contact.py",
        "again=again, grants=not identity.quarantined)",
        "again=again)",
        (_HELD + "in_a_quarantine_is_told_to_stop_and_nothing_else",),
    ),
    Mutant(
        "quarantine-ends-and-the-hold-goes-on",
        "coordinator/transactions/contact.py",
        "may_grant(chain, attested=report.attested, quarantined=False)",
        "may_grant(chain, attested=report.attested, quarantined=quarantined)",
        (_HELD + "gets_work_once_its_quarantine_ends",),
    ),
    Mutant(
        "quarantine-gets-work-by-stick",
        "coordinator/transactions/carried.py",
        "again=True, grants=identity.may_work, jobs_epoch",
        "again=True, jobs_epoch",
        (_BY_STICK,),
    ),
    Mutant(
        "quarantine-is-told-no-stop-by-stick",
        "coordinator/transactions/carried.py",
        "    if jobs_epoch and attested and identity.may_hear:\n",
        "    if jobs_epoch and attested and identity.may_work:\n",
        (_BY_STICK,),
    ),
)
