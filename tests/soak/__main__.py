"""`make soak`: a real fleet at work for twenty minutes, and nothing may grow or be lost.

    python -m tests.soak --minutes 3 --json
    python -m tests.soak --virtual-days 30

A coordinator, two gateways with simulated devices on serial lines and TCP, links that fail, orders
without end. Every few seconds is noted what each program holds; at the end every promise is
checked. Standard error tells the progress, standard output one JSON object.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.soak.gauges import grown, look
from tests.soak.month import month
from tests.system.fleet import Fleet, open_fleet, set_pumps
from tests.system.fleet_checks import check_account, settle
from tests.system.fleet_parts import RTU_PUMP, TCP_METER, TCP_PUMP, Gateway

_ROUND_S = 3
_TROUBLE = 7
"""In each so-manieth round a link fails."""


async def soak(folder: Path, minutes: float) -> dict[str, Any]:
    """Work so long; return what grew, and how much was done."""
    async with open_fleet(folder) as fleet:
        await fleet.start_coordinator()
        sites = [
            await fleet.add_gateway("serial", RTU_PUMP, poll_interval_s=0.2),
            await fleet.add_gateway("lan", TCP_PUMP, TCP_METER, poll_interval_s=0.2),
        ]
        samples: dict[str, list[dict[str, float]]] = {"coordinator": [], "serial": [], "lan": []}
        until = time.monotonic() + 60 * minutes
        jobs = 0
        while time.monotonic() < until:
            begun = time.monotonic()
            jobs += 1
            await _work(fleet, sites, jobs)
            _note(fleet, sites, samples)
            await asyncio.sleep(max(0, begun + _ROUND_S - time.monotonic()))
            if jobs % 20 == 0:
                left = (until - time.monotonic()) / 60
                _say(f"{jobs} jobs, {left:.1f} minutes left: {samples['serial'][-1]}")
        for site in sites:
            await settle(fleet, site)
            await check_account(fleet, site)
        views = [await fleet.agent_view(site) for site in sites]
        return {
            "minutes": minutes,
            "jobs": jobs,
            "looks": len(samples["serial"]),
            "readings": sum(view["tally"]["delivered"] for view in views),
            "last": {name: taken[-1] for name, taken in samples.items()},
            "wrong": [
                f"{name}: {what}" for name, taken in samples.items() for what in grown(taken)
            ],
        }


async def _work(fleet: Fleet, sites: Sequence[Gateway], number: int) -> None:
    """Give an order to both sites, with a link that fails now and then, and see it done."""
    link = sites[number % 2].link
    trouble = number % _TROUBLE
    if trouble == 0:
        link.black_hole(True)
    elif trouble == 1:
        link.reset_after_bytes = 3_000
    job = await fleet.submit(set_pumps(1_000 + number % 3_000, selector="site in (serial,lan)"))
    await sites[0].polled()
    link.black_hole(False)
    link.reset_after_bytes = None
    await fleet.admin.finished(job)


def _note(fleet: Fleet, sites: Sequence[Gateway], samples: dict[str, list[Any]]) -> None:
    assert fleet.coordinator.child is not None, "it was started"
    pid = fleet.coordinator.child.process.pid
    temporary = Path(tempfile.gettempdir())
    data, log = fleet.coordinator.data, fleet.coordinator.child.log
    samples["coordinator"].append(look(pid, data, log, temporary))
    for site in sites:
        site.check()
        assert site.agent is not None, "it was started"
        agent = site.agent
        samples[site.site.name].append(look(agent.process.pid, site.folder, agent.log, temporary))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Return 0 when nothing grew and nothing was lost."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="how long (20)")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON object")
    parser.add_argument(
        "--virtual-days", type=int, metavar="N", help="a simulated world instead, for so many days"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the simulated world (1)")
    wish = parser.parse_args()
    if wish.virtual_days:
        result = month(wish.virtual_days, wish.seed)
        print(json.dumps(result))
        return 1 if result["wrong"] else 0
    with (
        tempfile.TemporaryDirectory(prefix="outstation-soak-") as folder,
        contextlib.redirect_stdout(sys.stderr),  # the programs' logs, at the end
    ):
        # They have this one to themselves, so that what a program leaves in it is seen.
        tempfile.tempdir = os.environ["TMPDIR"] = f"{folder}/tmp"
        Path(tempfile.tempdir).mkdir()
        result = asyncio.run(soak(Path(folder), wish.minutes))
    print(json.dumps(result))
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
