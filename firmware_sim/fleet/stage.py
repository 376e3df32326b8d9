"""A fleet from its file to its figures: let in who is missing, play, remember.

Leaves out the command line (`firmware_sim.commands.fleet`).
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_sim.fleet.crowd import Crowd, Play
from firmware_sim.fleet.gateway import Fleet, Gateway
from firmware_sim.fleet.line import Address, Line
from firmware_sim.fleet.readings import BlockPool, Shape
from firmware_sim.fleet.roster import Heading, Roster, enrol, read_claim
from shared import limits
from shared.errors import MistakeError, Reason, WorldError
from shared.runtime.clock import SystemClock
from shared.words import some

Say = Callable[[str], None]
"""Tells a person how it goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOrder:
    """What `outstation-sim fleet` was asked for."""

    roster: Path
    agents: int | None
    claims: tuple[Path, ...]
    url: str
    shape: Shape
    play: Play
    keep_alive: bool
    timeout_s: float
    work: bool


async def play_fleet(order: FleetOrder, say: Say) -> dict[str, Any]:
    """Let in whom the roster lacks, play, and save the roster; return the figures.

    Raises:
        MistakeError: a wrong file, or a claim that lets nobody in.
        WorldError: the coordinator cannot be reached.
        OSError: the disk did not obey.
    """
    roster, clock = _roster(order), SystemClock()
    wanted = order.agents or len(roster.seats)
    heading = roster.heading
    shape = Shape(channels=heading.channels, rows=heading.rows, step_ms=heading.step_ms)
    fleet = Fleet(
        fleet=bytes.fromhex(heading.fleet),
        root=roster.root,
        seed=heading.seed,
        pool=BlockPool(shape, seed=order.play.seed),
        work=order.work,
    )
    try:
        if len(roster.seats) < wanted:
            await _let_in(order, roster, fleet, wanted, say)
        gateways = [Gateway(fleet, seat) for seat in roster.seats[:wanted]]
        if not gateways or order.play.seconds == 0:
            return {"agents": len(roster.seats)}
        say(f"calling {order.url or heading.url}: {some(len(gateways), 'gateway')}")
        address = Address.parse(order.url or heading.url, ca_pem=heading.ca_pem)
        line = Line(address, keep=order.keep_alive, wait_s=order.timeout_s)
        # All of the fleet lives as long as the run: looking through it again and again only costs.
        gc.collect()
        gc.freeze()
        crowd = Crowd(gateways, line, clock, order.play)
        began_s = time.process_time()
        try:
            tally = await crowd.run()
        finally:
            line.close()
        cpu_s = round(time.process_time() - began_s, 3)
        return {"agents": len(gateways), **tally.result(crowd.passed_s), "cpu_s": cpu_s}
    except ConnectionError as error:
        raise WorldError(Reason.STORE_CLOSED, f"the coordinator: {error}") from error
    finally:
        if roster.seats:
            roster.save(order.roster)


def _roster(order: FleetOrder) -> Roster:
    if order.roster.exists() or not order.claims:
        return Roster.load(order.roster)
    claim = read_claim(order.claims[0])
    heading = Heading(
        url=order.url or claim.url,
        fleet=claim.fleet,
        ca_pem=claim.ca_pem,
        root=claim.root,
        seed=f"{claim.fleet}/{order.play.seed}",
        channels=order.shape.channels,
        rows=order.shape.rows,
        step_ms=order.shape.step_ms,
    )
    return Roster(heading, [])


async def _let_in(order: FleetOrder, roster: Roster, fleet: Fleet, wanted: int, say: Say) -> None:
    """Let gateways in until the roster has so many, claim after claim."""
    if not order.claims:
        raise MistakeError(
            f"the roster has {some(len(roster.seats), 'gateway')}, not {wanted}",
            mend="--claim FILE lets more in",
        )
    for path in order.claims:
        first = len(roster.seats) + 1
        numbers = range(first, min(wanted + 1, first + limits.CLAIM_COUNT))
        if numbers:
            signers = [(number, fleet.signer(number)) for number in numbers]
            await enrol(roster, signers, read_claim(path), now_ms=SystemClock().wall_ms())
            say(f"let in: {some(len(roster.seats), 'gateway')}")
