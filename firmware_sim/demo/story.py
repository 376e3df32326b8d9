"""The demo's story in six acts: collect, order, update, cut off, attack, reconcile.

Owns the sequence of events and the expectations. The stage stands in `world`, the tricks in
`attacks`, the bookkeeping in `account`.
"""

import asyncio
import os
from dataclasses import dataclass, field
from typing import Any

from firmware_sim.clock import SystemTicks
from firmware_sim.demo import account, attacks, firmware
from firmware_sim.demo.account import Result
from firmware_sim.demo.admin import Admin, until
from firmware_sim.demo.layout import SITES
from firmware_sim.demo.show import Narrator, SiteRow
from firmware_sim.demo.world import Gateway, World
from shared.clock import MonoMs
from shared.errors import WorldError
from shared.words import some

_SETTLE_S = 6
"""How long polling is watched before the outage, to compare with."""
_DELAY_S = 4
"""The delayed job starts when the link is already gone."""
_OUTAGE_S = 15
"""At least; the attack runs meanwhile and may take longer."""

_ORDERED, _DELAYED, _QUEUED = 4200, 3900, 3800
"""Setpoints in mbar: for two sites, for west before the outage, and for west during it."""


@dataclass(slots=True)
class Story:
    """What happened so far."""

    world: World
    narrator: Narrator
    clock: SystemTicks = field(default_factory=SystemTicks)
    score: attacks.Score = field(default_factory=attacks.Score)
    jobs: list[str] = field(default_factory=list)
    updated: bool = False
    """Each node did what its image had it do."""
    began_ms: int = 0
    outage: tuple[int, int] = (0, 0)

    @property
    def admin(self) -> Admin:
        """Return the admin's client."""
        assert self.world.admin is not None, "the coordinator runs before any act"
        return self.world.admin

    @property
    def west(self) -> Gateway:
        """Return the site whose link fails."""
        return self.world.gateways["west"]


async def tell(world: World, narrator: Narrator, began_ms: int) -> Result:
    """Play all acts and return the account of them."""
    story = Story(world, narrator, began_ms=began_ms)
    try:
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(_watch(story), name="demo live table")
            await _collect(story)
            await _order(story)
            await _update(story)
            await _cut_off(story)
            await _reconcile(story)
            watcher.cancel()
    except* WorldError as failed:
        # The first thing that went wrong is the one a person wants to hear of.
        raise failed.exceptions[0] from None
    return await _account(story)


async def _collect(story: Story) -> None:
    story.narrator.act(1, "Three gateways collect readings over real Modbus")
    for site in SITES:
        wires = ", ".join(
            f"{place.model} over {'RTU on a serial port' if place.serial else 'TCP'}"
            for place in site.devices
        )
        story.narrator.say(f"{site.name}: {wires}")

    async def everyone_reports() -> bool | None:
        agents = await story.admin.agents()
        counts = [agent["tally"]["delivered"] for agent in agents.values()]
        return True if len(counts) == len(SITES) and all(counts) else None

    await until("readings from every site", everyone_reports)
    story.narrator.verdict("enrolled by single-use claims, readings arrive from every site", True)  # noqa: FBT003


async def _order(story: Story) -> None:
    story.narrator.act(2, f"One signed job sets two sites to {_ORDERED} mbar")
    job = await _submit(story, "raise-setpoint", ["north", "south"], _ORDERED)
    await story.admin.finished(job)
    reached = [r.site for r in story.world.records if r.setpoints() == [_ORDERED]]
    story.narrator.verdict(
        f"devices were written once each: {', '.join(reached)}", len(reached) == 2
    )


async def _update(story: Story) -> None:
    story.narrator.act(3, "Two sensor nodes get firmware; one image will not do")
    story.updated = await firmware.update(
        story.admin, story.world.access, story.world.nodes, story.narrator
    )
    await asyncio.sleep(_SETTLE_S)


