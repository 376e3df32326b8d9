"""``python -m tests.fuzz [NAME...] [--executions N] [--seed S] [--guided] [--json]``.

Exit 1 when a decoder let anything but a refusal out; the input is then in the corpus. `--guided`
lets atheris choose the inputs by coverage, where it is installed, for one NAME.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.hostile import hostile
from tests.fuzz.running import Tally, corpus, execute, keep, named
from tests.fuzz.targets import TARGETS, Target


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TARGETS))
    parser.add_argument("--executions", type=int, default=2_000, metavar="N", help="per target")
    parser.add_argument("--seed", type=int, default=None, help="repeat an earlier run")
    parser.add_argument("--guided", action="store_true", help="by coverage, with atheris")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.names) - TARGETS.keys())
    if unknown or (asked.guided and len(asked.names) != 1):
        print(f"unknown: {unknown}; choose one of {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    if asked.guided:
        return _guided(asked.names[0], asked.executions)
    start = time.time_ns() if asked.seed is None else asked.seed
    print(f"seed {start}")
    report = {}
    for name, target in named(asked.names).items():
        tally, began = Tally(), time.monotonic()
        found = _run(name, target, asked.executions, start, tally)
        took = round(time.monotonic() - began, 1)
        report[name] = {
            "executions": tally.executions,
            "accepted": tally.outcomes["accepted"],
            "reasons": len(tally.outcomes) - ("accepted" in tally.outcomes),
            "peak_bytes": tally.peak_bytes,
            "duration_s": took,
            "found": found,
        }
        print(
            f"{name:12} {tally.executions:8} executions, {tally.outcomes['accepted']} accepted, "
            f"{report[name]['reasons']} reasons, peak {tally.peak_bytes // 1024} kB, {took} s"
            f"{' FOUND ' + found if found else ''}",
            flush=True,
        )
    if asked.json:
        print(json.dumps(report))
    return 1 if any(entry["found"] for entry in report.values()) else 0


def _run(name: str, target: Target, executions: int, start: int, tally: Tally) -> str:
    """Return where the finding was kept, or nothing."""
    last = [b""]

    def once(data: bytes) -> None:
        last[0] = data
        execute(target, data, tally)

    try:
        for path in corpus(name):
            once(path.read_bytes())
        _explore(once, target, executions, start)
    except Exception as error:  # noqa: BLE001  # whatever escapes is the finding
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return str(keep(name, last[0]))
    return ""


def _explore(once: Callable[[bytes], None], target: Target, executions: int, start: int) -> None:
    profile = settings(
        max_examples=executions,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    seed(start)(profile(given(hostile(target))(once)))()


def _guided(name: str, executions: int) -> int:
    try:
        atheris: Any = import_module("atheris")
    except ImportError:
        print("atheris is not installed here; run without --guided", file=sys.stderr)
        return 2
    target, tally = TARGETS[name], Tally()
    for data in target.seeds():
        keep(name, data)
    atheris.instrument_all()
    atheris.Setup(
        [sys.argv[0], f"-runs={executions}", str(corpus(name)[0].parent)],
        lambda data: execute(target, data, tally),
    )
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
