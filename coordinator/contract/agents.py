"""Agents as the coordinator sees them: who they are, how their link is, what was accounted for."""

from typing import Literal

import msgspec

from coordinator.contract.common import PageSize, PageToken, SelectorText, Time

AgentState = Literal[
    "ENROLLED", "ONLINE", "SILENT", "QUARANTINED", "REVOKED", "LEAVING", "DECOMMISSIONED"
]
"""ENROLLED: never in contact. SILENT: quiet for three times its usual interval. QUARANTINED: two
machines speak with its key; its readings are taken in, it is given no work until it is released.
LEAVING: told to deliver what it has and forget its key. DECOMMISSIONED: it said that it did."""

EnrolmentState = Literal["EXPECTED", "PENDING", "REJECTED"]
"""EXPECTED: let in as soon as it asks. PENDING: it asked, nobody has decided. REJECTED: not let in,
also when it asks again."""


class AgentQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/agents``."""

    selector: SelectorText = ""
    page_size: PageSize = 100
    page_token: PageToken = ""


class TallyView(msgspec.Struct, frozen=True):
    """An account of readings since the agent's present telemetry store began.

    No silent loss: sampled = suppressed + delivered + stored + lost.
    """

    sampled: int = 0
    suppressed: int = 0
    delivered: int = 0
    stored: int = 0
    lost: int = 0


class LinkView(msgspec.Struct, frozen=True):
    """How the agent reaches us."""

    contacts: int
    bytes_up: int
    """Bodies of contacts; headers, TLS and TCP are not in it."""
    bytes_down: int
    interval_s: float | None
    """Smoothed time between contacts; null before the second."""
    waiting: bool
    """A reply is held back right now: a job would arrive at once."""


class ClockView(msgspec.Struct, frozen=True):
    """The agent's clock at its last report, against ours."""

    state: str
    """``unsynced``, ``holdover``, ``synced`` or ``stepped``."""
    offset_ms: int
    """Agent minus coordinator, when the report came in; a report that was resent looks late."""
    boot: str
    """Hex of the boot id: another value means that the machine restarted."""


class ImageView(msgspec.Struct, frozen=True):
    """How far firmware has come into one device."""

    device: str
    permille: int


class MovingView(msgspec.Struct, frozen=True):
    """What was on its way at an agent: files to it, firmware from it into its devices.

    Said by quarters and with contacts that are made anyway.
    """

    at: Time
    """When the agent said so."""
    files: int
    """Files that work there waits for."""
    file_permille: int
    """How much is there of the one that is being fetched."""
    images: int
    """Devices that firmware is on its way into."""
    image_permille: int
    """How much of it they have, all together."""
    into: list[ImageView] = []
    """Each of them, as far as there was room to name it."""


class HealthView(msgspec.Struct, frozen=True):
    """How the box said it was, when that last changed or was due."""

    at: Time
    waiting: dict[int, int]
    """Readings that wait there, by priority; 0 are alarms."""
    oldest_s: int
    """Age of the oldest of them, when it said so."""
    free_mb: int
    """What its disk still has."""
    today_kb: int
    """What its link had carried that day."""
    budget_permille: int
    """Share of the day's or the month's bytes that was spent; 0 where nothing is limited."""
    moving: MovingView | None = None
    """Null while nothing is on its way."""
    silent_devices: int = 0
    """Devices that did not answer several polls in a row."""
    silent_s: int = 0
    """For how long the longest of them had not answered at `at`."""


class AgentView(msgspec.Struct, frozen=True):
    """One agent."""

    id: str
    site: str
    labels: dict[str, str]
    state: AgentState
    fingerprint: str
    next_fingerprint: str | None
    """Of the key that replaces it at its first use; null when none waits."""
    rekey_asked: bool
    """It is asked for another key with each answer, until it uses one."""
    enrolled_at: Time
    last_contact_at: Time | None
    link: LinkView
    tally: TallyView
    """`delivered` counts the readings of blocks committed here, `lost` the ledger rows committed
    here; `stored` is what the agent held at its last report less what we committed since."""
    agent_says: TallyView | None
    """The agent's own account in its last report; null before the first."""
    balanced: bool
    """The equation of `tally` holds."""
    blocks_received: int
    """Blocks committed, all telemetry stores together."""
    missing_blocks: list[tuple[int, int]]
    """Ranges of block numbers that the agent made and we do not have (yet); the first 256."""
    gone_blocks: list[tuple[int, int]]
    """Ranges that it was asked for and no longer has: given up there, or lost here with a disk."""
    store_epochs: int
    """How many telemetry stores this agent has had."""
    refusals: dict[str, int]
    """Documents that the agent refused, by reason, as its last report says."""
    refused_here: dict[str, int]
    """Signed reports and blocks of this agent that the coordinator refused, by reason."""
    clock: ClockView | None
    health: HealthView | None = None
    """Null before the first report that said it."""


class EnrolmentQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/enrolments``."""

    state: EnrolmentState | Literal[""] = ""
    page_size: PageSize = 100
    page_token: PageToken = ""


class EnrolmentView(msgspec.Struct, frozen=True):
    """A key that a person vouches for, or has yet to."""

    id: str
    """The first twelve digits of its fingerprint."""
    fingerprint: str
    """As the box prints it; whoever accepts compares all of it."""
    state: EnrolmentState
    site: str
    name: str
    """Empty: one is made up."""
    labels: dict[str, str]
    """As the box says."""
    address: str
    """Where it asked from; empty before it came."""
    first_asked_at: Time
    last_asked_at: Time | None


class RegisterRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/agents``: let a key in before its box has ever called."""

    fingerprint: str
    site: str
    name: str = ""


class ApproveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/enrolments/{enrolment}/approve``."""

    fingerprint: str
    """Compared with the key's; read it from the box, never from the list."""
    site: str = ""
    """Empty: as the box says."""
    name: str = ""
