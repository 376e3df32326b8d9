"""The link's promises: every byte counted, no day spent twice, alarms whatever is spent."""

from tests.mutants.mutant import Mutant

_BUDGET = "tests/unit/test_agent_budget.py::test_"
_DAYS = "tests/simulation/test_budget.py::test_"
_WISHES = "tests/simulation/test_wishes.py::test_"
_LINES = "tests/unit/test_agent_uplink_line.py::test_"
_UPLINK = "tests/simulation/test_uplink.py::test_"
_POLLS = "tests/unit/test_agent_uplink.py::test_"
_HTTP = "tests/system/test_agent_http.py::test_"
_SESSIONS = "tests/system/test_agent_sessions.py::test_"


def _link(name: str, file: str, old: str, new: str, test: str) -> Mutant:
    return Mutant(f"link-{name}", file, old, new, (test,))


LINK = (
    _link(
        "alarm-on-every-rung",
        "agent/core/uplink.py",
        "    if state.urgent:\n        ways.append((now_ms, False))\n",
        "    if state.urgent and rule.calls:\n        ways.append((now_ms, False))\n",
        _BUDGET + "an_alarm_calls_at_once_whatever_is_spent",
    ),
    _link(
        "sign-of-life",
        "agent/core/uplink.py",
        "    ways = [(_due(state, rule.silence_ms), True)]\n",
        "    ways = [(_due(state, rule.silence_ms * 99), True)]\n",
        _BUDGET + "a_sign_of_life_never_ceases",
    ),
    _link(
        "failed-contacts-keep-the-silence",
        "agent/core/uplink.py",
        "    if state.unheard and not state.alarmed:\n",
        "    if False:\n",
        _DAYS + "a_coordinator_in_trouble_for_days_does_not_spend_more_than_the_days_have",
    ),
    _link(
        "failed-alarm-tried-again",
        "agent/core/uplink.py",
        "    if state.unheard and not state.alarmed:\n",
        "    if state.unheard:\n",
        _BUDGET + "an_alarm_that_failed_is_tried_again_as_ever_whatever_is_spent",
    ),
    _link(
        "alarm-behind-an-old-report",
        "agent/core/uplink.py",
        "        urgent=state.urgent or (state.alarmed and end.resent),\n",
        "",
        _BUDGET + "an_alarm_goes_once_the_report_before_it_is_answered_whatever_is_spent",
    ),
    _link(
        "old-report-without-readings",
        "agent/services/contact.py",
        "        if announced and rule.lowest_priority < RULES[Rung.ALL].lowest_priority:\n",
        "        if False:\n",
        _DAYS + "a_report_from_earlier_carries_no_readings_once_bytes_are_short",
    ),
    _link(
        "day-once",
        "agent/core/budget.py",
        "    if now > counted:\n",
        "    if now != counted:\n",
        _BUDGET + "a_clock_that_is_set_back_does_not_let_a_day_be_spent_twice",
    ),
    _link(
        "day-once-when-right-again",
        "agent/core/budget.py",
        "(now if told else counted), size",
        "now, size",
        _BUDGET + "a_clock_that_is_set_back_does_not_let_a_day_be_spent_twice",
    ),
    _link(
        "day-that-was-never-reached",
        "agent/core/budget.py",
        "(now if told else counted), size",
        "counted, size",
        _BUDGET + "a_day_that_was_never_reached_does_not_hold_the_count_for_years",
    ),
    _link(
        "day-by-what-is-proven",
        "agent/services/purse.py",
        "self._calendar.now().proven_ms",
        "self._calendar.now().today_ms",
        _BUDGET + "no_wall_clock_turns_the_day",
    ),
    _link(
        "day-that-was-told",
        "agent/services/purse.py",
        "        if self._spent is not None:\n            self._spent = spent\n",
        "",
        _BUDGET + "a_count_that_is_told_to_be_ahead_turns_at_the_next_midnight",
    ),
    _link(
        "goodbyes-count",
        "agent/services/http_connection.py",
        "return replace(end, up=end.up + last.up, down=end.down + last.down)",
        "return end",
        "tests/system/test_contact_bytes.py::test_what_the_agent_counts_is_what_the_wire_carries",
    ),
    _link(
        "session-looked-at-once",
        "agent/services/http_connection.py",
        "        if _LOOKS_LEAK and self.resumed and _is_young(self.session):",
        "        if False:",
        _HTTP + "a_session_is_looked_at_once_and_not_at_each_contact",
    ),
    _link(
        "kept-connection-looked-at-once",
        "agent/services/http_connection.py",
        "        self._looked = True\n",
        "",
        _SESSIONS + "a_connection_that_is_kept_is_looked_at_once",
    ),
    _link(
        "broken-off-is-not-said-again",
        "agent/services/contact_http.py",
        "            if kept.aborted:\n",
        "            if False:\n",
        _HTTP + "an_exchange_on_a_kept_connection_can_be_broken_off_and_is_not_said_again",
    ),
    _link(
        "broken-off-opens-nothing",
        "agent/services/contact_http.py",
        "            if kept.aborted:\n",
        "            if getattr(end, 'fault', None) is Fault.ABORTED:\n",
        _HTTP + "nothing_is_opened_for_an_exchange_that_was_broken_off_once_found_closed",
    ),
    _link(
        "broken-off-behind-its-answer",
        "agent/services/contact_http.py",
        "            last = connection.end()\n            self._forgo(last.up, last.down)\n",
        "            pass\n",
        "tests/unit/test_http_connection.py::test_one_broken_off_behind_its_answer_is_closed",
    ),
    _link(
        "newest-session-resumed",
        "agent/services/http_connection.py",
        "if _LOOKS_LEAK and self.resumed",
        "if self.resumed",
        _SESSIONS + "where_looks_lose_nothing_the_newest_session_is_resumed",
    ),
    _link(
        "wish-within-a-day",
        "agent/core/uplink.py",
        "return min(max(wish_s * 1000, limits.SYNC_MIN_MS), longest_ms)",
        "return max(wish_s * 1000, limits.SYNC_MIN_MS)",
        _BUDGET + "a_coordinators_wish_moves_the_next_contact_within_a_day",
    ),
    _link(
        "small-bodies-prove-nothing",
        "agent/core/uplink.py",
        "        return max(budget, min(2 * budget, _BUDGET_START))\n",
        "        return 2 * budget\n",
        _LINES + "a_body_that_was_not_full_says_nothing_about_the_line",
    ),
    _link(
        "unended-body-halves",
        "agent/core/uplink.py",
        "    large = end.unended or end.up > _BUDGET_LINE\n",
        "    large = end.up > _BUDGET_LINE\n",
        _LINES + "a_contact_that_does_not_end_in_time_is_a_body_that_was_too_much",
    ),
    _link(
        "unended-contact-costs",
        "agent/core/uplink.py",
        "end.unended or end.up + end.down > 0",
        "end.up + end.down > 0",
        _LINES + "a_contact_that_does_not_end_in_time_is_a_body_that_was_too_much",
    ),
    _link(
        "unended-contact-is-told",
        "agent/services/uplink.py",
        "detail=detail, unended=True)",
        "detail=detail)",
        _UPLINK + "a_peer_that_drips_for_ever_is_left",
    ),
    _link(
        "what-came-up-before-the-exchange",
        "agent/services/contact.py",
        "            if wait_s and (resent or not may_wait()):\n",
        "            if wait_s and resent:\n",
        _UPLINK + "what_comes_up_before_the_exchange_begins_is_not_held_back",
    ),
    _link(
        "not-held-says-nothing",
        "agent/services/uplink.py",
        "            plan = replace(plan, wait_s=0)\n",
        "            pass\n",
        _UPLINK + "what_comes_up_before_the_exchange_begins_is_not_held_back",
    ),
    _link(
        "empty-answers-in-a-row",
        "agent/core/uplink.py",
        "max(_POLL_PAUSE_MS, 2 * state.poll_pause_ms)",
        "_POLL_PAUSE_MS",
        _POLLS + "a_coordinator_that_does_not_hold_answers_back_is_not_asked_again_and_again",
    ),
    _link(
        "what-was-brought-says-nothing-of-holding",
        "agent/core/uplink.py",
        "            return replace(state, poll_from_ms=None)\n",
        "            return replace(state, poll_from_ms=None, poll_pause_ms=0)\n",
        _POLLS + "whoever_holds_nothing_or_cuts_each_hold_sees_four_contacts_an_interval_at_most",
    ),
    _link(
        "each-hold-cut",
        "agent/core/uplink.py",
        "    state = _polled(state, settings, end, now_ms, plan)\n",
        "",
        _POLLS + "whoever_holds_nothing_or_cuts_each_hold_sees_four_contacts_an_interval_at_most",
    ),
    _link(
        "early-answer-ends-no-long-poll",
        "agent/core/uplink.py",
        "max(_POLL_PAUSE_MS, 2 * state.poll_pause_ms)",
        "settings.sync_interval_ms",
        _POLLS + "a_long_poll_that_ended_early_without_work_is_followed_by_the_next_in_a_second",
    ),
    _link(
        "gaps-answered-once",
        "agent/services/contact.py",
        "return bool(self._asked) and self._asked != self._asked_before",
        "return bool(self._asked)",
        _WISHES + "asking_for_the_same_again_and_again_causes_no_endless_contacts",
    ),
)
