"""The suite's own safety net: runs a suite that leaks on purpose and reads what was reported."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

PROJECT = Path(__file__).resolve().parents[2]

LEAKY = """
import asyncio, os, subprocess, sys, threading
import aiosqlite, pytest
from hypothesis import given, strategies
from tests import conftest

kept = []
conftest.STOP_S = 2.0  # these never stop

def test_leaves_a_thread():
    threading.Thread(target=threading.Event().wait, daemon=True, name="idle").start()

def test_leaves_a_descriptor():
    kept.append(os.open(os.devnull, os.O_RDONLY))

def test_leaves_a_child():
    kept.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))

async def test_leaves_a_task():
    kept.append(asyncio.create_task(asyncio.Event().wait()))

async def test_leaves_a_database_open(tmp_path):
    kept.append(await aiosqlite.connect(tmp_path / "x.db"))

@pytest.fixture
async def served():
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    task = asyncio.create_task(server.serve_forever())
    yield server.sockets[0].getsockname()
    task.cancel()
    server.close()

async def test_clean_with_tasks_of_its_fixture(served, tmp_path):
    reader, writer = await asyncio.open_connection(*served)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    await asyncio.to_thread(os.getpid)
    async with aiosqlite.connect(tmp_path / "x.db") as db:
        await db.execute("select 1")

async def test_clean_with_a_task_that_takes_long_to_stop():
    began = asyncio.Event()

    async def work():
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            for _ in range(5 * conftest.TURNS):
                await asyncio.sleep(0)

    kept.append(asyncio.create_task(work()))
    await began.wait()
    kept[-1].cancel()

@given(strategies.integers())
async def test_clean_with_hypothesis(number):
    await asyncio.sleep(0)

@pytest.fixture(scope="module")
def module_file(tmp_path_factory):
    with (tmp_path_factory.mktemp("m") / "f").open("w") as file:
        yield file

def test_clean_with_a_file_of_the_module(module_file):
    assert not module_file.closed
"""

SKIPPING = """
import pytest
def test_skips():
    pytest.skip("its peer is not installed")
"""

ABSENT = """
import pytest
pytest.importorskip("a_peer_that_nobody_installed")
"""


def run_suite(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in its own process under this project's configuration and conftest."""
    options = ["-p", "tests.conftest", "-c", str(PROJECT / "pyproject.toml")]
    options += ["--junitxml", str(folder / "report.xml")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(folder), str(folder)],
        cwd=PROJECT,
        env={**os.environ, "PYTEST_ADDOPTS": "-p no:cacheprovider", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Test name -> everything that was held against it."""
    folder = tmp_path_factory.mktemp("leaky")
    (folder / "test_leaky.py").write_text(LEAKY)
    result = run_suite(folder)
    assert result.returncode == 1, result.stdout + result.stderr
    cases = ET.parse(folder / "report.xml").iter("testcase")
    return {case.get("name"): "".join(case.itertext()) for case in cases}


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("test_leaves_a_thread", "thread idle"),
        ("test_leaves_a_descriptor", "-> /dev/null"),
        ("test_leaves_a_child", "child process"),
        ("test_leaves_a_task", "task Task-"),
        ("test_leaves_a_database_open", "thread "),
    ],
)
def test_what_a_test_leaves_behind_fails_it(report, name, what):
    assert "left behind: " in report[name]
    assert what in report[name]


@pytest.mark.parametrize(
    "name",
    [
        "test_clean_with_tasks_of_its_fixture",
        "test_clean_with_a_task_that_takes_long_to_stop",
        "test_clean_with_hypothesis",
        "test_clean_with_a_file_of_the_module",
    ],
)
def test_what_fixtures_own_and_close_is_no_leak(report, name):
    assert report[name] == ""


@pytest.mark.parametrize(
    ("body", "collected"), [(SKIPPING, True), (ABSENT, False)], ids=["one test", "whole module"]
)
def test_a_skipped_peer_fails_only_where_every_peer_is_installed(tmp_path, body, collected):
    folder = tmp_path / "peers"
    folder.mkdir()
    (folder / "test_peer.py").write_text(body)
    assert run_suite(tmp_path).returncode == (0 if collected else 5)
    required = run_suite(tmp_path, OUTSTATION_REQUIRE_PEERS="1")
    assert required.returncode != 0
    assert "yet this was skipped" in required.stdout
