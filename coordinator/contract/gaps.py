"""What of an agent's readings is here, on its way, given up or lost: the gap map."""

from typing import Annotated

import msgspec
from msgspec import Meta

from coordinator.contract.common import Time
from shared import limits


class GapsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/agents/{agent}/gaps``: the last `days`, in `slices` of equal length."""

    days: Annotated[int, Meta(ge=1, le=3_660)] = 30
    slices: Annotated[int, Meta(ge=1, le=limits.PAGE_ITEMS)] = 60


class MissingView(msgspec.Struct, frozen=True):
    """Blocks that the agent made and that are not here (yet)."""

    first: int
    last: int
    after: Time | None
    """When the readings of the block before them end; null when there is none."""
    before: Time | None
    """When the readings of the block behind them begin; null when there is none."""


class LossView(msgspec.Struct, frozen=True):
    """Readings that will never come, by the agent's loss ledger."""

    reason: str
    readings: int
    first: Time
    last: Time
    estimated: bool
    """Some of them were counted by how many there should have been."""


class StoreGaps(msgspec.Struct, frozen=True):
    """One telemetry store of the agent; a new one begins when its disk was lost or replaced."""

    store: str
    blocks_made: int
    blocks_received: int
    blocks_missing: int
    blocks_gone: int
    """Asked for again, and not there any more."""
    missing: list[MissingView]
    """The oldest ones."""
    gone: list[tuple[int, int]]
    losses: list[LossView]


class GapSlice(msgspec.Struct, frozen=True):
    """What happened in a stretch of time."""

    start: Time
    readings: int
    """Received, of blocks that end in it."""
    lost: int
    missing: bool
    """Blocks that are not here may have readings of it."""


class GapsView(msgspec.Struct, frozen=True):
    """The gap map of one agent; the newest store is last."""

    agent: str
    stores: list[StoreGaps]
    slices: list[GapSlice]
    slice_s: float
