"""The one row that says which fleet this is, and the numbers of its status screen."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from coordinator.contract.fleet import ReadingsTotal
from coordinator.core.papers import Paper, Papers, Trusted, judge, open_before
from coordinator.core.ports import Tx, execute, fetch, fetch_one
from coordinator.core.presence import GRACE_MS, PATIENCE
from coordinator.core.reconcile import OPEN_BELOW
from coordinator.core.rollout_policy import RolloutState
from coordinator.transactions.job_state import job_state
from coordinator.transactions.rows import audit
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, Reason
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

    def steps_to_root(self, version: int) -> list[bytes]:
        """Return the roots between a trusted one and the newest, without either."""
        return list(self.roots[version:-1]) if version > 0 else []

    @property
    def papers(self) -> list[Paper]:
        """Return the newest root, catalog and policy."""
        return [
            Paper("root", self.root),
            Paper("catalog", self.catalog),
            Paper("policy", self.policy),
        ]

    def trusted(self) -> Trusted:
        """Return the newest documents, verified.

        Raises:
            MistakeError: the database was tampered with.
        """
        held = open_before(Papers(before=self.papers, drafts=[]))
        assert held is not None, "there are papers"
        return held


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
    papers: Sequence[Paper],
    *,
    url: str,
    page_key: bytes,
    now_ms: WallMs,
) -> Tx[None]:
    """Write the row and its first documents; a second fleet is refused by the schema."""
    for paper in papers:
        yield from _save(paper, now_ms)
    yield from execute("fleet_insert", fleet_id, url, page_key, now_ms)


def adopt(papers: Papers, *, where: str, actor: str, now_ms: WallMs) -> Tx[tuple[Trusted, Trusted]]:
    """Put signed drafts into force, all of them or none; return what was and what is in force.

    What the papers say was in force does not matter: the database knows.

    Raises:
        MistakeError: a draft does not follow what is in force, or lacks signatures.
    """
    fleet = yield from load_fleet()
    assert fleet is not None, "it was opened as a fleet's"
    before = fleet.trusted()
    after = judge(before, papers.drafts, now_ms=now_ms, where=where)
    for paper in papers.drafts:
        yield from _save(paper, now_ms)
    yield from _check_size(where)
    yield from audit(
        now_ms,
        actor=actor,
        action="documents.adopt",
        object_="fleet",
        detail={
            "root": after.root.version,
            "epoch": after.root.epoch,
            "catalog": after.catalog.version,
            "policy": after.policy.version,
        },
    )
    return before, after


def _check_size(where: str) -> Tx[None]:
    """Check that one answer can still bring everything to an agent that has nothing."""
    fleet = yield from load_fleet()
    assert fleet is not None, "as before"
    size = sum(map(len, (*fleet.roots, fleet.catalog, fleet.policy)))
    if size > limits.STANDING_BYTES or len(fleet.roots) > limits.ROOTS:
        raise MistakeError(
            f"all documents together would have {size} bytes in {len(fleet.roots)} roots: one "
            f"answer brings at most {limits.STANDING_BYTES} in {limits.ROOTS}",
            where=where,
            mend="make the catalog or the policy smaller",
        )


def _save(paper: Paper, now_ms: WallMs) -> Tx[None]:
    document = paper.read()
    yield from execute(
        "document_insert",
        paper.kind,
        document.epoch,
        document.version,
        paper.envelope,
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
    readings = yield from fetch_one("readings_total")
    refused = yield from fetch("refusals_total")
    assert readings is not None, "an aggregate always answers"
    return Totals(
        agents=dict(agents),
        jobs=(yield from _jobs_by_state()),
        executions=executions,
        readings=ReadingsTotal(*readings),
        refused={Reason(reason).text: count for reason, count in refused},
    )


def _jobs_by_state() -> Tx[dict[str, int]]:
    """Count jobs by what `jobs show` says of each: first by executions, then those that differ.

    That way only the few jobs that wait or have a rollout are looked at one by one.
    """
    busy = yield from fetch_one("jobs_open", OPEN_BELOW)
    every = yield from fetch_one("jobs_all")
    canceling = yield from fetch_one("jobs_canceling", OPEN_BELOW)
    canceled = yield from fetch_one("jobs_canceled")
    unreleased = yield from fetch("jobs_unreleased")
    assert busy is not None, "an aggregate always answers"
    assert every is not None, "an aggregate always answers"
    assert canceling is not None, "an aggregate always answers"
    assert canceled is not None, "an aggregate always answers"
    over = canceled[0] - canceling[0]
    jobs = Counter[str](dict(unreleased))
    jobs["IN_PROGRESS"] = busy[0] - canceling[0]
    jobs["CANCELING"] = canceling[0]
    jobs["CANCELED"] = over
    jobs["COMPLETED"] = every[0] - busy[0] - over - sum(count for _, count in unreleased)
    for state, count in (yield from fetch("jobs_waiting")):
        jobs["COMPLETED"] -= count
        jobs[state] += count
    for state, cancel_ms, is_busy, count in (yield from fetch("rollouts_by_state", OPEN_BELOW)):
        of_job = partial(
            job_state,
            released_ms=0,
            denied_ms=None,
            expired_ms=None,
            busy=bool(is_busy),
            cancel_ms=cancel_ms,
        )
        jobs[of_job()] -= count
        jobs[of_job(rollout=RolloutState(state))] += count
    always = ("IN_PROGRESS", "COMPLETED")
    return {state: count for state, count in jobs.items() if count or state in always}
