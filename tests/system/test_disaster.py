"""Yesterday's copy under many living gateways: nobody is blamed, and what is lost is listed.

The product's own programs and the simulated fleet, whose gateways keep nothing that was
acknowledged: whatever came after the copy was made is gone for good, which is the worst case.
Gateways that keep it send it again (`test_fleet_backup`).
"""

import sqlite3
from collections import defaultdict
from contextlib import closing
from functools import partial

import pytest

from coordinator.contract.job_spec import parse_submission
from coordinator.core.ports import fetch
from coordinator.keys.directory import DataDirectory
from coordinator.place import Place, open_fleet
from coordinator.transactions.agents import list_agents
from coordinator.transactions.submit import Submission, draft_body, submit
from firmware_sim.fleet.roster import Roster
from shared.runtime.clock import SystemClock, SystemEntropy
from shared.trust.starter import first_policy
from tests.length import AT_LENGTH
from tests.system.test_fleet_simulated import coordinator, play, ran

AGENTS = 1_000 if AT_LENGTH else 150
JOB = {
    "name": "look",
    "steps": [{"id": "look", "action": "device.read", "params": {"points": ["p"]}}],
    "targets": {"selector": "site"},
}


def blocks_in(database):
    """Return the numbers of the blocks that a database holds, by agent."""
    found = defaultdict(set)
    with closing(sqlite3.connect(database)) as db:
        for agent, seq in db.execute("SELECT agent_id, seq FROM block"):
            found[agent].add(seq)
    return found


async def order_everybody(place):
    """Submit a job for all agents of a coordinator that is not running."""
    now_ms = SystemClock().wall_ms()
    async with open_fleet(place) as (store, _):
        policy = first_policy(fleet=bytes(16), issued_ms=0, expires_ms=1 << 50)
        draft = draft_body(parse_submission(JOB), policy, now_ms)
        who = Submission(actor="me", token_id="t", now_ms=now_ms)
        made = await store.run(partial(submit, draft, who, SystemEntropy()), durable=True)
        assert len(made.agents) == AGENTS
        return made.job


async def views_of(place):
    async with open_fleet(place) as (store, _):
        views, after = [], ""
        while True:
            page, more = await store.read(
                partial(
                    list_agents, None, after=after, size=AGENTS // 2, now_ms=SystemClock().wall_ms()
                )
            )
            views += page
            if not more:
                return {view.id: view for view in views}
            after = page[-1].id


async def states_of(place, job):
    async with open_fleet(place) as (store, _):
        return {
            state: n for _, state, n in await store.read(partial(fetch, "job_counts", job, job))
        }


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_copy_put_back_under_living_gateways_blames_none_and_lists_what_is_lost(
    tmp_path,
):
    place = Place(
        directory=DataDirectory(tmp_path / "c"), database=tmp_path / "c" / "coordinator.db"
    )
    data, copy = ("--data", tmp_path / "c"), tmp_path / "copy.db"
    await ran("coordinator", "init", tmp_path / "c")
    claim = ("--site", "sim", "--count", str(AGENTS), "--url", f"unix:{tmp_path / 's'}")
    await ran("coordinator", "claim", "create", *data, *claim, tmp_path / "k")
    everybody = ("--once", "--seconds", "300")
    async with coordinator(tmp_path):
        enrol = ("--agents", str(AGENTS), "--claim", tmp_path / "k")
        await play(tmp_path, *enrol, *everybody)
        await ran("coordinator", "backup", copy, *data)
        for _ in range(2):
            await play(tmp_path, *everybody)
    before = blocks_in(place.database)

    await ran("coordinator", "restore", copy, *data)
    restored = blocks_in(place.database)
    job = await order_everybody(place)
    async with coordinator(tmp_path):
        told = [await play(tmp_path, "--work", *everybody) for _ in range(3)]

    assert [one["refused"] for one in told] == [{}] * 3
    assert sum(one["executions"] for one in told) == AGENTS, "each took the new bundle"
    assert sum((await states_of(place, job)).values()) == AGENTS
    assert all(seat.restore_epoch > 0 for seat in Roster.load(tmp_path / "fleet").seats)
    views, after = await views_of(place), blocks_in(place.database)
    lost = 0
    for agent, view in views.items():
        assert view.state == "ONLINE", view
        listed = {
            seq
            for first, last in (*view.missing_blocks, *view.gone_blocks)
            for seq in range(first, last + 1)
        }
        assert listed >= before[agent] - after[agent], "a lost block is not listed"
        assert not listed & after[agent], "a block that is here is listed"
        lost += len(before[agent] - restored[agent])
    assert len(views) == AGENTS
    assert lost >= AGENTS, "nothing was lost, so nothing was shown"
