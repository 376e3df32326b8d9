"""Files are replaced whole or not at all; a directory has one owner."""

import os
import stat

import pytest

from shared.errors import MistakeError
from shared.runtime.files import lock_directory, sync_directory, write_atomically


def test_a_file_is_replaced_with_exactly_its_mode(tmp_path):
    path = tmp_path / "key.pem"
    path.write_bytes(b"old")
    path.chmod(0o644)
    before = os.umask(0o077)
    try:
        write_atomically(path, b"new", mode=0o640)
    finally:
        os.umask(before)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["key.pem"]


def test_secrets_are_private_by_default(tmp_path):
    write_atomically(tmp_path / "key.pem", b"secret")
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600


def test_a_failed_replacement_leaves_the_old_file_and_no_litter(tmp_path):
    target = tmp_path / "taken"
    target.mkdir()
    (target / "inside").write_bytes(b"old")
    with pytest.raises(OSError, match="taken"):
        write_atomically(target, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]
    assert (target / "inside").read_bytes() == b"old"


def test_a_reader_with_the_old_file_open_keeps_the_old_content(tmp_path):
    path = tmp_path / "state"
    write_atomically(path, b"old")
    with path.open("rb") as reader:
        write_atomically(path, b"new")
        assert reader.read() == b"old"


def test_only_a_directory_can_be_synced_as_one(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        sync_directory(tmp_path / "file")


def test_a_locked_directory_names_its_holder(tmp_path):
    with lock_directory(tmp_path), pytest.raises(MistakeError) as refused:
        lock_directory(tmp_path)
    assert f"already used by process {os.getpid()}" in str(refused.value)
    assert refused.value.where == str(tmp_path)
    assert refused.value.mend


def test_a_released_directory_can_be_taken_again(tmp_path):
    lock = lock_directory(tmp_path)
    lock.release()
    lock.release()
    with lock_directory(tmp_path):
        pass


def test_the_note_of_a_former_holder_means_nothing(tmp_path):
    (tmp_path / "lock").write_text("4194304000000 and a long tail from another program\n")
    with lock_directory(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_directory_that_does_not_exist_is_one_sentence(tmp_path):
    with pytest.raises(MistakeError, match="cannot be used as a data directory"):
        lock_directory(tmp_path / "none")
