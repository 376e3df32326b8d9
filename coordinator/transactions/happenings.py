"""Something happened that triggers may listen to: one row for each that does, in the transaction.

Listeners to events hear of it in any case, but for what another row tells: an enrolment is audited,
a job's end is told by the teller, and a disk is only full where somebody said what is full.

The row is the memory that the event was heard, so nothing is lost with a crash and nothing fires
twice; where nobody listens nothing is written. Leaves out acting on it (`trigger_firings`).
"""

from collections.abc import Sequence

from coordinator.core.events import Subject
from coordinator.core.ports import Tx, execute, fetch_one
from coordinator.transactions.outbox import tell
from shared import limits
from shared.block.schema import Schema
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import uuid_text
from shared.model.health import health_of
from shared.model.job import TaskState
from shared.wire.messages import Receipt

_DAY_MS = 86_400_000
_TOLD = frozenset(
    {"agent.online", "config.drifted", "device.claimed", "device.discovered", "device.lost"}
)
"""Kinds that are events by the same name."""
_DRIFTED = "_drifted"
"""How the result of `device.validate` counts what drifted, after the step's id and a dot."""


def happened(
    kind: str, occasion: str, *, agent: str, now_ms: WallMs, device: str = "", free_mb: int = 0
) -> Tx[None]:
    """Let the triggers of a kind know of an event, once however often it is told.

    Args:
        kind: of `coordinator.contract.triggers.EventKind`.
        occasion: names the event among all of its kind.
        agent: whom it is about.
        now_ms: the present.
        device: which of its devices it is about, if any.
        free_mb: of a disk.
    """
    yield from execute("trigger_event", kind, f"{kind} {occasion}", now_ms, agent, device, free_mb)
    if kind in _TOLD:
        yield from tell(kind, Subject(agent=agent, device=device), now_ms)


def disk_told(agent: str, numbers: Sequence[int], now_ms: WallMs) -> Tx[None]:
    """Look at the health that an agent told; a disk is full or not once a day."""
    free_mb = health_of(numbers).free_mb
    if free_mb:
        occasion = f"{agent} {now_ms // _DAY_MS}"
        yield from happened("disk.filling", occasion, agent=agent, now_ms=now_ms, free_mb=free_mb)


def devices_told(agent: str, devices: Sequence[str], now_ms: WallMs) -> Tx[None]:
    """Remember devices that an agent has, up to a bound; a new one is an event."""
    most = limits.DEVICES_SEEN
    for device in sorted(set(devices)):
        if (yield from fetch_one("device_seen", agent, device, now_ms, most)) is not None:
            yield from happened(
                "device.discovered", f"{agent} {device}", agent=agent, now_ms=now_ms, device=device
            )


def schema_told(agent: str, data: bytes, now_ms: WallMs) -> Tx[None]:
    """Look at a list of channels, which was examined before, for devices that are new."""
    channels = Schema.decode(data).channels
    yield from devices_told(agent, [channel.device for channel in channels], now_ms)


def receipt_told(agent: str, receipt: Receipt, now_ms: WallMs) -> Tx[None]:
    """Look at a new receipt for devices that are new, that fell silent, or that drifted."""
    device = receipt.device
    if not device or device.startswith("@"):
        return
    yield from devices_told(agent, [device], now_ms)
    occasion = f"{agent} {device} {receipt.execution.hex()}"
    if receipt.state == TaskState.FAILED and receipt.reason == Reason.DEVICE_SILENT:
        if (yield from fetch_one("device_lost", agent, device, now_ms)) is not None:
            yield from happened("device.lost", occasion, agent=agent, now_ms=now_ms, device=device)
    elif receipt.state == TaskState.DONE:
        yield from execute("device_found", agent, device)
        if any(_drifted(name, value) for name, value in receipt.result.items()):
            occasion = f"{occasion} {receipt.firing_ms}"
            yield from happened(
                "config.drifted", occasion, agent=agent, now_ms=now_ms, device=device
            )


def job_ended(job: bytes, now_ms: WallMs) -> Tx[None]:
    """Let triggers know if a job has ended on every agent; else nothing is done."""
    yield from execute("trigger_job_ended", job, f"job {uuid_text(job)}", now_ms)


def _drifted(name: str, value: object) -> bool:
    last = name.rpartition(".")[2]
    return last == _DRIFTED and isinstance(value, int | float) and value > 0
