"""Sticks and restores: what a courier, a finder or an old backup could do without each check."""

from tests.mutants.mutant import Mutant, cuts

_CARRIED = "tests/unit/test_trust_carried.py::test_"
_DAMAGED = "tests/unit/test_stick_damaged.py::test_"
_STICKS = ("tests/system/test_coordinator_sticks.py",)
_JUDGED = "a_return_is_for_one_agent_with_one_key_after_the_last_restore"
_FREES = "a_return_frees_only_what_the_store_in_use_numbered"
_GAPS = "only_a_gap_that_does_not_explain_itself_is_asked_for"


_return = cuts("return", "shared/trust/carried.py", _CARRIED, usual=_JUDGED)
_freed = cuts("return", "agent/core/carrier.py", _CARRIED, usual=_FREES)

STICKS = (
    Mutant(
        "stick-damage-costs-what-is-whole",
        "shared/sync/stick.py",
        "        if self._damage and not parcels:\n",
        "        if self._damage:\n",
        (f"{_DAMAGED}a_damaged_length_costs_what_follows_it",),
    ),
    Mutant(
        "stick-zeros-are-an-end",
        "shared/sync/stick.py",
        "True, len(self._buffer) > _SIZE",
        "True, False",
        (f"{_DAMAGED}a_stick_whose_rest_is_zeros_is_not_whole",),
    ),
    Mutant(
        "stick-zeros-are-an-end-to-what-comes-later",
        "shared/sync/stick.py",
        "self._followed = self._followed or bool(data)",
        "pass",
        ("tests/unit/test_stick.py::test_zeros_in_the_place_of_parcels_are_no_end",),
    ),
    _return("audience", "if answer.agent != held.agent:", "if False:"),
    _return("agent-key", "if answer.agent_key != held.agent_key:", "if False:"),
    _return("restore-epoch", "if answer.restore_epoch < known:", "if False:"),
    _return("type", "data, typ=RETURN_TYP, keys=keys", 'data, typ="reply/1", keys=keys'),
    _freed("store", "mine = answer.telemetry_epoch == telemetry_epoch", "mine = True"),
    _freed("made", "(max(1, a), min(b, sealed))", "(max(1, a), b)"),
    _freed(
        "rows-of-a-later-time",
        "min(answer.ledger_to, rows)",
        "answer.ledger_to",
        "a_return_frees_no_row_of_the_ledger_that_its_report_did_not_know",
    ),
    Mutant(
        "return-to-another-card",
        "agent/services/carrier.py",
        "sealed=left.sealed if left else 0,",
        "sealed=self._telemetry.next_block - 1,",
        ("tests/system/test_older_card_sticks.py",),
    ),
    _freed(
        "receipts-of-this-store",
        "ours = answer.jobs_epoch == jobs_epoch and",
        "ours =",
    ),
    Mutant(
        "stick-frees-receipts-of-its-report-alone",
        "agent/services/carrier.py",
        "told = await self._store.told() if left else 0",
        "told = await self._store.told()",
        ("tests/system/test_older_card_sticks.py",),
    ),
    _freed(
        "receipts-of-a-later-time",
        "and answer.receipts_to <= told",
        "",
        "a_return_that_speaks_of_receipts_never_written_frees_none",
    ),
    Mutant(
        "gap-believed-delivered",
        "shared/sync/incoming.py",
        "return said.delivered > readings or said.stored",
        "return said.stored",
        (f"{_CARRIED}{_GAPS}",),
    ),
    Mutant(
        "gap-of-a-backlog",
        "shared/sync/incoming.py",
        "said.stored - arrived < limits.BLOCK_POINTS",
        "True",
        (f"{_CARRIED}{_GAPS}",),
    ),
    Mutant(
        "stick-names-another-report",
        "coordinator/transactions/carried.py",
        "forked = known is not None and known[0] != report.previous",
        "forked = False",
        _STICKS,
    ),
    Mutant(
        "stick-of-a-quarantined-agent",
        "coordinator/transactions/carried.py",
        "grants=identity.may_work, jobs_epoch",
        "grants=True, jobs_epoch",
        _STICKS,
    ),
    Mutant(
        "stick-older-than-the-link",
        "coordinator/transactions/carried.py",
        "counter <= report.counter)",
        "True)",
        _STICKS,
    ),
    Mutant(
        "stick-direction",
        "coordinator/services/carrier.py",
        "if header.direction is not Direction.UP:",
        "if False:",
        _STICKS,
    ),
    Mutant(
        "gone-is-remembered",
        "coordinator/transactions/gaps.py",
        "if grown != gone and len(grown) <= limits.RANGES:",
        "if False:",
        _STICKS,
    ),
)
