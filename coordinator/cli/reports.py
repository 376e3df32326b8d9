"""`outstation reports`: the whole fleet as one table, for people, spreadsheets and programs."""

import sys
from collections import Counter
from datetime import datetime
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from coordinator.cli.client import Client, Exit
from coordinator.cli.options import DEFAULT, Common, with_client
from coordinator.cli.reports_drift import compliance, drift
from coordinator.cli.show import Screen, count
from coordinator.cli.tables import AS_CSV, print_lines
from coordinator.contract.agents import AgentView
from coordinator.contract.audit import AuditEntry
from shared.words import some

app = App(name="reports", help="How the whole fleet is, as one table.")
app.command(drift)
app.command(compliance)

_GOOD = frozenset({"ONLINE", "ENROLLED", "DECOMMISSIONED", "REVOKED"})


class HealthLine(msgspec.Struct, frozen=True, kw_only=True):
    """How one gateway is."""

    agent: str
    site: str
    state: str
    last_contact_at: datetime | None
    free_mb: int | None
    oldest_s: int | None
    """Age of the oldest reading that waits there."""
    clock: str
    missing_blocks: int
    refusals: int
    """Documents that it refused, and of its own that were refused here."""
    complaints: list[str]
    """What somebody should look at; empty: nothing."""


class CleanupLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of the coordinator's clean-up took away."""

    at: datetime
    actor: str
    """The coordinator itself, or a person at its command line."""
    rows: int
    taken: list[str]
    """How many by setting, the kinds of ``jobs`` each by themselves."""


@app.command
def health(
    *,
    selector: str = "",
    all_: Annotated[bool, Parameter(name="--all", negative="")] = False,
    below_mb: int = 200,
    as_csv: AS_CSV = False,
    common: Common = DEFAULT,
) -> Exit:
    """List gateways that somebody should look at; exit status 1 if there is one.

    Parameters
    ----------
    selector
        Only agents that match.
    all_
        The others too.
    below_mb
        A disk with less than so much left is a complaint.
    """

    def show(client: Client, screen: Screen) -> Exit:
        query = {"selector": selector}
        agents = client.pages("/v1/agents", AgentView, query, most=sys.maxsize)
        lines = [health_of(agent, below_mb) for agent in agents]
        bad = [line for line in lines if line.complaints]
        print_lines(screen, lines if all_ else bad, HealthLine, as_csv=as_csv)
        if not screen.as_json and not as_csv:
            states = Counter(line.state for line in lines)
            screen.text(f"{some(len(lines), 'gateway')}: {count(states)}; {len(bad)} to look at")
        return Exit.FAILED if bad else Exit.OK

    return with_client(common, show)


@app.command
def cleanup(*, most: int = 50, as_csv: AS_CSV = False, common: Common = DEFAULT) -> None:
    """List what each run of the coordinator's clean-up took away, newest first.

    Parameters
    ----------
    most
        At most so many runs.
    """

    def show(client: Client, screen: Screen) -> None:
        query = {"action": "retention.run"}
        found = client.pages("/v1/audit", AuditEntry, query, most=most)
        print_lines(screen, [cleanup_of(one) for one in found], CleanupLine, as_csv=as_csv)

    with_client(common, show)


def cleanup_of(entry: AuditEntry) -> CleanupLine:
    """Return a run as its entry in the audit log tells it."""
    counts = {name: rows for name, rows in entry.detail.items() if isinstance(rows, int)}
    return CleanupLine(
        at=entry.at,
        actor=entry.actor,
        rows=sum(counts.values()),
        taken=[f"{name} {rows}" for name, rows in counts.items()],
    )


def health_of(agent: AgentView, below_mb: int) -> HealthLine:
    """Return how a gateway is, and what about it is a complaint."""
    told, clock = agent.health, "" if agent.clock is None else agent.clock.state
    missing = sum(last - first + 1 for first, last in agent.missing_blocks)
    refusals = sum(agent.refusals.values()) + sum(agent.refused_here.values())
    complaints = [] if agent.state in _GOOD else [agent.state.lower()]
    if told is not None and 0 < told.free_mb < below_mb:
        complaints.append(f"{told.free_mb} MB left")
    if clock == "unsynced":
        complaints.append("clock unsynced")
    if refusals:
        complaints.append(f"{refusals} refused")
    if not agent.balanced and agent.state != "ENROLLED":
        complaints.append("readings do not add up")
    return HealthLine(
        agent=agent.id,
        site=agent.site,
        state=agent.state,
        last_contact_at=agent.last_contact_at,
        free_mb=None if told is None else told.free_mb,
        oldest_s=None if told is None else told.oldest_s,
        clock=clock,
        missing_blocks=missing,
        refusals=refusals,
        complaints=complaints,
    )
