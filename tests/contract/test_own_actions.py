"""What the agent does to itself: it tells, tidies and restarts, and proves it."""

import asyncio
import hashlib
import logging
import os
import random
import sqlite3
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.actions.own import AgentHand
from agent.actions.registry import OWN_ACTIONS
from agent.core.loan import Owner
from agent.core.ports import StepOutcome
from agent.core.settings import ScriptSettings
from agent.core.tidying import Over, Tidying, to_forget
from agent.services.bundles import Bundles
from agent.services.calendar import Calendar
from agent.services.caretaker import Caretaker
from agent.services.scripts import Scripts
from agent.store.caretaker import CaretakerStore
from agent.store.jobs import JobStore, Planned
from agent.store.jobs_file import JobsFile
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, Reason, RefusedError
from shared.ids import DeviceId
from shared.model.action import ACTIONS as DECLARED
from shared.model.action import check_parameters
from shared.model.job import Step
from shared.model.support import cut, fitting, together
from shared.runtime.logs import Events
from tests.agent_parts import Fixed, HandClock, admitted, read_job, uid

OWNER = Owner(uid(1))
_APART = {
    *("agent.restart", "agent.run_script", "agent.configure", "agent.fetch", "agent.discover"),
    "agent.adopt",
}
"""They need more than a caretaker; see below, test_lookout.py, and test_self_config.py and
test_artifacts.py of tests/simulation."""


class Shown(msgspec.Struct):
    """A status with something that nobody may see."""

    link: str = "Bearer abcdefghijkl"


@dataclass
class Box:
    """A caretaker over real files."""

    folder: Path
    file: JobsFile
    caretaker: Caretaker

    async def do(self, name: str, *, dry_run: bool = False, **params: Any) -> StepOutcome:
        hand = AgentHand(caretaker=self.caretaker, owner=OWNER, dry_run=dry_run)
        return await OWN_ACTIONS[name].run(Step("s", name, dict(params)), hand)


def make(folder: Path, file: JobsFile, process: bytes) -> Caretaker:
    calendar = Calendar(HandClock())
    caretaker = Caretaker(
        folder,
        CaretakerStore(file),
        JobStore(file),
        facts=lambda: {"disk.free_mb": 99},
        now=calendar.now,
        entropy=Fixed(),
    )
    caretaker.process = process
    return caretaker


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    file = await JobsFile(tmp_path, Fixed()).open()
    caretaker = make(tmp_path, file, b"before..")
    try:
        yield Box(tmp_path, file, caretaker)
    finally:
        await file.close()


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
    waiting = box.caretaker.bundles = Bundles(box.folder, nudge=lambda: nudged.append(1))
    box.caretaker.facts = lambda: {} if metered is None else {"link.metered": metered}
    told = (await box.do("agent.diagnose", upload=upload)).result
    assert told["upload"] is brings
    found = waiting.next()
    assert (found is not None, len(nudged)) == (brings, int(brings))
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
    await asyncio.wait_for(asked.wait(), 5)
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


