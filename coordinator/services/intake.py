"""The coordinator's half of a contact: bytes of a body in, bytes of the signed answer out.

The same for HTTP and for a file. Owns the order: verify, examine, commit, only then sign; and the
wait for work where the answer would be empty. Leaves out HTTP (`coordinator.api.sync`) and what
is committed (`coordinator.transactions.contact`).
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from coordinator.core.intake import (
    Incoming,
    Letter,
    check_report,
    examine_blocks,
    examine_schemas,
    sort_parts,
)
from coordinator.core.ports import Store
from coordinator.services.bell import Bell
from coordinator.services.metrics import Metrics
from coordinator.services.shelf import Documents, InForce
from coordinator.services.signing import Addressee, sign_bundle
from coordinator.services.waiting import Waiter, WaitingRoom
from coordinator.transactions.contact import (
    Contact,
    Identity,
    Recorded,
    issue_later,
    load_identity,
    record_contact,
    remember_stray,
)
from coordinator.transactions.issue import Order
from shared import limits
from shared.clock import Clock
from shared.errors import Reason, RefusedError
from shared.ids import AgentId, FleetId
from shared.model.reading import SchemaRef
from shared.runtime.logs import Events
from shared.sync.body import Part, PartKind, encode_body
from shared.sync.incoming import Chain, is_empty_contact, is_stray_answer
from shared.trust.documents import (
    ECHO_BYTES,
    REPLY_TYP,
    Reply,
    Report,
    claimed_agent,
    document_hash,
    open_report,
)
from shared.trust.envelope import seal
from shared.trust.words import Wish
from shared.wire.codec import pack

_log = Events(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What a contact is handled with."""

    fleet: FleetId
    documents: Documents
    store: Store
    clock: Clock
    work: WaitingRoom[AgentId]
    """Held contacts, woken when work for their agent is committed."""
    jobs: WaitingRoom[bytes]
    """Requests that wait for a job to change."""
    metrics: Metrics
    readings: Bell
    """Rung when readings, or what their times are known by, were committed."""


@dataclass(frozen=True, slots=True)
class _Verified:
    agent: AgentId
    identity: Identity
    report: Report
    digest: bytes
    key: bytes
    """Public key that verified it."""


class Reception:
    """A contact whose body is still coming: its blocks are read while the line brings the next.

    A large body of a backlog takes two seconds to read; on a slow line they would follow each body.
    The report comes first, and is verified before a block is looked at.
    """

    def __init__(self, intake: "Intake") -> None:
        self._intake = intake
        self._parts: list[Part] = []
        self._verified: Report | None = None
        self._blocks: list[Incoming] = []

    async def take(self, parts: Sequence[Part]) -> None:
        """Take the parts that are complete now.

        Raises:
            RefusedError: nothing of the contact is used.
            WorldError: the store does not work now.
        """
        for part in parts:
            self._parts.append(part)
            if part.kind is PartKind.BLOCK:
                report = await self._report()
                self._blocks += await asyncio.to_thread(examine_blocks, [part.data], report)

    async def _report(self) -> Report:
        if self._verified is None:
            with self._intake.telling_refusals():
                # What comes without its report first is refused here.
                letter = sort_parts(self._parts)
                self._verified = (await self._intake.verify(letter.report)).report
        return self._verified

    async def answer(self, *, body_bytes: int, wait_s: int) -> bytes:
        """Return the answer's body once all parts were taken; see `Intake.receive`."""
        return await self._intake.receive(
            self._parts, body_bytes=body_bytes, wait_s=wait_s, read=self._blocks
        )


