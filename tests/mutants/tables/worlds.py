"""The judges of the worlds: for each of them a defect that it, and no other, has to name.

Most of these checks have tests of their own elsewhere; here it is the world that must notice.
"""

from tests.mutants.mutant import cuts

_WORLD = "tests/simulation/test_world.py::test_no_promise_is_broken_in_the_world_of"
_OPERATORS = "[operators, schedules and triggers]"
_STRANGERS = "[strangers and sticks]"
_REFUSING = "[disks that refuse]"
_LET_GO_ON = "[rollouts that people let go on]"
_HALF_WAY = "[rollouts that are taken back half-way]"
_BOARDS = "[boards that get other firmware]"
_RUINED = "[a coordinator whose file is damaged]"
_LOST_MEMORY = "[how a job ended was lost with the memory of it]"
_HEARD_AGAIN = "[an event that a restored coordinator hears again]"
_NO_END = "[a service that failed in cleaning up makes a stop wait for ever]"
_TOLD_AGAIN = "[what a copy does not know to be lost is told again]"

_happenings = cuts("world", "coordinator/transactions/happenings.py", _WORLD, usual=_OPERATORS)
_firings = cuts("world", "coordinator/transactions/trigger_firings.py", _WORLD, usual=_OPERATORS)
_undo = cuts("world", "coordinator/transactions/dispatch_undo.py", _WORLD, usual=_OPERATORS)
_undone = cuts("world", "coordinator/store/queries/rollouts.sql", _WORLD, usual=_HALF_WAY)
_rollout = cuts("world", "coordinator/core/rollout.py", _WORLD, usual=_LET_GO_ON)
_standing = cuts("world", "agent/store/queries/standing.sql", _WORLD, usual=_OPERATORS)
_contact = cuts("world", "coordinator/transactions/contact.py", _WORLD, usual=_STRANGERS)
_blocks = cuts("world", "coordinator/transactions/blocks.py", _WORLD, usual=_STRANGERS)
_desk = cuts("world", "coordinator/services/carrier.py", _WORLD, usual=_STRANGERS)
_return = cuts("world", "shared/trust/carried.py", _WORLD, usual=_STRANGERS)
_receipts = cuts("world", "coordinator/transactions/receipts.py", _WORLD, usual=_REFUSING)
_lost = cuts("world", "coordinator/store/queries/lost.sql", _WORLD, usual=_LOST_MEMORY)
_receiver = cuts("world", "agent/services/carrier.py", _WORLD, usual=_STRANGERS)
_service = cuts("world", "shared/runtime/service.py", _WORLD, usual=_NO_END)
_firmware = cuts("world", "agent/core/firmware.py", _WORLD, usual=_BOARDS)
_blame = cuts("world", "shared/runtime/sqlite.py", _WORLD, usual=_RUINED)
_losses = cuts("world", "agent/store/queries/telemetry.sql", _WORLD, usual=_TOLD_AGAIN)

WORLDS = (
    _happenings(
        "no-end-is-overheard",
        '    yield from execute("trigger_job_ended", job, f"job {uuid_text(job)}", now_ms)\n',
        "    yield from ()\n",
        says="did well, and ",
    ),
    _firings(
        "no-time-is-left-out",
        "version, reached_ms, next_ms)",
        "version, reached_ms, (next_ms or 0) + 3_600_000)",
        says="left out a time between",
    ),
    _firings(
        "one-job-for-an-occasion",
        "    if kind == SCHEDULE or occasion",
        "    if True or occasion",
        _HEARD_AGAIN,
        says="made two jobs of",
    ),
    _undo(
        "what-is-taken-back-is-undone",
        "    return [AgentId(agent) for (agent,) in rows]\n",
        "    return [AgentId(agent) for (agent,) in rows[1:]]\n",
        says="was rolled back, but not here",
    ),
    _undone(
        "what-was-stopped-half-way-is-undone",
        "OR e.state = $4 AND e.cancel_how = $5",
        "OR 0 = 1 AND e.state = $4 AND e.cancel_how = $5",
        says="was rolled back, but not here",
    ),
    _rollout(
        "letting-go-on-skips-no-gate",
        "    skip = advance or progress.stage_state is StageState.FINISHED\n",
        "    skip = True\n",
        says="went on to its second stage with nobody well in the first",
    ),
    _standing(
        "a-firing-works-once",
        "UPDATE standing SET firings = firings + 1",
        "UPDATE standing SET firings = min(firings + 1, 2)",
        says=" times and ran ",
    ),
    _contact(
        "two-with-one-key-are-noticed",
        '    row = yield from fetch_one("agent_quarantine", agent, now_ms)\n    if row is None:\n',
        "    if agent:\n",
        says="nobody noticed that there are two of",
    ),
    _contact(
        "two-with-one-key-get-no-work",
        "again=again, grants=not quarantined)",
        "again=again, grants=True)",
        says="was given work while there were two of it",
    ),
    _contact(
        "who-was-let-out-is-not-believed",
        "    if revoked_ms is not None:\n",
        "    if False:\n",
        says="was believed after it was let out",
    ),
    _blocks(
        "readings-of-both-are-kept",
        "        block.data,\n        most,\n",
        "        block.data,\n        0,\n",
        says="of two with one key",
    ),
    _desk(
        "all-of-a-stick-is-taken",
        "        contact = CarriedContact(\n",
        "        blocks = blocks[1:]\n        contact = CarriedContact(\n",
        says="blocks of a stick were taken",
    ),
    _return(
        "a-whole-stick-is-not-refused",
        "    if answer.restore_epoch < known:\n",
        "    if answer.restore_epoch <= known:\n",
        says="of a whole stick was refused",
    ),
    _receipts(
        "what-is-acknowledged-is-kept",
        "        if not receipt.count:\n            yield from _keep(",
        "        if receipt.device:\n            yield from _keep(",
        says="were acknowledged and not kept",
    ),
    _lost(
        "what-was-begun-is-lost-with-the-memory-of-it",
        "AND state BETWEEN 1 AND 4 AND (fact_epoch <> coalesce(",
        "AND state BETWEEN 1 AND 1 AND (fact_epoch <> coalesce(",
        says="an execution is IN_PROGRESS for ever",
    ),
    _receiver(
        "a-stick-astray-changes-nothing",
        "        if header.receiver != identity.key:\n",
        "        if False:\n",
        says="was taken in where it does not belong",
    ),
    _service(
        "a-stop-has-an-end",
        "                    if _is_asked_to_stop():\n",
        "                    if False:\n",
        says="was told to stop, and went on",
    ),
    _losses(
        "losses-are-told-again",
        "FROM kept_loss WHERE number > $1\nON CONFLICT",
        "FROM kept_loss WHERE number > $1 + 1000\nON CONFLICT",
        says="the centre was told of",
    ),
    _firmware(
        "one-trial-for-an-execution",
        "    if tried:\n",
        "    if False:\n",
        says="its board was let into one image ",
    ),
    _firmware(
        "what-runs-on-trial-is-not-done",
        "return Move.DONE if running.confirmed else Move.PROVE",
        "return Move.DONE",
        says="its board is said to run ",
    ),
    _blame(
        "damage-is-named",
        "sqlite3.SQLITE_CORRUPT: Reason.STORE_CORRUPT",
        "sqlite3.SQLITE_CORRUPT: Reason.STORE_FAILED",
        says="centre crashed: WorldError: store_failed",
    ),
)
