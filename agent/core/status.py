"""How an agent is, as a value: what its socket answers, what `status` shows and scripts read.

Owns the members. Leaves out gathering them (`agent.services.status`) and the text for people
(`agent.core.status_text`).
"""

import msgspec

from shared.wire.messages import Tally


class LinkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The way to the coordinator."""

    fault: str = ""
    """Why the newest contact failed; empty when it did not."""
    detail: str = ""
    failures: int = 0
    """Contacts without an answer in a row."""
    contacts: int = 0
    """Answered ones since the agent started."""
    last_contact: str = ""
    """The coordinator's time in its newest answer, RFC 3339; empty before the first."""
    since_contact_s: int | None = None
    """Seconds since that answer, when it came since the agent started."""
    next_in_s: int | None = None
    bytes_up: int = 0
    """Since the jobs store began; TLS and retransmissions included, IP headers not."""
    bytes_down: int = 0


class BusStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One port."""

    name: str
    url: str
    up: bool
    problem: str
    requests: int
    answers: int
    timeouts: int
    bad_frames: int
    reconnects: int
    busy_ms: int
    busy_permille: int = 0
    """Share of its time since the agent started that an exchange held it."""
    planned_permille: int = 0
    """What the configuration's arithmetic says of it."""
    late_polls: int = 0
    """Polls that fell away because the bus was still busy."""


class DeviceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One device."""

    id: str
    bus: str
    polls: int = 0
    failed: int = 0
    """Polls in a row that brought no value."""
    silent_s: int | None = None
    """For how long it has not answered; None: it answered the newest poll, or was not asked."""
    problem: str = ""
    standing: str = ""
    """Whether it is polled as configured or asked rarely, in one word; ``unpolled``: no point of it
    is, only jobs speak to it."""
    requests: int = 0
    answers: int = 0
    timeouts: int = 0
    bad_frames: int = 0
    usual_ms: int | None = None
    """What it usually needs to answer."""
    firmware_bytes: int | None = None
    """What the device has of an image that is on its way into it; None: none is."""
    firmware_size: int | None = None


class WaitingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Readings of one priority that wait for the coordinator."""

    priority: int
    """0 alarms, 1 soon, 2 routine."""
    readings: int
    oldest_s: int


class BudgetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the link carried, in bytes at the socket, TLS included."""

    today: int = 0
    month: int = 0
    day_limit: int = 0
    """0: none."""
    month_limit: int = 0
    rung: str = "all"
    """What still goes, as `agent.core.ladder` names it."""


class ClockStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far the time of readings can be trusted."""

    state: str = ""
    """``synced``, ``holdover``, ``unsynced`` or ``stepped``; empty when nobody runs."""
    err_ms: int = 0
    """0: unknown."""
    off_ms: int | None = None
    """This machine's wall clock against signed time; None before the first answer of this boot."""


class FlashStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the readings' store costs its disk."""

    day_bytes: int
    """Written a day, at the pace since the agent started."""
    years: int | None = None
    """At this pace, as far as anybody knows the card; None: nobody does."""


class FilesStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where files that jobs name came from since the agent started, in bytes of the files."""

    from_coordinator: int = 0
    from_neighbours: int = 0
    given: int = 0
    """Taken by neighbours."""
    neighbours: int = 0
    """Gateways of this site that share files now; none while there is no file to share."""
    waiting: int = 0
    """Files that work here waits for."""
    coming_bytes: int | None = None
    """What is here of the one that is being fetched; None: none is."""
    coming_size: int | None = None


class QueueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The job queue, counted."""

    tasks: dict[str, int] = {}
    executions: dict[str, int] = {}
    receipts: int = 0
    """Waiting for the coordinator."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """An agent, running or not."""

    running: bool
    enrolled: bool
    agent: str = ""
    fleet: str = ""
    coordinator: str = ""
    uptime_s: int = 0
    tally: dict[str, int] = msgspec.field(
        default_factory=lambda: dict.fromkeys(Tally.__struct_fields__, 0)
    )
    """Readings since the telemetry store began: sampled, suppressed, delivered, stored, lost."""
    balanced: bool = True
    """sampled = suppressed + delivered + stored + lost."""
    waiting: list[WaitingStatus] = []
    """By priority, the most urgent first; those without any are left out."""
    budget: BudgetStatus = BudgetStatus()
    clock: ClockStatus = ClockStatus()
    flash: FlashStatus | None = None
    link: LinkStatus = LinkStatus()
    buses: list[BusStatus] = []
    devices: list[DeviceStatus] = []
    queue: QueueStatus = QueueStatus()
    files: FilesStatus = FilesStatus()
    refusals: dict[str, int] = {}
    """Documents the agent refused, by reason."""
    troubles: dict[str, str] = {}
    """What does not work as it should, by part."""


def tally_members(tally: Tally) -> tuple[dict[str, int], bool]:
    """Return a tally by name, and whether its sum holds."""
    named = {name: getattr(tally, name) for name in Tally.__struct_fields__}
    rest = tally.suppressed + tally.delivered + tally.stored + tally.lost
    return named, tally.sampled == rest
