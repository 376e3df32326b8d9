"""Ids that a coordinator which comes back from a copy makes again as they were.

An order that is made once more, because the copy does not know it, must be known to the agents
that had it: they do nothing twice under one id. Leaves out ids of what people ask for, which are
random.
"""

from hashlib import blake2b

from shared.clock import WallMs
from shared.ids import AgentId, ExecutionId, JobId, uuid7

_STAMP_BYTES = 6
_NOISE_BYTES = 10


def execution_of(job: JobId, agent: AgentId) -> ExecutionId:
    """Return the id of a job's execution on an agent: of the time of the job (RFC 9562)."""
    return ExecutionId(_derived(job, f"execution {agent}"))


def undoing_of(job: JobId) -> JobId:
    """Return the id of the job that takes a rollout back."""
    return JobId(_derived(job, "undoing"))


def firing_of(trigger: bytes, occasion: str, at_ms: WallMs) -> JobId:
    """Return the id of the job that a trigger makes of an occasion.

    Args:
        trigger: its id.
        occasion: a nominal time, or an event.
        at_ms: the nominal time, or that of something the event names: an event that is told again
            after a restore is heard at another time than before.
    """
    return JobId(uuid7(at_ms, _noise(trigger, f"firing {occasion}")))


def time_of(uid: bytes) -> WallMs:
    """Return when a UUIDv7 was made, or what it was derived from."""
    return WallMs(int.from_bytes(uid[:_STAMP_BYTES]))


def least_after(at_ms: WallMs) -> bytes:
    """Return the least of all UUIDv7 that were made after a moment, or derived from such."""
    return (at_ms + 1).to_bytes(_STAMP_BYTES) + bytes(_NOISE_BYTES)


def _derived(job: JobId, what: str) -> bytes:
    return uuid7(time_of(job), _noise(job, what))


def _noise(of: bytes, what: str) -> bytes:
    return blake2b(what.encode(), digest_size=_NOISE_BYTES, key=of).digest()
