"""A stick is filled, and what one brings is taken in, by the agent that holds the stores.

The link goes on meanwhile: a stick says nothing in the name of the chain of reports, and what it
brings frees the same things that an answer frees, which is harmless twice. Owns the order: a
report is made of what is durable; what a return frees is freed after it was verified; bundles
come last. Leaves out files, which belong to whoever typed the command (`stick_file`).
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from agent.core.batcher import ROUTINE
from agent.core.carrier import (
    PARCEL_OVER,
    SCHEMA_ROOM,
    SCHEMAS_TOGETHER,
    Brought,
    choose_parcel,
    freed_by_return,
    header_up,
    make_carried,
    pack_parcel,
    read_files,
    read_parcel,
)
from agent.core.contact import base_report, completed
from agent.core.ports import TelemetryPort
from agent.services.guard import Guard
from agent.services.orders import Orders
from agent.services.stick_shelf import StickShelf
from agent.store.carried import CarriedStore, Parcel
from agent.store.contact import ContactStore
from shared import limits
from shared.clock import Clock
from shared.errors import MistakeError, RefusedError
from shared.runtime.logs import Events
from shared.sync.body import part_bytes
from shared.sync.outgoing import Candidate
from shared.sync.piece import Piece
from shared.sync.stick import (
    END,
    HEADER_BYTES,
    Direction,
    StickHeader,
    open_parcel,
    seal_parcel,
)
from shared.trust.carried import claimed_carried
from shared.trust.documents import Report, open_bundle
from shared.trust.envelope import KeySigner
from shared.trust.sealed import SEAL_BYTES
from shared.wire.messages import LossRow

_log = Events(__name__)


class Exported(msgspec.Struct, frozen=True):
    """What a stick holds so far, and what is not on it."""

    parcels: int = 0
    blocks: int = 0
    receipts: int = 0
    bytes: int = HEADER_BYTES
    left: bool = False
    """Something did not fit."""


class Imported(msgspec.Struct, frozen=True):
    """What a stick brought so far."""

    parcels: int = 0
    blocks: int = 0
    """Acknowledged; harmless when they were before."""
    receipts: int = 0
    bundles: int = 0
    """Admitted; a bundle that came before is not counted."""
    files: int = 0
    """Became whole."""
    refused: tuple[str, ...] = ()
    """Why parcels or bundles were not used."""


@dataclass(slots=True)
class _Cursor:
    """How far a stick has come."""

    pages: AsyncIterator[list[Candidate]]
    """What is not on it yet, page by page."""
    waiting: list[Candidate] = field(default_factory=list)
    told: Exported = field(default_factory=Exported)
    receipt: int = 0
    loss: int = 0
    done: bool = False


class Carrier:
    """Fills sticks and takes them in."""

    def __init__(
        self,
        *,
        guard: Guard,
        signer: KeySigner,
        orders: Orders,
        exchange: ContactStore,
        store: CarriedStore,
        telemetry: TelemetryPort,
        clock: Clock,
        ordered: Callable[[], None],
    ) -> None:
        """Wire it up; `ordered` is called when a stick brought work, or a file for it."""
        self._guard, self._signer, self._orders = guard, signer, orders
        self._exchange, self._store = exchange, store
        self._telemetry, self._clock, self._ordered = telemetry, clock, ordered
        self.shelf: StickShelf | None = None
        """Where files that a stick brings go; None: they are refused."""

    async def export(self, room: int) -> AsyncIterator[tuple[bytes, Exported]]:
        """Yield the bytes of a stick, piece by piece, with what is on it so far.

        Args:
            room: bytes that the file may have.

        Raises:
            MistakeError: the fleet takes no sticks, or nothing fits into `room`.
            WorldError: the disk failed; what was yielded is no whole stick.
        """
        await self._exchange.heal()
        await self._guard.load()
        root = (await self._guard.held()).trust.root
        if not root.carrier:
            raise MistakeError(
                "this fleet takes no sticks: its root document names no key for them",
                mend="ask the fleet's admin for a root document with one",
            )
        header = header_up(root)
        await self._telemetry.seal()
        cursor = _Cursor(self._pages())
        yield header.encode(), cursor.told
        while not cursor.done:
            if piece := await self._next(cursor, header, root.carrier, room):
                yield piece, cursor.told
        if not cursor.told.parcels:
            raise MistakeError(
                f"not even a report fits into {room} bytes", mend="give the stick more room"
            )
        yield END, cursor.told
        _log.event("stick_filled", parcels=cursor.told.parcels, blocks=cursor.told.blocks)

    async def _pages(self) -> AsyncIterator[list[Candidate]]:
        """Yield every block that waits: urgent ones first, then the oldest first."""
        found = await self._telemetry.waiting()
        urgent = sorted(
            (one for one in found if one.priority < ROUTINE),
            key=lambda one: (one.priority, one.seq),
        )
        if urgent:
            yield urgent
        taken, after = {one.seq for one in urgent}, 0
        asked = await self._store.asked(self._telemetry.epoch)
        while page := await self._telemetry.page(after):
            after = page[-1].seq
            fresh = [one for one in page if one.seq not in taken]
            # Whatever is asked for again and waits anyway is on the stick once.
            taken |= {one.seq for one in page if one.seq in asked}
            if fresh:
                yield fresh
        again, _ = await self._telemetry.asked(asked)
        if fresh := [one for one in again if one.seq not in taken]:
            yield fresh

    async def _next(self, cursor: _Cursor, header: StickHeader, carrier: bytes, room: int) -> bytes:
        """Return the next parcel; nothing when what is next does not fit any more."""
        schemas = _small(await self._telemetry.unsent_schemas())
        fixed = PARCEL_OVER + SEAL_BYTES + 2 * len(END) + sum(part_bytes(len(s)) for s in schemas)
        left = room - cursor.told.bytes - fixed
        if not cursor.waiting:
            cursor.waiting = await anext(cursor.pages, [])
        blocks = choose_parcel(cursor.waiting, room=left)
        ledger = [row for row in await self._telemetry.ledger() if row.number > cursor.loss]
        made = None if left < 0 else await self._make(cursor, blocks, ledger, schemas)
        if made is None or (cursor.told.parcels and made.is_empty):
            cursor.told = replace(cursor.told, left=made is None or made.more)
            cursor.done = True
            return b""
        report = made.report
        data = await self._telemetry.blocks([block.seq for block in report.blocks])
        piece = seal_parcel(header, pack_parcel(made.envelope, schemas, data), carrier)
        del cursor.waiting[: len(report.blocks)]
        if not cursor.waiting:
            cursor.waiting = await anext(cursor.pages, [])
        cursor.receipt = report.receipts[-1].number if report.receipts else cursor.receipt
        cursor.loss = report.ledger[-1].number if report.ledger else cursor.loss
        cursor.done = not made.more and not cursor.waiting
        cursor.told = Exported(
            parcels=cursor.told.parcels + 1,
            blocks=cursor.told.blocks + len(data),
            receipts=cursor.told.receipts + len(report.receipts),
            bytes=cursor.told.bytes + len(piece),
        )
        return piece

    async def _make(
        self,
        cursor: _Cursor,
        blocks: list[Candidate],
        ledger: list[LossRow],
        schemas: list[bytes],
    ) -> "_Made":
        """Number and sign the next carried report."""
        tally, anchors = await self._telemetry.tally(), await self._telemetry.anchors()
        at, held = self._clock.now(), await self._guard.held()
        whole = await self._telemetry.ledger()
        _, gone = await self._telemetry.asked(await self._store.asked(self._telemetry.epoch))
        made: list[_Made] = []

        def make(parcel: Parcel) -> bytes:
            base = base_report(
                self._guard.identity,
                parcel.standing,
                held,
                at,
                telemetry_epoch=self._telemetry.epoch,
                next_block=self._telemetry.next_block,
                tally=tally,
                anchors=anchors,
            )
            envelope, report = make_carried(
                completed(base, gone=gone, schemas=schemas, health=()),
                number=parcel.number,
                blocks=blocks,
                receipts=parcel.receipts,
                receipts_from=parcel.receipts_from,
                ledger=ledger,
                ledger_from=whole[0].number if whole else 0,
                signer=self._signer,
            )
            owed = len(parcel.receipts)
            more = (
                owed > len(report.receipts)
                or owed == limits.RECEIPTS_PER_REPORT
                or len(ledger) > len(report.ledger)
                or len(cursor.waiting) > len(report.blocks)
            )
            made.append(_Made(envelope, report, more))
            return envelope

        await self._store.leave(
            make,
            at.wall_ms,
            told_to=cursor.receipt,
            silent_ms=held.silent_ms,
            sealed=self._telemetry.next_block - 1,
            ledger_to=whole[-1].number if whole else 0,
        )
        return made[-1]

    # --- the way back ---------------------------------------------------------------------------
    async def take(self, header: StickHeader, sealed: bytes, so_far: Imported) -> Imported:
        """Take one parcel in; return what the stick brought with it.

        Raises:
            MistakeError: the stick is for somebody else.
            WorldError: the disk failed; the same stick may be taken in again.
        """
        await self._exchange.heal()
        await self._guard.load()
        self._check_receiver(header)
        try:
            parts = open_parcel(header, sealed, self._signer.receiving_key())
            if pieces := read_files(parts):
                return await self._shelve(pieces, so_far)
            return await self._act(read_parcel(parts), so_far)
        except RefusedError as error:
            await self._guard.refuse(error, "parcel")
            return replace(so_far, refused=(*so_far.refused, str(error)))

    async def _shelve(self, pieces: list[Piece], so_far: Imported) -> Imported:
        if self.shelf is None:
            return replace(so_far, refused=(*so_far.refused, "no files are taken here"))
        try:
            whole = sum([await self.shelf.take(piece) for piece in pieces])
        except RefusedError as error:
            # Nobody's offence: its order may be over, or another stick was lost.
            return replace(so_far, refused=(*so_far.refused, str(error)))
        if whole:
            self._ordered()
        return replace(so_far, parcels=so_far.parcels + 1, files=so_far.files + whole)

    def _check_receiver(self, header: StickHeader) -> None:
        identity = self._guard.identity
        if header.direction is Direction.UP:
            raise MistakeError(
                "is on its way to the coordinator", mend="take it there: outstation import FILE"
            )
        if header.fleet != identity.root.fleet:
            raise MistakeError("is a stick of another fleet")
        if header.receiver != identity.key:
            raise MistakeError(
                "is for another agent", mend=f"this one is {identity.agent}, see the file's name"
            )

    async def _act(self, brought: Brought, so_far: Imported) -> Imported:
        named = claimed_carried(brought.answer.reply)
        left = await self._store.find(named)
        known = {} if left is None else {named: left}
        answer, heard_ms = await self._guard.take_return(brought.answer, known)
        standing = await self._exchange.standing()
        told = await self._store.told() if left else 0
        bundles = 0
        for bundle in brought.bundles:
            if await self._is_new(bundle) and await self._orders.admit(bundle):
                bundles += 1
                self._ordered()
        freed = freed_by_return(
            answer,
            telemetry_epoch=self._telemetry.epoch,
            jobs_epoch=standing.jobs_epoch,
            sealed=left.sealed if left else 0,
            rows=left.ledger_to if left else 0,
            told=told,
            heard_epoch=standing.heard_epoch,
        )
        await self._telemetry.free(freed)
        receipts = await self._store.settle(
            freed, answer, standing.jobs_epoch, self._guard.kept, heard_ms=heard_ms
        )
        return replace(
            so_far,
            parcels=so_far.parcels + 1,
            blocks=so_far.blocks + sum(last - first + 1 for first, last in freed.blocks),
            receipts=so_far.receipts + receipts,
            bundles=so_far.bundles + bundles,
        )

    async def _is_new(self, bundle: bytes) -> bool:
        """Tell whether a bundle is worth judging: one that came before is no offence of anybody."""
        held = await self._guard.held()
        try:
            found = open_bundle(bundle, held.trust.root)
        except RefusedError:
            return True  # whoever judges it says why
        had = held.counters
        return had is None or (found.restore_epoch, found.seq) > (had.restore_epoch, had.bundle_seq)


@dataclass(frozen=True, slots=True)
class _Made:
    """A carried report, and whether more waits than it has room for."""

    envelope: bytes
    report: Report
    more: bool

    @property
    def is_empty(self) -> bool:
        return not (self.report.blocks or self.report.receipts or self.report.ledger)


def _small(schemas: list[bytes]) -> list[bytes]:
    """Return as many of the schemas as go into every parcel."""
    kept: list[bytes] = []
    for data in schemas:
        if not kept or (
            sum(map(len, kept)) + len(data) <= SCHEMA_ROOM and len(kept) < SCHEMAS_TOGETHER
        ):
            kept.append(data)
    return kept
