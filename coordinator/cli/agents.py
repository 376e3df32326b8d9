"""`outstation status` and `outstation agents`: who is out there, and how each one is doing."""

from datetime import timedelta
from itertools import islice

from coordinator.cli.client import Client, segment
from coordinator.cli.explain import on_its_way
from coordinator.cli.show import Screen, ago, count, span
from coordinator.cli.standing import standing_of, standing_table
from coordinator.contract.agents import AgentView, HealthView, TallyView
from coordinator.contract.fleet import FleetStatus
from coordinator.contract.jobs import ExecutionView
from shared import limits
from shared.words import some


def status(client: Client, screen: Screen) -> None:
    """Print the fleet on one screen."""
    fleet = client.get("/v1/status", FleetStatus)
    if screen.as_json:
        screen.json(fleet)
        return
    total = fleet.readings
    screen.facts(
        [
            ("fleet", fleet.fleet),
            (
                "coordinator",
                f"version {fleet.version}, up since {fleet.started_at:%Y-%m-%d %H:%M} UTC",
            ),
            ("agents", count(fleet.agents)),
            ("jobs", count(fleet.jobs)),
            ("executions", count(fleet.executions)),
            (
                "readings",
                f"{total.delivered} delivered in {some(total.blocks, 'block')}, {total.lost} lost",
            ),
            ("stored", f"{total.bytes} bytes"),
            ("refused", count(fleet.refused)),
        ]
    )
    for warning in fleet.warnings:
        screen.text(f"warning: {warning}")


def list_agents(
    client: Client, screen: Screen, *, selector: str, state: str = "", most: int
) -> None:
    """Print the agents that a selector matches."""
    # The state is chosen here: so many of the fleet are asked for as it takes to find `most`.
    asked = limits.INT_MAX if state else most
    pages = client.pages("/v1/agents", AgentView, {"selector": selector}, most=asked)
    found = list(islice((one for one in pages if state.upper() in {"", one.state}), max(most, 0)))
    if screen.as_json:
        screen.json(found)
        return
    if not found:
        screen.text("no agent matches" if selector or state else "no agent has enrolled yet")
        return
    screen.table(
        ("AGENT", "SITE", "STATE", "LAST CONTACT", "DELIVERED", "WAITING", "LOST", "CONTACTS"),
        [
            (
                *(agent.id, agent.site, agent.state, ago(agent.last_contact_at)),
                *(agent.tally.delivered, agent.tally.stored, agent.tally.lost),
                agent.link.contacts,
            )
            for agent in found
        ],
    )


def show_agent(client: Client, screen: Screen, name: str) -> None:
    """Print everything known about one agent, and its latest work."""
    agent = client.get(f"/v1/agents/{segment(name)}", AgentView)
    work = list(client.pages("/v1/executions", ExecutionView, {"agent": agent.id}, most=10))
    stands = standing_of(client, agent.id)
    if screen.as_json:
        screen.json({"agent": agent, "executions": work, "standing": stands})
        return
    screen.facts(_facts(agent))
    if work:
        screen.text()
        screen.table(
            ("EXECUTION", "STATE", "REASON", "UPDATED"),
            [(one.id, one.state, one.reason, ago(one.updated_at)) for one in work],
        )
    if stands:
        screen.text()
        standing_table(screen, stands)


_ABOUT_TWO = (
    "two machines spoke with its key, or an old card was put back; it gets no work. Find out which"
    " is the real one, switch the other off, then: outstation agents release {}"
)


def _off(offset_ms: int) -> str:
    """Return how far a clock is off: in milliseconds while they say something.

    >>> _off(-48), _off(157_680_000_000)
    ('-48 ms', '1825 d ahead')
    """
    off = timedelta(milliseconds=abs(offset_ms))
    if off < timedelta(minutes=1):
        return f"{offset_ms:+} ms"
    return f"{span(off)} {'ahead' if offset_ms > 0 else 'behind'}"


def _facts(agent: AgentView) -> list[tuple[str, object]]:
    link = agent.link
    labels = ", ".join(f"{key}={value}" for key, value in sorted(agent.labels.items()))
    facts: list[tuple[str, object]] = [
        ("agent", agent.id),
        ("site", agent.site),
        ("labels", labels or "-"),
        ("state", agent.state),
        *([("what to do", _ABOUT_TWO.format(agent.id))] if agent.state == "QUARANTINED" else []),
        ("key", agent.fingerprint),
        *([("next key", agent.next_fingerprint)] if agent.next_fingerprint else []),
        *([("rekey", "asked for")] if agent.rekey_asked else []),
        ("enrolled", ago(agent.enrolled_at)),
        ("last contact", ago(agent.last_contact_at)),
        ("contacts", f"{link.contacts}, {link.bytes_up} bytes up, {link.bytes_down} bytes down"),
        ("readings", _account(agent.tally)),
        ("accounted for", "every one" if agent.balanced else "NO: see the agent's own account"),
    ]
    if agent.agent_says is not None:
        facts.append(("the agent says", _account(agent.agent_says)))
    if agent.missing_blocks:
        gaps = ", ".join(f"{first}-{last}" for first, last in agent.missing_blocks[:8])
        facts.append(("blocks on their way", gaps))
    if agent.gone_blocks:
        gone = ", ".join(f"{first}-{last}" for first, last in agent.gone_blocks[:8])
        facts.append(("blocks gone for good", gone))
    if agent.clock is not None:
        facts.append(("clock", f"{agent.clock.state}, {_off(agent.clock.offset_ms)}"))
    if agent.health is not None:
        facts.append(("health", _health(agent.health)))
    if agent.health is not None and agent.health.moving is not None:
        moving = agent.health.moving
        facts.append(("on its way", f"{on_its_way(moving)} ({ago(moving.at)})"))
    facts.append(("refused there", count(agent.refusals)))
    facts.append(("refused here", count(agent.refused_here)))
    return facts


def _health(health: HealthView) -> str:
    waiting = sum(health.waiting.values())
    parts = [f"{some(waiting, 'reading')} waiting"]
    if waiting:
        parts[0] += f", the oldest for {span(timedelta(seconds=health.oldest_s))}"
    if alarms := health.waiting.get(0):
        parts.append(f"{alarms} of them ALARMS")
    if health.silent_devices:
        several = "devices do" if health.silent_devices > 1 else "device does"
        longest = span(timedelta(seconds=health.silent_s))
        parts.append(f"{health.silent_devices} {several} NOT ANSWER, one for {longest}")
    parts.append(f"{health.free_mb} MB free")
    share = f", {health.budget_permille / 10:.0f} % of its budget" if health.budget_permille else ""
    parts.append(f"{health.today_kb} kB today{share}")
    return f"{'; '.join(parts)} ({ago(health.at)})"


def _account(tally: TallyView) -> str:
    return (
        f"{tally.sampled} sampled = {tally.suppressed} suppressed + {tally.delivered} delivered"
        f" + {tally.stored} stored + {tally.lost} lost"
    )
