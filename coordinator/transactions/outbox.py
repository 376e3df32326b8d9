"""Writing events: one row for each fact, in the transaction of what it tells.

Deeds that are audited are told from there (`coordinator.transactions.rows.audit`), changes of
executions by a trigger of the schema. Leaves out reading (`coordinator.transactions.events`).
"""

from collections.abc import Mapping

import msgspec

from coordinator.core.events import ERA, TYPE_OF_DEED, TYPES, Subject, subject_of
from coordinator.core.ports import Scalar, Tx, execute
from shared.clock import WallMs
from shared.errors import MistakeError


def tell(
    type_: str,
    subject: Subject,
    now_ms: WallMs,
    *,
    actor: str = "",
    detail: Mapping[str, Scalar] | None = None,
) -> Tx[None]:
    """Write an event.

    Args:
        type_: of `coordinator.core.events.TYPES`.
        subject: what it is about.
        now_ms: when.
        actor: whose deed it is; empty: it happened.
        detail: what else a listener needs at once; small, never a secret.
    """
    assert type_ in TYPES, type_
    yield from execute(
        "event_insert",
        *(now_ms, type_, subject.agent, subject.device),
        *(subject.job or None, subject.execution or None),
        *(actor, subject.object, msgspec.json.encode(detail or {}).decode()),
    )


def tell_deed(
    action: str, object_: str, now_ms: WallMs, *, actor: str, detail: Mapping[str, Scalar]
) -> Tx[None]:
    """Write the event of a deed that is being audited, if it is one of those that are told."""
    type_ = TYPE_OF_DEED.get(action)
    if type_ is not None:
        yield from tell(type_, _about(object_), now_ms, actor=actor, detail=detail)


def jump(restore_epoch: int) -> Tx[None]:
    """Number events of a database that was put back from above all that were ever told."""
    yield from execute("event_jump", restore_epoch * ERA)


def _about(object_: str) -> Subject:
    try:
        return subject_of(object_)
    except MistakeError:
        return Subject(object=object_)