async def _cut_off(story: Story) -> None:
    story.narrator.act(4, "West loses its link: packets vanish, nothing says so")
    delayed = await _submit(story, "delayed-setpoint", ["west"], _DELAYED, delay_s=_DELAY_S)

    async def accepted() -> bool | None:
        rows = await story.admin.executions(delayed)
        return True if rows and rows[0]["state"] in {"DELIVERED", "HELD"} else None

    await until("west to accept a job for later", accepted)
    began = story.clock.mono_ms()
    story.west.link.black_hole(True)  # noqa: FBT003
    await _submit(story, "queued-setpoint", ["west"], _QUEUED)
    story.narrator.say(f"west holds a job for later ({_DELAYED} mbar); another waits at the centre")
    wait = asyncio.create_task(asyncio.sleep(_OUTAGE_S), name="demo outage")
    try:
        await _attack(story)
        await wait
    finally:
        wait.cancel()

    async def worked_offline() -> bool | None:
        return True if _west_setpoints(story) == [_DELAYED] else None

    await until("west to do its job without a link", worked_offline)
    status = await story.west.status()
    story.outage = (began, story.clock.mono_ms())
    seconds = (story.outage[1] - began) / 1000
    story.narrator.verdict(
        f"{seconds:.0f} s without a link: {some(status['tally']['stored'], 'reading')} waiting on"
        " the gateway, its job was done on time",
        good=status["tally"]["stored"] > 0,
    )
    story.west.link.black_hole(False)  # noqa: FBT003
    story.narrator.say("the link is back")


async def _attack(story: Story) -> None:
    story.narrator.act(5, "Meanwhile a thief with the transport keys sits between two sites and us")
    north, south = story.world.gateways["north"].middle, story.world.gateways["south"].middle
    assert north is not None
    assert south is not None

    def told(text: str, refused: bool) -> None:  # noqa: FBT001
        story.narrator.verdict(f"{'refused' if refused else 'ACCEPTED'}: {text}", refused)

    async def refusals() -> dict[str, int]:
        agents = await story.admin.agents()
        return dict(agents["north"]["refusals"])

    execution = os.urandom(16)
    await attacks.attack_coordinator(north, execution, story.score, told)
    await attacks.attack_agent(north, south, execution, story.score, tell=told, refusals=refusals)
    await attacks.duplicate(south, story.score, story.narrator.verdict)


async def _reconcile(story: Story) -> None:
    story.narrator.act(6, "Everything reconciles")
    for job in story.jobs:
        await story.admin.finished(job)
    story.narrator.verdict("every job has its result, by the gateways' own signed word", True)  # noqa: FBT003
    check = await story.admin.submit(
        {
            "name": "check-setpoints",
            "targets": {"selector": "site in (north,south,west)", "device_selector": "kind=pump"},
            "steps": [{"id": "look", "action": "device.read", "params": {"points": ["setpoint"]}}],
        }
    )
    story.jobs.append(check)
    rows = await story.admin.finished(check)
    story.narrator.verdict(
        "a last look at every pump succeeded", all(row["state"] == "SUCCEEDED" for row in rows)
    )

    async def drained() -> bool | None:
        status = await story.west.status()
        return True if status["tally"]["stored"] < _nearly_nothing(story.west) else None

    await until("west to send its backlog", drained)