class Intake:
    """Answers contacts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._unrecorded_down: Counter[AgentId] = Counter()
        """Bytes of answers, until the next contact records them: at most one number per agent."""

    def begin(self) -> Reception:
        """Return what takes a contact part by part, as the line brings it."""
        return Reception(self)

    async def receive(
        self,
        parts: Sequence[Part],
        *,
        body_bytes: int,
        wait_s: int,
        read: Sequence[Incoming] | None = None,
    ) -> bytes:
        """Return the answer's body.

        Args:
            parts: of the contact's body, in their order.
            body_bytes: size of that body.
            wait_s: how long the agent would wait for work where the answer is empty.
            read: its blocks, if they were read already.

        Raises:
            RefusedError: nothing of the contact was used.
            WorldError: the store does not work; the agent sends the same again later.
        """
        with self.telling_refusals():
            return await self._receive(sort_parts(parts), body_bytes, wait_s, read)

    @contextlib.contextmanager
    def telling_refusals(self) -> Iterator[None]:
        """Count and log a contact that is refused."""
        try:
            yield
        except RefusedError as error:
            self._desk.metrics.refused.labels(error.reason.text).inc()
            _log.event("contact_refused", reason=error.reason.text, detail=error.detail)
            raise

    async def _receive(
        self, letter: Letter, body_bytes: int, wait_s: int, read: Sequence[Incoming] | None
    ) -> bytes:
        desk, arrived_ms = self._desk, self._desk.clock.mono_ms()
        agent = AgentId(claimed_agent(letter.report))
        # Before anything is read: work that is committed from here on wakes this contact.
        with desk.work.enter(agent) as waiter:
            seen = await self.verify(letter.report)
            recorded = await self._record(seen, letter, body_bytes, read)
            desk.metrics.contact_seconds.observe((desk.clock.mono_ms() - arrived_ms) / 1000)
            order, held_ms = recorded.order, 0
            if self._may_hold(seen.report, letter, recorded, wait_s):
                order, held_ms = await self._hold(seen, recorded, waiter, wait_s)
            return await self._answer(seen, recorded, order, held_ms)

    async def verify(self, data: bytes) -> _Verified:
        """Return a report whose signature and values were checked.

        Raises:
            RefusedError: it is not used.
        """
        agent = AgentId(claimed_agent(data))
        identity = await self._desk.store.read(partial(load_identity, agent))
        key, report = _open(data, identity)
        check_report(report, fleet=self._desk.fleet)
        return _Verified(agent, identity, report, document_hash(data), key)

    async def _record(
        self,
        seen: _Verified,
        letter: Letter,
        body_bytes: int,
        read: Sequence[Incoming] | None,
    ) -> Recorded:
        desk, report = self._desk, seen.report
        blocks, schemas = await _examine(letter, report, read)
        said = (*letter.blocks, *letter.schemas, *report.receipts, *report.ledger, *report.anchors)
        # What an empty report changes may be lost with the power: the agent says it again.
        turns = seen.key != seen.identity.public_key
        durable = bool(said) or seen.identity.has_work or turns
        contact = Contact(
            agent=seen.agent,
            report=report,
            digest=seen.digest,
            blocks=blocks,
            schemas=schemas,
            schemas_ignored=len(letter.schemas) - len(schemas),
            bytes_up=body_bytes,
            bytes_down=self._unrecorded_down.pop(seen.agent, 0),
            now_ms=desk.clock.wall_ms(),
            with_orders=durable,
            key=seen.key,
        )
        recorded = await desk.store.run(partial(record_contact, contact), durable=durable)
        self._count(seen, recorded, body_bytes)
        if recorded.alarmed:
            _log.event(
                "agent_quarantined",
                level=logging.WARNING,
                agent=seen.agent,
                mend="find out which machine is the real one, then POST /v1/agents/NAME/release",
            )
        desk.jobs.wake(recorded.reconciled.jobs)
        if recorded.stored.blocks or report.anchors or schemas:
            desk.readings.ring()
        return recorded

    def _may_hold(self, report: Report, letter: Letter, recorded: Recorded, wait_s: int) -> bool:
        brought = len(letter.blocks) + len(letter.schemas)
        return (
            wait_s > 0
            and not recorded.stored.schemas_wanted
            and not recorded.stored.wanted
            # Its sender has to answer this very answer, or lacks what it judges orders by.
            and not is_stray_answer(recorded.chain)
            and not self._desk.documents.now.shelf.lacks(report)
            and not recorded.wish
            and is_empty_contact(report, brought, has_bundle=recorded.order is not None)
        )

    async def _hold(
        self, seen: _Verified, recorded: Recorded, waiter: Waiter, wait_s: int
    ) -> tuple[Order | None, int]:
        """Wait for work; return it, and for how many milliseconds the answer was held."""
        clock, began_ms = self._desk.clock, self._desk.clock.mono_ms()
        until_ms = began_ms + min(wait_s, limits.WAIT_S) * 1000
        order = None
        while order is None and not self._desk.work.closed:
            left_ms = until_ms - clock.mono_ms()
            if left_ms <= 0 or not await waiter.wait(left_ms / 1000):
                break
            if self._desk.documents.now.shelf.lacks(seen.report):
                break
            if await self._wish(seen.agent):
                break
            if not recorded.may_grant:
                continue
            again = recorded.chain is Chain.REPEAT
            body = partial(issue_later, seen.agent, now_ms=clock.wall_ms(), again=again)
            order = await self._desk.store.run(body, durable=True)
        return order, clock.mono_ms() - began_ms

    async def _answer(
        self, seen: _Verified, recorded: Recorded, order: Order | None, held_ms: int
    ) -> bytes:
        desk, stored, force = self._desk, recorded.stored, self._desk.documents.now
        reply = Reply(
            agent=seen.agent,
            report=seen.digest,
            now_ms=desk.clock.wall_ms(),
            held_ms=held_ms,
            acked=stored.acked,
            nacked=stored.nacked,
            receipts_to=recorded.reconciled.receipts_to,
            ledger_to=stored.ledger_to,
            schemas_wanted=stored.schemas_wanted,
            wanted=stored.wanted,
            safe_to=stored.safe_to,
            next_s=stored.next_s,
            restore_epoch=force.shelf.restore_epoch,
            floor=None if recorded.reached is None else force.shelf.floor(recorded.reached),
            wish=await self._wish(seen.agent) if held_ms else recorded.wish,
        )
        envelope = seal(REPLY_TYP, pack(reply), [force.director])
        if is_stray_answer(recorded.chain):
            echo = document_hash(envelope)[:ECHO_BYTES]
            await desk.store.run(partial(remember_stray, seen.agent, echo), durable=False)
        parts = [
            *force.shelf.roots_after(seen.report.root_version),
            Part(PartKind.REPLY, envelope),
            *force.shelf.lacking(seen.report),
        ]
        if order is not None:
            parts.append(Part(PartKind.BUNDLE, self._sign(seen, order, force)))
            desk.metrics.grants.inc(len(order.grants))
        body = encode_body(parts)
        self._unrecorded_down[seen.agent] += len(body)
        desk.metrics.bytes.labels("down").inc(len(body))
        return body

    async def _wish(self, agent: AgentId) -> Wish:
        """Return what is asked of an agent itself, which may have changed while it was held."""
        return (await self._desk.store.read(partial(load_identity, agent))).wish

    def _sign(self, seen: _Verified, order: Order, force: InForce) -> bytes:
        to = Addressee(seen.agent, seen.key, seen.report.jobs_epoch)
        now_ms = self._desk.clock.wall_ms()
        return sign_bundle(order, to, force, now_ms=now_ms, valid_s=limits.BUNDLE_S)

    def _count(self, seen: _Verified, recorded: Recorded, body_bytes: int) -> None:
        metrics, stored = self._desk.metrics, recorded.stored
        metrics.contacts.labels(recorded.chain.name.lower()).inc()
        metrics.bytes.labels("up").inc(body_bytes)
        verdicts: Mapping[str, int] = {
            "stored": stored.blocks,
            "duplicate": stored.duplicates,
            "refused": sum(stored.refused.values()),
        }
        for verdict, count in verdicts.items():
            metrics.blocks.labels(verdict).inc(count)
        for reason, count in stored.refused.items():
            metrics.refused.labels(reason.text).inc(count)
            _log.event("blocks_refused", agent=seen.agent, reason=reason.text, count=count)
        metrics.readings.inc(stored.readings)
        metrics.receipts.inc(recorded.reconciled.new)


def _open(data: bytes, identity: Identity) -> tuple[bytes, Report]:
    """Return a report and the key that verified it: the agent's, or the one that replaces it."""
    try:
        return identity.public_key, open_report(data, identity.public_key)
    except RefusedError as error:
        if identity.next_key is None or error.reason is not Reason.THRESHOLD_NOT_MET:
            raise
        return identity.next_key, open_report(data, identity.next_key)


async def _examine(
    letter: Letter, report: Report, read: Sequence[Incoming] | None
) -> tuple[Sequence[Incoming], Sequence[tuple[SchemaRef, bytes]]]:
    """Read what came beside the report; in a thread, others are answered meanwhile."""
    if not letter.blocks and not letter.schemas:
        return (), ()

    def examine() -> tuple[Sequence[Incoming], Sequence[tuple[SchemaRef, bytes]]]:
        blocks = examine_blocks(letter.blocks, report) if read is None else read
        return blocks, examine_schemas(letter.schemas, report)

    return await asyncio.to_thread(examine)
