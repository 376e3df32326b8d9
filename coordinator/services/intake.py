"""The coordinator's half of a contact: bytes of a body in, bytes of the signed answer out.

The same for HTTP and for a file. Owns the order: verify, examine, commit, only then sign; and the
wait for work where the answer would be empty. Leaves out HTTP (`coordinator.api.sync`) and what
is committed (`coordinator.transactions.contact`).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import TypeVar

import msgspec

from coordinator.core.intake import (
    Incoming,
    Letter,
    examine_blocks,
    examine_schemas,
    sort_parts,
)
from coordinator.core.ports import Store
from coordinator.services.bell import Bell
from coordinator.services.metrics import Metrics
from coordinator.services.shelf import Documents, InForce
from coordinator.services.signing import Addressee, sign_bundle
from coordinator.services.sources import Sources
from coordinator.services.turns import Turns
from coordinator.services.verifier import Verified, Verifier
from coordinator.services.waiting import Waiter, WaitingRoom
from coordinator.transactions.contact import (
    Contact,
    Recorded,
    issue_later,
    load_identity,
    record_contact,
    remember_stray,
)
from coordinator.transactions.issue import Order
from shared import limits
from shared.clock import Clock
from shared.errors import RefusedError
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
    document_hash,
    read_report,
)
from shared.trust.envelope import seal
from shared.trust.words import Wish
from shared.wire.codec import pack

T = TypeVar("T")

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


class Reception:
    """A contact whose body is still coming: its blocks are read while the line brings the next.

    A large body of a backlog takes two seconds to read; on a slow line they would follow each body.
    The report comes first, and is verified before a block is looked at.
    """

    def __init__(self, intake: "Intake", source: str) -> None:
        self._intake, self._source = intake, source
        self._parts: list[Part] = []
        self._verified: Verified | None = None
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
                seen = await self._seen()
                read = partial(examine_blocks, [part.data], seen.report)
                self._blocks += await _beside_others(read, len(part.data))

    async def _seen(self) -> Verified:
        if self._verified is None:
            with self._intake.telling_refusals:
                # What comes without its report first is refused here.
                letter = sort_parts(self._parts)
                self._verified = await self._intake.verifier.verify(
                    letter.report, self._source, says_something=True
                )
        return self._verified

    async def answer(self, *, body_bytes: int, wait_s: int) -> bytes:
        """Return the answer's body once all parts were taken.

        Args:
            body_bytes: size of the contact's body.
            wait_s: how long the agent would wait for work where the answer is empty.

        Raises:
            RefusedError: nothing of the contact was used.
            WorldError: the store does not work; the agent sends the same again later.
        """
        with self._intake.telling_refusals:
            letter = sort_parts(self._parts)
            arrived = _Arrived(letter, self._blocks, body_bytes, self._source)
            return await self._intake.receive(arrived, self._verified, wait_s=wait_s)


class _Arrived(msgspec.Struct, frozen=True):
    """A whole contact."""

    letter: Letter
    blocks: Sequence[Incoming]
    """All of the letter's, examined."""
    bytes: int
    source: str


