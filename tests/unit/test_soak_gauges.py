"""The soak's instruments find what leaks, and nothing else."""

import os
from pathlib import Path

from tests.soak.gauges import Bound, grown, look
from tests.soak.month import BOUNDS


def sample(**held: float) -> dict[str, float]:
    steady = {"rss_mb": 40, "descriptors": 20, "threads": 3, "wal_mb": 1, "files": 10}
    return {**steady, "temporary": 0, "log_kb": 0, **held}


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


def test_a_log_may_grow_but_not_faster_and_faster():
    assert grown([sample(log_kb=number * 9) for number in range(40)]) == []
    samples = [sample(log_kb=number**2) for number in range(40)]
    assert grown(samples) == ["log_kb by 261, then by 621"]


def test_whoever_looks_at_other_things_says_how_much_they_may_grow():
    samples = [{"tasks": 5.0 + number} for number in range(8)]
    assert grown(samples, {"tasks": Bound(1.0, 4)}, {}) == []
    assert grown(samples, {"tasks": Bound(1.0, 3)}, {}) == ["tasks from 7.5 to 11.5"]


def test_a_month_sees_200_bytes_that_each_contact_leaves_behind():
    day_mb = 96 * 200 / (1 << 20)
    steady = dict.fromkeys(BOUNDS, 1.0)
    assert grown([steady] * 30, BOUNDS, {}) == []
    [told] = grown([steady | {"held_mb": 1 + day * day_mb} for day in range(30)], BOUNDS, {})
    assert told.startswith("held_mb")


def test_a_look_sees_descriptors_logs_and_files_temporary_ones_too(tmp_path: Path):
    folder, temporary, log = tmp_path / "data", tmp_path / "tmp", tmp_path / "a.log"
    folder.mkdir()
    temporary.mkdir()
    log.write_bytes(bytes(2048))
    before = look(os.getpid(), folder, log, temporary)
    with (folder / "x.db-wal").open("wb") as file:
        file.write(bytes(2 << 20))
        file.flush()
        (temporary / "forgotten").touch()
        after = look(os.getpid(), folder, log, temporary)
    assert after["descriptors"] == before["descriptors"] + 1
    assert (after["files"], after["wal_mb"]) == (1, 2)
    assert (before["temporary"], after["temporary"], after["log_kb"]) == (0, 1, 2)
