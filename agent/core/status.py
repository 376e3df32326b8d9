"""How an agent is, as a value: what its socket answers, what `status` shows and scripts read.

Owns the members and the text for people; it fits a phone's 40 columns. Leaves out gathering it
(`agent.services.control`, `agent.services.at_rest`).
"""

from collections.abc import Iterator

import msgspec

from shared.wire.messages import Tally

WIDTH = 40
"""Columns of a phone held upright."""


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


class DeviceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One device."""

    id: str
    bus: str
    polls: int = 0
    failed: int = 0
    """Polls in a row that brought no value."""
    problem: str = ""


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
    link: LinkStatus = LinkStatus()
    buses: list[BusStatus] = []
    devices: list[DeviceStatus] = []
    queue: QueueStatus = QueueStatus()
    refusals: dict[str, int] = {}
    """Documents the agent refused, by reason."""
    troubles: dict[str, str] = {}
    """What does not work as it should, by part."""


def tally_members(tally: Tally) -> tuple[dict[str, int], bool]:
    """Return a tally by name, and whether its sum holds."""
    named = {name: getattr(tally, name) for name in Tally.__struct_fields__}
    rest = tally.suppressed + tally.delivered + tally.stored + tally.lost
    return named, tally.sampled == rest


def render(status: Status) -> str:
    """Return the status for people, at most WIDTH columns wide wherever the content allows."""
    return "\n".join(_lines(status))


def _lines(status: Status) -> Iterator[str]:
    yield status.agent or "(no name yet)"
    yield _row(
        "agent", f"running for {_span(status.uptime_s)}" if status.running else "NOT RUNNING"
    )
    yield from _link(status)
    yield from _readings(status)
    for bus in status.buses:
        share = f"{bus.answers}/{bus.requests} answered"
        yield _row(f"bus {bus.name}", share if bus.up else "DOWN")
        if bus.problem:
            yield f"  {bus.problem}"
    for device in status.devices:
        yield _row(device.id, "ok" if not device.failed else f"FAILED {device.failed} polls")
        if device.failed and device.problem:
            yield f"  {device.problem}"
    queue = status.queue
    tasks = ", ".join(f"{count} {state.lower()}" for state, count in queue.tasks.items())
    yield _row("jobs", tasks or "none")
    if queue.receipts:
        yield _row("receipts", f"{queue.receipts} to report")
    for reason, count in status.refusals.items():
        yield _row("refused", f"{count} {reason}")
    for part, trouble in status.troubles.items():
        yield _row(part, "TROUBLE")
        yield f"  {trouble}"


def _link(status: Status) -> Iterator[str]:
    link = status.link
    if not status.enrolled:
        yield _row("coordinator", "NOT ENROLLED")
        return
    if link.failures:
        yield _row("coordinator", f"NO ANSWER x{link.failures}")
        yield f"  {link.fault}: {link.detail}" if link.detail else f"  {link.fault}"
    elif link.since_contact_s is not None:
        yield _row("coordinator", f"answered {_span(link.since_contact_s)} ago")
    elif status.running:
        yield _row("coordinator", "not met yet")
    else:
        yield _row("coordinator", link.last_contact or "never met")
    if link.next_in_s is not None:
        yield _row("next contact", f"in {_span(link.next_in_s)}")
    yield _row("bytes", f"{_size(link.bytes_up)} up, {_size(link.bytes_down)} down")


def _readings(status: Status) -> Iterator[str]:
    for name, count in status.tally.items():
        if count or name in {"sampled", "delivered", "stored"}:
            yield _row(name, f"{count:,}")
    if not status.balanced:
        yield _row("account", "DOES NOT ADD UP")


def _row(name: str, value: str) -> str:
    return f"{name:<13} {value}"


def _span(seconds: int) -> str:
    """Return a duration in its two largest units.

    >>> _span(59), _span(3_725), _span(200_000)
    ('59 s', '1 h 2 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{max(0, seconds)} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def _size(count: int) -> str:
    """Return a number of bytes in its largest unit.

    >>> _size(999), _size(64_000), _size(1_600_000)
    ('999 B', '64.0 kB', '1.6 MB')
    """
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:.1f} kB" if count < 1_000_000 else f"{count / 1e6:.1f} MB"
