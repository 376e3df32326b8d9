"""One contact: place its report in the agent's chain, then take in everything it brought.

All of it is one transaction, so an acknowledgement never speaks of what is not committed. Leaves
out what happens to blocks, ledger rows and receipts (files of their own), and signing the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from coordinator.core.intake import Incoming
from coordinator.core.ports import Query, Tx, execute, fetch_one, fetch_together
from coordinator.core.presence import smooth_interval
from coordinator.transactions.blocks import Stored, store_blocks
from coordinator.transactions.device_states import devices_said
from coordinator.transactions.happenings import disk_told, happened
from coordinator.transactions.issue import Order, issue
from coordinator.transactions.known import look_ahead, with_known
from coordinator.transactions.lost import presume_lost, presume_unheard
from coordinator.transactions.receipts import Reconciled, reconcile_receipts
from coordinator.transactions.rows import audit, to_json
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason, RefusedError
from shared.ids import AgentId, fingerprint
from shared.model.reading import SchemaRef
from shared.sync.incoming import (
    ADVANCES,
    Chain,
    LastReport,
    Memory,
    judge_chain,
    may_grant,
    remembered,
)
from shared.trust.documents import ECHO_BYTES, Report
from shared.trust.words import Wish

AUDIT_GAP_MS = 60_000
"""Refusals of one agent for one reason are audited this often at most: each one is counted, but
somebody who replays a report for ever must not fill the log."""

BESIDE_CHAIN: Mapping[Chain, Reason] = {
    Chain.STALE: Reason.REPORT_STALE,
    Chain.CLONE: Reason.CHAIN_FORKED,
}
"""Reports that are counted as refused: they move nothing on and earn no work. What they bring is
taken in all the same, so nobody who replays or clones can silence the real site."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose key must have signed a report, and whether work waits for it."""

    public_key: bytes
    quarantined: bool
    has_work: bool
    """Whether it may be given any is another question (`may_work`)."""
    next_key: bytes | None = None
    """Vouched for by the other; the first report it signs makes it the only one."""
    wish: Wish = Wish.NONE
    """What is asked of the agent itself."""

    @property
    def may_hear(self) -> bool:
        """Tell whether orders may be signed: not while nobody knows by which key it judges them."""
        return self.next_key is None and Wish.LEAVE not in self.wish

    @property
    def may_work(self) -> bool:
        """Tell whether work may be among them: a quarantine stops grants, never a calling off."""
        return self.may_hear and not self.quarantined


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A contact whose report was verified and whose blocks were examined."""

    agent: AgentId
    report: Report
    digest: bytes
    """sha256 of the report's envelope."""
    blocks: Sequence[Incoming]
    schemas: Sequence[tuple[SchemaRef, bytes]]
    schemas_ignored: int = 0
    """Channel lists that came beside it and that it does not vouch for."""
    bytes_up: int
    bytes_down: int
    """Of answers to this agent since its last recorded contact."""
    now_ms: WallMs
    with_orders: bool
    """Sign work into a bundle right away; needs a durable commit."""
    key: bytes = b""
    """Public key that verified the report; empty: the one in use."""


