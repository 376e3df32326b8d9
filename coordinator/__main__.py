"""`outstation-coordinator`: found a fleet, run its coordinator, let gateways and people in.

Owns the list of subcommands and how their failures are said; each stands in a file of
`coordinator.commands`.
"""

import argparse
import sys
from collections.abc import Sequence

from coordinator.commands import (
    adopt,
    background,
    backup,
    claim,
    documents,
    init,
    migrate,
    office,
    retention,
    rotate,
    run,
    token,
    trust,
    verify_audit,
)
from shared.errors import MistakeError, OutstationError
from shared.version import add_version

_COMMANDS = (
    init,
    office,
    adopt,
    run,
    backup,
    claim,
    trust,
    token,
    documents,
    rotate,
    retention,
    migrate,
    verify_audit,
    background,
)
"""In the order of the help text."""
_FAILED, _USAGE, _INTERRUPTED = 1, 2, 130
_SERVER = frozenset({"aiohttp", "prometheus_client"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 1 failed, 2 a mistake, 130 stopped."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except MistakeError as error:
        print(f"outstation-coordinator: {error}", file=sys.stderr)
        return _USAGE
    except OutstationError as error:
        print(f"outstation-coordinator: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("outstation-coordinator: stopped", file=sys.stderr)
        return _INTERRUPTED
    except OSError as error:
        where = error.filename or "this machine"
        print(f"outstation-coordinator: {where}: {error.strerror or error}", file=sys.stderr)
        return _FAILED
    except ModuleNotFoundError as missing:
        # Every command but `run` goes without what only a server needs.
        if missing.name is None or missing.name.partition(".")[0] not in _SERVER:
            raise
        mend = "pip install 'outstation[coordinator]'"
        print(f"outstation-coordinator: this needs {missing.name}; {mend}", file=sys.stderr)
        return _USAGE
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="outstation-coordinator", description="The coordinator of a fleet of field gateways."
    )
    add_version(parser)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
