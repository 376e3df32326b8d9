"""The job engine: at most once, in turn, in time, and told."""

from tests.mutants.mutant import Mutant

_CRASH = "tests/property/test_job_crashes.py::test_"
_EVERY = _CRASH + "a_cut_after_every_single_commit_is_survived"
_SCHEDULES = "tests/property/test_job_schedules.py::test_"
_MINUTE = _SCHEDULES + "a_minute_schedule_repeats_nothing_when_half_a_day_comes_again"
_SILENCED = _SCHEDULES + "a_clock_that_is_months_ahead_at_each_boot_silences_no_schedule"
_CLAIMS = "tests/property/test_job_claims.py::test_"
_HEADS = _CLAIMS + "the_most_urgent_due_task_of_each_idle_device_begins"
_POISON = "tests/property/test_invariants.py::test_a_job_that_kills_its_agent"
_POISON += "_holds_up_nobody_for_longer_than_its_crashes"
_ORDERS = "tests/unit/test_agent_orders.py"
_JOBS = "tests/unit/test_agent_jobs.py"
_LATE = "tests/unit/test_agent_jobs_late.py"
_ENGINE = "tests/simulation/test_job_engine.py"
_CUT_OFF = "tests/simulation/test_cut_off.py"
_CUT = _CUT_OFF + "::test_"
_LAST = "tests/simulation/test_last_steps.py::test_"
_AT_AGENT = "tests/simulation/test_trust_at_the_agent.py::test_"
_PROGRAM = "tests/unit/test_program.py::test_"
_QUEUE = "tests/unit/test_agent_queue.py::test_"
_STANDING = "tests/simulation/test_standing.py"
_CLOCK = "tests/simulation/test_wrong_clock.py::test_"
_AHEAD = _CLOCK + "a_clock_that_is_years_ahead_ends_nothing_for_good"
_UNSURE = _CLOCK + "what_may_be_over_waits_for_word_without_keeping_anybody_awake"

