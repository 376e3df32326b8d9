"""What the agent does to itself: it tells, tidies and restarts, and proves it."""

import asyncio
import hashlib
import logging
import os
import random
import sqlite3
import threading
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from agent.actions.registry import OWN_ACTIONS
from agent.core.tidying import Over, Tidying, to_forget
from agent.services.bundles import Bundles
from agent.services.calendar import Calendar
from agent.store.jobs import JobStore, Planned
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, Reason, RefusedError
from shared.ids import DeviceId
from shared.model.action import ACTIONS as DECLARED
from shared.model.action import check_parameters
from shared.model.job import Step
from shared.model.support import cut, fitting, together
from shared.runtime.logs import Events
from tests.agent_parts import HandClock, admitted, read_job, uid
from tests.contract.own_box import OWNER, Box, box_in, make

_APART = {
    *("agent.restart", "agent.run_script", "agent.configure", "agent.fetch", "agent.discover"),
    "agent.adopt",
}
"""They need more than a caretaker; see below, test_run_script.py, test_lookout.py, and
test_self_config.py and test_artifacts.py of tests/simulation."""


class Shown(msgspec.Struct):
    """A status with something that nobody may see."""

    link: str = "Bearer abcdefghijkl"


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    async with box_in(tmp_path) as made:
        yield made


@pytest.mark.parametrize("name", sorted(set(OWN_ACTIONS) - _APART))
async def test_it_succeeds_and_a_dry_run_leaves_no_file(box: Box, name: str):
    dry = await box.do(name, dry_run=True)
    assert dry.reason is None
    assert not (box.folder / "support").exists()
    assert (await box.do(name)).reason is None
    assert DECLARED[name].idempotent
    assert DECLARED[name].may_be_empty


async def test_health_tells_facts_and_counts(box: Box):
    await admit(box, 3)
    told = (await box.do("agent.health")).result
    assert told == {"disk.free_mb": 99, "receipts": 3, "tasks.ready": 3}


async def test_a_bundle_has_the_status_and_the_last_lines_and_no_secret(box: Box):
    async def status() -> Shown:
        return Shown()

    box.caretaker.status = status
    watching = asyncio.create_task(box.caretaker.run())
    await asyncio.sleep(0)
    log = Events("tests.bundle")
    for number in range(limits.LOG_TAIL_LINES + 5):
        log.event("tick", level=logging.WARNING, number=number, cause="ost_abcdefghijklmnop")
    told = (await box.do("agent.diagnose")).result
    watching.cancel()
    await asyncio.wait([watching])
    data = (box.folder / str(told["file"])).read_bytes()
    assert told["sha256"] == hashlib.sha256(data).hexdigest()
    assert told["lines"] == limits.LOG_TAIL_LINES
    assert b'"number": 204' in data
    assert b'"number": 4,' not in data
    assert b"abcdefghijkl" not in data
    assert "tick" in str(told["worst"])


@pytest.mark.parametrize(
    ("upload", "metered", "brings"),
    [
        *[("always", True, True), ("always", False, True), ("never", False, False)],
        *[("unmetered", False, True), ("unmetered", True, False), ("unmetered", None, False)],
    ],
)
async def test_a_bundle_is_brought_where_bytes_are_free_or_somebody_insists(
    box: Box, upload: str, metered: bool | None, brings: bool
):
    nudged: list[int] = []
    waiting = box.caretaker.bundles = Bundles(
        box.folder, nudge=lambda: nudged.append(threading.get_ident())
    )
    box.caretaker.facts = lambda: {} if metered is None else {"link.metered": metered}
    told = (await box.do("agent.diagnose", upload=upload)).result
    assert told["upload"] is brings
    found = waiting.next()
    here = threading.get_ident()
    assert (found is not None, nudged) == (brings, [here] * brings), "nothing else is the loop's"
    if found is not None:
        text = together(found[0].pieces)
        assert hashlib.sha256(text).hexdigest() == told["sha256"]


async def test_a_bundle_begins_with_what_a_technician_would_find_without_secrets(box: Box):
    box.caretaker.findings = lambda: "FAIL disk  is full, Bearer abcdefghijkl"
    told = (await box.do("agent.diagnose")).result
    text = (box.folder / str(told["file"])).read_text()
    assert "FAIL disk  is full" in text
    assert "abcdefghijkl" not in text


async def test_a_dry_run_brings_nothing(box: Box):
    box.caretaker.bundles = Bundles(box.folder)
    told = (await box.do("agent.diagnose", dry_run=True, upload="always")).result
    assert told["upload"] is True
    assert box.caretaker.bundles.next() is None


def test_a_bundle_goes_on_where_it_was_cut_and_waits_no_more_once_heard(tmp_path: Path):
    bundles = Bundles(tmp_path)
    text = random.Random(1).randbytes(3 * limits.SUPPORT_PART_BYTES)
    bundles.put("a", text)
    found = bundles.next()
    assert found is not None
    bundle, first = found
    assert (len(bundle.pieces), first) == (4, 0)
    bundles.heard(bundle, 2)
    assert bundles.next() == (bundle, 2)
    assert Bundles(tmp_path).next() == (bundle, 0), "another process begins again"
    bundles.heard(bundle, 4)
    assert bundles.next() is None


def test_only_the_newest_bundles_wait(tmp_path: Path):
    bundles = Bundles(tmp_path)
    for number in range(limits.SUPPORT_KEPT + 2):
        bundles.put(f"b{number}", b"x")
        os.utime(tmp_path / "support" / "waiting" / f"b{number}", (number, number))
    waits = sorted(path.name for path in (tmp_path / "support" / "waiting").iterdir())
    assert len(waits) == limits.SUPPORT_KEPT
    assert "b4" in waits


