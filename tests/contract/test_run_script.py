"""`agent.run_script`: what the catalog names byte by byte, as nobody, within bounds."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from agent.actions.own import AgentHand
from agent.actions.registry import OWN_ACTIONS
from agent.core.ports import StepOutcome
from agent.core.settings import ScriptSettings
from agent.services.scripts import Scripts
from shared import limits
from shared.errors import Reason
from shared.model.job import Step
from tests.contract.own_box import OWNER, Box, box_in


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    async with box_in(tmp_path) as made:
        yield made


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
    outcome = await asyncio.wait_for(shelf(f"sleep {nap} & echo started"), 20)
    assert outcome.result["output"] == "started\n"
    assert not any(_naps(path, nap) for path in Path("/proc").glob("[0-9]*/cmdline"))


@pytest.fixture
def nap() -> Iterator[str]:
    """Seconds that no other test run on this machine sleeps; in the end they are over."""
    seconds = f"6{os.getpid()}"
    yield seconds
    for napper in _nappers(seconds):
        os.kill(napper, signal.SIGKILL)


@pytest.mark.parametrize("says", ["", ">/dev/null 2>&1"])
async def test_a_daemon_that_a_script_starts_ends_with_it_and_does_not_hold_its_step(
    shelf, nap, says
):
    left = f"setsid sh -c 'sleep {nap} & sleep {nap}' {says} &"
    wait = f"until [ $(pgrep -cfx 'sleep {nap}') = 2 ]; do sleep 0.01; done"
    outcome = await asyncio.wait_for(shelf(f"{left} {wait}; echo started"), 20)
    assert (outcome.reason, outcome.result["output"]) == (None, "started\n")
    assert not _nappers(nap)


async def test_a_daemon_does_not_hold_a_step_whose_time_is_over(shelf, nap):
    step = asyncio.create_task(shelf(f"setsid sleep {nap} & sleep {nap}"))
    while len(_nappers(nap)) < 2:
        await asyncio.sleep(0)
        assert not step.done()
    step.cancel()
    done, _ = await asyncio.wait([step], timeout=20)
    assert done
    assert not _nappers(nap)


async def test_a_script_that_kills_who_watches_it_goes_all_the_same(shelf, nap):
    outcome = await asyncio.wait_for(shelf(f"sleep {nap} & kill -9 $PPID; wait"), 20)
    assert outcome.reason is Reason.SCRIPT_FAILED
    assert outcome.result["status"] == -9
    assert not _nappers(nap)


async def test_who_escaped_with_the_output_does_not_hold_the_step(shelf, nap, monkeypatch):
    started = f"until pgrep -fx 'sleep {nap}' >/dev/null; do :; done"
    step, most_s = None, 1
    while not _nappers(nap):
        assert most_s <= 64, "nobody escaped, and nothing was shown"
        monkeypatch.setattr(limits, "SCRIPT_S", most_s)
        step = asyncio.create_task(shelf(f"setsid sleep {nap} & {started}; kill -9 $PPID; wait"))
        await asyncio.wait([step], timeout=most_s + 20)
        assert step.done()
        most_s *= 4  # on a busy machine a script needs more until somebody escapes
    assert step is not None
    assert isinstance(step.exception(), TimeoutError)
    assert len(_nappers(nap)) == 1


async def test_a_script_that_a_signal_ended_tells_which_one(shelf):
    assert (await shelf("kill -USR1 $$")).result["status"] == -signal.SIGUSR1
    assert (await shelf("kill -9 $$")).result["status"] == -signal.SIGKILL


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


def _nappers(nap: str) -> list[int]:
    found = Path("/proc").glob("[0-9]*/cmdline")
    return [int(path.parent.name) for path in found if _naps(path, nap)]


def _naps(path: Path, nap: str) -> bool:
    try:
        return path.read_bytes() == f"sleep\0{nap}\0".encode()
    except OSError:
        return False
