"""Runs a program under the recorder and returns every operation on one folder, in order.

Owns compiling `recorder.c`, the form of its log, and the calls that a recorded program makes into
it. Leaves out what a disk makes of the operations (`disk`).
"""

import ctypes
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pytest

from shared.runtime import group_commit
from tests.length import AT_LENGTH

SOURCE = Path(__file__).with_name("recorder.c")
CARELESS = "OUTSTATION_TEST_CARELESS"
"""Set for the control: a store that never waits for its disk."""
FAULT = "OUTSTATION_TEST_FAULT"
"""Set for a disk that fails at some operation of a program."""
MEMORY = Path("/dev/shm")
"""Where pictures of disks are looked at: no sync of theirs costs anything."""
_HEAD = struct.Struct("<BIQI")
PROGRAM_S = 100
"""A recorded program takes a second; one that hangs is ended."""


class Kind(IntEnum):
    """What was done; the numbers are those of recorder.c."""

    MADE = 1
    WRITTEN = 2
    CUT = 3
    SYNCED = 4
    UNLINKED = 5
    RENAMED = 6
    FOLDER_SYNCED = 7
    SAID = 8
    FAILED = 9


KILL = -1
"""Instead of an error: the process is gone before the operation."""


class On(IntFlag):
    """Operations that can be made to fail."""

    WRITE = 1
    SYNC = 2
    NAME = 4
    """Opening for writing, unlinking, renaming."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One record of the log."""

    kind: Kind
    file: int
    offset: int
    data: bytes

    @property
    def said(self) -> dict[str, Any]:
        """Return what the program said; nobody changes it."""
        return _understood(self.data)


@lru_cache(maxsize=16_384)
def _understood(sentence: bytes) -> dict[str, Any]:
    """Read a sentence once: each of thousands of cuts hears all that was said before it."""
    said: dict[str, Any] = json.loads(sentence)
    return said


@cache
def library() -> Path:
    """Return the compiled recorder; without a compiler the test is skipped, in .ci/run it fails."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        assert not AT_LENGTH, "a C compiler belongs to .ci/run"
        pytest.skip("needs a C compiler")
    target = Path(tempfile.mkdtemp(prefix="outstation-recorder-")) / "recorder.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(target), str(SOURCE)]
    subprocess.run([*command, "-ldl", "-lpthread"], check=True)
    return target


def record(
    folder: Path,
    module: str,
    arguments: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    ends: Sequence[int] = (0,),
) -> list[Operation]:
    """Run a module on `folder`, which is empty and has no other name; return what it did there.

    `ends` are the exit codes that are right.
    """
    log = folder.with_name(f"{folder.name}.log")
    recorder = {
        "LD_PRELOAD": str(library()),
        "RECORDER_FOLDER": str(folder),
        "RECORDER_LOG": str(log),
    }
    ended = subprocess.run(
        [sys.executable, "-m", module, str(folder), *arguments],
        env={**os.environ, **recorder, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        check=False,
    )
    assert ended.returncode in ends, ended.stderr[-4_000:]
    return list(_operations(log.read_bytes()))


def _operations(data: bytes) -> Iterator[Operation]:
    at = 0
    while at < len(data):
        kind, file, offset, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size + length
        yield Operation(Kind(kind), file, offset, data[at - length : at])


# --- inside the recorded program ----------------------------------------------------------------
def say(**facts: Any) -> None:
    """Say what is true from now on; it stands in the log between the operations around it."""
    text = json.dumps(facts).encode()
    _loaded().recorder_say(text, len(text))


def fail(on: On, error: int, *, after: int = 0, times: int = -1) -> None:
    """Let operations of these kinds fail, `after` so many more, so many `times` (-1: for ever)."""
    _loaded().recorder_fail(int(on), error, after, times)


def work_again() -> None:
    """Let nothing fail any more."""
    fail(On(0), 0, times=0)


def be_faulty() -> None:
    """Let fail what `FAULT` names: `On`, error, after how many that do not, how many times."""
    if FAULT in os.environ:
        on, error, after, times = map(int, os.environ[FAULT].split())
        fail(On(on), error, after=after, times=times)


def careless() -> None:
    """With `CARELESS` set, let no database wait for its disk: a control to be found out."""
    if CARELESS in os.environ:
        group_commit.__dict__["set_synchronous"] = _never_sync


def _never_sync(db: sqlite3.Connection, _level: int) -> None:
    db.execute("PRAGMA synchronous = 0")


@cache
def _loaded() -> ctypes.CDLL:
    recorder = ctypes.CDLL(None)
    recorder.recorder_say.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    recorder.recorder_fail.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)
    return recorder
