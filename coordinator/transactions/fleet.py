"""The one row that says which fleet this is, and the numbers of its status screen."""

from collections.abc import Mapping
from dataclasses import dataclass

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
    root: bytes
    """The newest root document's envelope."""
    page_key: bytes
    """Makes page tokens of this fleet recognisable; not a secret worth guarding."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over the whole fleet."""

    agents: Mapping[str, int]
    jobs: Mapping[str, int]
    executions: Mapping[str, int]
    readings: ReadingsTotal
    refused: Mapping[str, int]


def save_fleet(fleet: Fleet, now_ms: WallMs) -> Tx[None]:
    """Write the row; a second one is refused by the schema."""
    yield from execute(
        "fleet_insert", fleet.fleet_id, fleet.url, fleet.root, fleet.page_key, now_ms
    )


def load_fleet() -> Tx[Fleet | None]:
    """Return what this database is about, None while nothing was founded in it."""
    row = yield from fetch_one("fleet")
    if row is None:
        return None
    return Fleet(fleet_id=row[0], url=row[1], root=row[2], page_key=row[3])


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
    readings = yield from fetch_one("readings_total")
    refused = yield from fetch("refusals_total")
    assert busy is not None, "an aggregate always answers"
    assert every is not None, "an aggregate always answers"
    assert readings is not None, "an aggregate always answers"
    return Totals(
        agents=dict(agents),
        jobs={"IN_PROGRESS": busy[0], "COMPLETED": every[0] - busy[0]},
        executions=executions,
        readings=ReadingsTotal(*readings),
        refused={Reason(reason).text: count for reason, count in refused},
    )
