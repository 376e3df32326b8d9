"""Work for one agent: what goes into its next bundle and what is called off, under which number.

The number is committed before anything is signed, so two bundles never share one. An execution
that was signed but not confirmed goes out again, with a higher number: the agent knows
executions by their id, so once more does no harm and a lost answer loses no job. The same holds
for what is called off: each bundle says so until a receipt tells what came of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from coordinator.contract.trace import trace_id
from coordinator.core.minimal_plan import Waiting, needless
from coordinator.core.ports import Row, Tx, execute, execute_many, fetch, fetch_one
from coordinator.transactions.restored import certain_from
from coordinator.transactions.rows import read_spec
from coordinator.transactions.supersede import drop
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import AgentId
from shared.model.action import ACTIONS
from shared.sync.incoming import may_sign
from shared.wire.codec import pack, unpack
from shared.wire.messages import Grant, TargetProof

CONFIRM_MS = 30_000
"""An unconfirmed execution waits this long before it is signed again: an agent whose queue is
full would otherwise be answered at once, for ever, instead of being held."""
_ENVELOPE_BYTES = 1_024
"""A bundle's own fields and its signature, rounded up."""
_CANCEL_BYTES = 18
"""An execution's id, packed."""
_GRANT_BYTES = 64
"""One grant besides its spec, rounded up."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to sign for one agent; `seq` is committed and used for nothing else."""

    seq: int
    grants: Sequence[Grant]
    cancels: Sequence[bytes] = ()
    """Executions that must not begin any more, or stop."""


def issue(
    agent: AgentId, *, now_ms: WallMs, again: bool, grants: bool = True, jobs_epoch: bytes = b""
) -> Tx[Order | None]:
    """Return the next bundle's content, None when there is no work.

    Args:
        agent: whose work.
        now_ms: the present; jobs past their `not_after` are left out.
        again: the last answer was lost: sign what it may have carried at once.
        grants: false: only what is called off; the agent may get no work.
        jobs_epoch: of the store that it is for; empty: of the one that made the last contact.
    """
    confirm_ms = now_ms if again else now_ms - CONFIRM_MS
    if not jobs_epoch:
        known = yield from fetch_one("jobs_epoch_of", agent)
        jobs_epoch = known[0] if known else b""
    granted: list[Grant] = []
    if grants:
        yield from _drop_needless(agent, now_ms)
        rows = yield from fetch(
            "execution_issuable", agent, now_ms, confirm_ms, limits.GRANTS_PER_BUNDLE
        )
        granted = yield from _fitting((yield from _not_lost(agent, rows, jobs_epoch, now_ms)))
    found = yield from fetch(
        "executions_to_stop", agent, confirm_ms, jobs_epoch, limits.CANCELS_PER_BUNDLE
    )
    cancels = [execution for (execution,) in found]
    if not granted and not cancels:
        return None
    row = yield from fetch_one("agent_next_bundle", agent)
    assert row is not None, "the agent was read in this transaction"
    seq: int = row[0]
    yield from execute_many(
        "execution_signed", ((agent, grant.execution, seq, now_ms, jobs_epoch) for grant in granted)
    )
    yield from execute_many(
        "execution_stop_signed", ((agent, execution, now_ms, jobs_epoch) for execution in cancels)
    )
    return Order(seq, granted, cancels)


def _drop_needless(agent: AgentId, now_ms: WallMs) -> Tx[None]:
    """Drop what newer work makes needless: an agent that was away for weeks gets a short plan."""
    certain = yield from certain_from()
    most = limits.PLAN_EXECUTIONS
    rows = yield from fetch("executions_waiting", agent, certain, now_ms, most)
    if len(rows) < 2:
        return
    waiting = []
    for execution, job, packed, after, held in rows:
        spec = read_spec(packed)
        # What nobody can read takes no one's place; its agent refuses it, and that alone.
        if spec is not None:
            one = Waiting(execution=execution, job=job, spec=spec, after=after, held=bool(held))
            waiting.append(one)
    yield from drop(agent, needless(waiting), now_ms)


def _not_lost(
    agent: AgentId, rows: Sequence[Row], jobs_epoch: bytes, now_ms: WallMs
) -> Tx[list[Row]]:
    """Return what may be signed: what may have run before the agent lost its store stays behind.

    Its execution says so (`store_lost`) until its time is over; a person looks at the device.
    """
    left = []
    for row in rows:
        execution, spec, *_, signed_under = row
        again = signed_under is not None and signed_under != jobs_epoch
        idempotent = not again or _is_idempotent(spec)
        if may_sign(signed_under=signed_under, jobs_epoch=jobs_epoch, idempotent=idempotent):
            left.append(row)
        else:
            yield from execute("execution_lost", agent, execution, Reason.STORE_LOST, now_ms)
    return left


def _is_idempotent(packed: bytes) -> bool:
    spec = read_spec(packed)
    kinds = [] if spec is None else [ACTIONS.get(step.action) for step in spec.every_step]
    return spec is not None and all(kind is not None and kind.idempotent for kind in kinds)


def _fitting(rows: Sequence[Row]) -> Tx[list[Grant]]:
    room = limits.DOCUMENT_BYTES - _ENVELOPE_BYTES - limits.CANCELS_PER_BUNDLE * _CANCEL_BYTES
    grants: list[Grant] = []
    for execution, spec, not_after_ms, job_class, job, threshold, proof, trace, _ in rows:
        grant = Grant(execution, spec, not_after_ms, job_class, job=job, trace=trace_id(trace))
        if threshold > 0:
            grant = yield from _with_approvals(grant, job, proof)
        # Counted as it is packed, for a proof and its approvals are of any size.
        room -= len(pack(grant)) + _GRANT_BYTES
        if room < 0:
            break
        grants.append(grant)
    return grants


def _with_approvals(grant: Grant, job: bytes, proof: bytes | None) -> Tx[Grant]:
    """Return a grant with what people signed and its agent's place in the list they signed."""
    approvals = yield from fetch("approvals_granted", job)
    return replace(
        grant,
        approvals=[envelope for (envelope,) in approvals],
        proof=None if proof is None else unpack(proof, TargetProof, bound=limits.REPORT_BYTES),
    )