@dataclass(frozen=True, slots=True)
class Reached:
    """The highest numbers of an agent that are known here."""

    bundle_seq: int
    counter: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a contact."""

    chain: Chain
    stored: Stored
    reconciled: Reconciled
    order: Order | None
    earns_orders: bool
    """What it said of itself earns them, now or while it is held; what people decide of its agent
    may change meanwhile, and is asked again."""
    alarmed: bool
    """This very contact put the agent into quarantine."""
    reached: Reached | None
    """How far the agent had come, where it has lost its counters."""
    wish: Wish = Wish.NONE
    """What is asked of the agent itself."""


@dataclass(frozen=True, slots=True)
class _Last:
    """The contact row as it was."""

    report: LastReport | None
    strays: bytes
    last_ms: int
    interval_ms: int | None
    silent: bool
    """Its silence was told."""


def load_identity(agent: str) -> Tx[Identity]:
    """Return what is needed to verify an agent's report.

    Raises:
        RefusedError: UNKNOWN_AGENT, REVOKED or DECOMMISSIONED.
    """
    row = yield from fetch_one("agent_identity", agent)
    if row is None:
        raise RefusedError(Reason.UNKNOWN_AGENT)
    public_key, revoked_ms, quarantined_ms, has_work, next_key, rekey_ms, leave_ms, left_ms = row
    if revoked_ms is not None:
        raise RefusedError(Reason.REVOKED, f"{agent} was revoked")
    if left_ms is not None:
        raise RefusedError(Reason.DECOMMISSIONED, f"{agent} was decommissioned")
    wish = Wish.NONE if leave_ms is None else Wish.LEAVE
    if rekey_ms is not None or next_key is not None:
        wish |= Wish.REKEY
    return Identity(public_key, quarantined_ms is not None, bool(has_work), next_key, wish)


def use_key(agent: AgentId, identity: Identity, key: bytes, now_ms: WallMs) -> Tx[Identity]:
    """Return the identity once a report was signed by `key`: a first use retires the other one.

    Raises:
        RefusedError: KEY_REPLACED: another report retired it meanwhile.
    """
    if key in {b"", identity.public_key}:
        return identity
    if key != identity.next_key:
        raise RefusedError(Reason.KEY_REPLACED, f"{agent} has another key by now")
    yield from execute("agent_turn_key", agent)
    yield from audit(
        now_ms,
        actor=f"agent:{agent}",
        action="agent.use_key",
        object_=f"agent:{agent}",
        detail={"retired": fingerprint(identity.public_key), "fingerprint": fingerprint(key)},
    )
    return replace(identity, public_key=key, next_key=None, wish=identity.wish & ~Wish.REKEY)


def record_contact(contact: Contact) -> Tx[Recorded]:
    """Take in a whole contact.

    Raises:
        RefusedError: the agent was revoked meanwhile.
    """
    known = yield from look_ahead(contact.agent, contact.report, contact.blocks)
    return (yield from with_known(_record(contact), known))


def _record(contact: Contact) -> Tx[Recorded]:
    agent, report, now_ms = contact.agent, contact.report, contact.now_ms
    identity = yield from load_identity(agent)
    identity = yield from use_key(agent, identity, contact.key, now_ms)
    before = yield from _load_last(agent)
    chain, taught = yield from _place(contact, before)
    alarmed = chain is Chain.CLONE and (
        yield from quarantine(agent, report, contact.digest, now_ms)
    )
    quarantined = identity.quarantined or alarmed
    newest = chain in ADVANCES or chain is Chain.REPEAT
    if newest:
        yield from _move_on(contact, before, taught)
        if report.health:
            yield from disk_told(agent, report.health, now_ms)
        yield from devices_said(agent, report, now_ms)
    stored = yield from store_blocks(
        agent,
        report,
        contact.blocks,
        contact.schemas,
        now_ms=now_ms,
        newest=newest,
        quarantined=quarantined,
    )
    beside = {BESIDE_CHAIN[chain]: 1} if chain in BESIDE_CHAIN else {}
    if contact.schemas_ignored:
        beside[Reason.SCHEMA_NOT_ANNOUNCED] = contact.schemas_ignored
    yield from count_refusals(agent, {**stored.refused, **beside}, now_ms)
    reconciled = yield from reconcile_receipts(
        agent,
        report.jobs_epoch,
        report.receipts,
        now_ms=now_ms,
        heard_epoch=report.restore_epoch,
    )
    if newest and reconciled.outlived:
        # An older card lives again: what a stick tells of the newer one, nobody remembers.
        yield from presume_lost(agent, report.jobs_epoch, now_ms)
    elif reconciled.new and not newest and before is not None and before.report is not None:
        # A late word of a store that is no more: what it began is as lost as before.
        yield from presume_lost(agent, before.report.jobs_epoch, now_ms)
    if newest and 0 < report.next_receipt <= reconciled.receipts_to:
        yield from presume_unheard(agent, report, now_ms)
    earns = may_grant(chain, attested=report.attested, quarantined=False)
    order = None
    if contact.with_orders and earns and identity.may_hear and identity.has_work:
        again = chain is Chain.REPEAT
        order = yield from issue(agent, now_ms=now_ms, again=again, grants=not quarantined)
    reached = None if report.attested else (yield from _reached(contact, before))
    return Recorded(chain, stored, reconciled, order, earns, alarmed, reached, wish=identity.wish)


def issue_later(agent: AgentId, *, now_ms: WallMs, again: bool) -> Tx[Order | None]:
    """Return orders for an agent whose contact is held; see `issue`.

    Raises:
        RefusedError: the agent was revoked meanwhile.
    """
    identity = yield from load_identity(agent)
    if not identity.may_hear:
        return None
    return (yield from issue(agent, now_ms=now_ms, again=again, grants=not identity.quarantined))


def remember_stray(agent: AgentId, echo: bytes) -> Tx[None]:
    """Remember the answer to a report from beside the chain, by the first bytes of its hash.

    Only who is alive and holds the agent's key can repeat them in a report to come.
    """
    before = yield from _load_last(agent)
    if before is not None:
        most = limits.STRAY_REPLIES * ECHO_BYTES
        yield from execute("contact_strays", agent, (before.strays + echo)[-most:])


def _load_last(agent: AgentId) -> Tx[_Last | None]:
    row = yield from fetch_one("contact_chain", agent)
    if row is None:
        return None
    counter, digest, jobs_epoch, strays, last_ms, interval_ms, silent = row
    # Ending a quarantine forgets the chain and keeps the link's facts.
    report = LastReport(counter, digest, jobs_epoch) if digest else None
    return _Last(report, strays, last_ms, interval_ms, bool(silent))


def _place(contact: Contact, before: _Last | None) -> Tx[tuple[Chain, list[tuple[int, bytes]]]]:
    """Return the report's place among all that is remembered of its agent, and what it teaches."""
    agent, report = contact.agent, contact.report
    here = yield from fetch_one("report_digest", agent, report.jobs_epoch, report.counter)
    earlier = yield from fetch_one("report_digest", agent, report.jobs_epoch, report.counter - 1)
    left = yield from fetch_one("store_left", agent, report.jobs_epoch)
    strays = b"" if before is None else before.strays
    echoes = {strays[at : at + ECHO_BYTES] for at in range(0, len(strays), ECHO_BYTES)}
    chain = judge_chain(
        None if before is None else before.report,
        counter=report.counter,
        previous=report.previous,
        digest=contact.digest,
        jobs_epoch=report.jobs_epoch,
        memory=Memory(
            here=None if here is None else here[0],
            before=None if earlier is None else earlier[0],
            left=left is not None,
            stray=report.answered in echoes,
        ),
    )
    known = {report.counter: here, report.counter - 1: earlier}
    taught = remembered(report, contact.digest)
    return chain, [(number, digest) for number, digest in taught if known[number] is None]


