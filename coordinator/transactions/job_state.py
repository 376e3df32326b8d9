"""The state of a whole job, from the few facts its row and its executions hold."""

from collections.abc import Mapping

from coordinator.contract.jobs import JobState
from coordinator.core.rollout_policy import RolloutState


def job_state(
    *,
    released_ms: int | None,
    denied_ms: int | None,
    expired_ms: int | None,
    busy: bool,
    cancel_ms: int | None = None,
    rollout: RolloutState | None = None,
) -> JobState:
    """Return a job's state.

    Args:
        released_ms: when enough people had agreed, or at once where nobody is asked.
        denied_ms: when somebody denied it.
        expired_ms: when its time to begin was over.
        busy: an execution is neither terminal nor given up.
        cancel_ms: when it was called off.
        rollout: where its rollout stands, if it has one that began.
    """
    if cancel_ms is not None:
        if busy:
            return "CANCELING"
        aborted = rollout in {RolloutState.STOPPED, RolloutState.ROLLED_BACK}
        return "ABORTED" if aborted else "CANCELED"
    if denied_ms is not None:
        return "DENIED"
    if released_ms is None:
        return "PENDING_APPROVAL" if expired_ms is None else "EXPIRED"
    if rollout in _OPEN:
        return _OPEN[rollout]
    return "IN_PROGRESS" if busy else "COMPLETED"


_OPEN: Mapping[RolloutState | None, JobState] = {
    RolloutState.READY: "SCHEDULED",
    RolloutState.RUNNING: "IN_PROGRESS",
    RolloutState.PAUSED: "PAUSED",
}
