"""Open readings: the rows in memory and the journal that repeats them, always together.

Owns what a start finds in the runtime directory, how a journal is continued, and what gives way
when no disk takes rows for too long. Leaves out the database: it is told what is committed.
"""

import contextlib

from agent.core.open_rows import Item, OpenRows
from agent.core.ports import PollRow
from agent.store.journal import Journal, JournalFolder
from agent.store.journal_codec import ID_BYTES, Held, JournalHeader, Recovered
from shared import limits
from shared.block.schema import Schema
from shared.clock import Clock, Entropy
from shared.errors import Reason


class Recorder:
    """The rows of this process that no block holds yet."""

    def __init__(self, folder: JournalFolder, schema: Schema) -> None:
        self._folder = folder
        self._schema = schema
        self._journal: Journal
        self._rows: OpenRows
        self.found: tuple[Recovered, ...] = ()
        """What earlier processes left, until it is settled; may include the current journal."""
        self.held: Held | None = None
        """What the database held at its last commit, as far as anybody knows."""
        self.leaving = 0
        """The last row that a commit in flight takes: it does not give way."""

    def start(self, clock: Clock, entropy: Entropy) -> None:
        """Continue the newest journal if rows recorded now can follow its rows, else begin one.

        Raises:
            MistakeError: the runtime directory belongs to somebody else.
        """
        with contextlib.suppress(OSError):  # without a folder the journal says why it is down
            self._folder.prepare()
            self.found = tuple(self._folder.load())
        boot_id = clock.now().boot_id
        newest = self.found[-1] if self.found else None
        if newest:
            self.held = newest.header.held
        if newest and self._fits(newest, boot_id):
            self._journal = Journal(self._folder, newest.header)
            self._journal.resume(newest)
            self._rows = OpenRows(newest.header.first, newest.items)
            return
        header = JournalHeader(
            id=entropy.token(ID_BYTES),
            boot_id=boot_id,
            first=1,
            schema=self._schema,
            held=self.held or Held(),
        )
        self._journal = Journal(self._folder, header)
        self._rows = OpenRows(header.first)
        self._rewrite()

    @property
    def journal(self) -> bytes:
        """Return the id of the journal in use."""
        return self._journal.id

    @property
    def error(self) -> str:
        """Return why a kill would lose rows; empty while it would not."""
        return self._journal.error

    @property
    def readings(self) -> int:
        """Return how many readings are open."""
        return self._rows.readings

    @property
    def first_number(self) -> int:
        """Return the number of the first open row, or of the next."""
        return self._rows.first_number

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing is open."""
        return not len(self._rows)

    @property
    def is_pressing(self) -> bool:
        """Tell whether so much is open that a commit should not wait for its interval."""
        return (
            self._rows.readings >= limits.COMMIT_POINTS
            or self._rows.size >= limits.JOURNAL_BYTES // 2
        )

    def items(self, *, after: int = 0) -> tuple[Item, ...]:
        """Return what is open behind the row number `after`."""
        return self._rows.items(after=after)

    def add(self, row: PollRow, *, otherwise: Reason) -> None:
        """Take one row; the oldest give way, with `otherwise` as the reason, if it is too much."""
        channels = len(self._schema.channels)
        assert all(0 <= index < channels for index in row.channels), "a channel of the schema"
        size = self._journal.append(self._rows.next_number, row)
        self._rows.add(row, size)
        if self._rows.shed(limits.JOURNAL_BYTES, after=self.leaving, reason=otherwise):
            self._rewrite()

    def committed(self, last: int, held: Held) -> None:
        """Let go of the rows up to `last`: the database has them."""
        first = self._rows.first_number
        self.held = held
        self._rows.forget(last)
        if self._journal.error or self._rows.first_number != first:
            self._rewrite()

    def settled(self) -> None:
        """Remove what earlier processes left: the database has it."""
        self.found = ()
        self._folder.keep_only(self._journal.id)

    def close(self, *, remove: bool) -> None:
        """Let go of the journal, and remove its file if the database has everything."""
        self._journal.close()
        if remove:
            self._folder.remove(self._journal.id)

    def _fits(self, found: Recovered, boot_id: bytes) -> bool:
        header = found.header
        return not found.damaged and header.boot_id == boot_id and header.schema == self._schema

    def _rewrite(self) -> None:
        self._journal.rewrite(self._rows.first_number, self._rows.items(), self.held or Held())
