"""Parts for tests of judging: one poll group, its readings on a hand-set clock, what is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.core.batcher import readings_in
from agent.core.judge import Judge, Judged, JudgedPoint
from agent.core.ports import PointReading, PollRow
from shared.clock import ClockState, Instant, MonoMs, WallMs
from shared.ids import DeviceId
from shared.model.judging import Judging
from shared.model.reading import Quality, Value

WALL_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: the beginning of every interval that divides a day."""
GOOD = Quality.GOOD


def instant(after_ms: int, *, stepped_ms: int = 0) -> Instant:
    return Instant(
        wall_ms=WallMs(WALL_MS + after_ms + stepped_ms),
        mono_ms=MonoMs(1_000_000 + after_ms),
        boot_id=bytes(16),
        state=ClockState.SYNCED,
        err_ms=5,
    )


@dataclass
class Bench:
    """A group of points with one judging each, polled by hand."""

    judgings: Sequence[Judging]
    decimals: int | None = None
    rows: list[PollRow] = field(default_factory=list)
    seen: list[Judged] = field(default_factory=list)
    polled: int = 0

    def __post_init__(self) -> None:
        points, after = [], len(self.judgings)
        for index, judging in enumerate(self.judgings):
            channels = tuple(range(after, after + len(judging.aggregate)))
            after += len(channels)
            points.append(
                JudgedPoint(
                    name=f"p{index}",
                    channel=index,
                    judging=judging,
                    aggregates=channels,
                    decimals=self.decimals,
                )
            )
        self.judge = Judge(DeviceId("d"), points)

    def poll(self, at: Instant, *cells: Value | Quality | tuple[Value, Quality]) -> list[PollRow]:
        """Give one reading per point: a value, a fault, or both; return what was recorded."""
        readings = []
        for index, cell in enumerate(cells):
            fault = (None, cell) if isinstance(cell, Quality) else None
            value, quality = fault or (cell if isinstance(cell, tuple) else (cell, GOOD))
            readings.append(PointReading(f"p{index}", value, quality))
        self.polled += len(cells)
        judged, rows = self.judge.judge(readings, at)
        self.seen.append(judged)
        self.rows += rows
        return list(rows)

    def finish(self) -> list[PollRow]:
        rows = list(self.judge.finish())
        self.rows += rows
        return rows

    def kept(self, channel: int = 0) -> list[tuple[int, Value, Quality]]:
        """What is recorded of a channel: (milliseconds since the beginning, value, quality)."""
        return [
            (row.at.wall_ms - WALL_MS, value, quality)
            for row in self.rows
            for index, value, quality in zip(row.channels, row.values, row.qualities, strict=True)
            if index == channel and (value is not None or quality is not GOOD)
        ]

    @property
    def suppressed(self) -> int:
        return sum(row.suppressed for row in self.rows)

    @property
    def recorded(self) -> int:
        return sum(readings_in(row) for row in self.rows)
