"""The agent as a process: what it loads, how it waits, how it stops, what it says wrong."""

import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.services.identity import load_or_make_signer, save_enrolment
from shared.runtime.clock import SystemEntropy
from tests.contract.wires import plugged
from tests.unit.test_agent_enroll import enrolment

PROFILE = """\
profile = 1
name = "pump"
kind = "pump"
protocol = "modbus"
[[point]]
name = "flow"
at = { table = "input", address = 0, type = "uint16" }
"""
ENDS_S = 20
"""Bounds a test whose program never ends; no test depends on it."""


def configure(folder: Path, url: str = "", *, poll_s: float = 0.1) -> Path:
    (folder / "pump.toml").write_text(PROFILE)
    lines = ['[agent]\ndata_dir = "data"\nruntime_dir = "run"']
    if url:
        lines.append(f'[[bus]]\nname = "line"\nurl = "{url}"\nresponse_timeout_ms = 5000')
        lines.append('[[device]]\nid = "pump-1"\nbus = "line"\naddress = 1\nprofile = "pump.toml"')
        lines.append(f"poll_interval_s = {poll_s}")
    config = folder / "agent.toml"
    config.write_text("\n".join(lines) + "\n")
    return config


class Agent:
    """A running agent and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[dict[str, object]] = []

    async def said(self, event: str) -> dict[str, object]:
        """Return the next event of this name."""
        assert self.process.stderr is not None
        async with asyncio.timeout(ENDS_S):
            while line := await self.process.stderr.readline():
                self.events.append(json.loads(line))
                if self.events[-1]["event"] == event:
                    return self.events[-1]
        raise AssertionError(f"it ended without {event}: {self.events}")

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; return the exit status."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end; return the exit status."""
        async with asyncio.timeout(ENDS_S):
            _, rest = await self.process.communicate()
        self.events += [json.loads(line) for line in rest.splitlines()]
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def running(config: Path) -> AsyncIterator[Agent]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "run", "--config", str(config)),
        stderr=asyncio.subprocess.PIPE,
    )
    agent = Agent(process)
    try:
        yield agent
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def status(config: Path) -> dict[str, object]:
    out, _, code = await run("status", "--config", str(config), "--json")
    assert code == 0
    return dict(json.loads(out))


async def run(*arguments: str) -> tuple[str, str, int]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(ENDS_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return out.decode(), err.decode(), process.returncode


def wake_ups(process: int) -> int:
    """Return how often the process's main thread gave up the processor to wait."""
    text = Path(f"/proc/{process}/status").read_text()
    (line,) = (row for row in text.splitlines() if row.startswith("voluntary_ctxt_switches"))
    return int(line.split()[1])


async def test_an_agent_with_nothing_to_do_sleeps(tmp_path: Path):
    config = configure(tmp_path)
    async with running(config) as agent:
        hello = await agent.said("agent_started")
        assert (hello["devices"], hello["agent"]) == (0, None)
        told = await agent.said("not_enrolled")
        assert "enroll" in str(told["mend"])
        # Asked twice over its socket: all that wakes it up in between is the asking.
        await status(config)
        before = wake_ups(agent.process.pid)
        await status(config)
        assert wake_ups(agent.process.pid) - before < 20
        assert await agent.end() == 0


async def test_a_stop_finishes_the_poll_in_flight_and_counts_it(tmp_path: Path):
    polls = 4
    async with plugged("tcp", tmp_path) as wire:
        config = configure(tmp_path, wire.url)
        async with running(config) as agent:
            for _ in range(polls - 1):
                wire.say(flow_of_7(await wire.heard(REQUEST_BYTES)))
            # The device hears the next poll and thinks about it while the agent is stopped.
            last = await wire.heard(REQUEST_BYTES)
            agent.process.send_signal(signal.SIGTERM)
            await agent.said("stopping")
            wire.say(flow_of_7(last))
            assert await agent.ended() == 0
        tally = dict((await status(config))["tally"])  # type: ignore[call-overload]  # from JSON
        assert tally["sampled"] == tally["stored"] == polls


REQUEST_BYTES = 12
"""Modbus TCP: a header of 7 bytes, a read of 5 (V1.1b3, 6.4)."""


def flow_of_7(request: bytes) -> bytes:
    """Return the answer to a read of one input register that holds 7."""
    return request[:4] + bytes([0, 5]) + request[6:7] + bytes([4, 2, 0, 7])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_is_clean_and_leaves_nothing_but_its_files(tmp_path: Path, number):
    config = configure(tmp_path)
    async with running(config) as agent:
        await agent.said("not_enrolled")
        assert await agent.end(number) == 0
        assert agent.events[-1]["event"] == "agent_stopped"
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "jobs.db",
        "lock",
        "telemetry.db",
    ]
    assert list((tmp_path / "run").glob("*.sock")) == []


