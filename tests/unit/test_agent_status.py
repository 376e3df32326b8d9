"""Status for people on a phone and for scripts, from a running agent and from its files."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from agent.core.status import (
    BudgetStatus,
    BusStatus,
    ClockStatus,
    DeviceStatus,
    FilesStatus,
    FlashStatus,
    LinkStatus,
    QueueStatus,
    Status,
    WaitingStatus,
    tally_members,
)
from agent.core.status_text import WIDTH, render
from agent.services.ask import ask, find_status, socket_path
from agent.services.control import Control
from agent.services.status import status_at_rest
from agent.store.jobs_file import NAME as JOBS_NAME
from agent.store.jobs_file import JobsFile, jobs_schema
from agent.store.telemetry import FILE_NAME
from agent.store.telemetry_file import SCHEMA
from shared.errors import MistakeError
from shared.runtime.clock import SystemEntropy
from shared.runtime.files import lock_directory
from shared.runtime.migrations import MigrationSet, migrate
from shared.wire.messages import Tally
from tests.agent_parts import device
from tests.unit.readings_world import Plant

TROUBLED = Status(
    running=True,
    enrolled=True,
    agent="north-d3hbi",
    fleet="00" * 16,
    coordinator="https://10.0.0.1:8443",
    uptime_s=93_784,
    tally=tally_members(Tally(9_000_000, 0, 8_000_000, 999_000, 0))[0],
    balanced=False,
    link=LinkStatus(
        fault="silent", detail="10.0.0.1:8443 does not answer", failures=3, next_in_s=75
    ),
    buses=[
        BusStatus(
            name="line",
            url="serial:///dev/ttyUSB0",
            up=False,
            problem="/dev/ttyUSB0 is gone",
            requests=10,
            answers=7,
            timeouts=3,
            bad_frames=0,
            reconnects=1,
            busy_ms=12,
        )
    ],
    devices=[
        DeviceStatus(
            id="pump-1", bus="line", polls=9, failed=3, silent_s=7_500, problem="device_silent"
        ),
        DeviceStatus(
            id="meter-1", bus="line", polls=9, firmware_bytes=12_288, firmware_size=30_000
        ),
        DeviceStatus(id="valve-1", bus="line", standing="unpolled"),
    ],
    files=FilesStatus(coming_bytes=300_000, coming_size=1_200_000, waiting=2),
    queue=QueueStatus(tasks={"READY": 2, "DONE": 41}, executions={}, receipts=4),
    refusals={"replayed": 2},
    troubles={"readings": "the disk is full"},
)


def test_everything_that_is_wrong_is_seen_on_a_phone():
    text = render(TROUBLED)
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    for said in (
        "running for 1 d 2 h",
        "NO ANSWER x3",
        "silent: 10.0.0.1:8443 does not answer",
        "in 1 min",
        "9,000,000",
        "DOES NOT ADD UP",
        "bus line      DOWN",
        "/dev/ttyUSB0 is gone",
        "FAILED 3 polls",
        "device_silent, for 2 h 5 min",
        "meter-1       ok",
        "firmware: 40 % of 30000 bytes",
        "valve-1       only jobs ask it",
        "file comes    25 % of 1.2 MB",
        "2 ready, 41 done",
        "4 to report",
        "2 replayed",
        "the disk is full",
    ):
        assert said in text, said


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (Status(running=False, enrolled=False), "NOT RUNNING"),
        (Status(running=False, enrolled=False), "NOT ENROLLED"),
        (Status(running=False, enrolled=True), "never met"),
        (Status(running=True, enrolled=True), "not met yet"),
        (
            Status(running=True, enrolled=True, link=LinkStatus(since_contact_s=7)),
            "answered 7 s ago",
        ),
    ],
)
def test_where_an_agent_stands_is_said_in_words(status: Status, says: str):
    assert says in render(status)


def test_what_waits_what_is_spent_and_how_the_clock_is_fit_the_phone_too():
    text = render(
        Status(
            running=True,
            enrolled=True,
            waiting=[
                WaitingStatus(priority=0, readings=2, oldest_s=65),
                WaitingStatus(priority=2, readings=12_040, oldest_s=7_440),
            ],
            budget=BudgetStatus(
                today=4_600_000, day_limit=5_000_000, month=31_000_000, rung="reserve"
            ),
            clock=ClockStatus(state="unsynced", off_ms=-3_725_000),
            flash=FlashStatus(day_bytes=9_200_000, years=31),
            devices=[DeviceStatus(id=f"meter-{n}", bus="line", polls=1) for n in range(40)],
        )
    )
    assert max(len(line) for line in text.splitlines()) <= WIDTH
    for said in (
        "alarms wait   2, oldest 1 min",
        "waiting       12,040, oldest 2 h 4 min",
        "4.6 MB of 5.0 MB, 92 %",
        "this month    31.0 MB",
        "SHORT: alarms and receipts",
        "UNSYNCED",
        "1 h 2 min off the coordinator's",
        "9.2 MB/day, lasts 31 years",
        "devices       40 ok",
    ):
        assert said in text, said
    assert len(text.splitlines()) < 24, "one screen"


def test_colours_are_for_who_asked_for_them():
    assert "\x1b" not in render(TROUBLED)
    assert "\x1b[31;1mcoordinator   NO ANSWER x3" in render(TROUBLED, colours=True)


def test_the_json_form_is_read_back_whole():
    assert msgspec.json.decode(msgspec.json.encode(TROUBLED), type=Status) == TROUBLED


def test_an_account_that_does_not_add_up_is_noticed():
    assert tally_members(Tally(10, 1, 4, 3, 2))[1]
    assert not tally_members(Tally(10, 1, 4, 3, 1))[1]


# --- the socket ---------------------------------------------------------------------------------
async def status() -> Status:
    return TROUBLED


async def run_control(path: Path) -> asyncio.Task[None]:
    task = asyncio.create_task(Control(path, {"status": status}).run())
    while not path.exists():
        await asyncio.sleep(0)
    return task


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_running_agent_answers_however_long_its_path_is(tmp_path: Path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    path = socket_path(deep, tmp_path)
    task = await run_control(path)
    assert path.stat().st_mode & 0o777 == 0o600
    answer = await asyncio.to_thread(ask, path, "status")
    assert answer is not None
    assert msgspec.json.decode(answer, type=Status) == TROUBLED
    unknown = await asyncio.to_thread(ask, path, "explode")
    assert unknown is not None
    assert b"known: status" in unknown
    found = await asyncio.to_thread(find_status, tmp_path, deep, [])
    assert found == TROUBLED
    await end(task)
    assert not path.exists()


async def test_a_socket_that_a_kill_left_behind_is_taken_over(tmp_path: Path):
    path = tmp_path / "agent.sock"
    first = await run_control(path)
    path.rename(tmp_path / "kept")
    await end(first)
    (tmp_path / "kept").rename(path)
    assert ask(path, "status") is None
    path.unlink()
    path.touch()
    task = asyncio.create_task(Control(path, {"status": status}).run())
    while await asyncio.to_thread(ask, path, "status") is None:
        pass
    await end(task)


async def test_a_caller_that_says_nothing_costs_nobody_anything(tmp_path: Path):
    path = tmp_path / "agent.sock"
    task = await run_control(path)
    _, writer = await asyncio.open_unix_connection(path)
    assert await asyncio.to_thread(ask, path, "status") is not None
    writer.close()
    await writer.wait_closed()
    await end(task)


def test_agents_that_share_a_runtime_directory_have_sockets_of_their_own(tmp_path: Path):
    assert socket_path(tmp_path, Path("/a")) != socket_path(tmp_path, Path("/b"))
    assert ask(socket_path(tmp_path / "nowhere", Path("/a")), "status") is None


# --- at rest ------------------------------------------------------------------------------------
def test_an_agent_that_was_never_started_has_nothing_to_tell(tmp_path: Path):
    found = find_status(tmp_path / "data", tmp_path / "run", [device("pump-1")])
    assert (found.running, found.enrolled) == (False, False)
    assert set(found.tally.values()) == {0}
    assert [one.id for one in found.devices] == ["pump-1"]
    assert not (tmp_path / "data").exists()


async def test_the_files_of_a_killed_agent_are_read_with_their_logs(tmp_path: Path):
    plant = Plant(tmp_path)
    file = await JobsFile(plant.data, SystemEntropy()).open()
    async with plant.running() as store:
        await plant.record(store, 5)
        await store.seal()
        assert Path(f"{plant.database}-wal").stat().st_size > 0
        # Copies are what a kill leaves: the databases with logs that nobody folded back.
        plant.kill()
    await file.close()
    found = status_at_rest(plant.data, None, [])
    assert found.tally["stored"] == found.tally["sampled"] == 15
    assert found.queue == QueueStatus()
    assert found.troubles == {}
    assert not found.running


@pytest.mark.parametrize(("name", "schema"), [(FILE_NAME, SCHEMA), (JOBS_NAME, jobs_schema())])
def test_a_database_of_a_newer_program_is_told_and_shown_as_it_is(
    tmp_path: Path, name: str, schema: MigrationSet
):
    with closing(sqlite3.connect(tmp_path / name, isolation_level=None)) as db:
        migrate(db, schema, where=name)
        db.execute("INSERT INTO schema_migration VALUES (?, 'later', x'00')", [schema.latest + 1])
        db.execute(f"PRAGMA user_version = {schema.latest + 1}")
    found = status_at_rest(tmp_path, None, [])
    assert list(found.troubles) == [name]
    assert "run the newer program" in found.troubles[name]


def test_a_damaged_database_is_told_and_the_rest_is_shown(tmp_path: Path):
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 100)
    sqlite3.connect(tmp_path / JOBS_NAME).close()
    found = status_at_rest(tmp_path, None, [])
    assert set(found.troubles) == {FILE_NAME, JOBS_NAME}
    assert "not a database" in found.troubles[FILE_NAME]


def test_files_that_a_live_agent_holds_are_not_touched(tmp_path: Path):
    with lock_directory(tmp_path), pytest.raises(MistakeError, match="already used by process"):
        status_at_rest(tmp_path, None, [])
