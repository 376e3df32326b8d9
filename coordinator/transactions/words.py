"""Numbers of the wire as people read them: reasons and states; an unknown one as it is."""

from shared.errors import Reason
from shared.model.job import ExecutionState


def reason_text(reason: int) -> str | None:
    """Return a reason's stable text, None for none."""
    if not reason:
        return None
    try:
        return Reason(reason).text
    except ValueError:
        return str(reason)


def execution_state_text(state: int) -> str:
    """Return the name of an execution's state."""
    try:
        return ExecutionState(state).name
    except ValueError:
        return str(state)
