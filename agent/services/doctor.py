"""The look at a whole box: each thing that has to be right, in the order in which it matters.

Owns the checks of files, disk, clock, bytes and account, and the order of all of them. It changes
nothing, and disturbs no agent that runs. Leaves out the link (`doctor_link`), the ports
(`doctor_ports`) and the text (`agent.core.doctor`).
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core.budget import BudgetSettings
from agent.core.device import DeviceSettings
from agent.core.doctor import Finding, fail, ok, warn
from agent.core.ports import BusSettings
from agent.core.status import Status
from agent.core.status_text import span
from agent.services.ask import find_status
from agent.services.doctor_link import look_at_link
from agent.services.doctor_ports import look_at_ports
from agent.services.identity import ENROLMENT_NAME, Enrolment, load_enrolment, load_signer
from shared.clock import ClockState
from shared.errors import MistakeError
from shared.runtime.clock import SystemClock
from shared.words import some

_BUILT_MS = 1_735_689_600_000
"""2025-01-01: an earlier date is the one of a box without a clock."""
_FREE_MB, _FREE_PERCENT = 50, 10
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_OFF_MS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What of its configuration a box is examined by."""

    data_dir: Path
    runtime_dir: Path
    buses: Sequence[BusSettings]
    devices: Sequence[DeviceSettings]
    budget: BudgetSettings
    endpoint: str = ""
    """Where the coordinator is, if not where the box was enrolled."""


def examine(box: Box) -> Iterator[Finding]:
    """Yield what was found, one thing after the other; slow, for devices and links are."""
    yield ok(
        "config", f"{some(len(box.devices), 'device')} on {some(len(box.buses), 'bus', 'buses')}"
    )
    yield from _folders(box)
    status = _status(box)
    if isinstance(status, Finding):
        yield status
        return
    yield _agent(status)
    yield _clock(status)
    enrolment = _enrolment(box.data_dir)
    if isinstance(enrolment, Finding):
        yield enrolment
    else:
        yield ok("enrolled", f"as {enrolment.agent}")
        yield from look_at_link(enrolment.at(box.endpoint), now_s=SystemClock().wall_ms() / 1000)
        yield from _contacts(status)
    yield _budget(status)
    yield from _files(status)
    yield from look_at_ports(box.buses, box.devices, status)
    yield _account(status)
    for part, trouble in status.troubles.items():
        yield fail("trouble", trouble, where=part, mend="the agent's log says more")


def _status(box: Box) -> Status | Finding:
    budget = box.budget
    try:
        return find_status(box.data_dir, box.runtime_dir, box.devices, budget)
    except MistakeError as error:
        return fail("agent", error.what, where=error.where, mend=error.mend)


def _folders(box: Box) -> Iterator[Finding]:
    """Yield how the data directory, its disk and the journal's place are."""
    data_dir = box.data_dir
    if not data_dir.is_dir():
        yield warn(
            "data",
            "the data directory is not there",
            where=str(data_dir),
            mend="the agent makes it at its first start, if this user may",
        )
    elif not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        yield fail(
            "data",
            "this user may not write the data directory",
            where=str(data_dir),
            mend="run this as the agent's user, or give that user the directory",
        )
    else:
        yield _disk(data_dir)
    yield _journal(box.runtime_dir)


def _files(status: Status) -> Iterator[Finding]:
    """Yield where files came from, once there were any."""
    files = status.files
    if files.from_coordinator or files.from_neighbours or files.given:
        told = f"{files.from_coordinator} bytes from the coordinator"
        near = f"{files.from_neighbours} from neighbours, {files.given} given to them"
        yield ok("files", f"{told}, {near}")


def _disk(path: Path) -> Finding:
    usage = shutil.disk_usage(path)
    free_mb, share = usage.free // 1_000_000, usage.free * 100 // max(1, usage.total)
    told = f"{free_mb} MB free, {share} %"
    if free_mb < _FREE_MB:
        return fail("disk", told, where=str(path), mend="make room: readings will be lost")
    if share < _FREE_PERCENT:
        return warn("disk", told, where=str(path), mend="make room before readings give way")
    return ok("disk", told, str(path))


def _journal(path: Path) -> Finding:
    kind = file_system(path)
    if kind in _IN_MEMORY:
        return ok("journal", f"in memory ({kind})", str(path))
    return warn(
        "journal",
        f"every poll is written to {kind or 'a disk'}",
        where=str(path),
        mend="set runtime_dir to a place in memory, such as /run/outstation",
    )


