"""`python -m tests.bench [NAME] [--json] [options]`: figures that the product claims.

Without a name all benches run with their defaults. The last line of the output is one JSON object:
the bench's result, or an object of results by name.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

from shared.errors import MistakeError


class Bench(Protocol):
    """What a module of this package has to offer."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the bench's own options; each has a default."""

    def run(self, options: argparse.Namespace) -> Mapping[str, object]:
        """Measure, and return figures by name; a nested object is a comparison."""


BENCHES = {
    "artifact": "tests.bench.artifact",
    "bus": "tests.bench.bus",
    "codec": "tests.bench.codec",
    "contact": "tests.bench.contact",
    "contacts": "tests.bench.contacts",
    "day": "tests.bench.day",
    "agent": "tests.bench.agent",
    "blackhole": "tests.bench.blackhole",
    "drain": "tests.bench.drain",
    "proof": "tests.bench.proof",
    "queue": "tests.bench.queue",
    "rollout": "tests.bench.rollout",
    "rollup": "tests.bench.rollup",
    "rs485": "tests.bench.rs485",
}
"""Name -> module, imported when it runs: one bench must not weigh on another's figures."""
BY_NAME_ONLY = {"proof"}
"""It measures nothing and takes a quarter of an hour."""


def main(argv: list[str]) -> int:
    """Run one bench, or all; return the exit code."""
    name = argv[0] if argv and not argv[0].startswith("-") else None
    if name and name not in BENCHES:
        print(f"no bench {name!r}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    try:
        if name:
            result = _run(name, argv[1:])
        else:
            quiet = [option for option in argv if option == "--json"]
            result = {each: _run(each, quiet) for each in BENCHES if each not in BY_NAME_ONLY}
    except MistakeError as mistake:
        print(mistake, file=sys.stderr)
        return 2
    print(json.dumps(result))
    return 1 if result.get("wrong") else 0


def _run(name: str, argv: list[str]) -> Mapping[str, object]:
    bench = cast("Bench", import_module(BENCHES[name]))
    parser = argparse.ArgumentParser(
        prog=f"python -m tests.bench {name}", description=bench.__doc__
    )
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON object")
    bench.add_arguments(parser)
    options = parser.parse_args(argv)
    result = bench.run(options)
    if not options.json:
        _print_table(name, result)
    return result


def _print_table(title: str, result: Mapping[str, object], indent: str = "") -> None:
    print(f"{indent}{title}")
    for name, value in result.items():
        if isinstance(value, Mapping):
            _print_table(name, value, indent + "  ")
        else:
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            print(f"{indent}  {name:<28}{f'{value:,}' if number else value!s:>16}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
