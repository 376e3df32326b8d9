"""Standing jobs: when rules are looked at, what becomes of firings, what one may do to others.

Beside them the queue when it is full, which firings fill.
"""

from tests.mutants.mutant import cuts

_RULES = "tests/simulation/test_standing_rules.py::test_"
_FIRINGS = "tests/simulation/test_standing_firings.py::test_"

_FULL = "tests/unit/test_agent_queue_full.py::test_"
_IN_ORDER = "of_a_bundle_that_does_not_fit_jobs_are_taken_in_their_order"

_watch = cuts("rules", "agent/services/rule_watch.py", _RULES)
_ends = cuts("firings", "agent/store/execution_rows.py", _FIRINGS)
_queue = cuts("firings", "agent/store/queries/jobs.sql", _FIRINGS)
_store = cuts("firings", "agent/store/standing.py", _FIRINGS)
_made = cuts("firings", "agent/store/firing_rows.py", _FIRINGS)
_standing = cuts("firings", "agent/store/queries/standing.sql", _FIRINGS)
_rows = cuts("firings", "agent/store/standing_rows.py", _FIRINGS)
_admits = cuts("queue-full", "agent/store/queue_rows.py", _FULL)
_full = cuts("queue-full", "agent/store/jobs.py", _FULL)
_orders = cuts("queue-full", "agent/services/orders.py")

FIRINGS = (
    _rows(
        "told-twice",
        "        if not seen:\n",
        "        if False:\n",
        "a_firing_that_calls_off_its_own_rest_is_told_once",
    ),
    _queue(
        "canary-of-another",
        "WHERE execution = $1 AND firing = $2 AND state = 0 AND blocked = 1 ORDER BY number",
        "WHERE execution = $1 AND $2 > 0 AND state = 0 AND blocked = 1 ORDER BY number",
        "a_canary_that_fails_holds_up_its_own_firing_alone",
    ),
    _store(
        "called-off-schedule",
        "            if not rows.in_force(standing.number):\n                return 0\n",
        "",
        "what_is_called_off_at_the_very_moment_does_not_fire",
    ),
    _store(
        "called-off-rule",
        "            if not rows.in_force(standing.number):\n                return False\n",
        "",
        "what_is_called_off_at_the_very_moment_does_not_fire",
    ),
    _made(
        "last-steps-of-the-one-before",
        '        self._executions.end_waiting(execution, Reason.CANCELED, "the next one began")\n',
        "        for row in self._db.execute(_JOBS['waiting_tasks'], bind(execution)).fetchall():\n"
        "            self._db.execute(_JOBS['end_waiting'], bind(row[0], 4, 313))\n"
        "            self.standing.firing_ended(execution, row[3], 'the next one began', {})\n",
        "a_firing_that_is_pushed_out_between_two_attempts_does_its_last_steps",
    ),
    _ends(
        "undoing-of-the-one-before",
        "            if course.is_ending or self.turn(",
        "            if self.turn(",
        "a_firing_that_is_pushed_out_while_it_undoes_goes_on_undoing",
    ),
    _watch(
        "about-the-agent",
        "        if not self.of_agent:\n            return due_ms\n",
        "        return due_ms\n",
        "a_rule_about_the_agent_alone_rings_each_time_that_it_comes_true",
        "a_rule_about_the_agent_works_on_its_devices",
    ),
    _watch(
        "reset-about-the-agent",
        "any(not name.startswith((_DEVICE, _DEVICES)) for name in names)",
        "any(not name.startswith((_DEVICE, _DEVICES)) for name in self.condition.names)",
        "a_rule_whose_reset_is_about_the_agent_is_armed_again",
    ),
    _watch(
        "about-the-agent-has-to-last",
        "return later if due_ms is None else min(due_ms, later)",
        "return later if due_ms is None else due_ms",
        "a_fact_of_the_agent_is_looked_at_beside_readings_and_has_to_last",
    ),
    _watch(
        "about-devices-sleep",
        "        if not self.of_agent:\n            return due_ms\n",
        "",
        "only_rules_about_the_agent_wake_it_and_they_do_so_together",
    ),
    _made(
        "without-end",
        "elif self._count_tasks() + len(devices) > limits.FIRINGS_TASKS:",
        "elif False:",
        "what_fires_while_nothing_may_begin_leaves_room_for_orders",
    ),
    _standing(
        "of-what-ended",
        "FROM job JOIN task ON",
        "FROM job JOIN standing ON standing.execution = job.number JOIN task ON",
        "what_fires_while_nothing_may_begin_leaves_room_for_orders",
    ),
    _full(
        "number-of-a-part",
        "            if not taken.put_off:\n                save_counters",
        "            if True:\n                save_counters",
        _IN_ORDER,
    ),
    _full("undone", '        db.execute(_SQL["undo_jobs"])\n', "        pass\n", _IN_ORDER),
    _full(
        "in-order",
        "            return Taken(new, put_off=len(planned) - place)\n",
        "            continue\n",
        _IN_ORDER,
    ),
    _full(
        "adds-no-task",
        "bound = max(limits.QUEUE_TASKS, QueueRows(db, now).count_open())",
        "bound = limits.QUEUE_TASKS",
        "what_adds_no_task_is_taken_however_many_wait",
    ),
    _orders(
        "called-off",
        "return bool(taken.new or admitted.cancels)",
        "return bool(taken.new)",
        "tests/simulation/test_uplink_refusals.py"
        "::test_a_queue_that_is_full_hears_what_is_called_off",
    ),
    _admits(
        "of-what-stands",
        "if job.spec.is_standing and not standing.has_room(job.spec.conflict_key):",
        "if False:",
        "so_many_schedules_and_rules_stand_and_no_more",
    ),
)
