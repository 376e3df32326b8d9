"""Wear of a card: the kernel's count and plain arithmetic."""

import os
from pathlib import Path

from agent.services.flash import SETTLED_MS, look_at_flash, projected

DAY_MS = 86_400_000


def test_the_pace_of_a_part_of_a_day_is_carried_on():
    assert projected(1_000, DAY_MS // 4, 10**9).day_bytes == 4_000
    assert projected(0, DAY_MS, 10**9).years is None


def test_a_small_card_that_is_written_a_lot_does_not_last():
    flash = projected(500_000_000, DAY_MS, 4_000_000_000)
    assert flash.years == 1
    assert projected(5_000_000, DAY_MS, 4_000_000_000).years == 99, "and a careful one does"


def test_what_is_written_is_counted_by_the_kernel(tmp_path: Path):
    assert look_at_flash(tmp_path, SETTLED_MS - 1) is None, "a start says nothing about a day"
    before = look_at_flash(tmp_path, DAY_MS)
    with (tmp_path / "file").open("wb") as file:
        file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())
    after = look_at_flash(tmp_path, DAY_MS)
    assert before is not None
    assert after is not None
    assert after.day_bytes >= before.day_bytes
    assert look_at_flash(tmp_path / "none", DAY_MS) is None
