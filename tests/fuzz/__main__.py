"""``python -m tests.fuzz [NAME...] [--executions N] [--searched N] [--seed S] [--json]``.

Each target gets plain inputs, quick ones by the million (`havoc`), and some that hypothesis looks
for (`hostile`). Exit 1 when a decoder let anything but a refusal out; the input, made small, is
then in the corpus. `--guided` lets atheris choose the inputs by coverage, where it is installed,
for one NAME.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.fuzz.running import ACCEPTED, Tally, corpus, execute, keep, named
from tests.fuzz.shares import Played, Share, play, shares
from tests.fuzz.targets import TARGETS

TOLD_EVERY_S = 30
"""A long run says how far it is."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TARGETS))
    parser.add_argument(
        "--executions", type=int, default=20_000, metavar="N", help="plain ones per target (20000)"
    )
    parser.add_argument(
        "--searched", type=int, default=2_000, metavar="N", help="by hypothesis, per target (2000)"
    )
    parser.add_argument("--seed", type=int, default=None, help="repeat an earlier run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
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
    print(f"seed {start}", flush=True)
    todo = shares(list(named(asked.names)), start, plain=asked.executions, searched=asked.searched)
    report = _report(todo, asked.jobs)
    found = [one for name in report for one in report[name]["found"]]
    for one in found:
        print(f"FOUND {one}", flush=True)
    if asked.json:
        print(json.dumps(report))
    return 1 if found else 0


def _report(todo: Sequence[Share], jobs: int) -> dict[str, dict[str, Any]]:
    """Play all of it, telling of each target when it is through."""
    left: dict[str, int] = {}
    for share in todo:
        left[share.name] = left.get(share.name, 0) + 1
    played: dict[str, list[Played]] = {name: [] for name in left}
    report: dict[str, dict[str, Any]] = {}
    told_s = time.monotonic()
    for done, one in enumerate(_played(todo, jobs), 1):
        name = one.share.name
        played[name].append(one)
        if len(played[name]) == left[name]:
            report[name] = _summed(name, played[name])
        elif time.monotonic() - told_s > TOLD_EVERY_S:
            print(f"{done} of {len(todo)} shares, now at {name}", file=sys.stderr, flush=True)
            told_s = time.monotonic()
    return {name: report[name] for name in left}


def _played(todo: Sequence[Share], jobs: int) -> Iterator[Played]:
    if jobs == 1 or len(todo) == 1:
        yield from map(play, todo)
        return
    with ProcessPoolExecutor(min(jobs, len(todo))) as pool:
        for done in as_completed([pool.submit(play, share) for share in todo]):
            yield done.result()


def _summed(name: str, played: Sequence[Played]) -> dict[str, Any]:
    tally = Tally()
    for one in played:
        tally.add(one.tally)
    accepted, reasons = tally.outcomes[ACCEPTED], len(tally.outcomes.keys() - {ACCEPTED})
    took = round(sum(one.seconds for one in played), 1)
    found = sorted({_told(one) for one in played if one.error})
    print(
        f"{name:12} {tally.executions:8} executions, {accepted} accepted, {reasons} reasons,"
        f" peak {tally.peak_bytes // 1024} kB, {took} s{', FOUND' if found else ''}",
        flush=True,
    )
    return {
        "executions": tally.executions,
        "accepted": accepted,
        "reasons": reasons,
        "peak_bytes": tally.peak_bytes,
        "processor_s": took,
        "found": found,
    }


def _told(one: Played) -> str:
    """Return what escaped, and what repeats it."""
    stem = Path(one.kept).stem
    return (
        f"{one.share.name}: {one.error}; kept as {one.kept};"
        f" repeat it with: make test JOBS=0 ARGS='tests/fuzz -k {stem}'"
        f" (seed {one.share.start}, share {one.share.number})"
    )


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
