"""``python -m tests.mutants [NAME...] [--json]``: exit 0 when every mutant is killed."""

import argparse
import json
import sys
import time
from dataclasses import asdict

from tests.mutants.runner import BROKEN, KILLED, SURVIVED, Result, run_mutants
from tests.mutants.tables import MUTANTS


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants, or beginnings of names")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--list", action="store_true", help="only say what there is")
    asked = parser.parse_args(arguments)
    chosen = [m for m in MUTANTS if not asked.names or m.name.startswith(tuple(asked.names))]
    if not chosen:
        print(f"no mutant is called {' or '.join(asked.names)}", file=sys.stderr)
        return 2
    if asked.list:
        for mutant in chosen:
            print(f"{mutant.name:44} {mutant.file}")
        return 0
    begun = time.monotonic()
    try:
        results = run_mutants(chosen, on_result=_say)
    except (ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2
    killed = sum(result.outcome == KILLED for result in results)
    took = round(time.monotonic() - begun, 1)
    print(f"{killed} of {len(results)} mutants killed in {took} s")
    if asked.json:
        alive = [asdict(result) for result in results if result.outcome != KILLED]
        print(json.dumps({"killed": killed, "of": len(results), "duration_s": took, "not": alive}))
    return 0 if killed == len(results) else 1


def _say(result: Result) -> None:
    if result.outcome in {SURVIVED, BROKEN}:
        print(f"{result.outcome.upper()} {result.name}\n{result.detail}", flush=True)
    else:
        print(f"killed {result.name} ({result.duration_s} s)", flush=True)


if __name__ == "__main__":
    sys.exit(main())
