"""What was tried to break the promises, and what came of it: every kind of attack in one run.

Runs the programs that find out, one after the other, and adds up what each says it tried: worlds
of the simulation, power cuts, kills before an operation and faults of the disk on both programs'
stores, mutants, hostile bytes at every decoder. Fails when anything was lost, doubled or let pass,
or when less was tried than is asked for.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.power.recording import LONG
from tests.tally import TALLY, added_up

POWER_CUTS, KILL_POINTS = 2_000, 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--seeds", type=int, default=200, help="worlds of the simulation (200)")
    parser.add_argument("--executions", type=int, default=2_000, help="of each decoder (2000)")
    parser.add_argument("--mutants", nargs="*", default=[], help="beginnings of names (all)")


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Try everything; nothing stops early, so that one run tells all that is wrong."""
    wrong: list[str] = []
    tried = _tests(wrong)
    worlds = _program(wrong, "tests.simulation.world", ["--count", str(options.seeds), "--prove"])
    mutants = _program(wrong, "tests.mutants", [*options.mutants, "--json"])
    fuzz = _program(wrong, "tests.fuzz", ["--executions", str(options.executions), "--json"])
    faults: Mapping[str, int] = worlds.get("faults", {})
    for name, least in (("power_cuts", POWER_CUTS), ("kill_points", KILL_POINTS)):
        if tried.get(name, 0) < least:
            wrong.append(f"{tried.get(name, 0)} {name}, at least {least} are asked for")
    return {
        "sim_seeds": worlds.get("sim_seeds", 0),
        "sim_hours": worlds.get("sim_hours", 0),
        "faults": sum(faults.values()),
        "lost": worlds.get("lost"),
        "duplicated": worlds.get("duplicated"),
        "power_cuts": tried.get("power_cuts", 0),
        "kill_points": tried.get("kill_points", 0),
        "fsync_faults": tried.get("fsync_faults", 0),
        "disk_faults": tried.get("disk_faults", 0),
        "mutants": mutants.get("of", 0),
        "mutants_killed": mutants.get("killed", 0),
        "fuzz_execs": sum(one["executions"] for one in fuzz.values()),
        "wrong": wrong,
    }


def _tests(wrong: list[str]) -> Mapping[str, int]:
    """Run the tests of both stores at length; return what they tried."""
    with tempfile.TemporaryDirectory(prefix="outstation-proof-") as folder:
        tally = Path(folder, "tally")
        begun = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "auto", "tests/power"],
            env={**os.environ, LONG: "1", TALLY: str(tally)},
            stdout=sys.stderr,
            check=False,
        )
        _told("tests/power", ended.returncode, begun, wrong)
        return added_up(tally)


def _program(wrong: list[str], module: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run a program whose last line is one JSON object; return that."""
    begun = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True, check=False
    )
    *story, last = ended.stdout.splitlines() or [""]
    print("\n".join(story), file=sys.stderr, flush=True)
    _told(module, ended.returncode, begun, wrong)
    try:
        found: dict[str, Any] = json.loads(last)
    except ValueError:
        return {}
    return found


def _told(what: str, status: int, begun: float, wrong: list[str]) -> None:
    if status:
        wrong.append(f"{what} ended with {status}")
    print(f"{what}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
