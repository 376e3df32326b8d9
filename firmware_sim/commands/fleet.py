"""`outstation-sim fleet`: thousands of gateways that call one coordinator, with real contacts."""

import argparse
import asyncio
import json
from pathlib import Path

from firmware_sim.commands.running import say
from firmware_sim.fleet.crowd import Play
from firmware_sim.fleet.readings import Shape
from firmware_sim.fleet.stage import FleetOrder, play_fleet
from firmware_sim.fleet.weather import Outage
from shared import limits
from shared.errors import MistakeError

EXAMPLES = """\
examples:
  outstation-coordinator claim create --data DIR --site sim --count 5000 claim.json
  outstation-sim fleet fleet.jsonl --agents 5000 --claim claim.json --seconds 0
      lets 5,000 gateways in; fleet.jsonl remembers them
  outstation-sim fleet fleet.jsonl --rate 200 --seconds 60
      contacts by chance, 200 a second on average, a new connection for each
  outstation-sim fleet fleet.jsonl --in-flight 64 --seconds 20 --json
      as fast as they are answered, 64 at once
  outstation-sim fleet fleet.jsonl --rate 100 --seconds 120 --outage 30:40:50
      after 30 s half of them have no line for 40 s, then all of those call at once
  outstation-sim fleet fleet.jsonl --rate 100 --seconds 60 --work
      orders are admitted, and told to have succeeded

The last line of the output is the result; with --json it is one JSON object.
"""


def add_fleet_options(parser: argparse.ArgumentParser) -> None:
    """Add what `outstation-sim fleet` takes."""
    add = parser.add_argument
    add("roster", type=Path, metavar="ROSTER", help="the file that remembers the fleet")
    add("--agents", type=int, metavar="N", help="play N gateways; more are let in by --claim")
    add(
        "--claim",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="lets gateways in, 10000 at most; may be repeated",
    )
    add("--url", help="where to call; default: what the claim said. http://..., unix:PATH")
    add("--seconds", type=float, default=10.0, help="how long to play (10); 0: only enrol")
    add("--contacts", type=int, default=0, help="end after so many contacts")
    arrival = parser.add_mutually_exclusive_group()
    arrival.add_argument(
        "--rate", type=float, default=0.0, help="contacts a second, arriving by chance"
    )
    arrival.add_argument(
        "--once",
        action="store_true",
        help="end when each gateway has made one contact, or after --seconds",
    )
    add("--in-flight", type=int, default=64, help="without --rate: contacts at once (64)")
    add("--keep-alive", action="store_true", help="keep connections instead of one per contact")
    add("--timeout", type=float, default=30.0, metavar="S", help="for one contact (30)")
    add("--blocks", type=int, default=1, help="new blocks in each contact (1)")
    add("--channels", type=int, default=4, help="of a new fleet (4)")
    add("--rows", type=int, default=15, help="in a block of a new fleet (15)")
    add("--step", type=float, default=60.0, metavar="S", help="between two rows (60)")
    add(
        "--outage",
        action="append",
        default=[],
        metavar="AFTER:FOR:PERCENT",
        help="no line for some, then all of them at once; may be repeated",
    )
    add("--work", action="store_true", help="admit orders and tell that they succeeded")
    add("--seed", type=int, default=0, help="same seed, same draws")
    add("--json", action="store_true", help="the result as one JSON object")


def fleet_order(given: argparse.Namespace) -> FleetOrder:
    """Return the order in a command line.

    Raises:
        MistakeError: it is none.
    """
    for name, least, most in (
        ("agents", 1, limits.FLEET_AGENTS),
        ("in_flight", 1, limits.FLEET_IN_FLIGHT),
        ("blocks", 0, limits.FLEET_BLOCKS),
        ("channels", 1, limits.CHANNELS),
        ("rows", 1, limits.BLOCK_POINTS),
        ("step", 0.001, 86_400),
        ("seconds", 0, 1e7),
        ("rate", 0, 1e6),
    ):
        value = getattr(given, name)
        if value is not None and not least <= value <= most:
            option = name.replace("_", "-")
            raise MistakeError(f"--{option} {value:g} is not from {least} to {most:g}")
    if given.channels * given.rows > limits.BLOCK_POINTS:
        raise MistakeError(
            f"{given.channels * given.rows} readings do not fit into one block",
            mend=f"{limits.BLOCK_POINTS} do",
        )
    return FleetOrder(
        roster=given.roster,
        agents=given.agents,
        claims=tuple(given.claim),
        url=given.url or "",
        shape=Shape(channels=given.channels, rows=given.rows, step_ms=int(given.step * 1000)),
        play=Play(
            seconds=given.seconds,
            rate=given.rate,
            in_flight=given.in_flight,
            blocks=given.blocks,
            outages=tuple(map(Outage.parse, given.outage)),
            contacts=given.contacts,
            once=given.once,
            seed=given.seed,
        ),
        keep_alive=given.keep_alive,
        timeout_s=given.timeout,
        work=given.work,
    )


def run_fleet(given: argparse.Namespace) -> str:
    """Play a fleet; return the result as text or JSON.

    Raises:
        MistakeError: a wrong option or file, or a claim that lets nobody in.
        WorldError: the coordinator cannot be reached, or the disk did not obey.
    """
    result = asyncio.run(play_fleet(fleet_order(given), say))
    if given.json:
        return json.dumps(result)
    return ", ".join(f"{name} {value}" for name, value in result.items())
