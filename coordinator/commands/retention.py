"""`retention`: what is kept for how long, and what that takes away."""

import argparse
import asyncio
import json
from functools import partial

from coordinator.commands import options as of
from coordinator.core.retention import DEFAULTS, Keeping, parse_setting, show_setting
from coordinator.place import Place, open_fleet
from coordinator.services.retention import Retention
from coordinator.transactions.retention import Excess, count_excess, load_keeping, save_keeping
from shared.runtime.clock import SystemClock
from shared.words import some


def add(commands: of.Commands) -> None:
    """Add `retention`."""
    parser = commands.add_parser(
        "retention", help="show, set or apply what is kept for how long; works while it runs"
    )
    of.add_place(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"for example raw.2=400d, 1m=forever, quota=64MB; there are {', '.join(DEFAULTS)}",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--dry-run", action="store_true", help="count what would go, take and set nothing"
    )
    what.add_argument("--now", action="store_true", help="take away now what is over its time")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.set_defaults(command=_retention)


def _retention(options: argparse.Namespace) -> int:
    settings = [parse_setting(text, where="--set") for text in options.set]
    keeping, excess, dropped = asyncio.run(_work(of.place(options), settings, options))
    shown = {name: show_setting(name, value) for name, value in keeping.values.items()}
    if options.json:
        counts = {one.setting: {"rows": one.rows, "bytes": one.bytes} for one in excess}
        print(json.dumps({"settings": shown, "over": counts, "dropped": dropped}))
        return 0
    for name, text in shown.items():
        print(f"{name:<14}{text}")
    if options.dry_run:
        for one in excess:
            readings = f", {some(one.readings, 'reading')}" if one.readings else ""
            rows = some(one.rows, "row")
            print(f"would take away by {one.setting}: {rows}, {one.bytes} bytes{readings}")
        if not excess:
            print("nothing is over its time or bound")
    for name, count in dropped.items():
        print(f"took away by {name}: {some(count, 'row')}")
    return 0


async def _work(
    place: Place, settings: list[tuple[str, int]], options: argparse.Namespace
) -> tuple[Keeping, list[Excess], dict[str, int]]:
    clock = SystemClock()
    async with open_fleet(place) as (store, _):
        tried = settings if options.dry_run else []
        if settings and not options.dry_run:
            body = partial(save_keeping, settings, actor="command line", now_ms=clock.wall_ms())
            await store.run(body, durable=True)
        keeping = await store.read(partial(load_keeping, tried))
        excess = await store.read(partial(count_excess, clock.wall_ms(), tried))
        retention = Retention(store, clock, actor="command line")
        dropped = await retention.round() if options.now else {}
    return keeping, excess, dropped
