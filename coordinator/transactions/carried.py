"""A parcel of a stick, taken in; and what the next stick brings back.

A carried report stands beside the chain of online ones and moves nothing in it: whichever of many
sticks comes first, last, twice or never, its content is numbered and counts once. All of a parcel
is one transaction. Leaves out opening parcels and signing (`coordinator.services.carrier`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.core.intake import Incoming
from coordinator.core.ports import Row, Tx, execute, fetch, fetch_one
from coordinator.transactions.blocks import Stored, contiguous, store_blocks
from coordinator.transactions.contact import count_refusals, load_identity, quarantine
from coordinator.transactions.gaps import safe_to, wanted_of
from coordinator.transactions.issue import Order, issue
from coordinator.transactions.lost import presume_lost, presume_unsure
from coordinator.transactions.receipts import Reconciled, reconcile_receipts
from coordinator.transactions.rows import audit, pack_ranges, to_json, unpack_ranges
from shared import limits
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import AgentId
from shared.model.reading import SchemaRef
from shared.sync.ranges import Ranges
from shared.trust.carried import Carried
from shared.trust.documents import Report
from shared.wire.codec import pack, unpack

_NACKED_BYTES = 20 * limits.CARRIED_NACKS


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedContact:
    """A parcel whose report was verified and whose blocks were examined."""

    agent: AgentId
    carried: Carried
    digest: bytes
    """sha256 of the report's envelope."""
    blocks: Sequence[Incoming]
    schemas: Sequence[tuple[SchemaRef, bytes]]
    now_ms: WallMs


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a parcel."""

    stored: Stored
    reconciled: Reconciled
    alarmed: bool
    """It contradicts the chain: this parcel put its agent into quarantine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What a stick to an agent says; nothing of it is signed yet."""

    agent: AgentId
    public_key: bytes
    carried: bytes = b""
    telemetry_epoch: bytes = b""
    jobs_epoch: bytes = b""
    """Empty: no report of this agent ever came, so no work can be addressed to its store."""
    acked: list[tuple[int, int]]
    nacked: list[tuple[int, int]]
    receipts_to: int = 0
    ledger_to: int = 0
    schemas_wanted: list[bytes]
    wanted: list[tuple[int, int]]
    safe_to: int = 0
    versions: tuple[int, int, int] = (0, 0, 0)
    """Root, catalog and policy that the agent said it has."""
    lost_counters: tuple[int, int] | None = None
    """Highest bundle and report known, where the agent says that it lost its counters."""
    order: Order | None = None


def record_carried(contact: CarriedContact) -> Tx[Taken]:
    """Take in one parcel.

    Raises:
        RefusedError: the agent is no longer one of the fleet.
    """
    agent, carried, now_ms = contact.agent, contact.carried, contact.now_ms
    report = carried.report
    identity = yield from load_identity(agent)
    known = yield from fetch_one("report_digest", agent, report.jobs_epoch, report.counter)
    # The chain has one report of a number; who names another one is another machine.
    forked = known is not None and known[0] != report.previous
    alarmed = forked and (yield from quarantine(agent, report, contact.digest, now_ms))
    row = yield from fetch_one("carried", agent, report.jobs_epoch)
    newest = row is None or (row[0], row[1]) <= (report.counter, carried.number)
    current = newest and not forked and (yield from _is_current(agent, report))
    stored = yield from store_blocks(
        agent,
        report,
        contact.blocks,
        contact.schemas,
        now_ms=now_ms,
        newest=current,
        quarantined=identity.quarantined or alarmed,
        ledger_from=carried.ledger_from,
    )
    beside = {Reason.CHAIN_FORKED: 1} if forked else {}
    yield from count_refusals(agent, {**stored.refused, **beside}, now_ms)
    reconciled = yield from reconcile_receipts(
        agent,
        report.jobs_epoch,
        report.receipts,
        now_ms=now_ms,
        oldest=carried.receipts_from,
        heard_epoch=report.restore_epoch,
    )
    if row is None and (yield from _other_store(agent, report)) is not None:
        # The link may have brought the first words of this store; nobody believed them yet.
        yield from presume_unsure(agent, now_ms)
    if reconciled.new and reconciled.outlived:
        yield from _presume_lost(agent, report, now_ms)
    yield from _remember(contact, row, stored, newest=newest)
    if current:
        yield from _be_present(agent, report, now_ms)
    return Taken(stored, reconciled, alarmed)


def prepare_return(agent: AgentId, *, actor: str, now_ms: WallMs) -> Tx[Outgoing]:
    """Return what a stick to an agent says, work included, which counts as delivered from now on.

    Raises:
        RefusedError: UNKNOWN_AGENT, or it is no longer one of the fleet.
    """
    identity = yield from load_identity(agent)
    row = yield from fetch_one("carried_newest", agent)
    stores = yield from fetch_one("stores_of_agent", agent)
    if row is None:
        telemetry_epoch, jobs_epoch = stores or (b"", b"")
        acked, nacked, versions, digest, attested, counter = Ranges(), [], (0, 0, 0), b"", 1, 0
    else:
        jobs_epoch, digest, telemetry_epoch, packed, refused, *rest = row
        acked, nacked = unpack_ranges(packed), _unpack_nacked(refused)
        versions, (attested, counter) = (rest[0], rest[1], rest[2]), rest[3:]
    wanted = yield from fetch("schemas_wanted", agent, limits.SCHEMAS_WANTED)
    ranges = yield from fetch_one("telemetry_ranges", agent, telemetry_epoch)
    receipts = yield from fetch_one("jobs_store", agent, jobs_epoch)
    order = None
    if jobs_epoch and attested and identity.may_hear:
        order = yield from issue(
            agent, now_ms=now_ms, again=True, grants=identity.may_work, jobs_epoch=jobs_epoch
        )
    yield from audit(
        now_ms,
        actor=actor,
        action="agent.stick",
        object_=f"agent:{agent}",
        detail={"executions": len(order.grants) if order else 0},
    )
    reached = yield from fetch_one("agent_bundle", agent)
    assert reached is not None, "the agent was read in this transaction"
    return Outgoing(
        agent=agent,
        public_key=identity.public_key,
        carried=digest,
        telemetry_epoch=telemetry_epoch,
        jobs_epoch=jobs_epoch,
        acked=list(acked),
        nacked=nacked,
        receipts_to=contiguous(unpack_ranges(receipts[1])) if receipts else 0,
        ledger_to=contiguous(unpack_ranges(ranges[1])) if ranges else 0,
        schemas_wanted=[ref for (ref,) in wanted],
        wanted=(yield from wanted_of(agent, telemetry_epoch)),
        safe_to=(yield from safe_to(agent, telemetry_epoch)),
        versions=versions,
        lost_counters=None if attested else (reached[0], counter),
        order=order,
    )


def _is_current(agent: AgentId, report: Report) -> Tx[bool]:
    """Tell whether nothing newer came over the link from the store that made this report."""
    row = yield from fetch_one("contact_chain", agent)
    if row is None:
        return True
    counter, digest, jobs_epoch = row[:3]
    return jobs_epoch == report.jobs_epoch and (not digest or counter <= report.counter)


def _presume_lost(agent: AgentId, report: Report, now_ms: WallMs) -> Tx[None]:
    """Suppose again of what a store had begun, written before it was lost, that nobody knows."""
    other = yield from _other_store(agent, report)
    if other is not None:
        yield from presume_lost(agent, other, now_ms)


def _other_store(agent: AgentId, report: Report) -> Tx[bytes | None]:
    """Return the store that the link speaks for, if it is another one than the report's."""
    row = yield from fetch_one("jobs_epoch_of", agent)
    return None if row is None or row[0] == report.jobs_epoch else bytes(row[0])


