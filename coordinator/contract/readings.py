"""Readings in columns: one series per channel, never an object per reading."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from coordinator.contract.common import PageToken, SelectorText, Time
from shared import limits

QualityText = Literal["good", "uncertain", "bad_comm", "bad_range", "stale"]
ClockText = Literal["unsynced", "holdover", "anchored", "synced"]
"""From the least sure on. UNSYNCED: nothing confirmed the time. HOLDOVER: a clock that was right
earlier. ANCHORED: counted by the machine from true time that it learned in this boot. SYNCED: a
time source confirmed it."""
Resolution = Literal["raw", "1m", "1h", "auto"]
FormatText = Literal["json", "csv", "jsonl", "parquet"]
Pattern = Annotated[
    str, Meta(max_length=128, description="a name, or a pattern with `*` and `?`; empty: all")
]

RAW_LIMIT = 10_000
"""Readings of a JSON answer when the question names no limit."""


class ReadingsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/readings``: readings, or minutes and hours of them, with start <= time < end."""

    agent: Pattern = ""
    device: Pattern = ""
    point: Pattern = ""
    selector: SelectorText = ""
    start: Time | None = None
    end: Time | None = None
    resolution: Resolution = "raw"
    points: Annotated[int, Meta(ge=1, le=limits.PAGE_POINTS)] | None = None
    """With `auto`: at most so many for each series, each with its lowest and highest value."""
    clock: Literal["any", "sure"] = "any"
    """`sure` leaves out what is UNSYNCED."""
    limit: Annotated[int, Meta(ge=1, le=limits.READINGS)] | None = None
    format: FormatText | None = None
    """Instead of an ``Accept`` header."""
    page_token: PageToken = ""


class ReadingsHeaders(msgspec.Struct, frozen=True):
    """What a client may say about the form of its answer."""

    accept: str = ""
    if_none_match: str = msgspec.field(name="if-none-match", default="")


class ClockRun(msgspec.Struct, frozen=True):
    """How sure the times of the next `count` values of a series are."""

    count: int
    state: ClockText
    err_ms: int
    """Bound of the error; 0 when unknown, and for minutes and hours."""


class SeriesView(msgspec.Struct, frozen=True):
    """One channel, oldest first; columns that are not empty are equally long."""

    agent: str
    device: str
    point: str
    unit: str
    kind: Literal["gauge", "counter", "state"]
    times: list[Time]
    """True time as far as it is known: `clocks` says how far. The start of a minute or hour."""
    values: list[int | float | None]
    """What was measured; the mean of a minute or hour."""
    qualities: list[QualityText]
    """Of single readings; empty for minutes and hours."""
    clocks: list[ClockRun]
    lows: list[int | float | None] = []
    """Lowest value of each minute or hour; empty for single readings, as the next three."""
    highs: list[int | float | None] = []
    counts: list[int] = []
    """Readings, with a value or without one."""
    goods: list[int] = []
    """Of these, the ones of good quality."""
    reduction: str = ""
    """How readings were held back: ``hold 0.5``, ``hold 1 %``, ``line 0.5``, with the bound of the
    error of what a reader draws between them; empty when every one is there."""


class ReadingsView(msgspec.Struct, frozen=True):
    """The answer: series sorted by agent, device and point."""

    series: list[SeriesView]
    readings: int
    """Readings, minutes or hours in all series."""
    truncated: bool
    """There are more: ask again with `next_page_token`. Of single readings the newest come first,
    and ``end = complete_from`` asks for the same."""
    complete_from: Time | None
    """Every stored reading from here to `end` is in the answer; null when there is none, and for
    minutes and hours."""
    undecoded_blocks: int
    """Blocks in range whose channel list the agent has not sent yet."""
    resolution: Literal["raw", "1m", "1h"] = "raw"
    """What the values were taken from."""
    width_s: int = 0
    """What one value stands for; 0: a single reading."""
    rollup_lag_s: float = 0.0
    """For how long the oldest block waits to be in the minutes and hours."""
    next_page_token: str | None = None