ENGINE = (
    Mutant(
        "engine-intent-before-effect",
        "agent/services/step_runner.py",
        "replace(course, intent=step.id), durable=True)",
        "course, durable=True)",
        (_EVERY,),
    ),
    Mutant(
        "engine-intent-durable",
        "agent/services/step_runner.py",
        "replace(course, intent=step.id), durable=True)",
        "replace(course, intent=step.id), durable=False)",
        (_CRASH + "a_power_cut_in_the_middle_of_any_effect_is_survived",),
    ),
    Mutant(
        "engine-power-cuts-count",
        "agent/services/executor.py",
        "durable=young",
        "durable=False",
        (_POISON,),
    ),
    Mutant(
        "engine-lost-answer-is-unknown",
        "agent/services/step_runner.py",
        "            if outcome.reason in _AMBIGUOUS:\n",
        "            if False:\n",
        (_ENGINE, _CUT_OFF),
    ),
    Mutant(
        "engine-cut-effect-is-unknown",
        "agent/core/program.py",
        "        if course.intent:\n",
        "        if False:\n",
        (_EVERY,),
    ),
    Mutant(
        "engine-cut-effect-is-put-in-order",
        "agent/core/program.py",
        "        if after is course or self._has_more(after):\n",
        "        if after is course:\n",
        (_CUT + "after_an_effect_that_was_cut_undoing_and_last_steps_follow",),
    ),
    Mutant(
        "engine-cut-effect-leads-elsewhere",
        "agent/core/program.py",
        "            after = self.did(course, step, unknown)\n",
        "            after = self.failed(course.knowing({}), Reason.UNKNOWN_EFFECT, _CUT)\n",
        (_CUT + "after_an_effect_that_was_cut_a_job_goes_on_where_it_says_so",),
    ),
    Mutant(
        "engine-cut-and-called-off",
        "agent/core/program.py",
        "            elif canceled:\n",
        "            elif False:\n",
        (_CUT + "a_job_that_was_called_off_and_cut_does_its_last_steps",),
    ),
    Mutant(
        "engine-poison-is-put-in-order-once",
        "agent/core/program.py",
        "        if poison and course.is_ending:",
        "        if False:",
        (_CUT + "what_takes_its_agent_down_is_put_in_order_and_has_one_chance_for_that",),
    ),
    Mutant(
        "engine-damaged-place-of-an-effect",
        "agent/core/program.py",
        "if step is None or step.id != course.intent:",
        "if step is None:",
        (_PROGRAM + "a_cut_effect_that_is_not_where_the_course_says_ends_the_task",),
    ),
    Mutant(
        "engine-last-steps-once",
        "agent/core/course.py",
        "return self.reason > 0 or self.phase in {Phase.FINAL, Phase.END}",
        "return self.reason > 0",
        (_CUT + "last_steps_are_begun_once_also_when_the_job_is_called_off_meanwhile",),
    ),
    Mutant(
        "engine-unknown-is-told-whatever-shuts",
        "agent/core/executor.py",
        "    if claim.course.reason in _LOOKED_AT:\n",
        "    if False:\n",
        (_QUEUE + "what_a_person_has_to_look_at_is_told_though_the_policy_shuts",),
    ),
    Mutant(
        "engine-recovered-on-this-boot",
        "agent/store/jobs.py",
        "            count = queue.recover(crashed=crashed)\n            queue.rebase()",
        "            queue.rebase()\n            count = queue.recover(crashed=crashed)",
        (_JOBS + "::test_what_a_power_cut_stopped_goes_on_at_once_after_it",),
    ),
    Mutant(
        "engine-failed-step-survives",
        "agent/services/executor.py",
        "            if course.phase is Phase.FAILED:",
        "            if course.phase is Phase.FAILED and course is not claim.course:",
        (_EVERY,),
    ),
    Mutant(
        "engine-fence",
        "agent/store/queries/jobs.sql",
        "WHERE number = $1 AND attempt = $2 AND state = 1\nRETURNING execution, device, firing",
        "WHERE number = $1 AND $2 > 0\nRETURNING execution, device, firing",
        (_JOBS, _LATE),
    ),
    Mutant(
        "engine-busy-device",
        "agent/store/queries/jobs.sql",
        "        WHERE task.state = 1 AND task.device = lane.device)",
        "        WHERE task.state = 1 AND task.device = lane.device AND 1 = 0)",
        (_HEADS,),
    ),
    Mutant(
        "engine-too-late",
        "agent/store/queue_rows.py",
        "            state, why = expire(attempt,",
        "            continue\n            state, why = expire(attempt,",
        (_JOBS, _LATE),
    ),
    Mutant(
        "engine-cancel-before-start",
        "agent/store/execution_rows.py",
        "begun = any(task.attempts for task in seen)",
        "begun = True",
        (_ORDERS,),
    ),
    Mutant(
        "engine-cancel-at-a-safe-point",
        "agent/services/executor.py",
        "elif (claim.execution, claim.firing) in self._canceled and not course.is_ending:",
        "elif False:",
        (_ENGINE, _CUT_OFF),
    ),
    Mutant(
        "engine-canary",
        "agent/store/execution_rows.py",
        "        cautious = canary > 0 and done < min(canary, total)\n",
        "        cautious = False\n",
        (_ORDERS,),
    ),
    Mutant(
        "engine-check-is-not-tried-again",
        "shared/model/policy.py",
        "        Reason.POST_CHECK_FAILED,\n",
        "",
        (_CRASH + "a_failed_check_repeats_no_effect",),
    ),
    Mutant(
        "engine-gate-of-the-site",
        "agent/services/gates.py",
        "if changes and not spec.dry_run and (locked := self._locked_ms()):",
        "if False and (locked := 1):",
        (_ENGINE, _CUT_OFF),
    ),
    Mutant(
        "engine-shorter-lock",
        "agent/services/site_lock.py",
        "        self._due = due\n        self.changed()\n",
        "        self._due = due\n",
        (_ENGINE + "::test_a_shorter_lock_than_the_one_before_lets_work_go_on_at_its_end",),
    ),
    Mutant(
        "engine-gate-of-preconditions",
        "agent/services/gates.py",
        "            if not holds:\n",
        "            if False:\n",
        (_ENGINE, _CUT_OFF),
    ),
    Mutant(
        "engine-window",
        "agent/services/gates.py",
        "        if seen.is_open:\n",
        "        if True:\n",
        (_ENGINE, _CUT_OFF),
    ),
    Mutant(
        "engine-fired-before",
        "agent/core/standing.py",
        "if not has_fired(runs, nominal))\n    for",
        "if True)\n    for",
        (_MINUTE,),
    ),
    Mutant(
        "engine-runs-kept",
        "agent/store/standing.py",
        "                rows.note_runs(standing.number, todo.runs)\n",
        "                pass\n",
        (_MINUTE,),
    ),
    Mutant(
        "engine-runs-join-in-the-past",
        "agent/core/fired.py",
        "        if after[1][0] <= past_ms:\n",
        "        if True:\n",
        (_SILENCED, _SCHEDULES + "no_time_to_come_is_taken_for_fired"),
    ),
    Mutant(
        "engine-runs-join-in-the-proven-past",
        "agent/core/standing.py",
        "past_ms = min(now.today_ms, now.proven_ms)",
        "past_ms = now.today_ms",
        (_SILENCED,),
    ),
    Mutant(
        "engine-runs-keep-the-newest",
        "agent/core/fired.py",
        "del after[-2 if after[-1] == (first, last) else -1]",
        "del after[-1]",
        (_SCHEDULES + "no_time_to_come_is_taken_for_fired",),
    ),
    Mutant(
        "engine-clock-proves-nothing",
        "agent/core/moment.py",
        "at.wall_ms, proven_ms=floor_ms)\n    today",
        "at.wall_ms, proven_ms=at.wall_ms)\n    today",
        ("tests/unit/test_agent_queue.py::test_no_wall_clock_proves_that_a_time_is_over",),
    ),
    Mutant(
        "engine-clock-ends-no-standing-job",
        "agent/services/standing.py",
        "if now.is_over(job.not_after_ms):",
        "if now.may_be_over(job.not_after_ms):",
        (_AHEAD,),
    ),
    Mutant(
        "engine-clock-ends-no-task",
        "agent/store/queue_rows.py",
        "            if not self._now.is_over(end_ms):\n",
        "            if False:\n",
        (_AHEAD,),
    ),
    Mutant(
        "engine-clock-ends-no-schedule",
        "agent/services/standing.py",
        " and _is_done(schedule, now, zone):",
        ":",
        (_CLOCK + "a_schedule_is_done_only_when_its_last_time_is_proven_to_have_passed",),
    ),
    Mutant(
        "engine-clock-holds-tasks-back",
        "agent/store/queue_rows.py",
        "        latest_ms = max(self._now.today_ms, self._now.proven_ms)\n",
        "        latest_ms = self._now.proven_ms\n",
        (_UNSURE,),
    ),
    Mutant(
        "engine-clock-holds-schedules-back",
        "agent/services/standing.py",
        "elif job.number not in self._held and job.spec",
        "elif job.spec",
        (_UNSURE,),
    ),
    Mutant(
        "engine-clock-holds-rules-back",
        "agent/services/standing.py",
        "is not None and job.number not in self._held]",
        "is not None]",
        (_AHEAD,),
    ),
    Mutant(
        "engine-held-back-rule-remembers",
        "agent/services/standing.py",
        "        if held != self._held:\n",
        "        if False:\n",
        (_CLOCK + "a_rule_that_was_held_back_remembers_what_it_did_before",),
    ),
    Mutant(
        "engine-held-back-until-told",
        "agent/services/executor.py",
        "        self._looks_again = True\n",
        "",
        (_AHEAD,),
    ),
    Mutant(
        "engine-held-back-until-proven",
        "agent/services/calendar.py",
        "(before.proven_ms, now.proven_ms)",
        "(now.proven_ms, now.proven_ms)",
        (_UNSURE,),
    ),
    Mutant(
        "engine-held-back-until-set-right",
        "agent/services/executor.py",
        "limits.STANDING_LOOK_MS)\n        wakes",
        "99 * limits.STANDING_LOOK_MS)\n        wakes",
        (_CLOCK + "a_clock_that_is_set_right_by_itself_lets_everything_go_on",),
    ),
    Mutant(
        "engine-held-back-writes-nothing",
        "agent/services/standing.py",
        "        if todo.fire or todo.missed or todo.due or job.due:\n",
        "        if True:\n",
        (_CLOCK + "a_schedule_that_waits_for_the_proof_of_its_end_writes_nothing_meanwhile",),
    ),
    Mutant(
        "engine-held-back-over-a-boot",
        "agent/store/queries/jobs.sql",
        "UPDATE task SET due_boot = x'', due_mono_ms = $2 WHERE number = $1",
        "UPDATE task SET due_mono_ms = $2 WHERE number = $1",
        (_AHEAD,),
    ),
    Mutant(
        "engine-waits-for-a-job-until-proven",
        "agent/store/queue_rows.py",
        '_SQL["dependents_end"], bind(proven_ms)',
        '_SQL["dependents_end"], bind(self._now.today_ms)',
        (_JOBS, _LATE),
    ),
    Mutant(
        "engine-slack-is-on-time",
        "shared/model/schedule.py",
        "limits.ON_TIME_MS + schedule.slack_s * 1000",
        "limits.ON_TIME_MS",
        (_SCHEDULES + "a_schedule_that_may_be_late_is_not_missed",),
    ),
    Mutant(
        "engine-rule-too-often",
        "agent/core/rules.py",
        "count >= rule.max_per_day or ",
        "",
        (_STANDING + "::test_what_fires_too_often_is_counted_and_held_back",),
    ),
    Mutant(
        "engine-overlap",
        "agent/store/firing_rows.py",
        "        if overlap is Overlap.ALLOW:\n",
        "        if True:\n",
        (_STANDING + "::test_a_firing_that_still_works_lets_the_next_one_pass",),
    ),
    Mutant(
        "engine-called-off-in-a-step-that-fails",
        "agent/store/queue_rows.py",
        "if self._executions.turn(task, execution, stands, off):",
        "if False:",
        (_LAST + "a_job_that_is_called_off_in_a_step_that_fails_does_its_last_steps",),
    ),
    Mutant(
        "engine-what-is-begun-is-late",
        "agent/core/executor.py",
        "return self.not_after_ms if self.course.phase is Phase.STEPS else None",
        "return self.not_after_ms",
        (_AT_AGENT + "what_is_begun_comes_to_its_end_when_the_time_to_begin_is_over",),
    ),
)
