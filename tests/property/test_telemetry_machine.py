"""Any order of recording, committing, freeing, rejecting, filling up and dying keeps the account.

The model knows every number that was recorded, and where each one must be: waiting in a block, open
in the journal, delivered, or written off. A kill continues with copies of the files; nothing of the
process survives it.
"""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.core.open_rows import OpenRow
from agent.core.settings import TelemetrySettings
from agent.store.telemetry import TelemetryStore
from shared.block.codec import decode
from shared.errors import Reason
from shared.sync.outgoing import Freed
from shared.sync.ranges import Ranges
from tests.length import examples
from tests.unit.readings_world import Plant, growing, make_table

ROOM = 40 * 1024
"""A file that three times `fill` fills."""


def values_in(data: bytes) -> list[float]:
    columns = [column for group in decode(data).groups for column in group.columns]
    return [value for column in columns for value in column if value is not None]


class Readings(RuleBasedStateMachine):
    """One gateway's store, driven through several lives."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.plant = Plant(
            Path(self.folder.name), settings=TelemetrySettings(storage_max_bytes=ROOM), noisy=True
        )
        self.recorded: set[float] = set()
        self.delivered: set[float] = set()
        self.acknowledged: dict[int, set[float]] = {}
        """By block; a kill forgets those that were not written down yet."""
        self.gone: set[float] = set()
        """Rejected or evicted: in the ledger."""
        self.estimated = 0
        self.acknowledged_losses = 0
        self.store: TelemetryStore = self.run(self.plant.open())

    def run(self, work):
        return self.runner.run(work)

    # --- what happens to a store ----------------------------------------------------------------
    @rule(rows=st.integers(1, 40), group=st.integers(0, 1))
    def record(self, rows, group):
        self.recorded.update(self.run(self.plant.record(self.store, rows, group=group)))

    @rule()
    def fill(self):
        self.recorded.update(self.run(self.plant.record(self.store, 500)))

    @rule()
    def seal(self):
        self.run(self.store.seal())

    @rule()
    def keep(self):
        self.run(self.store.keep())

    @rule(by=st.sampled_from([2_500, -2_500, 86_400_000]))
    def step_the_clock(self, by):
        self.plant.clock.wall += by

    @rule(data=st.data())
    def acknowledge(self, data):
        blocks = self.waiting()
        some = data.draw(st.sets(st.sampled_from(sorted(blocks)))) if blocks else set()
        for number in some:
            self.delivered |= blocks[number]
            self.acknowledged[number] = blocks[number]
        self.run(self.store.free(Freed(Ranges.of(some), (), 0, 0, ())))

    @rule(data=st.data())
    def reject(self, data):
        blocks = self.waiting()
        if blocks:
            number = data.draw(st.sampled_from(sorted(blocks)))
            rejected = ((number, Reason.BLOCK_CONFLICT),)
            self.run(self.store.free(Freed(Ranges(), rejected, 0, 0, ())))

    @rule()
    def deliver_the_ledger(self):
        rows = self.run(self.store.ledger())
        if rows:
            self.acknowledged_losses += sum(row.count for row in rows)
            self.run(self.store.free(Freed(Ranges(), (), 0, rows[-1].number, ())))
            # Its own commit: a kill would show the same rows again, and count them here twice.
            self.run(self.store.seal())

    @rule()
    def stop_and_start(self):
        self.run(self.store.close())
        self.store = self.run(self.plant.open())

    @rule(devices=st.sampled_from([2, 3]))
    def kill(self, devices):
        """Die at once; perhaps somebody changed the configuration meanwhile."""
        dying = self.store
        # What is acknowledged, but not written down, waits again, or gives way to newer blocks.
        for freed in dying._frees:
            for first, last in freed.blocks:
                for number in range(first, last + 1):
                    self.delivered -= self.acknowledged[number]
        self.plant.kill()
        self.plant.table = make_table(devices)
        self.run(dying.close())
        self.store = self.run(self.plant.open())

    @precondition(lambda self: self.plant.lives < 6)
    @rule()
    def kill_between_commit_and_journal(self):
        [journal] = self.plant.journals()
        full = journal.read_bytes()
        self.run(self.store.seal())
        journal.write_bytes(full)
        self.kill(2)

    # --- what must hold -------------------------------------------------------------------------
    def waiting(self) -> dict[int, set[float]]:
        """Return the values of every waiting block by its number."""
        numbers = [one.seq for one in self.run(self.store.waiting())]
        blocks = self.run(self.store.blocks(numbers))
        assert len(blocks) == len(numbers)
        found = {}
        for number, data in zip(numbers, blocks, strict=True):
            values = values_in(data)
            assert len(values) == len(set(values))
            found[number] = set(values)
        return found

    @invariant()
    def every_reading_is_in_exactly_one_place(self):
        waiting = [value for values in self.waiting().values() for value in values]
        waiting += [value for data in self.run(growing(self.store)) for value in values_in(data)]
        rows = [i.row for i in self.store._open.items() if isinstance(i, OpenRow)]
        still_open = [value for row in rows for value in row.values if value is not None]
        places = Counter([*waiting, *still_open])
        assert not [value for value, count in places.items() if count > 1]
        assert not self.delivered & places.keys()
        assert not self.gone & places.keys()
        assert places.keys() <= self.recorded
        self.gone |= self.recorded - self.delivered - places.keys()

    @invariant()
    def the_account_adds_up(self):
        tally = self.run(self.store.tally())
        assert tally.sampled == (tally.suppressed + tally.delivered + tally.stored + tally.lost)
        assert tally.sampled == len(self.recorded)
        assert tally.delivered == len(self.delivered)
        assert tally.lost == len(self.gone)
        listed = sum(row.count for row in self.run(self.store.ledger()))
        assert listed + self.acknowledged_losses == tally.lost

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()


Readings.TestCase.settings = settings(
    max_examples=examples(25), stateful_step_count=30, deadline=None
)
TestReadings = Readings.TestCase
