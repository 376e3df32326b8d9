"""Real processes that are killed, starved and stopped: what was acknowledged stays."""

import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from shared.errors import MistakeError
from shared.runtime.files import lock_directory
from shared.runtime.migrations import Migration, MigrationSet
from shared.runtime.sqlite import Settings, connect
from tests.system.runtime_child import SCHEMA

ROOT = Path(__file__).parents[2]
ROUNDS = 8
EXIT_S = 30
"""A process that should have ended by then hangs."""


@contextmanager
def child(name: str, path: Path, *rest: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.system.runtime_child", name, str(path), *map(str, rest)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def acknowledged(lines: list[str]) -> set[int]:
    return {int(line.removeprefix("ack ")) for line in lines if line.startswith("ack ")}


def stored(path: Path) -> tuple[set[int], set[int], str]:
    """Return both halves of every pair, read by a fresh connection, and SQLite's own opinion."""
    db = connect(Settings(path=path, schema=SCHEMA, exclusive=True))
    try:
        halves = [
            {key for (key,) in db.execute(f"SELECT id FROM {table}")}
            for table in ("debit", "credit")
        ]
        return halves[0], halves[1], db.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        db.close()


def test_a_kill_at_any_moment_loses_no_acknowledged_transaction_and_tears_none(tmp_path):
    path, promised, chance = tmp_path / "a.db", set[int](), random.Random()
    for turn in range(ROUNDS):
        with child("write", path, turn * 10**6) as process:
            assert read_line(process) == "ready"
            lines = [read_line(process) for _ in range(chance.randint(1, 300))]
            process.kill()
            rest, _ = process.communicate()
        # The last line may be cut off in the middle of its number.
        whole = [*lines, *rest.split("\n")[:-1]]
        promised |= acknowledged(whole)
        debits, credits_, verdict = stored(path)
        assert verdict == "ok"
        assert promised <= debits
        assert debits == credits_
    assert len(promised) >= ROUNDS


def test_a_disk_that_refuses_in_mid_commit_stops_the_database_until_it_is_reopened(tmp_path):
    with child("full", tmp_path / "a.db") as process:
        output, errors = process.communicate(timeout=EXIT_S)
    assert process.returncode == 0, errors
    assert output.splitlines() == [
        "failed store_failed",
        "failure store_failed",
        "later store_failed",
        "kept True",
    ]


@pytest.mark.parametrize("how", ["raise", "forget"])
def test_a_process_ends_although_an_exception_left_a_database_open(tmp_path, how):
    with child(how, tmp_path / "a.db") as process:
        _, errors = process.communicate(timeout=EXIT_S)
    assert process.returncode == 1
    assert "ZeroDivisionError" in errors
    assert stored(tmp_path / "a.db")[:2] == ({1}, {1})


def test_a_second_process_is_refused_and_told_who_was_first(tmp_path):
    with child("lock", tmp_path) as process:
        assert read_line(process) == "ready"
        with pytest.raises(MistakeError, match=f"already used by process {process.pid}"):
            lock_directory(tmp_path)
        with child("lock", tmp_path) as second:
            _, errors = second.communicate(timeout=EXIT_S)
        assert second.returncode == 1
        assert f"already used by process {process.pid}" in errors


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    with child("lock", tmp_path) as process:
        assert read_line(process) == "ready"
        process.kill()
        process.wait()
        with lock_directory(tmp_path):
            pass


def test_an_exclusive_database_is_refused_to_a_second_process_without_the_lock(tmp_path):
    path = tmp_path / "a.db"
    with child("write", path, 0) as process:
        assert read_line(process) == "ready"
        intruder = sqlite3.connect(path, timeout=0)
        try:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                intruder.execute("SELECT * FROM debit").fetchall()
        finally:
            intruder.close()


def test_a_process_that_looks_in_and_leaves_does_not_take_the_log_along(tmp_path):
    path = tmp_path / "a.db"
    settings = Settings(path=path, schema=SCHEMA, exclusive=False)
    # Two connections, as the coordinator has: opening the second must not unlock the first.
    with closing(connect(settings)) as writer, closing(connect(settings)):
        writer.execute("INSERT INTO debit VALUES (1, 1)")
        visitor = (
            "import sqlite3, sys\n"
            "db = sqlite3.connect(sys.argv[1])\n"
            "print(db.execute('SELECT count(*) FROM debit').fetchone()[0])\n"
            "db.close()\n"
        )
        command = [sys.executable, "-c", visitor, str(path)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        assert result.stdout == "1\n"
        assert Path(f"{path}-wal").exists(), "what is committed from now on would be lost"


def test_an_older_program_refuses_the_database_of_a_newer_one_unchanged(tmp_path):
    path = tmp_path / "a.db"
    newer = MigrationSet(
        (*SCHEMA.migrations, Migration(version=2, name="more", sql="CREATE TABLE more (x);\n"))
    )
    connect(Settings(path=path, schema=newer, exclusive=True)).close()
    before = path.read_bytes()
    with child("write", path, 0) as process:
        output, errors = process.communicate(timeout=EXIT_S)
    assert process.returncode == 1
    assert output == ""
    assert "schema version 2, but this program knows only up to 1" in errors
    assert path.read_bytes() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cleans_up_and_is_no_failure(tmp_path, number):
    with child("signal", tmp_path) as process:
        assert read_line(process) == "ready"
        process.send_signal(number)
        output, errors = process.communicate(timeout=EXIT_S)
    assert (process.returncode, output, errors) == (0, "cleaning\n", "")


def test_a_second_signal_ends_a_program_that_does_not_finish(tmp_path):
    with child("stubborn", tmp_path) as process:
        assert read_line(process) == "ready"
        process.send_signal(signal.SIGTERM)
        assert read_line(process) == "cleaning"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=EXIT_S)
    assert process.returncode == -signal.SIGTERM