async def test_kill_and_start_again_is_no_news(tmp_path: Path):
    config = configure(tmp_path)
    for _ in range(3):
        async with running(config) as agent:
            await agent.said("not_enrolled")
            assert await agent.end(signal.SIGKILL) == -signal.SIGKILL
    assert (await status(config))["running"] is False


async def test_status_waits_for_an_agent_that_starts(tmp_path: Path):
    config = configure(tmp_path)
    async with running(config) as agent:
        while not (tmp_path / "data" / "lock").exists():
            await asyncio.sleep(0)
        assert (await status(config))["running"] is True
        await agent.end()


@pytest.mark.parametrize(
    ("damage", "event"),
    [("jobs.db", "jobs_lost"), ("telemetry.db", "store_set_aside")],
)
async def test_a_damaged_database_is_set_aside_and_the_agent_runs(
    tmp_path: Path, damage: str, event: str
):
    config = configure(tmp_path)
    async with running(config) as agent:
        await agent.said("not_enrolled")
        await agent.end()
    (tmp_path / "data" / damage).write_bytes(b"\xff" * 8192)
    async with running(config) as agent:
        await agent.said(event)
        await agent.said("not_enrolled")
        assert (await status(config))["running"] is True
        await agent.end()
    assert (tmp_path / "data" / f"{damage}.corrupt-1").exists()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: (data / "enrolment.json").write_text("{"), "damaged"),
        (lambda data: (data / "enrolment.json").chmod(0o644), "chmod 600"),
        (lambda data: (data / "agent.key").unlink(), "key is missing"),
    ],
    ids=["no JSON", "readable by all", "no key"],
)
async def test_a_damaged_enrolment_does_not_stop_the_site(tmp_path: Path, damage, says: str):
    config = configure(tmp_path)
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    load_or_make_signer(data, SystemEntropy())
    save_enrolment(data, replace(enrolment(), ca_pem=""))
    damage(data)
    async with running(config) as agent:
        cause = (await agent.said("enrolment_unusable"))["cause"]
        assert says in str(cause)
        told = await status(config)
        assert told["enrolled"] is False
        assert dict(told["troubles"])["enrolment"] == cause  # type: ignore[call-overload]
        await agent.end()


# --- mistakes -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "COMMAND"),
        (("explode",), 2, "invalid choice"),
        (("run", "--config", "/nowhere/agent.toml"), 2, "/nowhere/agent.toml"),
        (("status", "--config", "/nowhere/agent.toml"), 2, "/nowhere/agent.toml"),
        (("enroll", "--claim", "/nowhere/claim.json", "--data", "/nowhere"), 2, "claim.json"),
        (("enroll",), 2, "--claim"),
        (("enroll", "--claim", "x", "--data", "d", "--config", "c"), 2, "not allowed with"),
        (("enroll", "--claim", "x", "--data", "d", "--label", "a b=c"), 2, "no label"),
    ],
)
async def test_a_mistake_at_the_terminal_is_told_with_status_2(arguments, code, says):
    out, err, ended = await run(*arguments)
    assert (ended, out) == (code, "")
    assert says in err
    assert "Traceback" not in err


async def test_a_data_directory_that_cannot_be_made_is_told(tmp_path: Path):
    config = configure(tmp_path)
    (tmp_path / "data").write_text("a file")
    _, err, code = await run("run", "--config", str(config))
    assert code == 2
    assert str(tmp_path / "data") in err
    assert err.count("\n") == 1


async def test_a_newer_programs_database_is_left_alone(tmp_path: Path):
    config = configure(tmp_path)
    async with running(config) as agent:
        await agent.said("not_enrolled")
        await agent.end()
    with sqlite3.connect(tmp_path / "data" / "jobs.db") as db:
        db.execute("INSERT INTO schema_migration VALUES (99, 'of_tomorrow', x'00')")
        db.execute("PRAGMA user_version = 99")
    db.close()
    _, err, code = await run("run", "--config", str(config))
    assert code == 2
    assert "version 99" in err


async def test_help_and_status_load_next_to_nothing(tmp_path: Path):
    config = configure(tmp_path)
    probe = (
        "import sys; from agent.__main__ import main; code = main(sys.argv[1:]); "
        "print(' '.join(sys.modules), file=sys.stderr)"
    )
    for arguments in (
        ["status", "--config", str(config)],
        ["enroll", "--claim", "x", "--data", "d"],
    ):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", probe, *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await process.communicate()
        loaded = set(err.decode().splitlines()[-1].split())
        assert not loaded & {"aiohttp", "pymodbus", "serial"}, arguments


async def test_a_running_agent_has_not_loaded_what_it_does_not_use(tmp_path: Path):
    config = configure(tmp_path)
    async with running(config) as agent:
        await agent.said("not_enrolled")
        maps = Path(f"/proc/{agent.process.pid}/maps").read_text()
        for foreign in ("aiohttp", "multidict", "yarl", "frozenlist"):
            assert foreign not in maps, foreign
        await agent.end()
