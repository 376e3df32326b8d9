"""Time without a clock that can be trusted: the floor, silence, and what a reply tells.

The *floor* is the earliest moment it can be now: the build, what was stored, the issue times of
verified documents, answers to the agent's own questions, and powered time since. A network clock
(NTP) never moves it: whoever spoofs one would make every document expire. *Silence* is powered
time since the coordinator was last heard; time without power cannot be seen by a gateway that has
no clock of its own. Pure: `now` is an argument.
"""

from dataclasses import dataclass, replace

from shared import limits
from shared.clock import Instant, MonoMs, WallMs
from shared.trust.root import Root


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeKept:
    """What an agent keeps of time: saved each `limits.POWERED_SAVE_MS` and at each change."""

    floor_ms: WallMs
    silent_ms: int
    """Powered time since the last verified answer, when it was saved."""
    boot_id: bytes
    mono_ms: MonoMs
    """When it was saved."""


@dataclass(frozen=True, slots=True)
class Told:
    """The present, as a verified answer told it in this boot."""

    now_ms: WallMs
    boot_id: bytes
    mono_ms: MonoMs
    """When the answer arrived."""


def first_floor(root: Root, *, build_ms: WallMs, at: Instant) -> TimeKept:
    """Return what a newly enrolled agent knows of time."""
    floor = WallMs(max(build_ms, root.issued_ms))
    return TimeKept(floor_ms=floor, silent_ms=0, boot_id=at.boot_id, mono_ms=at.mono_ms)


def aged(kept: TimeKept, at: Instant) -> TimeKept:
    """Return what is known at a later moment, on this boot or after a restart.

    The floor grows by a little less than the powered time, since a counter may run fast. After a
    restart the time since this boot is certain; silence also grows by what may not have been
    saved, so that switching a gateway off every hour does not keep it from growing.
    """
    if kept.boot_id == at.boot_id:
        powered = silent = max(0, at.mono_ms - kept.mono_ms)
    else:
        powered = at.mono_ms
        silent = at.mono_ms + limits.POWERED_SAVE_MS
    certain = powered - powered * limits.DRIFT_PPM // 1_000_000
    return TimeKept(
        floor_ms=WallMs(kept.floor_ms + certain),
        silent_ms=kept.silent_ms + silent,
        boot_id=at.boot_id,
        mono_ms=at.mono_ms,
    )


def raised(kept: TimeKept, said_ms: int, root: Root) -> TimeKept:
    """Return what is known once a verified document said it is no earlier than `said_ms`.

    No key set speaks of a time after its own end: a coordinator whose clock is wrong, or a thief
    who has its key, can at most bring the end of the root forward.
    """
    most = min(said_ms, root.expires_ms + 1)
    return replace(kept, floor_ms=WallMs(max(kept.floor_ms, most)))


def heard(kept: TimeKept, said_ms: int, root: Root) -> TimeKept:
    """Return what is known once an answer to this agent's own report said `said_ms`."""
    return replace(raised(kept, said_ms, root), silent_ms=0)


def begun_anew(kept: TimeKept, root: Root, *, build_ms: WallMs) -> TimeKept:
    """Return what is known under a root of a higher epoch: earlier claims about time are void."""
    return replace(kept, floor_ms=WallMs(max(build_ms, root.issued_ms)))


def present(told: Told | None, at: Instant) -> WallMs | None:
    """Return the present, None while nothing verified told it in this boot."""
    if told is None or told.boot_id != at.boot_id:
        return None
    return WallMs(told.now_ms + max(0, at.mono_ms - told.mono_ms))
