"""A small plant for tests of the readings' path: channels, rows with numbers of their own, a clock.

Every value that is recorded is another number, so that a test can say of each one where it is.
"""

import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.ports import PollRow
from agent.core.sampler import ChannelTable, PollGroup
from agent.core.settings import TelemetrySettings
from agent.store.telemetry import FILE_NAME, TelemetryStore
from shared.block.codec import decode
from shared.block.schema import Schema
from shared.clock import ClockState, Instant, MonoMs, WallMs
from shared.ids import DeviceId
from shared.model.reading import Channel, Quality
from shared.runtime.clock import SystemEntropy

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""


@dataclass
class HandClock:
    """A clock that moves when it is told to."""

    wall: int = START_MS
    mono: int = 5_000_000
    boot_id: bytes = b"boot-0000000000a"
    state: ClockState = ClockState.SYNCED

    def wall_ms(self) -> WallMs:
        return WallMs(self.wall)

    def mono_ms(self) -> MonoMs:
        return MonoMs(self.mono)

    def now(self) -> Instant:
        return Instant(
            wall_ms=self.wall_ms(),
            mono_ms=self.mono_ms(),
            boot_id=self.boot_id,
            state=self.state,
            err_ms=5 if self.state is ClockState.SYNCED else 0,
        )

    def advance(self, ms: int) -> None:
        self.wall += ms
        self.mono += ms

    def reboot(self, *, off_ms: int = 0) -> None:
        self.wall += off_ms
        self.mono = 1_000
        self.boot_id = bytes(15) + bytes([self.boot_id[-1] + 1])


def make_table(devices: int = 2, points: int = 3, *, interval_ms: int = 1_000) -> ChannelTable:
    """Return a table of `devices` with `points` each."""
    names = [f"p{number}" for number in range(points)]
    channels = [
        Channel(DeviceId(f"dev-{device}"), name, "bar")
        for device in range(devices)
        for name in names
    ]
    groups = [
        PollGroup(
            device=DeviceId(f"dev-{device}"),
            bus="line",
            points=tuple(names),
            channels=tuple(range(device * points, (device + 1) * points)),
            interval_ms=interval_ms,
        )
        for device in range(devices)
    ]
    return ChannelTable(Schema(tuple(channels)), tuple(groups))


@dataclass
class Plant:
    """Makes rows, opens stores on its folders, and knows every number it gave away."""

    root: Path
    table: ChannelTable = field(default_factory=make_table)
    settings: TelemetrySettings = field(default_factory=TelemetrySettings)
    clock: HandClock = field(default_factory=HandClock)
    noisy: bool = False
    """Values that no codec can make small, to fill a disk."""
    step_ms: int = 1
    """Between two polls."""
    given: int = 0
    lives: int = 0
    noise: random.Random = field(default_factory=lambda: random.Random(7))

    def __post_init__(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)

    @property
    def data(self) -> Path:
        return self.root / f"life-{self.lives}" / "data"

    @property
    def runtime(self) -> Path:
        return self.root / f"life-{self.lives}" / "run"

    @property
    def database(self) -> Path:
        return self.data / FILE_NAME

    def journals(self) -> list[Path]:
        return sorted(self.runtime.glob("*.journal"))

    async def open(self) -> TelemetryStore:
        return await TelemetryStore.open(
            self.data,
            self.runtime,
            self.table,
            self.settings,
            clock=self.clock,
            entropy=SystemEntropy(),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[TelemetryStore]:
        """Open the store, and close it again whatever the test does."""
        store = await self.open()
        try:
            yield store
        finally:
            await store.close()

    def row(self, group: int = 0) -> PollRow:
        """Return the next poll of a group; `step_ms` passes."""
        self.clock.advance(self.step_ms)
        channels = self.table.groups[group].channels
        values = [(self.given + number) / 10 for number in range(1, len(channels) + 1)]
        if self.noisy:
            values = [value + self.noise.random() for value in values]
        self.given += len(channels)
        return PollRow(
            channels=channels,
            at=self.clock.now(),
            values=values,
            qualities=[Quality.GOOD] * len(channels),
        )

    async def record(self, store: TelemetryStore, rows: int = 1, *, group: int = 0) -> list[float]:
        """Record rows; return their values."""
        values: list[float] = []
        for _ in range(rows):
            row = self.row(group)
            await store.record(row)
            values += [value for value in row.values if value is not None]
        return values

    def kill(self) -> None:
        """Continue with copies of the files as they are now, as a process after kill -9 would.

        The store that is still open keeps the originals; the test closes it.
        """
        before = self.data.parent
        self.lives += 1
        shutil.copytree(before, self.data.parent)
        # A journal's name says whose it is; the copy is another data directory's.
        for journal in self.journals():
            other = TelemetryStore(
                self.data,
                self.runtime,
                self.table,
                self.settings,
                clock=self.clock,
                entropy=SystemEntropy(),
            )
            journal.rename(other._open._folder.file(bytes.fromhex(journal.stem.split("-")[-1])))

    def cut_power(self, *, off_ms: int = 3_600_000) -> None:
        """Kill, lose what was in memory, and boot again after a while."""
        self.kill()
        shutil.rmtree(self.runtime)
        self.clock.reboot(off_ms=off_ms)


async def growing(store: TelemetryStore) -> list[bytes]:
    """Return the block that still grows, if there is one; no contact sees it."""
    query = "SELECT data FROM block WHERE seq > (SELECT sealed FROM state)"
    return await store._read(lambda db: [row[0] for row in db.execute(query)], list)


async def stored_values(store: TelemetryStore) -> list[float]:
    """Return every value in blocks that wait, in order of their blocks."""
    numbers = [candidate.seq for candidate in await store.waiting()]
    values: list[float] = []
    for data in [*await store.blocks(numbers), *await growing(store)]:
        for group in decode(data).groups:
            for row in zip(*group.columns, strict=True):
                values += [value for value in row if value is not None]
    return values
