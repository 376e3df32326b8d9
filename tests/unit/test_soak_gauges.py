"""The soak's instruments find what leaks, and nothing else."""

import os
from pathlib import Path

from tests.soak.gauges import grown, look


def sample(**held: float) -> dict[str, float]:
    steady = {"rss_mb": 40, "descriptors": 20, "threads": 3, "wal_mb": 1, "files": 10}
    return {**steady, **held}


def test_what_stays_as_it_is_has_not_grown():
    assert grown([sample()] * 40) == []


def test_what_fills_in_the_beginning_has_not_grown():
    samples = [sample(rss_mb=20 + min(number, 10) * 2) for number in range(40)]
    assert grown(samples) == []


def test_a_leak_is_named():
    samples = [sample(descriptors=20 + number // 2) for number in range(40)]
    assert grown(samples) == ["descriptors from 27 to 37"]
    samples = [sample(rss_mb=40 + number, files=10 + number) for number in range(40)]
    assert [told.split()[0] for told in grown(samples)] == ["rss_mb", "files"]


def test_a_look_sees_descriptors_threads_and_files(tmp_path: Path):
    before = look(os.getpid(), tmp_path)
    with (tmp_path / "x.db-wal").open("wb") as file:
        file.write(bytes(2 << 20))
        file.flush()
        after = look(os.getpid(), tmp_path)
    assert after["descriptors"] == before["descriptors"] + 1
    assert (after["files"], after["wal_mb"]) == (1, 2)
