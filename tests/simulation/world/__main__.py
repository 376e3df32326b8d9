"""`make sim`: many worlds in parallel processes, the faults counted, each finding with its seed.

    python -m tests.simulation.world --seed 7
    python -m tests.simulation.world --count 200 --prove
    python -m tests.simulation.world --from 1000 --count 9000

A finding ends nothing: all the other worlds are played, and every seed that failed is named once
more at the end. Standard error tells the progress, standard output one JSON object at the end.
"""

import argparse
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.simulation.world.found import PLOTS
from tests.simulation.world.play import Verdict, play
from tests.simulation.world.proof import lacking

_EVERY = 10
"""Worlds from one line about the progress to the next."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the worlds that were asked for; 0: no promise was broken."""
    parser = argparse.ArgumentParser(prog="make sim", description=__doc__)
    parser.add_argument("--seed", "--from", type=int, help="one world, or the first of several")
    parser.add_argument("--count", type=int, default=1, help="how many, besides the named ones")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--prove", action="store_true", help="fail when a fault was too rare")
    parser.add_argument("--plot", choices=PLOTS, help="only the world of this name")
    wish = parser.parse_args(arguments)
    if wish.plot:
        plot = PLOTS[wish.plot]
        return 1 if _told(play(plot.seed, plot.stories), wish.plot).findings else 0
    first = 1 if wish.seed is None else wish.seed
    seeds = list(range(first, first + wish.count))
    began_s = time.monotonic()
    verdicts = _play(seeds, wish.jobs)
    if wish.seed is None:
        verdicts += [_told(play(one.seed, one.stories), name) for name, one in PLOTS.items()]
    hits = sum((one.hits for one in verdicts), Counter[str]())
    walked = sum((one.transitions for one in verdicts), Counter[str]())
    broken = sum(bool(one.findings) for one in verdicts)
    missing = lacking(hits, walked) if wish.prove else []
    for what in missing:
        print(f"too rare: {what}", file=sys.stderr)
    summary = {
        "sim_seeds": len(verdicts),
        "sim_hours": round(sum(one.virtual_s for one in verdicts) / 3600),
        "broken": broken,
        "lost": _count(verdicts, r"\b(is|are) lost\b"),
        "duplicated": _count(verdicts, r"\b\d+ times\b"),
        "readings": sum(one.readings for one in verdicts),
        "effects": sum(one.effects for one in verdicts),
        "faults": dict(sorted(hits.items())),
        "transitions": dict(sorted(walked.items())),
        "seconds": round(time.monotonic() - began_s),
    }
    for one in sorted(verdicts, key=lambda one: one.seed):
        if one.findings and one.seed in seeds:
            print(f"failed: make sim SEED={one.seed}", file=sys.stderr)
    print(json.dumps(summary))
    return 1 if broken or missing else 0


def _play(seeds: Sequence[int], jobs: int) -> list[Verdict]:
    if len(seeds) == 1:
        return [_told(play(seeds[0]))]
    verdicts: list[Verdict] = []
    began_s = time.monotonic()
    with ProcessPoolExecutor(min(jobs, len(seeds))) as pool:
        for done in as_completed([pool.submit(_safely, seed) for seed in seeds]):
            verdicts.append(_told(done.result()))
            if len(verdicts) % _EVERY == 0:
                print(_progress(verdicts, len(seeds), began_s), file=sys.stderr, flush=True)
    return verdicts


def _progress(verdicts: Sequence[Verdict], count: int, began_s: float) -> str:
    done, took_s = len(verdicts), time.monotonic() - began_s
    left_s = round(took_s / done * (count - done))
    rate, broken = done / took_s, sum(bool(one.findings) for one in verdicts)
    ends_in = f"{left_s // 3600}:{left_s // 60 % 60:02} h"
    return f"{done} of {count} worlds, {broken} broken, {rate:.2f}/s, ends in {ends_in}"


def _count(verdicts: Sequence[Verdict], sentence: str) -> int:
    """Return how many findings say so."""
    return sum(bool(re.search(sentence, one)) for verdict in verdicts for one in verdict.findings)


def _safely(seed: int) -> Verdict:
    """Play a seed; a world that cannot be played is a finding too."""
    try:
        return play(seed)
    except Exception as error:  # noqa: BLE001  # the other worlds are still worth playing
        what = f"the world itself failed: {type(error).__name__}: {error}"
        return Verdict(seed, "", (what,), Counter(), Counter(), 0.0, 0, 0)


def _told(verdict: Verdict, name: str = "") -> Verdict:
    for finding in verdict.findings:
        print(f"{name or f'seed {verdict.seed}'}: {finding}", file=sys.stderr)
    if verdict.findings:
        how = f"ARGS='--plot \"{name}\"'" if name else f"SEED={verdict.seed}"
        print(f"  repeat it with: make sim {how}", file=sys.stderr, flush=True)
    return verdict


if __name__ == "__main__":
    raise SystemExit(main())
