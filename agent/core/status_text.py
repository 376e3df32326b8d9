"""An agent's status for people: one screen of a phone held upright.

Owns the words, their width and which of them are alarms. Leaves out the members
(`agent.core.status`). Whatever is wrong is in capitals too: colours are for terminals only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from agent.core.status import BudgetStatus, BusStatus, DeviceStatus, FilesStatus, Status

WIDTH = 40
"""Columns of a phone held upright."""
_DEVICES_SHOWN = 6
"""Healthy devices that have a line each; of more than these only the sick ones have."""
_WAITING = ("alarms wait", "soon", "waiting")


class Tone(Enum):
    """How a line is meant; the values are what a terminal is told (ECMA-48, SGR)."""

    PLAIN = ""
    HEAD = "\x1b[1m"
    WARN = "\x1b[33m"
    BAD = "\x1b[31;1m"


_END = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the screen."""

    text: str
    tone: Tone = Tone.PLAIN


def render(status: Status, *, colours: bool = False) -> str:
    """Return the status for people, at most WIDTH columns wide wherever the content allows."""
    return paint(_lines(status), colours=colours)


def paint(lines: Iterator[Line], *, colours: bool) -> str:
    """Return lines as one text."""
    if not colours:
        return "\n".join(line.text for line in lines)
    return "\n".join(
        f"{line.tone.value}{line.text}{_END}" if line.tone.value else line.text for line in lines
    )


def _lines(status: Status) -> Iterator[Line]:
    yield Line(status.agent or "(no name yet)", Tone.HEAD)
    if status.running:
        yield _row("agent", f"running for {span(status.uptime_s)}")
    else:
        yield _row("agent", "NOT RUNNING", Tone.BAD)
    yield from _clock(status)
    yield from _link(status)
    yield from _bytes(status.budget)
    yield from _readings(status)
    for bus in status.buses:
        yield from _bus(bus)
    yield from _devices(status.devices)
    queue = status.queue
    tasks = ", ".join(f"{count} {state.lower()}" for state, count in queue.tasks.items())
    yield _row("jobs", tasks or "none")
    if queue.receipts:
        yield _row("receipts", f"{queue.receipts} to report")
    yield from _files(status.files)
    if status.flash is not None:
        years = "" if status.flash.years is None else f", lasts {status.flash.years} years"
        yield _row("flash", f"{size(status.flash.day_bytes)}/day{years}")
    for reason, count in status.refusals.items():
        yield _row("refused", f"{count} {reason}", Tone.WARN)
    for part, trouble in status.troubles.items():
        yield _row(part, "TROUBLE", Tone.BAD)
        yield Line(f"  {trouble}", Tone.BAD)


def _clock(status: Status) -> Iterator[Line]:
    clock = status.clock
    if not clock.state:
        return
    tone = Tone.PLAIN if clock.state in {"synced", "holdover"} else Tone.WARN
    known = f", +-{clock.err_ms} ms" if clock.err_ms else ""
    yield _row("clock", f"{clock.state.upper() if tone is Tone.WARN else clock.state}{known}", tone)
    if clock.off_ms is not None and abs(clock.off_ms) >= _OFF_MS:
        yield Line(f"  {span(abs(clock.off_ms) // 1000)} off the coordinator's", Tone.WARN)


