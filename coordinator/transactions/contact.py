"""One contact: place its report in the agent's chain, then take in everything it brought.

All of it is one transaction, so an acknowledgement never speaks of what is not committed. Leaves
out what happens to blocks, ledger rows and receipts (files of their own), and signing the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coordinator.core.intake import Incoming
from coordinator.core.ports import Tx, execute, fetch_one
from coordinator.core.presence import smooth_interval
from coordinator.transactions.blocks import Stored, store_blocks
from coordinator.transactions.issue import Order, issue
from coordinator.transactions.receipts import Reconciled, reconcile_receipts
from coordinator.transactions.rows import audit, to_json
from shared.clock import WallMs
from shared.errors import Reason, RefusedError
from shared.ids import AgentId
from shared.model.reading import SchemaRef
from shared.sync.incoming import Chain, LastReport, judge_chain
from shared.trust.documents import Report

AUDIT_GAP_MS = 60_000
"""Refusals of one agent for one reason are audited this often at most: each one is counted, but
somebody who replays a report for ever must not fill the log."""

REFUSED_CHAIN: Mapping[Chain, Reason] = {
    Chain.STALE: Reason.REPORT_STALE,
    Chain.FORKED: Reason.CHAIN_FORKED,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose key must have signed a report, and whether work waits for it."""

    public_key: bytes
    has_work: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A contact whose report was verified and whose blocks were examined."""

    agent: AgentId
    report: Report
    digest: bytes
    """sha256 of the report's envelope."""
    blocks: Sequence[Incoming]
    schemas: Sequence[tuple[SchemaRef, bytes]]
    bytes_up: int
    bytes_down: int
    """Of answers to this agent since its last recorded contact."""
    now_ms: WallMs
    with_orders: bool
    """Sign work into a bundle right away; needs a durable commit."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a contact; `chain` STALE or FORKED means that nothing else was used."""

    chain: Chain
    stored: Stored
    reconciled: Reconciled
    order: Order | None


def load_identity(agent: str) -> Tx[Identity]:
    """Return what is needed to verify an agent's report.

    Raises:
        RefusedError: UNKNOWN_AGENT or REVOKED.
    """
    row = yield from fetch_one("agent_identity", agent)
    if row is None:
        raise RefusedError(Reason.UNKNOWN_AGENT)
    public_key, revoked_ms, has_work = row
    if revoked_ms is not None:
        raise RefusedError(Reason.REVOKED)
    return Identity(public_key, bool(has_work))


def record_contact(contact: Contact) -> Tx[Recorded]:
    """Take in a whole contact.

    Raises:
        RefusedError: the agent was revoked meanwhile.
    """
    agent, report, now_ms = contact.agent, contact.report, contact.now_ms
    yield from load_identity(agent)
    row = yield from fetch_one("contact_chain", agent)
    chain = judge_chain(
        LastReport(row[0], row[1]) if row else None,
        counter=report.counter,
        previous=report.previous,
        digest=contact.digest,
    )
    if chain in REFUSED_CHAIN:
        yield from count_refusals(agent, {REFUSED_CHAIN[chain]: 1}, now_ms)
        return Recorded(chain, Stored(), Reconciled(), None)
    interval_ms = smooth_interval(row[3], now_ms - row[2]) if row else None
    yield from _save(contact, interval_ms)
    stored = yield from store_blocks(agent, report, contact.blocks, contact.schemas, now_ms=now_ms)
    yield from count_refusals(agent, stored.refused, now_ms)
    reconciled = yield from reconcile_receipts(
        agent, report.jobs_epoch, report.receipts, now_ms=now_ms
    )
    order = None
    if contact.with_orders:
        order = yield from issue(agent, now_ms=now_ms, again=chain is Chain.REPEAT)
    return Recorded(chain, stored, reconciled, order)


def issue_later(agent: AgentId, *, now_ms: WallMs, again: bool) -> Tx[Order | None]:
    """Return work for an agent whose contact was held; see `issue`.

    Raises:
        RefusedError: the agent was revoked meanwhile.
    """
    yield from load_identity(agent)
    return (yield from issue(agent, now_ms=now_ms, again=again))


def count_refusals(agent: AgentId, refused: Mapping[Reason, int], now_ms: WallMs) -> Tx[None]:
    """Count what was refused of an agent, and audit it now and then."""
    for reason, count in refused.items():
        row = yield from fetch_one("refusal_count", agent, reason, count, now_ms)
        assert row is not None, "RETURNING answers the row"
        total, audited_ms = row
        if total == count or now_ms - audited_ms >= AUDIT_GAP_MS:
            yield from execute("refusal_audited", agent, reason, now_ms)
            yield from audit(
                now_ms,
                actor=f"agent:{agent}",
                action="contact.refused",
                object_=f"agent:{agent}",
                detail={"reason": reason.text, "count": total},
            )


def _save(contact: Contact, interval_ms: int | None) -> Tx[None]:
    report = contact.report
    yield from execute(
        "contact_save",
        contact.agent,
        report.counter,
        contact.digest,
        report.telemetry_epoch,
        report.jobs_epoch,
        report.boot_id,
        report.clock_state,
        report.wall_ms - contact.now_ms,
        to_json(report.refusals),
        contact.now_ms,
        interval_ms,
        contact.bytes_up,
        contact.bytes_down,
    )
