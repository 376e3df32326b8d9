"""Sticks at the coordinator: what agents sent on them is taken in, and what they wait for put on.

The same ingest as over the link, parcel by parcel; only the place in the chain differs. Owns the
key that opens parcels, and what is signed for the way back. Leaves out files and HTTP.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from coordinator.core.intake import Incoming, Letter, check_report, examine_blocks, examine_schemas
from coordinator.services.intake import Desk
from coordinator.services.shelf import InForce
from coordinator.services.signing import Addressee, sign_bundle
from coordinator.transactions.carried import (
    CarriedContact,
    Outgoing,
    Taken,
    prepare_return,
    record_carried,
)
from coordinator.transactions.contact import Identity, Reached, load_identity
from shared import limits
from shared.errors import MistakeError, Reason, RefusedError
from shared.ids import AgentId, KeyId, key_id
from shared.model.artifact import artifacts_of
from shared.model.job import JobSpec
from shared.model.reading import SchemaRef
from shared.runtime.logs import Events
from shared.sync.body import Part, PartKind
from shared.sync.stick import (
    END,
    Direction,
    StickHeader,
    open_parcel,
    seal_parcel,
)
from shared.trust.carried import RETURN_TYP, Carried, Return, claimed_sender, open_carried
from shared.trust.documents import Report
from shared.trust.envelope import document_hash, seal
from shared.trust.sealed import receiving_public
from shared.wire.codec import pack, unpack
from shared.wire.messages import Grant

_log = Events(__name__)


@dataclass(frozen=True, slots=True)
class Brought:
    """What one parcel brought."""

    agent: AgentId
    taken: Taken


@dataclass(frozen=True, slots=True)
class Filled:
    """A stick for one agent, and what is on it."""

    data: bytes
    executions: int
    has_store: bool
    """False: no report of the agent ever came, so no work could be addressed to it."""
    seal: bytes
    """What more parcels are sealed to."""
    files: Mapping[bytes, int]
    """Sizes of the files that the work on it names, bounded."""


class Carrier:
    """Opens and fills sticks; without a key it can only fill them."""

    def __init__(self, desk: Desk, key: X25519PrivateKey | None) -> None:
        self._desk, self._key = desk, key

    def check_header(self, header: StickHeader) -> X25519PrivateKey:
        """Return the key that opens a stick's parcels.

        Raises:
            RefusedError: the stick is not for this coordinator.
        """
        if header.direction is not Direction.UP:
            raise RefusedError(
                Reason.WRONG_AUDIENCE, "this stick is on its way to an agent, take it there"
            )
        if header.fleet != self._desk.fleet:
            raise RefusedError(Reason.WRONG_FLEET, "this stick is of another fleet")
        if self._key is None or header.receiver != key_id(_public(self._key)):
            raise RefusedError(Reason.SEAL_BROKEN, "it is sealed to a key that is not here")
        return self._key

    async def take(self, header: StickHeader, sealed: bytes) -> Brought:
        """Take one parcel in.

        Raises:
            RefusedError: nothing of it was used.
            WorldError: the store does not work; the same parcel may come again.
        """
        key = self.check_header(header)
        try:
            letter = _sort(open_parcel(header, sealed, key))
            agent = AgentId(claimed_sender(letter.report))
            identity = await self._desk.store.read(partial(load_identity, agent))
            carried = _opened(letter.report, identity)
            check_report(carried.report, fleet=self._desk.fleet)
        except RefusedError as error:
            self._desk.metrics.refused.labels(error.reason.text).inc()
            _log.event("parcel_refused", reason=error.reason.text, detail=error.detail)
            raise
        blocks, schemas = await asyncio.to_thread(_examine, letter, carried.report)
        return await self._record(agent, carried, document_hash(letter.report), blocks, schemas)

    async def _record(
        self,
        agent: AgentId,
        carried: Carried,
        digest: bytes,
        blocks: Sequence[Incoming],
        schemas: Sequence[tuple[SchemaRef, bytes]],
    ) -> Brought:
        contact = CarriedContact(
            agent=agent,
            carried=carried,
            digest=digest,
            blocks=blocks,
            schemas=schemas,
            now_ms=self._desk.clock.wall_ms(),
        )
        taken = await self._desk.store.run(partial(record_carried, contact), durable=True)
        if taken.alarmed:
            _log.event("agent_quarantined", level=logging.WARNING, agent=agent)
        metrics, stored = self._desk.metrics, taken.stored
        metrics.contacts.labels("carried").inc()
        metrics.readings.inc(stored.readings)
        metrics.receipts.inc(taken.reconciled.new)
        for verdict, count in (("stored", stored.blocks), ("duplicate", stored.duplicates)):
            metrics.blocks.labels(verdict).inc(count)
        self._desk.jobs.wake(taken.reconciled.jobs)
        return Brought(agent, taken)

    async def fill(self, agent: AgentId, *, actor: str) -> Filled:
        """Return a stick for an agent; its work counts as delivered from now on.

        Raises:
            RefusedError: no such agent, or it is no longer one of the fleet.
            WorldError: the store does not work now.
        """
        desk, force = self._desk, self._desk.documents.now
        now_ms = desk.clock.wall_ms()
        body = partial(prepare_return, agent, actor=actor, now_ms=now_ms)
        out = await desk.store.run(body, durable=True)
        header = StickHeader(Direction.DOWN, desk.fleet, KeyId(key_id(out.public_key)))
        parts = self._parts(out, force)
        grants = 0
        if out.order is not None:
            to = Addressee(agent, out.public_key, out.jobs_epoch)
            bundle = sign_bundle(
                out.order, to, force, now_ms=now_ms, valid_s=limits.CARRIED_BUNDLE_S
            )
            parts.append(Part(PartKind.BUNDLE, bundle))
            grants = len(out.order.grants)
            desk.metrics.grants.inc(grants)
        seal_key = receiving_public(out.public_key)
        data = header.encode() + seal_parcel(header, parts, seal_key) + END
        _log.event("stick_filled", agent=agent, executions=grants)
        files = _files(out.order.grants if out.order is not None else ())
        return Filled(data, grants, bool(out.jobs_epoch), seal_key, files)

    def _parts(self, out: Outgoing, force: InForce) -> list[Part]:
        shelf, (root, catalog, policy) = force.shelf, out.versions
        floor = None
        if out.lost_counters is not None:
            floor = shelf.floor(Reached(*out.lost_counters))
        answer = Return(
            agent=out.agent,
            agent_key=key_id(out.public_key),
            carried=out.carried,
            now_ms=self._desk.clock.wall_ms(),
            telemetry_epoch=out.telemetry_epoch,
            jobs_epoch=out.jobs_epoch,
            restore_epoch=shelf.restore_epoch,
            acked=out.acked,
            nacked=out.nacked,
            receipts_to=out.receipts_to,
            ledger_to=out.ledger_to,
            schemas_wanted=out.schemas_wanted,
            wanted=out.wanted,
            floor=floor,
            safe_to=out.safe_to,
        )
        return [
            *shelf.roots_after(root),
            Part(PartKind.RETURN, seal(RETURN_TYP, pack(answer), [force.director])),
            *shelf.lacking_after(root, catalog=catalog, policy=policy),
        ]


def _files(grants: Sequence[Grant]) -> Mapping[bytes, int]:
    """Return the files that these grants name, the first ones."""
    found: dict[bytes, int] = {}
    for grant in grants:
        try:
            found |= artifacts_of(unpack(grant.spec, JobSpec, bound=limits.SPEC_BYTES))
        except (MistakeError, RefusedError):
            continue  # the agent says what is wrong with it
    sized = ((digest, size) for digest, size in found.items() if size > 0)
    return dict(islice(sized, limits.STICK_FILES))


def _public(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def _opened(data: bytes, identity: Identity) -> Carried:
    """Return a carried report, signed by the agent's key or by the one that replaces it."""
    try:
        return open_carried(data, identity.public_key)
    except RefusedError as error:
        if identity.next_key is None or error.reason is not Reason.THRESHOLD_NOT_MET:
            raise
        return open_carried(data, identity.next_key)


def _sort(parts: Sequence[Part]) -> Letter:
    """Return the parts of a parcel.

    Raises:
        RefusedError: BODY_MALFORMED: it is not a carried report, schemas and blocks.
    """
    kinds = {PartKind.BLOCK, PartKind.SCHEMA}
    if not parts or parts[0].kind is not PartKind.CARRIED:
        raise RefusedError(Reason.BODY_MALFORMED, "a parcel begins with its report")
    if any(part.kind not in kinds for part in parts[1:]):
        raise RefusedError(Reason.BODY_MALFORMED, "after the report come blocks and schemas only")
    blocks, schemas = (
        tuple(part.data for part in parts if part.kind is kind)
        for kind in (PartKind.BLOCK, PartKind.SCHEMA)
    )
    return Letter(parts[0].data, blocks, schemas)


def _examine(
    letter: Letter, report: Report
) -> tuple[Sequence[Incoming], Sequence[tuple[SchemaRef, bytes]]]:
    return examine_blocks(letter.blocks, report), examine_schemas(letter.schemas, report)
