"""What was tried to break the promises, and what came of it: every kind of attack in one run.

Runs the programs that find out, one after the other, each of them over every core, and adds up what
each says it tried: worlds of the simulation, power cuts, kills before an operation and faults of
the disk on both programs' stores, mutants, hostile bytes at every decoder. Fails when anything was
lost, doubled or let pass, or when less was tried than is asked for; its last lines say what was
wrong by name, with what repeats it.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.length import LONG
from tests.tally import TALLY, added_up

POWER_CUTS, KILL_POINTS = 2_000, 50
LINES = 2_000
"""Of what a program says, that much is looked through for what was wrong."""
TELLING = re.compile(
    r"^(FAILED|ERROR|FOUND|SURVIVED|BROKEN|too rare:) ?|^E   |repeat it with:|rror: |^seed \d+: "
)
"""Lines that say what was wrong, of all the programs."""
MOST_TOLD = 12
"""Sentences about one program; its own output has the rest."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that was run."""

    status: int
    report: Mapping[str, Any]
    """Its last line, if that was one JSON object."""
    said: Sequence[str]
    """The lines before."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--seeds", type=int, default=200, help="worlds of the simulation (200)")
    parser.add_argument(
        "--executions", type=int, default=10_000, help="plain inputs of each decoder (10000)"
    )
    parser.add_argument(
        "--searched", type=int, default=2_000, help="inputs that hypothesis looks for (2000)"
    )
    parser.add_argument("--mutants", nargs="*", default=[], help="beginnings of names (all)")
    parser.add_argument(
        "--tried",
        type=Path,
        help=f"a file with what the tests of the stores tried already, run at length ({LONG}=1) on "
        f"this tree, which wrote it ({TALLY}=FILE); without it they are run",
    )


def run(options: argparse.Namespace) -> Mapping[str, object]:
    """Try everything; nothing stops early, so that one run tells all that is wrong."""
    wrong: list[str] = []
    tried = _power(wrong) if options.tried is None else added_up(options.tried)
    worlds = _module(wrong, "tests.simulation.world", "--count", str(options.seeds), "--prove")
    mutants = _module(wrong, "tests.mutants", *options.mutants, "--json")
    plain, searched = str(options.executions), str(options.searched)
    asked = ("--executions", plain, "--searched", searched, "--json")
    fuzz = _module(wrong, "tests.fuzz", *asked)
    faults: Mapping[str, int] = worlds.get("faults", {})
    for name, least in (("power_cuts", POWER_CUTS), ("kill_points", KILL_POINTS)):
        if tried.get(name, 0) < least:
            wrong.append(f"{tried.get(name, 0)} {name}, at least {least} are asked for")
    for sentence in wrong:
        print(f"WRONG {sentence}", file=sys.stderr, flush=True)
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


def _power(wrong: list[str]) -> Mapping[str, int]:
    """Run the tests of both stores at length; return what they tried."""
    with tempfile.TemporaryDirectory(prefix="outstation-proof-") as folder:
        tally = Path(folder, "tally")
        long = {LONG: "1", TALLY: str(tally)}
        _program(wrong, "tests/power", ["pytest", "-q", "-n", "auto", "tests/power"], long)
        return added_up(tally)


def _module(wrong: list[str], module: str, *arguments: str) -> Mapping[str, Any]:
    """Run a program whose last line is one JSON object; return that."""
    return _program(wrong, module, [module, *arguments], {}).report


def _program(
    wrong: list[str], name: str, words: Sequence[str], environ: Mapping[str, str]
) -> Ended:
    """Run a program, pass on what it says as it says it, and note what was wrong."""
    begun = time.monotonic()
    ended = follow(words, environ)
    if ended.status:
        wrong += [f"{name} ended with {ended.status}", *told(ended)]
    print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return ended


def follow(words: Sequence[str], environ: Mapping[str, str]) -> Ended:
    """Run a module to its end; its lines go to standard error at once, but a JSON object."""
    said, report = deque[str](maxlen=LINES), {}
    with subprocess.Popen(
        [sys.executable, "-m", *words],
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None, "a pipe, as asked above"
        for line in process.stdout:
            if line.startswith("{"):
                try:
                    report = json.loads(line)
                except ValueError:
                    report = {}
                else:
                    continue
            said.append(line.rstrip())
            print(line, end="", file=sys.stderr, flush=True)
    return Ended(process.returncode, report, list(said))


def told(ended: Ended) -> list[str]:
    """Return what a program that failed said was wrong, by name; or just its last words."""
    alive = [
        f"mutant {one['outcome']}: {one['name']} ({one['detail']})"
        for one in ended.report.get("not", ())
    ]
    if alive:
        return _few(alive)
    found = [line for line in ended.said if TELLING.search(line)] or ended.said[-MOST_TOLD:]
    # What broke a promise comes before what was tried too rarely.
    return _few(sorted(found, key=lambda line: line.startswith("too rare:")))


def _few(sentences: Sequence[str]) -> list[str]:
    left = len(sentences) - MOST_TOLD
    return [*sentences[:MOST_TOLD], *([f"and {left} more"] if left > 0 else [])]
