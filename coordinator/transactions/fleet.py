"""The one row that says which fleet this is, and the numbers of its status screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from coordinator.contract.fleet import ReadingsTotal
from coordinator.core.ports import Tx, execute, fetch, fetch_one
from coordinator.core.presence import GRACE_MS, PATIENCE
from coordinator.core.reconcile import OPEN_BELOW
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import FleetId
from shared.model.job import ExecutionState


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What one database is about."""

    fleet_id: FleetId
    url: str
    """Where agents and people reach the coordinator."""
    page_key: bytes
    """Makes page tokens of this fleet recognisable; not a secret worth guarding."""
    roots: tuple[bytes, ...]
    """Every root document's envelope, from version 1 on."""
    catalog: bytes
    """The newest catalog's envelope."""
    policy: bytes
    """The newest policy's envelope."""
    restore_epoch: int = 0
    """How often this database was put back from a backup."""

    @property
    def root(self) -> bytes:
        """Return the newest root document's envelope."""
        return self.roots[-1]


@dataclass(frozen=True, slots=True)
class Document:
    """A signed document to keep."""

    kind: Literal["root", "catalog", "policy"]
    epoch: int
    version: int
    envelope: bytes


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over the whole fleet."""

    agents: Mapping[str, int]
    jobs: Mapping[str, int]
    executions: Mapping[str, int]
    readings: ReadingsTotal
    refused: Mapping[str, int]


def save_fleet(
    fleet_id: FleetId,
    documents: Sequence[Document],
    *,
    url: str,
    page_key: bytes,
    now_ms: WallMs,
) -> Tx[None]:
    """Write the row and its first documents; a second fleet is refused by the schema."""
    for document in documents:
        yield from save_document(document, now_ms)
    yield from execute("fleet_insert", fleet_id, url, page_key, now_ms)


def save_document(document: Document, now_ms: WallMs) -> Tx[None]:
    """Keep a signed document; a running coordinator gives it out once it is started again."""
    yield from execute(
        "document_insert",
        document.kind,
        document.epoch,
        document.version,
        document.envelope,
        now_ms,
    )


def load_fleet() -> Tx[Fleet | None]:
    """Return what this database is about, None while nothing was founded in it."""
    row = yield from fetch_one("fleet")
    if row is None:
        return None
    roots = yield from fetch("documents", "root")
    catalog = yield from fetch_one("document_newest", "catalog")
    policy = yield from fetch_one("document_newest", "policy")
    assert catalog is not None, "a fleet is founded with one"
    assert policy is not None, "a fleet is founded with one"
    return Fleet(
        fleet_id=row[0],
        url=row[1],
        page_key=row[2],
        restore_epoch=row[3],
        roots=tuple(envelope for (envelope,) in roots),
        catalog=catalog[0],
        policy=policy[0],
    )


def ping() -> Tx[None]:
    """Go to the database and back."""
    yield from fetch_one("fleet_alive")


def count_everything(now_ms: WallMs) -> Tx[Totals]:
    """Return the numbers of the status screen."""
    agents = yield from fetch("agents_by_state", now_ms, GRACE_MS, PATIENCE)
    rows = yield from fetch("executions_by_state")
    executions = {ExecutionState(state).name: count for state, count in rows}
    busy = yield from fetch_one("jobs_open", OPEN_BELOW)
    every = yield from fetch_one("jobs_all")
    unreleased = yield from fetch("jobs_unreleased")
    readings = yield from fetch_one("readings_total")
    refused = yield from fetch("refusals_total")
    assert busy is not None, "an aggregate always answers"
    assert every is not None, "an aggregate always answers"
    assert readings is not None, "an aggregate always answers"
    return Totals(
        agents=dict(agents),
        jobs={
            **dict(unreleased),
            "IN_PROGRESS": busy[0],
            "COMPLETED": every[0] - busy[0] - sum(count for _, count in unreleased),
        },
        executions=executions,
        readings=ReadingsTotal(*readings),
        refused={Reason(reason).text: count for reason, count in refused},
    )
