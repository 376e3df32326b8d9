"""Approvals: each check of one, and how they are counted."""

from tests.mutants.mutant import Mutant, cuts

_TESTS = "tests/unit/test_trust_approval.py::test_"
_TRANSACTIONS = "tests/unit/test_coordinator_transactions.py::test_"
_VOTES = "tests/unit/test_coordinator_approvals.py::test_"
_ELSE = "an_approval_of_something_else_is_worth_nothing"


def _line(name: str, test: str = _ELSE) -> Mutant:
    return Mutant(
        f"approval{name}", "shared/trust/approval.py", f"    {name},\n", "", (_TESTS + test,)
    )


_approval = cuts("approval", "shared/trust/approval.py", _TESTS)
_counting = cuts("approvals", "shared/trust/granting.py", _TESTS)


def _proof(name: str, old: str, new: str) -> Mutant:
    tests = ("tests/property/test_trust_targets.py",)
    return Mutant(f"proof-{name}", "shared/trust/targets.py", old, new, tests)


APPROVALS = (
    Mutant(
        "approval-of-what-is-over",
        "coordinator/transactions/approvals.py",
        "if expired_ms is not None or bench.now_ms >= not_after_ms:",
        "if bench.now_ms >= not_after_ms:",
        (_TRANSACTIONS + "a_job_that_nobody_approved_in_time_is_over",),
    ),
    Mutant(
        "approval-of-who-left",
        "coordinator/transactions/approvals.py",
        "self.votes if rule is None else",
        "self.votes if True else",
        (_TRANSACTIONS + "an_approval_of_who_left_the_policy_meanwhile_counts_no_more",),
    ),
    Mutant(
        "approval-under-a-former-name",
        "coordinator/core/approvals.py",
        "replace(vote, person=policy.person(vote.key))",
        "vote",
        (_VOTES + "a_person_has_the_name_that_the_policy_gives_him_now",),
    ),
    _line("_fleet"),
    _line("_job"),
    _line("_class"),
    _line("_target"),
    _line("_time"),
    _line("_memory", "what_was_approved_before_the_memory_was_lost_needs_new_approvals"),
    _line("_uses"),
    _approval(
        "signed-by-somebody",
        "    if not signed:\n",
        "    if False:\n",
        "strangers_and_the_fleets_own_keys_approve_nothing",
    ),
    _approval(
        "unknown-fields",
        "class Approval(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):",
        "class Approval(msgspec.Struct, frozen=True, array_like=True):",
        "an_unknown_field_in_an_approval_is_refused",
    ),
    _approval(
        "empty-selector",
        "return bool(parsed.requirements) and parsed.matches(labels)",
        "return parsed.matches(labels)",
        _ELSE,
    ),
    _approval(
        "labels",
        "return bool(parsed.requirements) and parsed.matches(labels)",
        "return bool(parsed.requirements)",
        "the_labels_that_count_are_the_agents_own",
    ),
    _approval(
        "proof",
        "return is_listed(here.agent, proof, digest=digest, count=count)",
        "return True",
        "an_approval_is_bound_to_the_agents_that_its_people_saw",
    ),
    _approval(
        "no-proof",
        "            if proof is None:\n                return False\n",
        "            if proof is None:\n                return True\n",
        "an_approval_is_bound_to_the_agents_that_its_people_saw",
    ),
    _approval(
        "memory-bounded",
        "min(approval.max_executions, limits.APPROVED_EXECUTIONS)",
        "approval.max_executions",
        "no_approval_outgrows_what_an_agent_can_remember",
    ),
    _approval(
        "time-by-floor",
        "max(here.earliest_ms, approval.issued_ms)",
        "approval.issued_ms",
        "an_approval_ends_by_the_agents_own_reckoning",
    ),
    _counting(
        "asked-for",
        "if rule.threshold > 0 else []",
        "if False else []",
        "a_guarded_job_without_enough_people_is_refused",
    ),
    _counting(
        "threshold",
        "    if len(counted) >= rule.threshold:\n",
        "    if len(counted) >= 1:\n",
        "a_guarded_job_without_enough_people_is_refused",
    ),
    _counting(
        "people-not-keys",
        "people |= {scene.policy.person(key).casefold() for key in signed}",
        "people |= {key.hex() for key in signed}",
        "one_person_with_two_keys_counts_once",
    ),
    _counting(
        "never-the-author",
        "    counted = people - authors\n",
        "    counted = people\n",
        "the_author_does_not_approve_his_own_job",
    ),
    _counting(
        "author-spelt-otherwise",
        "authors.add(approval.author.casefold())",
        "authors.add(approval.author)",
        "the_author_does_not_approve_his_own_job",
    ),
    _counting(
        "checked",
        "            check_approval(approval, asked, scene.here)\n",
        "",
        _ELSE,
    ),
    _counting(
        "class-keys",
        "    keys = scene.policy.keys_of(rule)\n",
        "    keys = {key_id(a.key): a.key for a in scene.policy.approvers}\n",
        "somebody_who_approves_other_classes_does_not_approve_this_one",
    ),
    _counting(
        "bounded",
        "if len(grant.approvals) > limits.APPROVALS_PER_GRANT:",
        "if False:",
        "more_approvals_than_anybody_needs_are_refused_unread",
    ),
    _counting(
        "sooner-end",
        "not_after_ms=WallMs(min([grant.not_after_ms, *ends])),",
        "not_after_ms=WallMs(grant.not_after_ms),",
        "two_approvals_by_one_person_each_are_enough_and_the_sooner_end_counts",
    ),
    _counting(
        "remembered-till-the-last-end",
        "approved_until_ms=WallMs(max(ends)) if ends else None,",
        "approved_until_ms=WallMs(min(ends)) if ends else None,",
        "two_approvals_by_one_person_each_are_enough_and_the_sooner_end_counts",
    ),
    _counting(
        "used",
        "used=len(approved.get(job, frozenset()) - {grant.execution}),",
        "used=0,",
        "an_approved_job_runs_as_often_as_was_approved_and_no_more",
    ),
    Mutant(
        "approvals-within-one-bundle",
        "shared/trust/admission.py",
        "            used[digest] = used.get(digest, frozenset()) | {grant.execution}\n",
        "            pass\n",
        (_TESTS + "one_bundle_cannot_use_an_approval_twice",),
    ),
    _proof("digest", "return last == 0 and found == digest", "return last == 0"),
    _proof("size", "return last == 0 and found == digest", "return found == digest"),
    _proof("index", "    if not 0 <= index <= last:\n", "    if False:\n"),
    _proof(
        "leaf",
        'return sha256(b"\\x00" + agent.encode()).digest()',
        "return sha256(agent.encode()).digest()",
    ),
)