async def _account(story: Story) -> Result:
    gateways = story.world.gateways.values()
    for gateway in gateways:
        assert gateway.agent is not None
        gateway.agent.check()
        await gateway.agent.stop()
    states = [row["state"] for job in story.jobs for row in await story.admin.executions(job)]
    agents = await story.admin.agents()
    tallies = [(await gateway.status())["tally"] for gateway in gateways]
    records = story.world.records
    readings = {
        "sampled": sum(record.sampled() for record in records),
        "suppressed": sum(tally["suppressed"] for tally in tallies),
        "delivered": sum(agent["tally"]["delivered"] for agent in agents.values()),
        "stored": sum(tally["stored"] for tally in tallies),
        "ledger": sum(tally["lost"] for tally in tallies),
    }
    series = [await _poll_series(story, record, agents) for record in records]
    expected = {
        ("north", "pump-1"): [_ORDERED],
        ("south", "pump-1"): [_ORDERED],
        ("west", "pump-1"): [_DELAYED, _QUEUED],
    }
    unwanted = account.unwanted_writes(records, expected)
    repeated = sum(len(one) - len(set(one)) for one in series)
    before, during = _gaps(story, records)
    rogue = account.rogue_writes(records)
    refused_all = story.score.refused == story.score.sent
    return Result(
        duration_s=round((story.clock.mono_ms() - story.began_ms) / 1000, 1),
        readings=readings,
        jobs={
            "submitted": len(states),
            "succeeded": states.count("SUCCEEDED"),
            "failed": len(states) - states.count("SUCCEEDED"),
        },
        outage_s=round((story.outage[1] - story.outage[0]) / 1000, 1),
        contacts=sum(agent["link"]["contacts"] for agent in agents.values()),
        wire_bytes=sum(g.link.stats.bytes_up + g.link.stats.bytes_down for g in gateways),
        attacks={"sent": story.score.sent, "refused": story.score.refused, "effects": rogue},
        duplicates={"injected": story.score.duplicates, "effects": repeated + unwanted},
        max_poll_gap_s={"before": before, "during_outage": during},
        firmware={
            "nodes": len(story.world.nodes),
            "run": sum(bool(node.boots()[-1][1]) for node in story.world.nodes),
        },
        promises={
            "no_silent_loss": account.no_silent_loss(readings, series),
            "no_double_effect": repeated == 0 and unwanted == 0,
            "nothing_unsigned": refused_all and rogue == 0,
            "wan_independent": account.wan_independent(before, during),
            "no_brick": story.updated and all(node.boots()[-1][1] for node in story.world.nodes),
        },
    )


async def _submit(
    story: Story, name: str, sites: list[str], setpoint: int, delay_s: int = 0
) -> str:
    job = await story.admin.submit(
        {
            "name": name,
            "targets": {
                "selector": f"site in ({','.join(sites)})",
                "device_selector": "kind=pump",
            },
            "steps": [{"id": "apply", "action": "device.write", "params": {"setpoint": setpoint}}],
            "delay_s": delay_s,
        }
    )
    story.jobs.append(job)
    return job


async def _poll_series(
    story: Story, record: account.Record, agents: dict[str, Any]
) -> list[float | None]:
    view = await story.admin.get(
        "/v1/readings",
        agent=agents[record.site]["id"],
        device=record.place.id,
        point="poll_count",
        limit=10_000,
    )
    return [value for one in view["series"] for value in one["values"]]


def _gaps(story: Story, records: list[account.Record]) -> tuple[float, float]:
    began, ended = story.outage
    watched = [record for record in records if record.site == "west"]
    quiet_from = MonoMs(began - _SETTLE_S * 1000)
    before = max(record.longest_gap_s(quiet_from, MonoMs(began)) for record in watched)
    during = max(record.longest_gap_s(MonoMs(began), MonoMs(ended)) for record in watched)
    return round(before, 3), round(during, 3)


def _west_setpoints(story: Story) -> list[int]:
    return next(
        record.setpoints()
        for record in story.world.records
        if (record.site, record.place.id) == ("west", "pump-1")
    )


def _nearly_nothing(gateway: Gateway) -> int:
    """Return how many readings a healthy gateway may still hold between two contacts."""
    per_poll = sum(len(place.polled) for place in gateway.site.devices)
    return per_poll * 6


async def _watch(story: Story) -> None:
    while True:
        story.world.check()
        agents = await story.admin.agents()
        rows = []
        for name, gateway in story.world.gateways.items():
            records = [record for record in story.world.records if record.site == name]
            delivered = agents.get(name, {}).get("tally", {}).get("delivered", 0)
            sampled = sum(record.sampled() for record in records)
            written = [value for record in records for value in record.setpoints()]
            rows.append(
                SiteRow(
                    site=name,
                    link="BLACK HOLE" if gateway.link.is_black_hole else "up",
                    polls=sum(record.polls() for record in records),
                    delivered=delivered,
                    backlog=max(0, sampled - delivered),
                    setpoint=f"{written[-1]} mbar" if written else "-",
                )
            )
        story.narrator.table(rows)
        await asyncio.sleep(1)
