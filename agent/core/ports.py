"""Protocols that the agent's plug-ins fulfil, and the values that cross them.

A bus moves frames and owns its port; a driver turns points into frames; an action does one step
of a job through a driver. Stores are reached through the two protocols at the end, so that the
services above them never see SQL.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Protocol, TypeVar

from shared.clock import Instant
from shared.errors import Reason
from shared.ids import DeviceId, StoreEpoch
from shared.model.job import Step, Value
from shared.model.judging import ROUTINE
from shared.model.reading import Quality
from shared.sync.outgoing import Candidate, Freed
from shared.sync.ranges import Range, Ranges
from shared.wire.messages import Anchor, LossRow, Tally

FrameT_co = TypeVar("FrameT_co", covariant=True)
T = TypeVar("T")


class Urgency(IntEnum):
    """Who gets a bus first; a waiting command goes before the next poll frame."""

    COMMAND = 0
    POLL = 1
    PROBE = 2
    """To a device of which nobody knows whether it is there: one attempt, and others go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSettings:
    """One port as the configuration names it."""

    name: str
    url: str
    """``serial:///dev/ttyUSB0?baud=9600&parity=E``, ``tcp://host:port``, ``rtu+tcp://host:port``"""
    response_timeout_ms: int | None = None
    """How long every device is waited for; None learns it from each device's answers."""
    retries: int = 1
    inter_frame_ms: int = 5
    """Silence kept between frames, at least; a slow line's 3.5 characters may need more."""


@dataclass(slots=True)
class SlaveCounters:
    """What happened between one port and one of its devices since the agent started."""

    requests: int = 0
    answers: int = 0
    timeouts: int = 0
    bad_frames: int = 0
    """Wrong checksum, or bytes that are no answer."""
    usual_ms: float | None = None
    """What the device usually needs to answer, without the time on the wire."""


@dataclass(slots=True)
class BusCounters:
    """What happened on one port since the agent started."""

    requests: int = 0
    answers: int = 0
    timeouts: int = 0
    bad_frames: int = 0
    reconnects: int = 0
    busy_ms: int = 0
    """Milliseconds the port was held by an exchange; the share of it is the utilisation."""
    up: bool = False
    last_error: str = ""
    slaves: dict[int, SlaveCounters] = field(default_factory=dict)
    """By the address of the device on its bus."""


class FrameDecoder(Protocol[FrameT_co]):
    """A protocol's decoder for the answer to one request; it is fed bytes and sees no port.

    It also tells the bus what only the protocol knows about this exchange.
    """

    @property
    def answer_bytes(self) -> int:
        """Return the answer's length on the wire; a slow line needs time to carry it."""

    @property
    def unit(self) -> int:
        """Return the address of who is asked: patience and counters are kept for each."""

    @property
    def peer(self) -> int | None:
        """Return who answers, where nothing in a frame tells a late answer from the next one.

        None where frames carry a transaction id.
        """

    @property
    def repeatable(self) -> bool:
        """Tell whether the request may be sent again although it may have had its effect."""

    def feed(self, data: bytes) -> FrameT_co | None:
        """Return the frame once it is complete.

        Raises:
            RefusedError: these bytes can never become the answer (checksum, unit, transaction).
        """

    def reset(self) -> None:
        """Forget what was fed: the same request is about to be sent again."""


class Bus(Protocol):
    """The owner of one port: one exchange at a time, silence kept, link re-established."""

    settings: BusSettings
    counters: BusCounters

    async def exchange(self, request: bytes, decoder: FrameDecoder[T], *, urgency: Urgency) -> T:
        """Send a request frame and return the decoded answer, retrying as the settings say.

        Raises:
            WorldError: BUS_DOWN when the port cannot be opened or was lost, DEVICE_SILENT when
                nothing came in time, DEVICE_BAD_FRAME when only garbage came.
        """

    async def close(self) -> None:
        """Release the port; idempotent."""


@dataclass(frozen=True, slots=True)
class PointReading:
    """What reading one point gave: a value, or the reason why there is none."""

    point: str
    value: int | float | None
    quality: Quality
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device says of itself, as text; empty where it does not say."""

    vendor: str = ""
    model: str = ""
    firmware: str = ""
    more: Mapping[str, str] = field(default_factory=dict)
    """What else it said, by the protocol's own names."""