def _files(files: FilesStatus) -> Iterator[Line]:
    if files.from_coordinator or files.from_neighbours:
        near = f", {size(files.from_neighbours)} of the site" if files.from_neighbours else ""
        yield _row("files", f"{size(files.from_coordinator)}{near}")
    if files.coming_bytes is not None and files.coming_size:
        done = percent(files.coming_bytes * 1000 // files.coming_size)
        yield _row("file comes", f"{done} of {size(files.coming_size)}")
    elif files.waiting:
        yield _row("files wanted", str(files.waiting))
    if files.given or files.neighbours:
        yield _row("neighbours", f"{files.neighbours}, given {size(files.given)}")


_OFF_MS = 2_000
"""What people call a wrong clock; blocks are re-timed for less."""


def _link(status: Status) -> Iterator[Line]:
    link = status.link
    if not status.enrolled:
        yield _row("coordinator", "NOT ENROLLED", Tone.BAD)
        return
    if link.failures:
        yield _row("coordinator", f"NO ANSWER x{link.failures}", Tone.BAD)
        why = f"  {link.fault}: {link.detail}" if link.detail else f"  {link.fault}"
        yield Line(why, Tone.BAD)
    elif link.since_contact_s is not None:
        yield _row("coordinator", f"answered {span(link.since_contact_s)} ago")
    elif status.running:
        yield _row("coordinator", "not met yet")
    else:
        met = f"answered {link.last_contact}" if link.last_contact else "never met"
        yield _row("coordinator", met)
    if link.next_in_s is not None:
        yield _row("next contact", f"in {span(link.next_in_s)}")


def _bytes(budget: BudgetStatus) -> Iterator[Line]:
    for name, used, limit in (
        ("bytes today", budget.today, budget.day_limit),
        ("this month", budget.month, budget.month_limit),
    ):
        if not limit:
            yield _row(name, size(used))
            continue
        share = used * 100 // limit
        tone = Tone.BAD if share >= _SPENT else Tone.WARN if share >= _SCARCE else Tone.PLAIN
        yield _row(name, f"{size(used)} of {size(limit)}, {share} %", tone)
    if budget.rung != "all":
        yield _row("budget", _RUNGS.get(budget.rung, budget.rung), Tone.WARN)


_SCARCE, _SPENT = 50, 90
"""Percent from which something is left out, and from which readings are."""
_RUNGS = {
    "fresh": "SHORT: no backlog goes",
    "urgent": "SHORT: readings wait",
    "reserve": "SHORT: alarms and receipts",
    "spent": "SPENT: alarms only",
}


def _readings(status: Status) -> Iterator[Line]:
    for one in status.waiting:
        name = _WAITING[min(one.priority, len(_WAITING) - 1)]
        tone = Tone.WARN if one.priority == 0 else Tone.PLAIN
        yield _row(name, f"{one.readings:,}, oldest {span(one.oldest_s)}", tone)
    for name, count in status.tally.items():
        if count or name in {"sampled", "delivered", "stored"}:
            yield _row(name, f"{count:,}", Tone.WARN if name == "lost" else Tone.PLAIN)
    if status.balanced:
        yield _row("account", "adds up")
    else:
        yield _row("account", "DOES NOT ADD UP", Tone.BAD)


def _bus(bus: BusStatus) -> Iterator[Line]:
    if not bus.up:
        yield _row(f"bus {bus.name}", "DOWN", Tone.BAD)
    else:
        planned = f" ({percent(bus.planned_permille)} due)" if bus.planned_permille else ""
        yield _row(f"bus {bus.name}", f"{percent(bus.busy_permille)} busy{planned}")
        if bus.answers < bus.requests:
            yield Line(f"  {bus.answers}/{bus.requests} answered")
    if bus.late_polls:
        yield Line(f"  TOO SLOW: {bus.late_polls} polls fell away", Tone.WARN)
    if bus.problem:
        yield Line(f"  {bus.problem}", Tone.BAD)


def _devices(devices: list[DeviceStatus]) -> Iterator[Line]:
    healthy = [one for one in devices if not one.failed]
    for device in devices:
        if device.failed:
            yield _row(device.id, f"FAILED {device.failed} polls", Tone.BAD)
            since = "" if device.silent_s is None else f"for {span(device.silent_s)}"
            if why := ", ".join(filter(None, (device.problem, since))):
                yield Line(f"  {why}", Tone.BAD)
        elif len(healthy) <= _DEVICES_SHOWN:
            yield _row(device.id, _answers(device))
        if device.firmware_bytes is not None and device.firmware_size:
            done = percent(device.firmware_bytes * 1000 // device.firmware_size)
            yield Line(f"  firmware: {done} of {device.firmware_size} bytes")
    if len(healthy) > _DEVICES_SHOWN:
        yield _row("devices", f"{len(healthy)} ok")


def _answers(device: DeviceStatus) -> str:
    if device.standing == "unpolled":
        return "only jobs ask it"
    if not device.polls:
        return "not polled yet"
    spoilt = device.timeouts + device.bad_frames
    lost = f", {spoilt} of {device.requests} lost" if spoilt else ""
    usual = f", {device.usual_ms} ms" if device.usual_ms is not None and not lost else ""
    return f"ok{usual}{lost}"


def _row(name: str, value: str, tone: Tone = Tone.PLAIN) -> Line:
    return Line(f"{name:<13} {value}", tone)


def percent(permille: int) -> str:
    """Return a share as people say it.

    >>> percent(4), percent(123), percent(1000)
    ('0.4 %', '12 %', '100 %')
    """
    return f"{permille / 10:.1f} %" if permille < 100 else f"{permille // 10} %"


def span(seconds: int) -> str:
    """Return a duration in its two largest units.

    >>> span(59), span(3_725), span(200_000)
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


def size(count: int) -> str:
    """Return a number of bytes in its largest unit.

    >>> size(999), size(64_000), size(1_600_000)
    ('999 B', '64.0 kB', '1.6 MB')
    """
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:.1f} kB" if count < 1_000_000 else f"{count / 1e6:.1f} MB"