def _move_on(
    contact: Contact, before: _Last | None, taught: Sequence[tuple[int, bytes]]
) -> Tx[None]:
    """Make the report the newest one that is known of its agent."""
    agent, report = contact.agent, contact.report
    last = None if before is None else before.report
    interval_ms = None
    if before is not None:
        interval_ms = smooth_interval(before.interval_ms, contact.now_ms - before.last_ms)
        # Not by the time: the teller's and ours are two, and one of them may be set back.
        if before.silent:
            occasion = f"{agent} {contact.now_ms}"
            yield from happened("agent.online", occasion, agent=agent, now_ms=contact.now_ms)
            yield from execute("agent_heard", agent)
    yield from fetch_together(_advance(contact, interval_ms, taught))
    if last is not None and last.jobs_epoch != report.jobs_epoch:
        yield from execute("store_leave", agent, last.jobs_epoch)
        yield from presume_lost(agent, report.jobs_epoch, contact.now_ms)
        yield from execute("contact_strays", agent, b"")


def _advance(
    contact: Contact, interval_ms: int | None, taught: Sequence[tuple[int, bytes]]
) -> list[Query]:
    """Return what keeps a report as the newest of its agent."""
    agent, report = contact.agent, contact.report
    queries = [_save(contact, interval_ms)]
    for number, digest in taught:
        queries.append(Query("report_learn", (agent, report.jobs_epoch, number, digest)))
    oldest = report.counter - limits.REPORTS_REMEMBERED
    if oldest >= 0:  # an agent counts from 1
        queries.append(Query("report_forget_old", (agent, report.jobs_epoch, oldest)))
    if report.health:
        values = agent, to_json(report.health), contact.now_ms
        queries.append(Query("health_save", values))
    return queries


def quarantine(agent: AgentId, report: Report, digest: bytes, now_ms: WallMs) -> Tx[bool]:
    """Give the agent no more work until a person ends it; False when it had none already."""
    row = yield from fetch_one("agent_quarantine", agent, now_ms)
    if row is None:
        return False
    yield from audit(
        now_ms,
        actor=f"agent:{agent}",
        action="agent.quarantine",
        object_=f"agent:{agent}",
        detail={"report": report.counter, "digest": digest.hex()},
    )
    return True


def _reached(contact: Contact, before: _Last | None) -> Tx[Reached]:
    row = yield from fetch_one("agent_bundle", contact.agent)
    assert row is not None, "the agent was read in this transaction"
    last = 0 if before is None or before.report is None else before.report.counter
    return Reached(bundle_seq=row[0], counter=max(last, contact.report.counter))


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


def _save(contact: Contact, interval_ms: int | None) -> Query:
    report = contact.report
    values = (
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
    return Query("contact_save", values)
