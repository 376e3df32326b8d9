"""What a rollout would do, before it is started: reach, bytes on metered links, and how long.

A prediction from habit: an agent that calls as often as usual is taken to call within its usual
interval, one that is silent or was never heard of is taken for unreachable. Work on the device
itself is not known here and not counted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coordinator.core.caps import rate_per_minute
from coordinator.core.gates import at_least
from coordinator.core.presence import is_silent
from coordinator.core.rollout_policy import Gate, Policy, Stragglers
from shared.clock import WallMs

METERED_LABELS: Final = {
    "link": frozenset({"metered", "2g", "3g", "lte", "4g", "5g", "nb-iot", "satellite"}),
    "metered": frozenset({"true", "yes", "1"}),
}
"""Labels of agents whose bytes cost money."""
_GRANT_BYTES: Final = 400
"""A bundle's signature and its frame, besides the job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """One member, and how it usually calls."""

    stage: int
    last_ms: int | None
    interval_ms: int | None
    metered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What to expect of one stage."""

    members: int
    expected: int
    """Call as often as usual."""
    silent: int
    """Were heard of, but not as lately as usual."""
    never: int
    metered: int
    metered_bytes: int
    done_after_ms: int | None
    """From the start of the rollout; None: it depends on agents that are not heard of."""


def is_metered(label: str, value: str) -> bool:
    """Tell whether a label says that an agent's bytes cost money."""
    return value.lower() in METERED_LABELS.get(label, frozenset())


def look_ahead(
    policy: Policy, prospects: Sequence[Prospect], *, job_bytes: int, now_ms: WallMs
) -> list[Outlook]:
    """Return what to expect of each stage."""
    outlooks: list[Outlook] = []
    began_ms: int | None = max(0, policy.start_ms - now_ms)
    for number in range(len(policy.stages)):
        members = [one for one in prospects if one.stage == number]
        usual = sorted(
            one.interval_ms or 0
            for one in members
            if one.last_ms is not None and not is_silent(one.last_ms, one.interval_ms, now_ms)
        )
        never = sum(one.last_ms is None for one in members)
        metered = sum(one.metered for one in members)
        last = number == len(policy.stages) - 1
        if began_ms is not None:
            takes_ms = _takes_ms(policy, usual, len(members), last=last)
            began_ms = None if takes_ms is None else began_ms + takes_ms
        outlooks.append(
            Outlook(
                members=len(members),
                expected=len(usual),
                silent=len(members) - len(usual) - never,
                never=never,
                metered=metered,
                metered_bytes=metered * (job_bytes + _GRANT_BYTES),
                done_after_ms=began_ms,
            )
        )
    return outlooks


def _takes_ms(policy: Policy, usual: Sequence[int], members: int, *, last: bool) -> int | None:
    if not members:
        return 0
    gate = policy.gate or Gate()
    rate = rate_per_minute(policy, 0)
    released_ms = math.ceil(members / rate - 1) * 60_000 if rate else 0
    reached_ms = usual[-1] if usual else 0
    soak_ms = 0 if last else gate.soak_ms
    if len(usual) == members:
        return max(released_ms, reached_ms) + soak_ms
    if last:
        return policy.complete_ms or policy.contact_ms or None
    surely = 100 * at_least(len(usual), len(usual), gate.confidence)
    enough = len(usual) >= min(gate.min_executed, members) and surely >= gate.success_percentage
    if enough:
        return max(released_ms, reached_ms) + soak_ms
    if gate.reach_ms and gate.stragglers is not Stragglers.WAIT:
        return max(released_ms, reached_ms, gate.reach_ms) + soak_ms
    return None
