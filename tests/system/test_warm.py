"""A forked program ends as one that was started: with its status, by a signal, with its caller."""

import os
import select
import signal
import socket
from pathlib import Path

from firmware_sim.demo import processes
from tests.system import warm

METER = processes.command("firmware_sim", "device", "meter", "--tcp", "127.0.0.1:0")


async def test_a_forked_command_says_what_a_started_one_says(founded: Path) -> None:
    argv = processes.command("agent", "status", "--config", "/nonexistent/agent.toml")
    said = await warm.outcome(argv)
    assert said == await processes.outcome(argv)
    assert (said.status, said.out) == (2, "")
    assert "/nonexistent/agent.toml" in said.err


async def test_a_forked_program_is_ready_stops_and_is_killed(founded: Path, tmp_path: Path) -> None:
    first, second = [await warm.start(f"meter-{n}", METER, tmp_path) for n in range(2)]
    assert first.ready.startswith("127.0.0.1:")
    assert os.getsid(first.process.pid) == first.process.pid != second.process.pid
    assert await first.stop() == 0
    await second.kill()
    assert second.process.returncode == -signal.SIGKILL


async def test_a_forked_program_ends_with_its_caller(founded: Path, tmp_path: Path) -> None:
    child = await warm.start("meter", METER, tmp_path)
    assert isinstance(child.process, warm.Forked)
    watch = os.pidfd_open(child.process.pid)
    await child.process.end()
    assert select.select([watch], [], [], warm.ENDS_S)[0], "it was not killed"
    os.close(watch)


async def test_a_caller_that_asks_for_nothing_keeps_nobody_busy(founded: Path) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(warm._place[0])
        line.shutdown(socket.SHUT_WR)
        line.settimeout(warm.ENDS_S)
        assert line.recv(1) == b""