class Driver(Protocol):
    """One attached device, spoken to through its bus in the units of its profile."""

    device: DeviceId

    async def read(self, points: Sequence[str], *, urgency: Urgency) -> list[PointReading]:
        """Return a reading for each point, in order; neighbours are read in merged requests.

        A silent or refusing device gives readings without values, never an exception.
        """

    def expected(self, values: Mapping[str, Value]) -> Mapping[str, int | float]:
        """Return what reading back must give after `write(values)`: the nearest the device holds.

        Raises:
            MistakeError: as `write` would, before any effect.
        """

    async def write(self, values: Mapping[str, Value]) -> None:
        """Write points in engineering units, as COMMAND; does not read back.

        Raises:
            MistakeError: unknown or read-only point, value outside its limits (nothing written).
            WorldError: the device did not answer, or answered with an exception.
        """

    async def identify(self) -> Identity | None:
        """Return what the device says of itself now, as COMMAND; None: its protocol has no words.

        Raises:
            WorldError: the device did not answer.
        """


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What one step did on one device."""

    reason: Reason | None = None
    """None is success."""
    detail: str = ""
    result: Mapping[str, Value] = field(default_factory=dict)


class Action(Protocol):
    """One kind of step. Raises nothing: faults become outcomes."""

    name: str

    async def run(self, step: Step, driver: Driver) -> StepOutcome:
        """Do the step on one device; safe to cancel between frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollRow:
    """One poll of one device's group of points, taken at one instant."""

    channels: Sequence[int]
    """Indices into the agent's schema, in the group's fixed order."""
    at: Instant
    values: Sequence[int | float | None]
    qualities: Sequence[Quality]
    suppressed: int = 0
    """Readings of this poll that a deadband or an aggregate held back: sampled, not kept."""
    priority: int = ROUTINE
    """Of the block it goes into."""


@dataclass(frozen=True, slots=True)
class Depth:
    """Readings of one priority that wait in blocks."""

    priority: int
    readings: int
    oldest_ms: int


class ArtifactShelf(Protocol):
    """Files that jobs name by their content, whole and verified."""

    async def obtain(self, digest: bytes, size: int) -> Path:
        """Return the file with this sha256 and size; it stays where it is while a job needs it.

        Raises:
            WorldError: it cannot be had now; what came so far is kept, so that asking again goes
                on from there.
            RefusedError: what came is not what was asked for; nothing of it was kept.
        """

    def given(self, digest: bytes, size: int) -> int:
        """Return how many bytes of a file neighbours gave; the rest is the coordinator's."""


class TelemetryPort(Protocol):
    """The readings' store as services see it. Every method is one transaction at most."""

    @property
    def epoch(self) -> StoreEpoch:
        """Return the epoch of the database file in use."""

    @property
    def next_block(self) -> int:
        """Return the number the next sealed block will get."""

    async def record(self, row: PollRow) -> None:
        """Take one poll; when this returns, kill -9 no longer loses it."""

    async def seal(self) -> None:
        """Seal what is open into numbered blocks, so that a contact can carry it."""

    async def waiting(self) -> list[Candidate]:
        """Return sealed blocks that are not acknowledged, bounded."""

    async def page(self, after: int) -> list[Candidate]:
        """Return blocks above a number that wait, lowest first, bounded: for whoever takes all."""

    async def blocks(self, numbers: Sequence[int]) -> list[bytes]:
        """Return the bytes of these blocks, in order; missing ones are left out."""

    async def unsent_schemas(self) -> list[bytes]:
        """Return encoded schemas that stored blocks need and no reply has confirmed."""

    async def ledger(self) -> list[LossRow]:
        """Return loss-ledger rows that are not acknowledged, oldest first, bounded."""

    async def free(self, freed: Freed) -> None:
        """Forget what a reply acknowledged, set aside what it rejected, in one transaction."""

    async def learn(self, anchor: Anchor) -> bool:
        """Keep true time of a boot, durably, if it says something new; return whether it did."""

    async def anchors(self) -> list[Anchor]:
        """Return true times of boots that no answered report has carried, bounded."""

    async def depths(self) -> list[Depth]:
        """Return what waits in blocks by priority, the most urgent first."""

    async def asked(self, wanted: Ranges) -> tuple[list[Candidate], list[Range]]:
        """Return blocks that were asked for again, as far as they are here, and which are gone."""

    async def tally(self) -> Tally:
        """Return the account of all readings since the epoch began."""