def file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the kind of file system that `path` is on, or would be; empty when nobody can tell."""
    best, found = "", ""
    whole = str(path.absolute().resolve())
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        parts = line.split()
        if len(parts) < 3:
            continue
        point = parts[1].replace("\\040", " ")
        inside = whole == point or whole.startswith(point.rstrip("/") + "/")
        # The later of two mounts on one place is the one that counts.
        if inside and len(point) >= len(best):
            best, found = point, parts[2]
    return found


def _agent(status: Status) -> Finding:
    if status.running:
        return ok("agent", "runs")
    return warn(
        "agent",
        "does not run",
        mend="start it: systemctl start outstation-agent, or outstation-agent run",
    )


def _clock(status: Status) -> Finding:
    now = SystemClock().now()
    off_ms = status.clock.off_ms
    if now.wall_ms < _BUILT_MS:
        return warn(
            "clock",
            "shows a time before this program was made",
            mend="no harm: readings are re-timed after the first contact; NTP would help",
        )
    if off_ms is not None and abs(off_ms) >= _OFF_MS:
        return warn(
            "clock",
            f"is {span(abs(off_ms) // 1000)} off the coordinator's",
            mend="readings are re-timed; switch on NTP (timedatectl set-ntp true)",
        )
    if now.state in {ClockState.UNSYNCED, ClockState.STEPPED}:
        return warn(
            "clock",
            f"is {now.state.name.lower()}: nothing confirms it",
            mend="readings are re-timed after a contact; switch on NTP where there is any",
        )
    return ok("clock", f"is {now.state.name.lower()}")


def _enrolment(data_dir: Path) -> Enrolment | Finding:
    where = str(data_dir / ENROLMENT_NAME)
    try:
        enrolment = load_enrolment(data_dir)
        if enrolment is not None:
            load_signer(data_dir)
            return enrolment
    except (MistakeError, OSError) as error:
        return fail("enrolled", str(error), where=where, mend="enrol this box again")
    return fail(
        "enrolled",
        "this box belongs to no fleet yet",
        where=where,
        mend="outstation-agent enroll --claim FILE, then start the agent again",
    )


def _contacts(status: Status) -> Iterator[Finding]:
    link = status.link
    if link.failures:
        yield fail(
            "contact",
            f"the last {link.failures} failed: {link.detail or link.fault}",
            where=status.coordinator,
            mend=_FAULTS.get(link.fault, "see the steps to the coordinator above"),
        )
    elif link.last_contact:
        yield ok("contact", f"last one {link.last_contact}")
    elif status.running:
        yield warn("contact", "none yet since it was enrolled", mend="look again in a minute")


_FAULTS = {
    "denied": "the coordinator does not know this box, or revoked it: ask its admin",
    "conflict": "another machine may use this box's key: ask the coordinator's admin",
    "busy": "the coordinator asked for patience: wait",
    "store": "this box's own disk failed: see the troubles below",
    "bad_answer": "what answers is not signed by this box's fleet: ask the coordinator's admin",
}


def _budget(status: Status) -> Finding:
    budget = status.budget
    if not budget.day_limit and not budget.month_limit:
        return ok("bytes", f"{budget.today // 1000} kB today, no limit is set")
    shares = [
        f"{used * 100 // limit} % of the {name}'s"
        for name, used, limit in (
            ("day", budget.today, budget.day_limit),
            ("month", budget.month, budget.month_limit),
        )
        if limit
    ]
    if budget.rung in {"all", "fresh"}:
        return ok("bytes", ", ".join(shares))
    return warn(
        "bytes",
        f"{', '.join(shares)}: readings wait here",
        where="[uplink] data_budget_day_kb, data_budget_month_kb",
        mend="nothing is lost; raise the budget, or let the day or month pass",
    )


def _account(status: Status) -> Finding:
    lost = status.tally.get("lost", 0)
    if not status.balanced:
        return fail(
            "account",
            "readings do not add up",
            mend="keep telemetry.db and tell the maintainers: this must never happen",
        )
    if lost:
        return warn("account", f"adds up; {some(lost, 'reading')} lost", mend="the ledger says why")
    return ok("account", "adds up, nothing lost")
