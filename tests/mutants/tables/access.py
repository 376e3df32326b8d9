"""Who may do what at the coordinator, whose word counts, and what the agent remembers of it."""

from tests.mutants.mutant import Mutant, cuts

_ACCESS = "tests/unit/test_coordinator_access.py::test_"
_TOKENS = "tests/unit/test_coordinator_core.py::test_"
_VOTES = "tests/unit/test_coordinator_approvals.py::test_"
_LIES = "tests/simulation/test_approvals_at_the_agent.py::test_"
_ISSUE = "tests/unit/test_coordinator_transactions.py::test_"
_UNDOING = "tests/unit/test_rollout_undoing.py::test_"
_ANSWERS = "tests/system/test_coordinator_answers.py::test_"
_LIMITS = "tests/system/test_coordinator_limits.py::test_"
_DESCRIBED = (
    "tests/system/test_coordinator_rest.py::test_bodies_and_answers_are_described_as_they_are"
)
_MEMBERS = "tests/system/test_coordinator_membership.py::test_"
_VERSION = "    version: Annotated[int, Meta(ge=0, le=limits.INT_MAX)] | None = None"
_ELSE = "a_word_about_anything_else_does_not_count"
_GOOD = "a_token_is_good_until_it_expires_is_revoked_or_its_secret_differs"


_access = cuts("access", "coordinator/core/access.py")
_audit = cuts("audit", "coordinator/core/audit.py", _ACCESS)
_vote = cuts("vote", "coordinator/core/approvals.py", _VOTES, usual=_ELSE)


def _route(name: str, file: str, old: str, new: str) -> Mutant:
    tests = ("tests/golden/rest/test_matrix.py::test_every_answer_is_as_the_table_says",)
    return Mutant(f"route-{name}", f"coordinator/{file}.py", old, new, tests)


def _release(name: str, old: str, new: str, test: str) -> Mutant:
    named = (f"tests/system/test_coordinator_approvals.py::test_{test}",)
    return Mutant(f"release-{name}", "coordinator/transactions/approvals.py", old, new, named)


