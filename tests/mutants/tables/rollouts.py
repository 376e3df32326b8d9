"""What a rollout promises: gates over who was reached, limits, pauses, ends that stay ends."""

from tests.mutants.mutant import Mutant

_GATES = "tests/property/test_rollout_gates.py::test_"
_STORE = "tests/unit/test_rollout_dispatch.py::test_"
_DEVICES = "tests/unit/test_device_targets.py::test_"
_ENDINGS = "tests/unit/test_rollout_endings.py::test_"
_UNDOING = "tests/unit/test_rollout_undoing.py::test_"
_AGAIN = "tests/unit/test_rollouts_again.py::test_"


def _rollout(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(f"rollout-{name}", f"coordinator/{file}", old, new, tests)


ROLLOUTS = (
    _rollout(
        "gate-over-all-targets",
        "core/gates.py",
        "at_least(seen.failed, seen.executed, gate.confidence)",
        "at_least(seen.failed, seen.expected, gate.confidence)",
        _GATES + "devices_that_are_off_never_make_a_failure_look_small",
    ),
    _rollout(
        "minimum-lowered-by-who-is-off",
        "core/gates.py",
        "    needed = min(max(1, gate.min_executed), planned)\n",
        "    needed = min(gate.min_executed, seen.reached)\n",
        _STORE + "a_canary_that_nobody_executed_is_never_good",
    ),
    _rollout(
        "few-are-surely-good",
        "core/gates.py",
        "    if (surely if seen.unreached else share) >= gate.success_percentage:\n",
        "    if share >= gate.success_percentage:\n",
        _GATES + "the_gate_counts_in_the_way_that_its_page_says",
    ),
    _rollout(
        "no-confidence",
        "core/gates.py",
        "    if not confidence:\n",
        "    if confidence:\n",
        _GATES + "the_gate_counts_in_the_way_that_its_page_says",
    ),
    _rollout(
        "minute-of-the-clock",
        "core/caps.py",
        "if at_ms > now_ms - MINUTE_MS",
        "if at_ms // MINUTE_MS == now_ms // MINUTE_MS",
        _GATES + "no_span_of_a_minute_releases_more_than_the_rate",
    ),
    _rollout(
        "share-of-what-is-open",
        "core/caps.py",
        "    free = max(0, most_open(policy, members) - open_now)\n",
        "    free = most_open(policy, members)\n",
        _STORE + "a_percentage_bounds_what_is_open",
    ),
    _rollout(
        "site-full",
        "store/queries/rollouts.sql",
        "AND ready = 1 AND execution_id IS NULL ORDER BY place",
        "AND ready < 2 AND execution_id IS NULL ORDER BY place",
        _STORE + "one_site_is_never_worked_on_twice_at_once",
    ),
    _rollout(
        "lost-frees-its-site",
        "transactions/dispatch_counts.py",
        "after in TERMINAL_EXECUTION and before not in TERMINAL_EXECUTION:\n",
        "after >= 10:\n",
        _STORE + "who_is_lost_keeps_his_site_to_himself",
    ),
    _rollout(
        "same-cohorts",
        "core/cohorts.py",
        "key=lambda one: (_hash(seed, one.agent), one.agent))",
        "key=lambda one: 0)",
        _GATES + "the_same_seed_and_fleet_give_the_same_cohorts",
    ),
    _rollout(
        "canary-of-every-kind",
        "core/cohorts.py",
        "first[: limits.ROLLOUT_STRATA]",
        "first[:0]",
        _GATES + "everybody_has_one_place_and_the_canary_has_every_kind",
    ),
    _rollout(
        "paused-signs-nothing",
        "store/queries/jobs.sql",
        "    AND j.held_ms IS NULL\n",
        "",
        _STORE + "a_paused_rollout_signs_nothing_that_it_had_released",
    ),
    _rollout(
        "ends-let-nothing-go",
        "transactions/dispatch.py",
        "    elif progress.state in OPEN:\n",
        "    else:\n",
        _ENDINGS + "what_a_pause_held_back_expires_unsigned_with_its_job",
    ),
    _rollout(
        "its-end-before-the-jobs",
        "core/rollout.py",
        "    if 0 < policy.end_ms <= min(now_ms, facts.not_after_ms):\n",
        "    if 0 < policy.end_ms <= now_ms < facts.not_after_ms:\n",
        _ENDINGS + "an_end_that_calls_off_does_so_though_the_jobs_time_is_over_too",
    ),
    _rollout(
        "an-end-after-the-jobs",
        "core/rollout.py",
        "    if 0 < policy.end_ms <= min(now_ms, facts.not_after_ms):\n",
        "    if 0 < policy.end_ms <= now_ms:\n",
        _ENDINGS + "an_end_after_the_jobs_time_calls_nothing_off",
    ),
    _rollout(
        "soaks-since-the-first-time",
        "core/rollout.py",
        "stage_state=StageState.SOAKING, soak_since_ms=now_ms)\n",
        "stage_state=StageState.SOAKING, soak_since_ms=progress.soak_since_ms or now_ms)\n",
        _STORE + "a_stage_soaks_anew_when_its_gate_is_met_anew",
    ),
    _rollout(
        "soaks-whatever-a-pause-brings",
        "core/rollout.py",
        "    if progress.stage_state is not StageState.SOAKING:\n",
        "    if (progress.state, progress.stage_state) != (1, StageState.SOAKING):\n",
        _STORE + "a_stage_soaks_anew_when_its_gate_is_met_anew",
    ),
    _rollout(
        "over-is-over",
        "core/rollout.py",
        "    if progress.state not in OPEN:\n        return Decision(progress=progress)\n",
        "",
        _ENDINGS + "late_failures_count_and_stop_nothing_that_is_over",
        _ENDINGS + "a_late_fact_reopens_the_account_and_releases_nothing",
    ),
    _rollout(
        "seen-failures-stop-it-once",
        "core/rollout.py",
        "        accepted=tuple(failures_by_stage(facts)),\n",
        "",
        _STORE + "after_a_resume_only_more_failures_stop_it_again",
    ),
    _rollout(
        "asked-once",
        "core/rollout.py",
        "        if said.settled:\n",
        "        if said.settled and not progress.accepted:\n",
        _STORE + "who_lets_a_stage_go_on_that_nobody_is_left_in_is_asked_again",
    ),
    _rollout(
        "slices-of-the-whole-stage",
        "core/cohorts.py",
        "max(limits.ROLLOUT_RELEASES, len(found) // 2)",
        "len(ordered)",
        "tests/unit/test_rollout_plans.py::test_"
        "members_released_together_lie_together_and_who_went_first_is_a_fair_sample",
    ),
    _rollout(
        "undoing-that-failed-is-well",
        "cli/rollouts.py",
        '            well &= one == view.job or set(ended.counts) <= {"SUCCEEDED"}\n',
        '            well &= one == view.job or set(ended.counts) != {"SUCCEEDED", "FAILED"}\n',
        "tests/system/test_rollouts.py::test_"
        "an_undoing_that_fails_is_no_good_end_of_waiting_for_it",
    ),
    _rollout(
        "late-success-undone",
        "transactions/dispatch.py",
        "    if done_late and loaded.row[4] is not None:\n",
        "    if False:\n",
        _UNDOING + "a_rollback_undoes_where_it_succeeded_and_calls_off_elsewhere",
    ),
    _rollout(
        "half-done-undone",
        "transactions/dispatch_counts.py",
        "    ended_so = {ExecutionState.SUCCEEDED, ExecutionState.CANCELED}\n",
        "    ended_so = {ExecutionState.SUCCEEDED}\n",
        _UNDOING + "a_rollback_undoes_what_was_stopped_half_way_and_not_what_had_not_begun",
    ),
    _rollout(
        "overtaken",
        "transactions/dispatch.py",
        "    if saved is None:\n",
        "    if False:\n",
        _ENDINGS + "a_step_that_was_overtaken_keeps_nothing",
    ),
    _rollout(
        "told-before-it-was-released-again",
        "transactions/executions.py",
        "            yield from fold_history(agent, execution, now_ms)\n",
        "            yield from ()\n",
        _STORE + "what_was_told_before_its_execution_is_released_again_counts_after_a_restore",
    ),
    _rollout(
        "kept-as-it-can-be-read",
        "transactions/rollouts_policy.py",
        "        read_policy(pack(policy))\n",
        "        pack(policy)\n",
        _AGAIN + "a_rollout_that_could_not_be_read_when_its_turn_comes_is_refused",
    ),
    _rollout(
        "joiners-under-limits",
        "transactions/dispatch_joiners.py",
        "            rank, ready = joined[0] - 1, int(joined[0] <= joined[1])\n",
        "            rank, ready = joined[0] - 1, 1\n",
        _ENDINGS + "late_joiners_wait_under_the_same_limits",
    ),
    _rollout(
        "signed-work-is-not-taken-back",
        "store/queries/rollouts.sql",
        "AND state = 0 AND signed_seq IS NULL\n        AND job_id",
        "AND state = 0\n        AND job_id",
        _STORE + "a_straggler_whose_work_was_signed_only_counts_in_the_next_stage",
    ),
    _rollout(
        "joiners-without-such-devices",
        "transactions/dispatch_joiners.py",
        "and (having is None or agent in having)",
        "and True",
        _DEVICES + "a_gateway_joins_a_rollout_when_such_a_device_is_known_there",
    ),
    _rollout(
        "gateways-without-such-devices",
        "core/targeting.py",
        "{agent for agent in matching if agent in having}",
        "set(matching)",
        _DEVICES + "a_selector_of_gateways_is_cut_to_those_that_have_such_devices",
    ),
    _rollout(
        "updated-devices-are-counted",
        "transactions/drift.py",
        '"_version" in told_by_it and',
        '"never" in told_by_it and',
        _DEVICES + "a_device_that_was_updated_is_no_target_of_the_next_one",
    ),
    _rollout(
        "undone-though-called-off",
        "transactions/dispatch_undo.py",
        "if needs_people or canceled or not agents:",
        "if needs_people or not agents:",
        _UNDOING + "what_takes_a_rollout_back_and_was_called_off_begins_nowhere_later",
    ),
    _rollout(
        "undoing-stays-over",
        "transactions/dispatch_undo.py",
        '    yield from execute("job_reopened", by, now_ms + limits.JOB_EXPIRES_S * 1000)\n',
        "",
        _UNDOING + "what_is_told_after_the_undoing_was_over_is_undone_all_the_same",
    ),
    _rollout(
        "late-among-many-is-not-undone",
        "transactions/dispatch.py",
        "    if done_late and loaded.row[4] is not None:\n",
        "    if done_late and not more and loaded.row[4] is not None:\n",
        _UNDOING + "a_late_success_among_more_than_one_step_counts_is_undone",
    ),
    _rollout(
        "unbegun-and-called-off",
        "transactions/cancel.py",
        'never_begins(job, RolloutState.STOPPED, "its job was called off", now_ms)',
        "()",
        _ENDINGS + "a_rollout_that_never_began_ends_with_its_job",
    ),
    _rollout(
        "unbegun-and-denied",
        "transactions/approvals.py",
        'never_begins(job, RolloutState.STOPPED, "its job was denied", bench.now_ms)',
        "()",
        _ENDINGS + "a_rollout_that_never_began_ends_with_its_job",
    ),
    _rollout(
        "unbegun-and-otherwise",
        "transactions/chains.py",
        "        yield from never_begins(job, RolloutState.STOPPED, why, now_ms)\n",
        "",
        _ENDINGS + "a_rollout_that_never_began_ends_with_its_job",
    ),
    _rollout(
        "unbegun-and-over",
        "transactions/deadlines.py",
        "        yield from never_begins(job, RolloutState.EXPIRED, why, now_ms)\n",
        "",
        _ENDINGS + "a_rollout_that_never_began_ends_with_its_job",
    ),
    _rollout(
        "unbegun-ends-once",
        "transactions/rollouts_begin.py",
        "    if before.state not in OPEN:\n        return\n",
        "",
        _ENDINGS + "a_rollout_that_never_began_ends_with_its_job",
    ),
    _rollout(
        "begun-ends-by-its-step",
        "transactions/rollouts_begin.py",
        "    if row is None or row[5] is not None:\n",
        "    if row is None:\n",
        _ENDINGS + "a_rollout_that_began_ends_by_its_own_step",
    ),
    _rollout(
        "unbegun-cannot-be-called-off",
        "transactions/rollouts_steer.py",
        '    if asked.verb == "cancel":\n',
        "    if False:\n",
        _ENDINGS + "what_has_not_begun_can_be_called_off_and_nothing_else",
    ),
)
