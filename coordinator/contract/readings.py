"""Readings in columns: one series per channel, never an object per reading."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from coordinator.contract.common import Time
from shared import limits

QualityText = Literal["good", "uncertain", "bad_comm", "bad_range", "stale"]
ClockText = Literal["unsynced", "holdover", "synced", "stepped"]


class ReadingsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/readings``: the newest `limit` readings with start <= time < end."""

    agent: str = ""
    device: str = ""
    point: str = ""
    start: Time | None = None
    end: Time | None = None
    limit: Annotated[int, Meta(ge=1, le=limits.READINGS)] = 10_000
    format: Literal["json", "csv"] = "json"


class ClockRun(msgspec.Struct, frozen=True):
    """How far the agent's clock could be trusted for the next `count` readings of a series."""

    count: int
    state: ClockText
    err_ms: int
    """Bound of the clock's error; 0 when unknown."""


class SeriesView(msgspec.Struct, frozen=True):
    """The readings of one channel, oldest first; the three columns are equally long."""

    agent: str
    device: str
    point: str
    unit: str
    kind: Literal["gauge", "counter", "state"]
    times: list[Time]
    """By the agent's clock; `clocks` says how good it was."""
    values: list[int | float | None]
    qualities: list[QualityText]
    clocks: list[ClockRun]


class ReadingsView(msgspec.Struct, frozen=True):
    """The answer: series sorted by agent, device and point."""

    series: list[SeriesView]
    readings: int
    """Readings in all series."""
    truncated: bool
    """There are earlier ones: ask again with ``end = complete_from``."""
    complete_from: Time | None
    """Every stored reading from here to `end` is in the answer; null when there is none."""
    undecoded_blocks: int
    """Blocks in range whose channel list the agent has not sent yet."""