def _remembers(name: str, file: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(f"approved-{name}", f"agent/{file}.py", old, new, (_LIES + test,))


ACCESS = (
    Mutant(
        "described-with-a-body",
        "coordinator/api/openapi.py",
        "    elif signature.request and route.method not in _BODILESS:\n",
        "    elif signature.request:\n",
        (_DESCRIBED,),
    ),
    Mutant(
        "described-as-one-answer",
        "coordinator/api/openapi.py",
        '    if "validate_only" in asked:\n',
        "    if False:\n",
        (_DESCRIBED,),
    ),
    Mutant(
        "agents-in-a-state-of-the-first",
        "coordinator/cli/agents.py",
        "    asked = limits.INT_MAX if state else most\n",
        "    asked = most\n",
        (_MEMBERS + "agents_in_a_state_are_looked_for_until_there_are_so_many",),
    ),
    _access(
        "default-deny",
        "return granted == scope or granted in SCOPES.get(scope, _NONE)",
        "return True",
        _ACCESS + "what_nobody_granted_is_denied",
    ),
    _access(
        "secret",
        "known is None or not hmac.compare_digest(token.secret_hash, known.secret_hash)",
        "known is None",
        _TOKENS + _GOOD,
    ),
    _access("revoked", "known.revoked_ms is not None or now_ms", "now_ms", _TOKENS + _GOOD),
    _access("expired", " or now_ms >= known.expires_ms", "", _TOKENS + _GOOD),
    _access(
        "limit",
        "return self.limit is None or self.limit.matches(labels)",
        "return True",
        _ACCESS + "a_limited_token_sees_what_matches",
    ),
    _access(
        "gives-admin-away",
        '    if ADMIN in scopes.split(",") and ADMIN not in maker.scope.split(","):\n',
        "    if False:\n",
        _ACCESS + "nobody_gives_away_what_he_has_not",
    ),
    _access(
        "gives-scopes-away",
        "if wanted.may(one) and not maker.may(one)",
        "if False",
        _ACCESS + "nobody_gives_away_what_he_has_not",
    ),
    _route(
        "token",
        "api/router",
        "if route.scope != PUBLIC:\n            principal",
        "if False:\n            principal",
    ),
    _route("scope", "api/auth", "    if not principal.may(scope):\n", "    if False:\n"),
    _route(
        "limited",
        "api/auth",
        "    if principal.limit is not None and not limited:\n",
        "    if False:\n",
    ),
    _route(
        "sight",
        "transactions/sight",
        "return agent in labels and (limit is None or limit.matches(labels[agent]))",
        "return agent in labels",
    ),
    _route(
        "sight-of-jobs",
        "transactions/sight",
        "    return all(map(limit.matches, labels.values()))\n",
        "    return True\n",
    ),
    Mutant(
        "sight-of-conflicts",
        "coordinator/transactions/rollouts_preview.py",
        "        if (yield from sees_job(job, limit)):\n",
        "        if (yield from sees_job(job, None)):\n",
        (_LIMITS + "a_preview_names_no_job_that_reaches_beyond_its_agents",),
    ),
    Mutant(
        "sight-of-what-is-for-nobody",
        "coordinator/transactions/sight.py",
        "        return undone is not None and (yield from sees_job(undone[0], limit))\n",
        "        return True\n",
        (_UNDOING + "what_undoes_is_seen_by_who_sees_what_it_undoes",),
    ),
    Mutant(
        "sight-of-what-undoes",
        "coordinator/transactions/sight.py",
        "        return undone is not None and (yield from sees_job(undone[0], limit))\n",
        "        return False\n",
        (_UNDOING + "what_undoes_is_seen_by_who_sees_what_it_undoes",),
    ),
    *(
        Mutant(
            f"bounded-version-{name}",
            f"coordinator/contract/{file}.py",
            text,
            text.replace(", le=limits.INT_MAX", ""),
            (f"tests/system/test_rest_mistakes.py::test_a_mistake_in_a_{part}_is_pointed_at",),
        )
        for name, file, text, part in (
            ("read", "templates", f"{_VERSION}\n\n\nclass TemplatesQuery", "query"),
            ("used", "templates", f'{_VERSION}\n    """Left out: the newest."""', "body"),
            ("pinned", "triggers", f'{_VERSION}\n    """Of the template;', "body"),
        )
    ),
    Mutant(
        "key-of-one-request",
        "coordinator/api/handing_in.py",
        "sha256(pack([call.path, call.body]))",
        "sha256(call.body)",
        (_ANSWERS + "the_same_idempotency_key_for_something_else_is_refused",),
    ),
    _audit(
        "hash",
        "        if chained(head.hash, entry) != kept:\n",
        "        if False:\n",
        "a_changed_entry_is_found",
    ),
    _audit(
        "number",
        "        if entry.number != head.number + 1:\n",
        "        if False:\n",
        "an_entry_that_was_taken_out_shows",
    ),
    _audit(
        "before",
        "sha256(pack([before, *fields,",
        "sha256(pack([*fields,",
        "every_field_of_an_entry_is_under_its_hash",
    ),
    _audit(
        "expected",
        "expected.number == head.number and expected != head",
        "False",
        "a_chain_that_was_made_anew_does_not_lead_through_a_head_kept_elsewhere",
    ),
    *(
        _audit(
            f"field-{field}",
            old,
            new,
            "every_field_of_an_entry_is_under_its_hash",
        )
        for field, old, new in (
            ("source", "entry.actor, entry.source)", "entry.actor)"),
            ("at", "(entry.number, entry.at_ms, ", "(entry.number, "),
            ("detail", "entry.object, entry.detail]", "entry.object]"),
        )
    ),
    *(_vote(name, f"{name}, ", "", _ELSE) for name in ("_job", "_author", "_target", "_time")),
    _vote("_fleet", "(_fleet, ", "("),
    _vote("_uses", ", _uses)", ")"),
    _vote(
        "empty-selector",
        "return bool(selector) and selector == question.selector",
        "return selector == question.selector",
        "a_selector_counts_only_where_it_chose_the_agents",
    ),
    _vote(
        "one-hand", "    if len(signed) != 1:\n", "    if False:\n", "two_people_sign_two_papers"
    ),
    _vote(
        "author",
        "    if person.casefold() == question.author.casefold():\n",
        "    if False:\n",
        "the_author_does_not_agree_with_himself",
    ),
    _vote(
        "ended",
        "if vote.counts(now_ms) and",
        "if",
        "people_are_counted_and_not_their_keys",
    ),
    _vote(
        "author-counted",
        "vote.person.casefold() != author.casefold()",
        "True",
        "people_are_counted_and_not_their_keys",
    ),
    _release(
        "threshold",
        "    if not standing.enough:\n",
        "    if False:\n",
        "a_job_is_released_exactly_when_enough_distinct_people_agreed",
    ),
    _release(
        "denied", "    if denied_ms is not None:\n", "    if False:\n", "a_denied_job_stays_denied"
    ),
    _release(
        "released",
        "    if released_ms is not None:\n        raise",
        "    if False:\n        raise",
        "a_released_job_takes_no_more_answers",
    ),
    _release(
        "until",
        "not_after_ms = min(case.row[11], standing.until_ms)",
        "not_after_ms = case.row[11]",
        "a_job_may_begin_until_the_first_of_its_approvals_ends",
    ),
    Mutant(
        "issue-lost-store",
        "coordinator/transactions/issue.py",
        "if may_sign(signed_under=signed_under, jobs_epoch=jobs_epoch, idempotent=idempotent):",
        "if True:",
        (_ISSUE + "what_may_have_run_before_a_loss_is_not_signed_again",),
    ),
    _remembers(
        "kept",
        "store/execution_rows",
        "            if job.approved_until_ms is not None:\n",
        "            if False:\n",
        "approvals_that_were_used_are_no_good_for_another_execution",
    ),
    _remembers(
        "asked",
        "services/guard",
        "            approved=approved,\n",
        "",
        "as_many_executions_as_they_said_and_no_more_over_kills",
    ),
    _remembers(
        "hole",
        "services/guard",
        "            approved_since_ms=since_ms,\n",
        "",
        "approvals_older_than_a_lost_database_are_refused_and_newer_ones_count",
    ),
    _remembers(
        "put-back",
        "store/jobs_file",
        "        if second is not None and _is_behind(kept, second):\n",
        "        if False:\n",
        "a_database_that_was_put_back_does_not_make_used_approvals_new",
    ),
)
