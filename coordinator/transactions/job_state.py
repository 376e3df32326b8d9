"""The state of a whole job, from the few facts its row and its executions hold."""

from coordinator.contract.jobs import JobState


def job_state(
    *,
    released_ms: int | None,
    denied_ms: int | None,
    expired_ms: int | None,
    busy: bool,
    cancel_ms: int | None = None,
) -> JobState:
    """Return a job's state.

    Args:
        released_ms: when enough people had agreed, or at once where nobody is asked.
        denied_ms: when somebody denied it.
        expired_ms: when its time to begin was over.
        busy: an execution is neither terminal nor given up.
        cancel_ms: when it was called off.
    """
    if cancel_ms is not None:
        return "CANCELING" if busy else "CANCELED"
    if denied_ms is not None:
        return "DENIED"
    if released_ms is None:
        return "PENDING_APPROVAL" if expired_ms is None else "EXPIRED"
    return "IN_PROGRESS" if busy else "COMPLETED"