def test_what_compresses_badly_is_cut_and_a_bomb_is_no_bundle():
    noise = random.Random(2).randbytes(2 * limits.SUPPORT_BYTES)
    fits = fitting(noise)
    assert noise.startswith(fits)
    assert len(cut(fits)) <= limits.SUPPORT_PARTS
    assert together(cut(fits)) == fits
    bomb = zlib.compress(b"0" * (limits.SUPPORT_BYTES + 1), 9)
    for pieces in ([bomb], [b"x"], cut(fits)[:-1]):
        with pytest.raises(RefusedError):
            together(pieces)


async def test_only_the_newest_bundles_are_kept(box: Box):
    for number in range(limits.SUPPORT_KEPT + 2):
        await box.caretaker.diagnose(f"b{number}", upload="never", dry_run=False)
    kept = sorted(path.stem for path in (box.folder / "support").iterdir())
    assert kept == ["b2", "b3", "b4"]


# --- cleanup ------------------------------------------------------------------------------------
async def admit(box: Box, count: int, *, acknowledged: int = 0, over: bool = False) -> None:
    bundle = admitted(1, *((uid(n), read_job("flow")) for n in range(count)))
    calendar = Calendar(HandClock())
    planned = [Planned(job, (DeviceId("pump-1"),)) for job in bundle.jobs]
    await JobStore(box.file).admit(bundle, planned, now=calendar.now())

    def work(db: sqlite3.Connection) -> None:
        if over:
            db.execute("UPDATE execution SET state = 10")
        db.execute("DELETE FROM outbox WHERE number <= ?", [acknowledged])

    await box.file.transact(work, durable=False)


async def count(box: Box) -> int:
    def query(db: sqlite3.Connection) -> int:
        return int(db.execute("SELECT count(*) FROM execution").fetchone()[0])

    return await box.file.read(query)


async def test_a_cleanup_forgets_what_is_acknowledged_and_beyond_the_newest(box: Box):
    await admit(box, 150, acknowledged=150, over=True)
    dry = (await box.do("agent.cleanup", dry_run=True, keep=100)).result
    assert (dry["executions"], dry["_dry_run"]) == (50, True)
    assert await count(box) == 150
    assert (await box.do("agent.cleanup", keep=100)).result["executions"] == 50
    assert await count(box) == 100
    assert (await box.do("agent.cleanup", keep=100)).result["executions"] == 0


async def test_a_cleanup_never_forgets_what_is_open_or_not_acknowledged(box: Box):
    await admit(box, 150, acknowledged=20, over=True)
    # The 20 oldest are acknowledged, but they are among those that always stay.
    assert (await box.do("agent.cleanup", keep=100)).result["executions"] == 0
    await box.file.transact(lambda db: db.execute("UPDATE execution SET state = 3"), durable=False)
    await box.file.transact(lambda db: db.execute("DELETE FROM outbox"), durable=False)
    assert (await box.do("agent.cleanup", keep=100)).result["executions"] == 0
    assert await count(box) == 150


async def test_damaged_databases_go_only_when_asked(box: Box):
    (box.folder / "telemetry.db.corrupt-1").write_bytes(b"1234")
    await box.do("agent.cleanup")
    assert (box.folder / "telemetry.db.corrupt-1").exists()
    told = (await box.do("agent.cleanup", damaged=True)).result
    assert (told["damaged_files"], told["damaged_bytes"]) == (1, 4)
    assert not (box.folder / "telemetry.db.corrupt-1").exists()


def test_bytes_and_age_bound_what_stays_and_the_newest_hundred_always_do():
    over = [Over(number, 10, WallMs(number * 1000)) for number in range(300, 0, -1)]
    now = WallMs(300_000)
    assert to_forget(over, Tidying(), now_ms=now) == []
    assert len(to_forget(over, Tidying(max_bytes=1_500), now_ms=now)) == 150
    assert len(to_forget(over, Tidying(older_than_s=120), now_ms=now)) == 179
    assert len(to_forget(over, Tidying(max_bytes=1), now_ms=now)) == 200


@pytest.mark.parametrize("params", [{"keep": 99}, {"max_bytes": -1}, {"hurry": 1}, {"keep": "all"}])
def test_a_cleanup_that_forgets_too_much_is_refused_at_submission(params):
    with pytest.raises(MistakeError, match="params"):
        check_parameters(Step("s", "agent.cleanup", params), "steps[0]")


# --- restart ------------------------------------------------------------------------------------
async def test_a_restart_is_proven_by_the_next_process_and_asked_for_once(box: Box):
    asked = asyncio.Event()
    box.caretaker.leave = asked.set
    step = asyncio.create_task(box.do("agent.restart"))
    await asyncio.wait_for(asked.wait(), 30)
    step.cancel()
    await asyncio.wait([step])
    assert await box.caretaker.restarted(OWNER.key + b"s") is None, "this process proves nothing"
    box.caretaker = make(box.folder, box.file, b"after...")
    box.caretaker.leave = asked.clear
    proof = await box.do("agent.restart")
    assert proof.result == {"process_before": b"before..".hex(), "process": b"after...".hex()}
    assert asked.is_set(), "it is not asked for again"


async def test_an_agent_that_nobody_would_start_again_does_not_stop(box: Box):
    outcome = await box.do("agent.restart")
    assert outcome.reason is Reason.STEP_FAILED
    assert "nothing would start this agent again" in outcome.detail


async def test_a_dry_run_restarts_nothing(box: Box):
    assert (await box.do("agent.restart", dry_run=True)).result == {"_dry_run": True}
