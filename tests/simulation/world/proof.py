"""How much a run of many worlds must have tried before its silence means anything.

Owns which kinds of faults there are and how often each has to strike, and which edges of the state
tables have to be walked. Leaves out playing the worlds.
"""

from collections import Counter
from collections.abc import Mapping

from shared.model.job import TASK_TRANSITIONS
from tests.simulation.world.courier import FATES
from tests.simulation.world.line import STATES, STRIKES

LEAST = 100
"""Of each kind of fault, in a run of 200 worlds."""
FAULTS = (
    *STRIKES,
    *STATES,
    *("kill agent", "kill centre", "die at commit", "stop"),
    *("device silence", "device lost-reply", "device garbage", "device exception", "device slow"),
    *("clock step", "clock drift", "power cut", "boot in 1970"),
    *("disk full", "disk eio", "centre disk full", "centre disk eio"),
    *("damaged telemetry.db", "damaged jobs.db", "lost jobs.db"),
    *("reflashed card", "restored centre"),
    *("stick up", "stick down", "stick late", "stick brought work", *FATES),
    *("approve", "deny", "cancel", "rekey", "join", "clone", "revoke"),
    *("rollout", "rollout pause", "standing job", "trigger", "trigger fired"),
)
SELDOM: Mapping[str, int] = {"firmware": 30, "rollout regret": 30, "damaged coordinator.db": 10}
"""Whole stories with a judge of their own, and how often each has to be told in 200 worlds."""
_EDGES = [f"task {a.name} {b.name}" for a, after in TASK_TRANSITIONS.items() for b in after]
ELSEWHERE: Mapping[str, str] = {
    "task READY FAILED": "tests/unit/test_agent_jobs_late.py::"
    "test_a_retry_after_the_deadline_does_not_begin",
    "task RUNNING QUARANTINED": "tests/unit/test_agent_jobs.py::"
    "test_three_crashes_quarantine_a_task_and_later_jobs_go_on",
    "task RUNNING CANCELED": "tests/simulation/test_job_engine.py::"
    "test_a_job_stops_at_the_next_safe_point_when_it_is_called_off",
}
"""Too rare to be asked of 200 worlds, each with the test that walks it instead."""
WALKED = (
    *(edge for edge in _EDGES if edge not in ELSEWHERE),
    *(f"execution DELIVERED {name}" for name in ("HELD", "IN_PROGRESS", "CANCELED")),
    *(f"execution HELD {name}" for name in ("IN_PROGRESS", "CANCELED", "EXPIRED")),
    *(f"execution IN_PROGRESS {name}" for name in ("HELD", "VERIFYING", "SUCCEEDED", "FAILED")),
    *(f"execution VERIFYING {name}" for name in ("SUCCEEDED", "ROLLED_BACK")),
    *(f"known QUEUED {name}" for name in ("DELIVERED", "IN_PROGRESS", "CANCELED", "EXPIRED")),
)
"""Edges of the tables: of tasks all but those; of executions what an agent walks as it works."""


def lacking(hits: "Counter[str]", walked: "Counter[str]") -> list[str]:
    """Return what was tried too rarely, by name; empty: the run proves something."""
    least = {**dict.fromkeys(FAULTS, LEAST), **SELDOM}
    rare = [f"{kind}: {hits[kind]} of {n}" for kind, n in least.items() if hits[kind] < n]
    return rare + [f"never walked: {edge}" for edge in WALKED if not walked[edge]]
