"""What `backup` and `restore` do with artifacts, and with a copy of the same name."""

import hashlib
import sqlite3
import tarfile
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from coordinator.services import backup
from coordinator.services.artifacts_folder import ArtifactFolder
from coordinator.services.backup import artifacts_of, make_backup
from coordinator.store.opening import open_store
from coordinator.transactions.artifacts import Artifact, announce, complete
from shared.clock import WallMs
from tests.readings_office import VirtualClock
from tests.system.coordinator_world import found_in
from tests.system.test_coordinator_processes import run_command

NOW_MS = WallMs(1_800_000_000_000)
ORDINARY = sqlite3.connect


async def with_artifact(place, data: bytes) -> bytes:
    digest = hashlib.sha256(data).digest()
    wish = Artifact(
        digest=digest,
        size=len(data),
        kind="file",
        name="pump-fw",
        version="1.2",
        labels={},
        created_ms=NOW_MS,
        created_by="test",
    )

    async def chunks():
        yield data

    folder = ArtifactFolder(place.directory.artifacts)
    await folder.write(digest, 0, chunks(), None)
    assert await folder.settle(digest)
    async with open_store(place.database, "") as store:
        await store.run(partial(announce, wish, actor="test", now_ms=NOW_MS), durable=True)
        done = partial(complete, digest, image="", actor="test", now_ms=NOW_MS)
        await store.run(done, durable=True)
    return digest


def kept(folder):
    return {path: path.read_bytes() for path in folder.glob("??/*")}


async def test_artifacts_come_back_with_a_copy_that_has_them(tmp_path):
    place = await found_in(tmp_path)
    await with_artifact(place, b"image" * 1000)
    copy, other = tmp_path / "copy.db", tmp_path / "other"
    where = ("--data", place.directory.path, copy, "--artifacts", "--with-keys")
    status, out, err = await run_command("backup", *where)
    assert (status, "1 artifact (5,000 bytes) is there" in out) == (0, True), err
    status, _, err = await run_command("restore", copy, "--data", other)
    assert (status, "missing" in err) == (0, False), err
    assert list(kept(other / "artifacts").values()) == [b"image" * 1000]


async def test_a_copy_without_artifacts_says_so_and_a_restore_names_what_is_missing(tmp_path):
    place = await found_in(tmp_path)
    digest = await with_artifact(place, b"image")
    copy, other = tmp_path / "copy.db", tmp_path / "other"
    status, out, _ = await run_command(
        "backup", "--data", place.directory.path, copy, "--with-keys"
    )
    assert (status, "1 artifact (5 bytes) is not in it" in out) == (0, True), out
    status, _, err = await run_command("restore", copy, "--data", other)
    assert status == 0
    assert "1 artifact (5 bytes) is missing" in err
    assert digest.hex() in err
    assert "pump-fw 1.2" in err


async def test_a_damaged_file_of_a_copy_is_not_put_back(tmp_path):
    place = await found_in(tmp_path)
    await with_artifact(place, b"image")
    copy, other = tmp_path / "copy.db", tmp_path / "other"
    await run_command("backup", "--data", place.directory.path, copy, "--artifacts", "--with-keys")
    (file,) = kept(artifacts_of(copy))
    file.write_bytes(b"imaGe")
    status, _, err = await run_command("restore", copy, "--data", other)
    assert (status, "is missing or damaged" in err) == (0, True), err
    assert not kept(other / "artifacts")


async def test_a_copy_that_was_damaged_meanwhile_is_copied_again(tmp_path):
    place = await found_in(tmp_path)
    await with_artifact(place, b"image")
    copy = tmp_path / "copy.db"
    where = ("--data", place.directory.path, copy, "--artifacts")
    await run_command("backup", *where)
    (file,) = kept(artifacts_of(copy))
    file.write_bytes(b"imaGe")
    status, out, err = await run_command("backup", *where, "--force")
    assert (status, "is there, verified" in out) == (0, True), err
    assert list(kept(artifacts_of(copy)).values()) == [b"image"]