def _remember(
    contact: CarriedContact, row: Row | None, stored: Stored, *, newest: bool
) -> Tx[None]:
    """Keep what the next stick brings back."""
    report = contact.carried.report
    acked, nacked = Ranges(), list[tuple[int, int]]()
    if row is not None and row[3] == report.telemetry_epoch:
        acked, nacked = unpack_ranges(row[4]), _unpack_nacked(row[5])
    elif not newest:
        return  # of a store that was replaced since
    grown = Ranges.joined([*acked, *stored.acked])
    # Beyond the bound nothing is acknowledged: the agent sends those blocks once more.
    acked = grown if len(grown) <= limits.RANGES else acked
    nacked = [*nacked, *(one for one in stored.nacked if one not in nacked)]
    kept = pack(nacked[-limits.CARRIED_NACKS :])
    if not newest:
        yield from execute(
            "carried_late", contact.agent, report.jobs_epoch, pack_ranges(acked), kept
        )
        return
    yield from execute(
        "carried_save",
        contact.agent,
        report.jobs_epoch,
        report.counter,
        contact.carried.number,
        contact.digest,
        report.telemetry_epoch,
        pack_ranges(acked),
        kept,
        report.root_version,
        report.catalog_version,
        report.policy_version,
        int(report.attested),
        contact.now_ms,
    )


def _be_present(agent: AgentId, report: Report, now_ms: WallMs) -> Tx[None]:
    yield from execute(
        "carried_presence",
        agent,
        report.counter,
        report.telemetry_epoch,
        report.jobs_epoch,
        report.boot_id,
        report.clock_state,
        report.wall_ms - now_ms,
        to_json(report.refusals),
        now_ms,
        b"",
    )


def _unpack_nacked(data: bytes) -> list[tuple[int, int]]:
    return unpack(data, list[tuple[int, int]], bound=_NACKED_BYTES)
