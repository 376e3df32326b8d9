"""The journal's file: appended, rewritten, taken up again, and honest about what it lacks."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent.core.open_rows import OpenRow
from agent.core.ports import PollRow
from agent.store.journal import Journal, JournalFolder
from agent.store.journal_codec import INCOMPLETE, Held, JournalHeader, Recovered
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.model.reading import Quality
from tests.unit.readings_world import HandClock, make_table
from tests.unit.test_batcher import row

SCHEMA = make_table().schema


def header(name: bytes = b"journal1", *, first: int = 1) -> JournalHeader:
    return JournalHeader(id=name, boot_id=bytes(16), first=first, schema=SCHEMA, held=Held())


@pytest.fixture
def folder(tmp_path) -> JournalFolder:
    made = JournalFolder(tmp_path / "run", tmp_path / "data")
    made.prepare()
    return made


@pytest.fixture
def journal(folder):
    made = Journal(folder, header())
    made.rewrite(1, (), Held())
    yield made
    made.close()


def only(folder: JournalFolder) -> Recovered:
    [found] = folder.load()
    return found


def test_rows_come_back_as_they_were(folder, journal):
    rows = [
        row(1),
        PollRow(
            channels=(2, 3, 4, 5),
            at=row(2).at,
            values=[None, -(1 << 63), (1 << 64) - 1, -0.0],
            qualities=[Quality.BAD_COMM, Quality.GOOD, Quality.UNCERTAIN, Quality.STALE],
            suppressed=7,
        ),
    ]
    sizes = [journal.append(number, one) for number, one in enumerate(rows, start=1)]
    found = only(folder)
    assert [item.row for item in found.items if isinstance(item, OpenRow)] == [
        PollRow(
            channels=tuple(one.channels),
            at=one.at,
            values=list(one.values),
            qualities=tuple(one.qualities),
            suppressed=one.suppressed,
        )
        for one in rows
    ]
    assert [item.size for item in found.items] == sizes
    assert not found.damaged
    assert found.header == header()


def test_a_rewrite_keeps_what_is_open_and_what_the_database_holds(folder, journal):
    items = [OpenRow.of(number, row(number), 1) for number in (4, 5)]
    held = Held(readings=99, first_ms=WallMs(3), last_ms=WallMs(4))
    journal.rewrite(4, items, held)
    journal.append(6, row(6))
    found = only(folder)
    assert (found.header.first, found.header.held) == (4, held)
    assert [item.last for item in found.items] == [4, 5, 6]


def test_an_append_after_a_restart_continues_after_the_last_whole_record(folder, journal):
    journal.append(1, row(1))
    journal.close()
    with folder.file(b"journal1").open("ab") as file:
        file.write(b"\x50\x00\x00\x00cut")
    again = Journal(folder, header())
    again.resume(only(folder))
    again.append(2, row(2))
    again.close()
    found = only(folder)
    assert [item.last for item in found.items] == [1, 2]
    assert not found.damaged


def test_every_cut_of_the_file_gives_a_whole_number_of_rows_and_no_damage(folder, journal):
    ends = [folder.file(b"journal1").stat().st_size]
    for number in (1, 2, 3):
        ends.append(ends[-1] + journal.append(number, row(number)))
    data = folder.file(b"journal1").read_bytes()
    for length in range(ends[0], len(data)):
        folder.file(b"journal1").write_bytes(data[:length])
        found = only(folder)
        assert len(found.items) == sum(end <= length for end in ends[1:])
        assert not found.damaged


def test_a_changed_byte_is_damage_and_ends_what_is_believed(folder, journal):
    journal.append(1, row(1))
    start = folder.file(b"journal1").stat().st_size
    journal.append(2, row(2))
    data = folder.file(b"journal1").read_bytes()
    # A changed length may point behind the end, which looks like a record cut short.
    for position in range(start + 4, len(data)):
        changed = bytearray(data)
        changed[position] ^= 0x10
        folder.file(b"journal1").write_bytes(changed)
        found = only(folder)
        assert [item.last for item in found.items] == [1]
        assert found.damaged


def test_a_file_whose_header_is_broken_is_no_journal(folder, journal):
    path = folder.file(b"journal1")
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    assert folder.load() == []
    folder.keep_only(None)
    assert not path.exists()


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let the kernel refuse to make any file longer than `size`, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("spare", [0, 11])
def test_a_disk_that_refuses_a_row_leaves_a_journal_that_says_it_is_incomplete(
    folder, journal, spare
):
    journal.append(1, row(1))
    with room_for(folder.file(b"journal1").stat().st_size + spare):
        assert journal.append(2, row(2)) > 0
    assert journal.error
    found = only(folder)
    assert [item.last for item in found.items] == [1]
    assert found.damaged
    assert folder.file(b"journal1").read_bytes().startswith(INCOMPLETE)
    # The next rewrite makes it whole again.
    items = [OpenRow.of(number, row(number), 1) for number in (1, 2)]
    journal.rewrite(1, items, Held())
    assert journal.error == ""
    assert not only(folder).damaged


def test_a_rewrite_that_fails_leaves_the_old_file_in_use(folder, journal):
    journal.append(1, row(1))
    with room_for(20):
        journal.rewrite(2, (), Held())
    assert journal.error == ""
    journal.append(2, row(2))
    assert [item.last for item in only(folder).items] == [1, 2]
    assert [path.suffix for path in folder.path.iterdir()] == [".journal"]


def test_two_agents_share_a_runtime_directory_without_meeting(tmp_path):
    first, second = (JournalFolder(tmp_path, tmp_path / name) for name in ("a", "b"))
    made = Journal(first, header())
    made.rewrite(1, (), Held())
    made.close()
    assert len(first.load()) == 1
    assert second.load() == []
    second.keep_only(None)
    assert len(first.load()) == 1


def test_what_an_interrupted_rewrite_left_is_removed(folder, journal):
    left = folder.file(b"journal2").with_suffix(".tmp")
    left.write_bytes(b"half")
    folder.prepare()
    assert not left.exists()


def test_only_this_user_can_read_a_journal(folder, journal):
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.file(b"journal1").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_folder_of_somebody_else_is_refused(tmp_path):
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(MistakeError, match="another user"):
        JournalFolder(tmp_path, tmp_path).prepare()


def test_a_row_of_another_boot_never_joins_a_journal(journal):
    foreign = HandClock().now()
    with pytest.raises(AssertionError):
        journal.append(1, PollRow(channels=(), at=foreign, values=[], qualities=[]))