async def test_a_file_of_a_copy_that_ends_early_keeps_no_other_from_coming_back(tmp_path):
    place = await found_in(tmp_path)
    first, second = sorted([await with_artifact(place, b"image"), await with_artifact(place, b"b")])
    copy, other = tmp_path / "copy.db", tmp_path / "other"
    await run_command("backup", "--data", place.directory.path, copy, "--artifacts", "--with-keys")
    (file,) = artifacts_of(copy).glob(f"{first.hex()[:2]}/*")
    file.write_bytes(b"")
    status, _, err = await run_command("restore", copy, "--data", other)
    assert (status, first.hex() in err, second.hex() in err) == (0, True, False), err
    assert [path.parent.name + path.name for path in kept(other / "artifacts")] == [second.hex()]


async def test_a_file_that_ends_early_is_named_and_the_others_are_copied(tmp_path):
    place = await found_in(tmp_path)
    first, second = sorted([await with_artifact(place, b"image"), await with_artifact(place, b"b")])
    (file,) = place.directory.artifacts.glob(f"{first.hex()[:2]}/*")
    file.write_bytes(b"")
    copy = tmp_path / "copy.db"
    status, _, err = await run_command(
        "backup", "--data", place.directory.path, copy, "--artifacts"
    )
    assert (status, first.hex() in err, second.hex() in err) == (0, True, False), err
    assert [path.parent.name + path.name for path in kept(artifacts_of(copy))] == [second.hex()]


async def test_a_copy_is_replaced_only_when_it_is_asked_for_and_gets_only_new_artifacts(tmp_path):
    place = await found_in(tmp_path)
    await with_artifact(place, b"image")
    copy = tmp_path / "copy.db"
    where = ("--data", place.directory.path, copy, "--artifacts")
    status, _, err = await run_command("backup", *where)
    assert status == 0, err
    first, (file,) = copy.stat().st_ino, kept(artifacts_of(copy))
    number = file.stat().st_ino
    status, _, err = await run_command("backup", *where)
    assert (status, err.count("\n"), copy.stat().st_ino) == (2, 1, first)
    assert "--force" in err
    await with_artifact(place, b"another")
    status, out, err = await run_command("backup", *where, "--force")
    assert (status, "2 artifacts (12 bytes) are there" in out) == (0, True), err
    assert copy.stat().st_ino != first
    assert file.stat().st_ino == number


async def test_a_copy_of_a_busy_database_ends_and_is_of_one_moment(tmp_path, monkeypatch):
    place = await found_in(tmp_path)
    copy = tmp_path / "copy.db"
    left = []

    class Busy(sqlite3.Connection):
        """Somebody else commits between two steps of every copy."""

        def backup(self, target: sqlite3.Connection, **how: Any) -> None:
            super().backup(target, **how, progress=self.commit_elsewhere)

        def commit_elsewhere(self, status, remaining, total):
            left.append(remaining)
            assert len(left) <= total, "a copy began anew"
            with closing(ORDINARY(place.database)) as db, db:
                db.execute("UPDATE fleet SET restore_epoch = restore_epoch + 1")

    with closing(ORDINARY(place.database)) as db:
        ((before,),) = db.execute("SELECT restore_epoch FROM fleet").fetchall()
    async with open_store(place.database, "") as store:
        with monkeypatch.context() as patched:
            patched.setattr(backup, "_PAGES", 8)
            patched.setattr(sqlite3, "connect", partial(ORDINARY, factory=Busy))
            await make_backup(
                store, place.database, place.directory, copy, clock=VirtualClock(), with_keys=False
            )
    assert left[-1] == 0 < len(left) - 5
    assert left == sorted(left, reverse=True)
    with closing(ORDINARY(copy)) as db:
        assert db.execute("SELECT restore_epoch FROM fleet").fetchall() == [(before,)]


@pytest.mark.parametrize("name", ["keys/../../elsewhere", "keys/link"])
async def test_keys_that_no_backup_wrote_are_not_unpacked(tmp_path, name):
    place = await found_in(tmp_path)
    copy, other = tmp_path / "copy.db", tmp_path / "other"
    status, _, err = await run_command(
        "backup", "--data", place.directory.path, copy, "--with-keys"
    )
    assert status == 0, err
    with tarfile.open(f"{copy}.keys", "a:") as tar:
        member = tarfile.TarInfo(name)
        member.type = tarfile.SYMTYPE if name.endswith("link") else tarfile.REGTYPE
        member.linkname = "/etc/passwd"
        tar.addfile(member)
    status, _, err = await run_command("restore", copy, "--data", other)
    assert (status, "is not from a backup" in err) == (2, True), err
    assert not (tmp_path / "elsewhere").exists()
