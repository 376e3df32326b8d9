"""A coordinator that lies about people: the agent's own policy, its real stores, its real memory.

Whoever holds the director's key signs whatever he likes here. A guarded class runs only when enough
distinct people, never its author, signed exactly this, for this agent, until later than now, and
not more often than they said; over kills, lost databases and disks that were put back.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.store.jobs_file import NAME as JOBS_FILE
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import AgentId
from shared.model.job import ExecutionState, JobSpec
from shared.trust.approval import AgentsTarget, SelectorTarget
from shared.trust.policy import ClassRule
from shared.trust.targets import list_digest, prove
from shared.wire.codec import pack
from shared.wire.messages import Grant, TargetProof
from tests.agent_parts import NEVER, read_job, uid, write_job
from tests.property.test_agent_exchange import Site
from tests.simulation.loop import simulate
from tests.simulation.test_trust_at_the_agent import meet, stage, stop, told, with_policy, written
from tests.unit.trust_world import GRACE_S, NAME, OTHER, PEOPLE, changed, kid, make_approval

JOB = write_job(77)
LISTED = [NAME, AgentId("north-2"), AgentId("north-3")]
BOUND = AgentsTarget(list_digest(LISTED), len(LISTED))
Scenario = Callable[[Site], Awaitable[None]]


def approve(*names: str, job: JobSpec = JOB, **changes: Any) -> list[bytes]:
    """Let each named person sign for himself."""
    fields = {"target": BOUND, "issued_ms": 0, "not_after_ms": NEVER, **changes}
    return [make_approval(job, name, **fields) for name in names]


def grant(number: int, approvals: list[bytes], job: JobSpec = JOB, **changes: Any) -> Grant:
    """Return what the coordinator orders."""
    whole = Grant(uid(number), pack(job), NEVER, "guarded", approvals, prove(LISTED, NAME))
    return changed(whole, **changes)


def play(scenario: Scenario, folder: Path) -> None:
    """Play with an agent whose policy lets nothing be written without two of three people."""

    async def guarded(site: Site) -> None:
        world = site.link.brain.world
        people = [kid(name) for name in PEOPLE]
        classes = {
            "observe": ClassRule(0, [], GRACE_S, {"device.read": []}),
            "guarded": ClassRule(2, people, GRACE_S, {"device.write": []}),
        }
        world.trust = with_policy(world.trust, version=2, classes=classes)
        await meet(site, times=2)
        await scenario(site)

    simulate(partial(stage, scenario=guarded, folder=folder / "life-0"), seed=1)


async def order(site: Site, *grants: Grant) -> None:
    """Order jobs, and meet until the coordinator heard what became of them."""
    for one in grants:
        site.link.brain.jobs[one.execution] = one
    await meet(site, times=3)


def test_what_enough_people_approved_runs(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        await order(site, grant(1, approve("alice", "carol")))
        assert written(site) == [77, 77]
        assert told(site, 1)[0] is ExecutionState.SUCCEEDED

    play(scenario, tmp_path)


OTHER_JOB = write_job(78)
MISSING, LIST = Reason.APPROVALS_MISSING, Reason.APPROVAL_OTHER_TARGET
LIES: dict[str, tuple[Grant, Reason]] = {
    "no approvals": (grant(1, []), MISSING),
    "stripped to one": (grant(1, approve("alice")), MISSING),
    "one person twice": (grant(1, approve("alice", "alice")), MISSING),
    "one person on two papers": (
        grant(1, [*approve("alice"), *approve("alice", max_executions=2)]),
        MISSING,
    ),
    "strangers": (grant(1, approve("mallory", "trudy")), Reason.THRESHOLD_NOT_MET),
    "the director approves": (grant(1, approve("alice", "director")), Reason.THRESHOLD_NOT_MET),
    "the author counted": (
        grant(1, approve("alice", "bob", author="bob")),
        Reason.APPROVAL_BY_AUTHOR,
    ),
    "the author in capitals": (
        grant(1, approve("alice", "bob", author="BOB")),
        Reason.APPROVAL_BY_AUTHOR,
    ),
    "another author on each paper": (
        grant(1, [*approve("alice", author="bob"), *approve("bob", author="alice")]),
        Reason.APPROVAL_BY_AUTHOR,
    ),
    "approvals of another job": (
        grant(1, approve("alice", "bob", job=OTHER_JOB)),
        Reason.APPROVAL_OTHER_JOB,
    ),
    "approvals of a changed job": (
        grant(1, approve("alice", "bob"), job=OTHER_JOB),
        Reason.APPROVAL_OTHER_JOB,
    ),
    "approvals of another class": (
        grant(1, approve("alice", "bob", job_class="operate")),
        Reason.APPROVAL_OTHER_JOB,
    ),
    "approvals of another fleet": (
        grant(1, approve("alice", "bob", fleet=b"f" * 16)),
        Reason.WRONG_FLEET,
    ),
    "a list without this agent": (
        grant(
            1,
            approve("alice", "bob", target=AgentsTarget(list_digest([OTHER]), 1)),
            proof=prove([OTHER], OTHER),
        ),
        LIST,
    ),
    "a stripped proof": (grant(1, approve("alice", "bob"), proof=None), LIST),
    "another one's proof": (
        grant(1, approve("alice", "bob"), proof=prove(LISTED, LISTED[1])),
        LIST,
    ),
    "a made-up proof": (grant(1, approve("alice", "bob"), proof=TargetProof(0, [])), LIST),
    "a selector of others": (
        grant(1, approve("alice", "bob", target=SelectorTarget("site=south"))),
        LIST,
    ),
    "a selector of all": (grant(1, approve("alice", "bob", target=SelectorTarget(""))), LIST),
    "approvals that ended": (
        grant(1, approve("alice", "bob", not_after_ms=1)),
        Reason.APPROVAL_EXPIRED,
    ),
    "approvals for no execution": (
        grant(1, approve("alice", "bob", max_executions=0)),
        Reason.APPROVAL_USED_UP,
    ),
    "a class that needs nobody": (grant(1, [], job_class="observe"), Reason.CLASS_EXCEEDED),
    "a class of its own": (grant(1, [], job_class="mine"), Reason.UNKNOWN_CLASS),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_about_people_runs_nothing(lie: str, tmp_path: Path) -> None:
    ordered, reason = LIES[lie]

    async def scenario(site: Site) -> None:
        await order(site, ordered)
        assert written(site) == []
        assert told(site, 1) == (ExecutionState.REJECTED, reason)

    play(scenario, tmp_path)


def test_a_bad_approval_beside_enough_good_ones_stops_nothing(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        approvals = [b"noise", *approve("mallory"), *approve("alice", "bob")]
        await order(site, grant(1, approvals))
        assert written(site) == [77, 77]

    play(scenario, tmp_path)


# --- how often ----------------------------------------------------------------------------------
def test_approvals_that_were_used_are_no_good_for_another_execution(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        approvals = approve("alice", "bob")
        await order(site, grant(1, approvals))
        await order(site, grant(2, approvals))
        assert written(site) == [77, 77]
        assert told(site, 2) == (ExecutionState.REJECTED, Reason.APPROVAL_USED_UP)

    play(scenario, tmp_path)


def test_two_executions_of_one_bundle_count_as_two(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        approvals = approve("alice", "bob")
        await order(site, grant(1, approvals), grant(2, approvals))
        assert written(site) == [77, 77]
        assert {told(site, 1)[0], told(site, 2)[0]} == {
            ExecutionState.SUCCEEDED,
            ExecutionState.REJECTED,
        }

    play(scenario, tmp_path)


def test_as_many_executions_as_they_said_and_no_more_over_kills(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        approvals = approve("alice", "bob", max_executions=2)
        for number in (1, 2, 3):
            await order(site, grant(number, approvals))
            await site.kill()
            await site.boot()
        states = [told(site, number) for number in (1, 2, 3)]
        assert [state for state, _ in states[:2]] == [ExecutionState.SUCCEEDED] * 2
        assert states[2] == (ExecutionState.REJECTED, Reason.APPROVAL_USED_UP)

    play(scenario, tmp_path)


def test_the_same_execution_again_is_not_another_one(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        approvals = approve("alice", "bob")
        await order(site, grant(1, approvals))
        # Its answers got lost, as the coordinator sees it: it signs it once more.
        site.link.brain.receipts.clear()
        await meet(site, times=3)
        assert written(site) == [77, 77]
        approved, _ = await site.store.load_approved()
        assert {len(executions) for executions in approved.values()} == {1}

    play(scenario, tmp_path)


def test_what_was_approved_is_on_the_disk_before_it_begins(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        approvals = approve("alice", "bob")
        site.link.brain.jobs[uid(1)] = grant(1, approvals)
        await meet(site, times=1)
        await site.kill()
        await site.boot()
        approved, since_ms = await site.store.load_approved()
        assert list(approved.values()) == [frozenset({uid(1)})]
        assert since_ms == 0, "nothing was ever forgotten here"

    play(scenario, tmp_path)


def test_executions_are_remembered_as_long_as_their_approvals_last(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        now_ms = site.world.clock.wall_ms()
        await order(site, grant(1, approve("alice", "bob", not_after_ms=now_ms + 3_600_000)))
        assert len((await site.store.load_approved())[0]) == 1
        await asyncio.sleep(7_200)
        assert len((await site.store.load_approved())[0]) == 1, "no order came that dates it"
        site.link.brain.submit(uid(2), read_job("flow"))
        await meet(site, times=3)
        assert (await site.store.load_approved())[0] == {}

    play(scenario, tmp_path)


# --- a memory with a hole -----------------------------------------------------------------------
def test_approvals_older_than_a_lost_database_are_refused_and_newer_ones_count(
    tmp_path: Path,
) -> None:
    async def scenario(site: Site) -> None:
        approvals = approve("alice", "bob")
        await order(site, grant(1, approvals))
        assert written(site) == [77, 77]
        await stop(site)
        for lost in (site.folder / "data").glob(f"{JOBS_FILE}*"):
            lost.unlink()
        await site.boot()
        await order(site, grant(2, approvals))
        assert told(site, 2) == (ExecutionState.REJECTED, Reason.APPROVAL_FORGOTTEN)
        _, since_ms = await site.store.load_approved()
        await order(site, grant(3, approve("alice", "bob", issued_ms=since_ms)))
        assert told(site, 3)[0] is ExecutionState.SUCCEEDED

    play(scenario, tmp_path)


def test_a_database_that_was_put_back_does_not_make_used_approvals_new(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        await stop(site)
        image = site.folder.with_name("image")
        shutil.copytree(site.folder / "data", image)
        await site.boot()
        approvals = approve("alice", "bob")
        await order(site, grant(1, approvals))
        assert written(site) == [77, 77]
        await stop(site)
        for path in image.glob(f"{JOBS_FILE}*"):
            shutil.copy(path, site.folder / "data" / path.name)
        await site.boot()
        site.link.brain.jobs.clear()
        for pump in site.pumps.values():
            pump.values["setpoint"] = 100
        await order(site, grant(2, approvals))
        assert written(site) == [77, 77], "what it forgot may have run: it knows of the hole"
        _, since_ms = await site.store.load_approved()
        assert since_ms > WallMs(0)

    play(scenario, tmp_path)
