"""Handing memory back: code goes, and comes back when it runs."""

import gc
import hashlib
import os
import re
import sqlite3
import weakref
from pathlib import Path

from shared import limits
from shared.runtime import memory
from shared.runtime.memory import collect_rarely, hand_back_code, hand_back_heap
from tests.bench.process import memory_mb


def resident_code_kib() -> int:
    total, is_code = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            is_code = " r-xp " in line and "/" in line
        elif is_code and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


def test_code_that_does_not_run_is_no_longer_resident_and_runs_again_when_needed():
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE TABLE one (two)")
    before, digest = resident_code_kib(), hashlib.sha256(b"x").digest()
    assert hand_back_code() > 0
    assert resident_code_kib() < before
    assert hashlib.sha256(b"x").digest() == digest
    db.execute("INSERT INTO one VALUES (3)")
    assert db.execute("SELECT two FROM one").fetchone() == (3,)
    db.close()


def test_what_a_start_leaves_free_on_the_heap_goes_back():
    left = [bytes(1 << 12) for _ in range(1 << 12)]
    cycle: list[object] = [left]
    cycle.append(cycle)
    gone = weakref.ref(marked := type("Marked", (), {}))  # a class is a cycle by itself
    before = memory_mb(os.getpid())["rss_mb"]
    del left, cycle, marked
    hand_back_heap()
    assert gone() is None
    assert memory_mb(os.getpid())["rss_mb"] < before - 8


def test_pages_that_were_written_to_and_those_without_a_file_stay(monkeypatch, tmp_path):
    smaps = tmp_path / "smaps"
    monkeypatch.setattr(memory, "_SMAPS", smaps)
    smaps.write_text(
        "1000-3000 r-xp 00000000 fe:00 77 /lib/a.so\nPrivate_Dirty:         0 kB\n"
        "4000-5000 r-xp 00000000 fe:00 78 /lib/relocated.so\nPrivate_Dirty:         4 kB\n"
        "6000-7000 r--p 00000000 fe:00 77 /lib/a.so\nPrivate_Dirty:         0 kB\n"
        "7000-8000 rw-p 00000000 fe:00 77 /lib/a.so\nPrivate_Dirty:         0 kB\n"
        "8000-9000 r-xp 00000000 00:00 0 [vdso]\nPrivate_Dirty:         0 kB\n"
    )
    assert list(memory._code()) == [(0x1000, 0x2000), (0x6000, 0x1000)]


def test_a_machine_without_the_kernel_s_account_keeps_everything(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_SMAPS", tmp_path / "none")
    assert hand_back_code() == 0


def test_a_busy_process_looks_for_cycles_rarely_and_never_among_what_it_began_with():
    before = gc.get_threshold()
    try:
        collect_rarely()
        assert gc.get_threshold()[0] == limits.GC_OBJECTS
        assert gc.get_freeze_count() > 0
        assert gc.isenabled()
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
