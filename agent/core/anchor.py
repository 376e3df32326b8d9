"""True time for a boot: what a verified reply says about the moment at which it was asked for.

Owns the arithmetic of one measurement and the rule when a new one is worth telling. Leaves out
where anchors wait for the coordinator (`agent.store.anchors`) and how it sets readings right by
them. Monotonic time never steps, so one anchor is enough for a boot until its oscillator drifts.
"""

from shared.clock import Instant, MonoMs
from shared.wire.messages import Anchor

FAR_MS = 2_000
"""A wall clock, or an older anchor, that is off by more than this beyond all known errors misleads:
as much as a step of the clock that closes a block."""


def measured(now_ms: int, held_ms: int, *, asked: Instant, got: Instant) -> Anchor | None:
    """Return the anchor that a reply to a fresh report gives; None if a reboot lies in between.

    The coordinator read its clock after the report had left and before the answer came, less the
    time for which it held the answer back. The middle of that span is the best guess, half of it
    the bound of its error, whatever either direction took.

    Args:
        now_ms: the coordinator's time as it signed.
        held_ms: how long it says that it held the answer back before that.
        asked: before the first byte left.
        got: after the last byte came.
    """
    if asked.boot_id != got.boot_id or got.mono_ms < asked.mono_ms:
        return None
    passed_ms = got.mono_ms - asked.mono_ms
    # A signed `held_ms` that exceeds the whole exchange is nonsense; it must not shrink the bound.
    trip_ms = passed_ms - held_ms if 0 <= held_ms <= passed_ms else passed_ms
    err_ms = trip_ms // 2 + 1
    return Anchor(
        boot_id=got.boot_id, mono_ms=got.mono_ms, wall_ms=now_ms + trip_ms // 2, err_ms=err_ms
    )


def worth_telling(known: Anchor | None, new: Anchor) -> bool:
    """Tell whether `new` says something that `known`, the last one told of its boot, does not.

    The first always does. Later ones do when the oscillator has drifted away from it, or when they
    are much surer than one that came over a line of seconds.
    """
    if known is None or known.boot_id != new.boot_id:
        return True
    carried_ms = known.wall_ms + (new.mono_ms - known.mono_ms)
    if abs(carried_ms - new.wall_ms) > FAR_MS + known.err_ms + new.err_ms:
        return True
    return known.err_ms > FAR_MS and new.err_ms * 2 <= known.err_ms


def is_far(anchor: Anchor, at: Instant) -> bool:
    """Tell whether the machine's own wall clock misleads, by what an anchor of this boot says."""
    assert anchor.boot_id == at.boot_id, "an anchor says nothing about another boot"
    return abs(true_ms(anchor, at.mono_ms) - at.wall_ms) > FAR_MS + anchor.err_ms


def true_ms(anchor: Anchor, mono_ms: MonoMs) -> int:
    """Return the wall time at a monotonic time of the anchor's boot, as the anchor has it."""
    return anchor.wall_ms + (mono_ms - anchor.mono_ms)