class _Telling:
    """While inside, a contact that is refused is counted and logged."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, RefusedError):
            self._metrics.refused.labels(error.reason.text).inc()
            _log.event("contact_refused", reason=error.reason.text, detail=error.detail)


class Intake:
    """Answers contacts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.verifier = Verifier(desk.fleet, desk.store, Sources(desk.clock), desk.metrics)
        self.telling_refusals = _Telling(desk.metrics)
        self._turns: Turns[AgentId] = Turns(limits.CONTACTS_AT_ONCE)
        """Asked for once a signature was verified: nobody takes another one's turn."""
        self._unrecorded_down: Counter[AgentId] = Counter()
        """Bytes of answers, until the next contact records them: at most one number per agent."""

    def begin(self, source: str = "") -> Reception:
        """Return what takes a contact part by part, as the line brings it.

        `source` is where it comes from (`coordinator.services.sources`), empty if nobody knows.
        """
        return Reception(self, source)

    async def receive(self, arrived: _Arrived, seen: Verified | None, *, wait_s: int) -> bytes:
        """Return the answer to a contact; `Reception.answer` does this."""
        letter = arrived.letter
        if letter.blocks:
            # Such a contact is never held, so nobody has to wake it.
            seen = seen or await self.verifier.verify(
                letter.report, arrived.source, says_something=True
            )
            return await self._answer(seen, await self._record(seen, arrived), 0)
        agent = AgentId(read_report(letter.report).report.agent)
        # Before anything is read: work that is committed from here on wakes this contact.
        with self._desk.work.enter(agent) as waiter:
            seen = await self.verifier.verify(letter.report, arrived.source, says_something=False)
            recorded = await self._record(seen, arrived)
            held_ms = 0
            if self._may_hold(seen.report, letter, recorded, wait_s):
                recorded, held_ms = await self._hold(seen, recorded, waiter, wait_s)
            return await self._answer(seen, recorded, held_ms)

    async def _record(self, seen: Verified, arrived: _Arrived) -> Recorded:
        desk, report, letter = self._desk, seen.report, arrived.letter
        arrived_ms, schemas = desk.clock.mono_ms(), await _schemas(letter, report)
        said = (*letter.blocks, *letter.schemas, *report.receipts, *report.ledger, *report.anchors)
        # What an empty report changes may be lost with the power: the agent says it again.
        durable = bool(said) or seen.has_work or seen.turns
        async with self._turns.turn(seen.agent):
            contact = Contact(
                agent=seen.agent,
                report=report,
                digest=seen.digest,
                blocks=arrived.blocks,
                schemas=schemas,
                schemas_ignored=len(letter.schemas) - len(schemas),
                bytes_up=arrived.bytes,
                bytes_down=self._unrecorded_down.pop(seen.agent, 0),
                now_ms=desk.clock.wall_ms(),
                with_orders=durable,
                key=seen.key,
            )
            # Receipts, channel lists and work concern more than the agent's own rows.
            is_own = not (letter.schemas or report.receipts or seen.has_work or seen.turns)
            recorded = await desk.store.run(
                partial(record_contact, contact),
                durable=durable,
                agent=seen.agent if is_own else "",
            )
        self._count(seen, recorded, arrived.bytes)
        desk.metrics.contact_seconds.observe((desk.clock.mono_ms() - arrived_ms) / 1000)
        if recorded.alarmed:
            _log.event(
                "agent_quarantined",
                level=logging.WARNING,
                agent=seen.agent,
                mend="find out which machine is the real one, then: outstation agents release NAME",
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
        self, seen: Verified, recorded: Recorded, waiter: Waiter, wait_s: int
    ) -> tuple[Recorded, int]:
        """Wait; return what is to be answered now, and for how many milliseconds it was held."""
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
            if not recorded.earns_orders:
                continue
            again = recorded.chain is Chain.REPEAT
            body = partial(issue_later, seen.agent, now_ms=clock.wall_ms(), again=again)
            order = await self._desk.store.run(body, durable=True)
        # However short the wait was: what woke it may have been a wish.
        wish = await self._wish(seen.agent)
        return replace(recorded, order=order, wish=wish), clock.mono_ms() - began_ms

    async def _answer(self, seen: Verified, recorded: Recorded, held_ms: int) -> bytes:
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
            wish=recorded.wish,
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
        if recorded.order is not None:
            parts.append(Part(PartKind.BUNDLE, self._sign(seen, recorded.order, force)))
            desk.metrics.grants.inc(len(recorded.order.grants))
        body = encode_body(parts)
        self._unrecorded_down[seen.agent] += len(body)
        desk.metrics.bytes.labels("down").inc(len(body))
        return body

    async def _wish(self, agent: AgentId) -> Wish:
        """Return what is asked of an agent itself, which may have changed while it was held."""
        return (await self._desk.store.read(partial(load_identity, agent))).wish

    def _sign(self, seen: Verified, order: Order, force: InForce) -> bytes:
        to = Addressee(seen.agent, seen.key, seen.report.jobs_epoch)
        now_ms = self._desk.clock.wall_ms()
        return sign_bundle(order, to, force, now_ms=now_ms, valid_s=limits.BUNDLE_S)

    def _count(self, seen: Verified, recorded: Recorded, body_bytes: int) -> None:
        metrics, stored = self._desk.metrics, recorded.stored
        metrics.contacts.labels(recorded.chain.name.lower()).inc()
        metrics.bytes.labels("up").inc(body_bytes)
        verdicts: Mapping[str, int] = {
            "stored": stored.blocks,
            "duplicate": stored.duplicates,
            "refused": sum(stored.refused.values()),
        }
        for verdict, count in verdicts.items():
            if count:
                metrics.blocks.labels(verdict).inc(count)
        for reason, count in stored.refused.items():
            metrics.refused.labels(reason.text).inc(count)
            _log.event("blocks_refused", agent=seen.agent, reason=reason.text, count=count)
        metrics.readings.inc(stored.readings)
        if recorded.reconciled.new:
            metrics.receipts.inc(recorded.reconciled.new)


async def _schemas(letter: Letter, report: Report) -> Sequence[tuple[SchemaRef, bytes]]:
    """Return the channel lists that came beside a report and that it vouches for."""
    if not letter.schemas:
        return ()
    read = partial(examine_schemas, letter.schemas, report)
    return await _beside_others(read, sum(map(len, letter.schemas)))


async def _beside_others(read: Callable[[], list[T]], size: int) -> list[T]:
    """Read what came; a lot of it in a thread, so that others are answered meanwhile."""
    return read() if size <= limits.READ_AT_ONCE_BYTES else await asyncio.to_thread(read)