# --- run_script -----------------------------------------------------------------------------------
@pytest.fixture
def shelf(box: Box, tmp_path: Path) -> Callable[..., Awaitable[StepOutcome]]:
    """Put a script into the folder, name it in the catalog, and run it."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    names: dict[str, bytes] = {}
    box.caretaker.scripts = Scripts(ScriptSettings(folder=folder, as_agent=True), named=names.get)

    async def run(text: str, *, named: str | None = None, dry_run: bool = False) -> StepOutcome:
        (folder / "job").write_text(text)
        names["job"] = hashlib.sha256((named or text).encode()).digest()
        hand = AgentHand(caretaker=box.caretaker, owner=OWNER, dry_run=dry_run)
        return await OWN_ACTIONS["agent.run_script"].run(
            Step("s", "agent.run_script", {"script": "job"}), hand
        )

    return run


async def test_a_script_tells_its_status_and_the_beginning_of_what_it_says(shelf):
    outcome = await shelf("echo hello; for i in $(seq 1000); do echo line; done")
    assert outcome.reason is None, outcome
    assert outcome.result["output"].startswith("hello\nline\n")
    assert len(outcome.result["output"]) == limits.SCRIPT_OUTPUT_BYTES
    assert outcome.result["output_bytes"] == 6 + 5 * 1000


async def test_a_script_that_fails_is_a_failure_with_its_status(shelf):
    outcome = await shelf("echo no >&2; exit 3")
    assert outcome.reason is Reason.SCRIPT_FAILED
    assert outcome.result["status"] == 3
    assert outcome.result["output"] == "no\n"


async def test_a_script_that_the_catalog_does_not_name_byte_by_byte_does_not_run(shelf, tmp_path):
    mark = tmp_path / "ran"
    outcome = await shelf(f"touch {mark} ", named=f"touch {mark}")
    assert outcome.reason is Reason.ACTION_NOT_ALLOWED
    assert not mark.exists()


async def test_scripts_are_off_until_a_folder_is_configured(box: Box):
    hand = AgentHand(caretaker=box.caretaker, owner=OWNER)
    step = Step("s", "agent.run_script", {"script": "job"})
    outcome = await OWN_ACTIONS["agent.run_script"].run(step, hand)
    assert outcome.reason is Reason.ACTION_NOT_ALLOWED
    assert "switched off" in outcome.detail


async def test_a_dry_run_checks_the_hash_and_runs_nothing(shelf, tmp_path):
    mark = tmp_path / "ran"
    outcome = await shelf(f"touch {mark}", dry_run=True)
    assert outcome.result["_dry_run"] is True
    assert not mark.exists()
    assert (await shelf("true", named="false", dry_run=True)).reason is Reason.ACTION_NOT_ALLOWED


async def test_a_script_is_nobody_gains_nothing_and_has_bounds(shelf):
    outcome = await shelf(
        "id -u; grep NoNewPrivs /proc/self/status; ulimit -v; ulimit -n; env | sort; pwd"
    )
    lines = outcome.result["output"].split("\n")
    assert lines[0] != "0"
    assert lines[1].split() == ["NoNewPrivs:", "1"]
    assert int(lines[2]) * 1024 == limits.SCRIPT_MEMORY_BYTES
    assert lines[3] == "64"
    assert "LANG=C.UTF-8" in lines
    assert not any(line.startswith(("HOME", "USER", "INVOCATION")) for line in lines)


async def test_a_script_that_never_ends_goes_with_its_step_and_all_it_started(shelf):
    # No other test run on this machine sleeps for just so long.
    nap = f"9{os.getpid()}"
    step = asyncio.create_task(shelf(f"sleep {nap} & sleep {nap}"))
    children: list[Path] = []
    while len(children) < 2:
        await asyncio.sleep(0)
        assert not step.done()
        children = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _naps(path, nap)]
    step.cancel()
    await asyncio.wait([step])
    assert not any(_naps(child, nap) for child in children)


async def test_a_script_that_forks_without_end_is_stopped_by_the_kernel(shelf):
    outcome = await shelf("for i in $(seq 200); do sleep 30 & done; echo all of them")
    assert outcome.reason is Reason.SCRIPT_FAILED
    assert "all of them" not in outcome.result["output"]


async def test_what_a_script_leaves_behind_ends_with_it(shelf):
    nap = f"7{os.getpid()}"
    outcome = await asyncio.wait_for(shelf(f"sleep {nap} & echo started"), 60)
    assert outcome.result["output"] == "started\n"
    assert not any(_naps(path, nap) for path in Path("/proc").glob("[0-9]*/cmdline"))


async def test_a_script_keeps_no_capability(shelf):
    outcome = await shelf("grep -E 'Cap(Prm|Eff|Amb)' /proc/self/status")
    sets = [line.split()[1] for line in outcome.result["output"].splitlines()]
    assert sets == ["0" * 16] * 3


async def test_an_agent_that_is_not_root_runs_scripts_only_if_its_owner_lets_them_read_its_key(
    box: Box, tmp_path: Path, monkeypatch
):
    (tmp_path / "job").write_text("true")
    digest = hashlib.sha256(b"true").digest()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    scripts = Scripts(ScriptSettings(folder=tmp_path), named=lambda _: digest)
    outcome = await scripts.run("job", dry_run=False)
    assert outcome.reason is Reason.SCRIPT_FAILED
    assert "as_agent = true" in outcome.detail


async def test_a_script_that_says_too_much_is_stopped(shelf):
    outcome = await shelf("yes")
    assert outcome.reason is Reason.SCRIPT_FAILED
    assert "says too much" in outcome.detail


def _naps(path: Path, nap: str) -> bool:
    try:
        return path.read_bytes() == f"sleep\0{nap}\0".encode()
    except OSError:
        return False
