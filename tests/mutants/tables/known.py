"""Defects that other systems of this kind had in the field, put back one by one.

Each is caught by name: by the simulated world that is told to bring it out, or by the test of the
rule that it breaks.
"""

from tests.mutants.mutant import cuts

_WORLD = "tests/simulation/test_world.py::test_no_promise_is_broken_in_the_world_of"
_JOBS = "tests/unit/test_agent_jobs.py::test_"
_GATES = "tests/property/test_rollout_gates.py::test_"

_commit = cuts("known", "shared/runtime/group_commit.py")
_queue = cuts("known", "agent/store/queries/jobs.sql")
_gate = cuts("known", "coordinator/core/gates.py")
_blocks = cuts("known", "agent/store/blocks.py")
_uplink = cuts("known", "agent/core/uplink.py")
_repeat = cuts("known", "agent/actions/registry.py")

KNOWN = (
    _commit(
        "acknowledged-before-commit",
        '        db.execute("COMMIT")\n    except',
        '        try:\n            db.execute("COMMIT")\n        except sqlite3.Error:\n'
        '            db.execute("ROLLBACK")\n    except',
        f"{_WORLD}[disks that refuse]",
        says="were acknowledged and not kept",
    ),
    _queue(
        "completed-by-id-without-attempt",
        "    course = coalesce($11, course)\nWHERE number = $1 AND attempt = $2 AND state = 1\n",
        "    course = coalesce($11, course)\nWHERE number = $1 AND $2 > 0 AND state = 1\n",
        _JOBS + "only_the_current_attempt_can_finish_and_only_once",
    ),
    _gate(
        "gate-over-all-targets",
        "at_least(seen.failed, seen.executed, gate.confidence)",
        "at_least(seen.failed, seen.expected, gate.confidence)",
        _GATES + "devices_that_are_off_never_make_a_failure_look_small",
    ),
    _blocks(
        "purge-of-unsent-data",
        "    make_room(db, ledger, state, plan.room)\n",
        "    old = (plan.at.wall_ms - 3_600_000, state.sealed)\n"
        '    sql = "DELETE FROM block WHERE last_ms < ? AND seq <= ? RETURNING count"\n'
        "    gone = sum(count for (count,) in db.execute(sql, old).fetchall())\n"
        "    state.stored -= gone\n    state.sampled -= gone\n",
        f"{_WORLD}[lines that are down for hours]",
        says="is lost: nothing took it",
    ),
    _uplink(
        "retry-that-gives-up",
        "        due_ms=MonoMs(now_ms + _back_off_ms(settings, failures, fraction)),\n",
        "        due_ms=MonoMs(now_ms + (10**13 if failures > 5 else"
        " _back_off_ms(settings, failures, fraction))),\n",
        f"{_WORLD}[lines that are down for hours]",
        says="readings still wait",
    ),
    _repeat(
        "repeated-whatever-it-does",
        "        return call is not None and call.idempotent\n",
        "        return call is not None\n",
        f"{_WORLD}[killed in the middle of work]",
        says="times on 1",
    ),
)
