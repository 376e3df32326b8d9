"""The journal's file: rows survive a kill in memory-backed storage, and cost no flash.

Owns the files of one data directory in the runtime directory: found at a start, appended to, and
rewritten when the database has taken rows over. Leaves out the bytes (`journal_codec`) and which
rows are still open (`agent.core.open_rows`).

An append is one write(2): what it returned for is in the kernel's memory, which outlives the
process, not the power. A disk that refuses never stops acquisition: the file then says that it is
incomplete, and is made anew with the next rewrite.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from agent.core.open_rows import Item
from agent.core.ports import PollRow
from agent.store.journal_codec import (
    INCOMPLETE,
    RECORD_BYTES,
    Held,
    JournalHeader,
    Recovered,
    decode_journal,
    encode_header,
    encode_items,
    encode_row,
)
from shared import limits
from shared.errors import MistakeError

_READ_BYTES = limits.JOURNAL_BYTES + 2 * RECORD_BYTES
"""A journal's file: the bound of its rows, one more, and the header."""


class JournalFolder:
    """Where the journals of one data directory are."""

    def __init__(self, runtime_dir: Path, data_dir: Path) -> None:
        """Name the place; `prepare` makes it."""
        self.path = runtime_dir
        self._seen: list[Path] = []
        # Several agents of one machine may share a runtime directory.
        owner = hashlib.sha256(os.fsencode(data_dir.absolute())).hexdigest()[:12]
        self._prefix = f"readings-{owner}-"

    def prepare(self) -> None:
        """Make the folder, for this user alone, and remove what an interrupted rewrite left.

        Raises:
            MistakeError: it belongs to somebody else, who could read and forge readings.
            OSError: it cannot be made; the agent then runs without a journal.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.path.stat().st_uid not in {os.geteuid(), 0}:
            raise MistakeError(
                "belongs to another user",
                where=str(self.path),
                mend="name another runtime_dir in the section [agent]",
            )
        for left in self.path.glob(f"{self._prefix}*.tmp"):
            left.unlink(missing_ok=True)

    def file(self, journal: bytes) -> Path:
        """Return the path of the journal with this id."""
        return self.path / f"{self._prefix}{journal.hex()}.journal"

    def load(self) -> list[Recovered]:
        """Return what every journal here still holds, oldest first; bounded."""
        found: list[tuple[float, Recovered]] = []
        self._seen = sorted(self.path.glob(f"{self._prefix}*.journal"))[: limits.JOURNAL_FILES]
        for path in self._seen:
            with contextlib.suppress(OSError), path.open("rb") as file:
                recovered = decode_journal(file.read(_READ_BYTES))
                if recovered and self.file(recovered.header.id) == path:
                    found.append((path.stat().st_mtime, recovered))
        return [recovered for _, recovered in sorted(found, key=lambda pair: pair[0])]

    def keep_only(self, journal: bytes | None) -> None:
        """Delete every file that `load` saw, but not this journal's."""
        for path in self._seen:
            if journal is None or path != self.file(journal):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)

    def remove(self, journal: bytes) -> None:
        """Delete a journal; one that is not there is no fault."""
        with contextlib.suppress(OSError):
            self.file(journal).unlink(missing_ok=True)


class Journal:
    """The journal that rows are appended to now."""

    def __init__(self, folder: JournalFolder, header: JournalHeader) -> None:
        """Stand for a file that `rewrite` makes or `resume` opens."""
        self._path = folder.file(header.id)
        self._header = header
        self._file: int | None = None
        self._size = 0
        self.error = "not made yet"
        """Why rows are not safe from a kill just now; empty while they are."""

    @property
    def id(self) -> bytes:
        """Return what the database calls this journal."""
        return self._header.id

    @property
    def schema_hash(self) -> bytes:
        """Return the hash of the schema its rows' channels point into."""
        return self._header.schema.hash

    def resume(self, recovered: Recovered) -> None:
        """Continue a file where its last whole record ends."""
        try:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._size = recovered.good_bytes
            os.ftruncate(self._file, self._size)
            self.error = ""
        except OSError as error:
            self._fail(error)

    def append(self, number: int, row: PollRow) -> int:
        """Write one row; return its bytes. A failure is found in `error`, not raised."""
        assert row.at.boot_id == self._header.boot_id, "a journal holds rows of one boot"
        data = encode_row(number, row)
        if self._file is not None:
            try:
                _write(self._file, data)
                self._size += len(data)
            except OSError as error:
                self._fail(error)
        return len(data)

    def rewrite(self, first: int, items: Iterable[Item], held: Held) -> None:
        """Replace the file by one that holds only `items`; a kill meets the old or the new one."""
        self._header = replace(self._header, first=first, held=held)
        data = encode_header(self._header) + encode_items(items)
        temporary = self._path.with_suffix(".tmp")
        descriptor = None
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            descriptor = os.open(temporary, flags, 0o600)
            _write(descriptor, data)
            temporary.replace(self._path)
        except OSError as error:
            if descriptor is not None:
                os.close(descriptor)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            # The old file still holds every open row, so it goes on; rows that the database has
            # taken over are skipped by their number.
            if self._file is None:
                self._fail(error)
            return
        self.close()
        self._file, self._size, self.error = descriptor, len(data), ""

    def close(self) -> None:
        """Let go of the file; its content stays."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _fail(self, error: OSError) -> None:
        self.error = f"{self._path.parent}: {error.strerror or error}"
        if self._file is not None:
            # Both need no space. The next start then knows that rows after these are missing.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
                self._mark_incomplete()
            self.close()

    def _mark_incomplete(self) -> None:
        # Not through the open file: O_APPEND would put it at the end.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, INCOMPLETE, 0)
        finally:
            os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    """Write all of `data` with one call, or fail: a row in two pieces is no row."""
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
