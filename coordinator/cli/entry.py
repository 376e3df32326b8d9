"""Where `outstation` begins: says what to install where its own libraries are not.

They are an extra, for gateways and coordinators need none of them. Leaves the rest to `__main__`.
"""

import sys

_USAGE = 2


def main() -> int:
    """Run the command line; return its exit status."""
    try:
        from coordinator.cli.__main__ import main as run  # noqa: PLC0415 - see above
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in {"cyclopts", "rich"}:
            raise
        print(
            f"outstation: the command line needs {missing.name}; pip install 'outstation[cli]'",
            file=sys.stderr,
        )
        return _USAGE
    return run()
