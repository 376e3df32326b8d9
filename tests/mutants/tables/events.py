"""Events: told with what they tell, in order, once, and only to who may hear of them."""

from tests.mutants.mutant import Mutant, cuts

_SQL = "coordinator/store/queries/events.sql"
_CONTACT = "coordinator/transactions/contact.py"
_UNIT = "tests/unit/test_events.py::test_"
_SYSTEM = "tests/system/test_events.py::test_"

_sql = cuts("events", _SQL, _UNIT)
_reading = cuts("events", "coordinator/transactions/events.py", _UNIT)
_deeds = cuts("events", "coordinator/transactions/rows.py", _UNIT)
_stream = cuts("events", "coordinator/api/events.py", _SYSTEM)
_telling = cuts("events", "coordinator/transactions/telling.py", _UNIT)
_silence = cuts("events", _CONTACT, "tests/unit/test_silence.py::test_")

EVENTS: tuple[Mutant, ...] = (
    _sql(
        "horizon",
        "WHERE (txn, number) > ($1, $2) AND txn < (SELECT h.txn FROM event_horizon h)\n"
        "    AND ($3 = ''",
        "WHERE (txn, number) > ($1, $2)\n    AND ($3 = ''",
        "readers_on_postgresql_never_miss_an_event_that_commits_late",
    ),
    _reading(
        "limit",
        "                seen = yield from sees_agent(agent, heard.limit)\n",
        "                seen = yield from sees_agent(agent, None)\n",
        "a_limited_listener_hears_of_his_agents_only",
    ),
    _reading(
        "fleet-hidden",
        "            return False  # of no single agent: it concerns the whole fleet\n",
        "            return True\n",
        "a_limited_listener_hears_of_his_agents_only",
    ),
    _reading(
        "missed-is-said",
        "        return Start(Place(beyond[0], beyond[1] - 1), missed=True)\n",
        "        return Start(Place(beyond[0], beyond[1] - 1))\n",
        "whoever_was_away_too_long_is_told_so_and_gets_what_is_left",
    ),
    _deeds(
        "deeds-are-told",
        "    yield from tell_deed(action, object_, now_ms, actor=who, detail=detail)\n",
        "",
        "what_happens_to_a_job_is_told_in_order",
    ),
    _telling(
        "ends-once",
        '        if (yield from fetch_one("job_completed", job, now_ms)) is None:\n'
        "            continue\n",
        '        yield from fetch_one("job_completed", job, now_ms)\n',
        "the_end_of_a_job_is_told_once",
    ),
    _stream(
        "ends-with-its-token",
        "principal = await authenticate(self._request, self._call.parts, _SCOPE, limited=True)",
        "principal = self._call.principal",
        "a_stream_ends_with_its_token",
    ),
    _stream(
        "ends-with-its-token-though-woken",
        "            await self._waiter.wait(max(0.0, min(ends, next_s) - clock()))\n",
        "            if await self._waiter.wait(max(0.0, min(ends, next_s) - clock())):\n"
        "                self._checked_s = clock()\n",
        "a_stream_ends_with_its_token_whatever_happens_meanwhile",
    ),
    _stream(
        "ends-with-its-token-though-behind",
        "            if heap.more:\n",
        "            if heap.more:\n                self._checked_s = clock()\n",
        "a_stream_ends_with_its_token_in_the_middle_of_what_was_missed",
    ),
    _stream(
        "lives-though-woken",
        "            await self._waiter.wait(max(0.0, min(ends, next_s) - clock()))\n",
        "            if await self._waiter.wait(max(0.0, min(ends, next_s) - clock())):\n"
        "                self._said_s = clock()\n",
        "a_stream_whose_filter_hides_what_happens_shows_that_it_lives",
    ),
    _silence(
        "online-by-the-time",
        "        if before.silent:\n",
        "        if contact.now_ms - before.last_ms > 180_000:\n",
        "a_contact_timed_before_it_was_called_silent_ends_its_silence",
    ),
    _silence(
        "silent-for-ever",
        '            yield from execute("agent_heard", agent)\n',
        "",
        "silence_and_return_are_told_in_turn",
    ),
)
