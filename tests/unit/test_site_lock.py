"""The lock of a site: it holds over restarts, ends by itself, and says what is wrong."""

import asyncio
import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent import technician
from agent.__main__ import main
from agent.core.moment import Moment
from agent.services import ask, site_lock
from agent.services.ask import short_name, socket_path
from agent.services.box import Box
from agent.services.site_lock import SiteLock
from agent.technician import seconds_of
from shared.clock import ClockState, MonoMs, WallMs
from shared.runtime.files import write_atomically
from tests.agent_parts import WALL, HandClock

BOOT = b"a" * 16


class Now:
    def __init__(self) -> None:
        self.moment = Moment(MonoMs(1_000), BOOT, WallMs(WALL))

    def __call__(self) -> Moment:
        return self.moment

    def pass_ms(self, ms: int, *, boot: bytes = BOOT, mono: int | None = None) -> None:
        mono_ms = self.moment.mono_ms + ms if mono is None else mono
        self.moment = Moment(MonoMs(mono_ms), boot, WallMs(self.moment.today_ms + ms))


async def test_a_lock_ends_when_its_time_is_over_or_when_somebody_opens_it(tmp_path: Path):
    now, rung = Now(), []
    lock = SiteLock(tmp_path / "lock", now=now)
    lock.changed = lambda: rung.append(1)
    assert lock.left_ms() == 0
    assert (await lock.lock(60)).locked_s == 60
    now.pass_ms(59_999)
    assert lock.left_ms() == 1
    now.pass_ms(1)
    assert lock.left_ms() == 0
    await lock.lock(60)
    assert rung == [1, 1], "who waits for the end of one looks at the end of the other"
    assert (await lock.unlock()).locked_s == 0
    assert (lock.left_ms(), rung) == (0, [1, 1, 1])
    assert not (tmp_path / "lock").exists()


async def test_a_restart_does_not_open_it(tmp_path: Path):
    now = Now()
    await SiteLock(tmp_path / "lock", now=now).lock(600)
    now.pass_ms(200_000, boot=b"b" * 16, mono=5)
    assert SiteLock(tmp_path / "lock", now=now).left_ms() == 400_000
    now.pass_ms(-50 * 365 * 86_400_000, boot=b"c" * 16, mono=5)
    assert SiteLock(tmp_path / "lock", now=now).left_ms() == 600_000, (
        "1970: once more, not for ever"
    )


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", b'{"boot_id": 3}'])
def test_a_damaged_file_locks_nothing(tmp_path: Path, content: bytes):
    (tmp_path / "lock").write_bytes(content)
    assert SiteLock(tmp_path / "lock", now=Now()).left_ms() == 0


@pytest.mark.parametrize("seconds", [0, -5, 8 * 86_400])
async def test_a_lock_that_cannot_be_is_refused(tmp_path: Path, seconds: int):
    answer = await SiteLock(tmp_path / "lock", now=Now()).lock(seconds)
    assert "1 to 604800 seconds" in answer.error
    assert answer.locked_s == 0


async def test_a_lock_that_cannot_be_kept_holds_and_says_so(tmp_path: Path):
    rung: list[int] = []
    lock = SiteLock(tmp_path / "nowhere" / "lock", now=Now())
    lock.changed = lambda: rung.append(1)
    answer = await lock.lock(60)
    assert "will not outlive a restart" in answer.error
    assert (lock.left_ms(), rung) == (60_000, [1])


async def test_it_holds_before_a_slow_disk_has_it_and_is_kept_as_it_was_said_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    begun, disk = threading.Event(), threading.Event()

    def slowly(path: Path, data: bytes) -> None:
        begun.set()
        disk.wait()
        write_atomically(path, data)

    monkeypatch.setattr(site_lock, "write_atomically", slowly)
    lock = SiteLock(tmp_path / "lock", now=Now())
    locking = asyncio.create_task(lock.lock(60))
    assert await asyncio.to_thread(begun.wait)
    held_ms = lock.left_ms()
    unlocking = asyncio.create_task(lock.unlock())
    for _ in range(20):
        await asyncio.to_thread(begun.wait)
    early = unlocking.done()
    disk.set()
    assert (await locking).locked_s == (await unlocking).locked_s == 0
    assert (held_ms, early) == (60_000, False)
    assert not (tmp_path / "lock").exists()


def lock_site(folder: Path) -> int:
    config = folder / "agent.toml"
    text = f'[agent]\ndata_dir = "{folder / "data"}"\nruntime_dir = "{folder}"\n'
    config.write_text(text)
    return main(["lock", "--config", str(config)])


def test_an_agent_that_does_not_run_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert lock_site(tmp_path) != 0
    assert "does not run" in capsys.readouterr().err
    with listening(socket_path(tmp_path, tmp_path / "data")):
        pass
    assert lock_site(tmp_path) != 0, "a kill left its socket behind"
    assert "does not run" in capsys.readouterr().err


@pytest.mark.parametrize("hangs_up", [True, False])
def test_an_agent_that_does_not_answer_may_do_anything(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    hangs_up: bool,
):
    monkeypatch.setattr(technician, "_ANSWER_S", 30 if hangs_up else 0.01)
    with listening(socket_path(tmp_path, tmp_path / "data")) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(100)

        attended = threading.Thread(target=hang_up)
        if hangs_up:
            attended.start()
        assert lock_site(tmp_path) != 0
        if hangs_up:
            attended.join()
    assert "is there and does not answer" in capsys.readouterr().err


def test_an_agent_of_somebody_else_does_not_count_as_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def locked_up(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(ask, "short_name", locked_up)
    assert lock_site(tmp_path) != 0
    assert "does not answer (Permission denied)" in capsys.readouterr().err


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener, short_name(path) as name:
        listener.bind(name)
        listener.listen()
        yield listener


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("2h", 7200), ("1d", 86_400)]
)
def test_times_are_written_as_people_say_them(text: str, seconds: int):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2w", "-2h", "1.5h", "1234567s"])
def test_what_is_no_time_is_said_to_be_none(text: str):
    import argparse

    with pytest.raises(argparse.ArgumentTypeError, match="write 2h"):
        seconds_of(text)


def test_a_box_tells_what_it_knows_and_nothing_else(tmp_path: Path):
    clock = HandClock()
    supplies = tmp_path / "power"
    box = Box(tmp_path, metered=True, clock=clock, link=dict, supplies=supplies)
    clock.advance(5_000)
    facts = box.facts()
    assert facts["link.metered"] is True
    assert facts["agent.uptime_s"] == 5
    assert facts["clock.synced"] is True
    assert int(facts["disk.free_mb"]) >= 0
    assert "battery" not in facts
    assert "link.up" not in facts
    clock.state = ClockState.UNSYNCED
    for name, kind, charge in (("AC", "Mains", "1"), ("BAT0", "Battery", "73")):
        (supplies / name).mkdir(parents=True)
        (supplies / name / "type").write_text(f"{kind}\n")
        (supplies / name / "capacity").write_text(f"{charge}\n")
    again = Box(
        tmp_path, metered=False, clock=clock, link=lambda: {"link.up": True}, supplies=supplies
    )
    more = again.facts_with(agent="north", locked=lambda: 5)()
    assert (more["battery"], more["link.up"], more["clock.synced"]) == (73, True, False)
    assert (more["agent.id"], more["site.locked"]) == ("north", True)
