"""A process that runs pytest again and again over one copy of the tree, each time in a fresh fork.

What takes a second is starting pytest, hypothesis and aiohttp, not the tests: that is done once.
Nothing of the product is imported before the fork, so each run reads the sources as they are then.

Reads one JSON list of test names per line; answers each with one JSON list: exit status, output.
"""

import json
import os
import sys
import tempfile
import traceback
from typing import IO

import aiohttp.web
import aiosqlite
import asyncpg
import cbor2
import cryptography.hazmat.primitives.asymmetric.ed25519
import cryptography.hazmat.primitives.serialization
import cryptography.x509
import cyclopts
import hypothesis.stateful
import msgpack
import msgspec
import prometheus_client
import pytest
import rich.console

# Plugins are left to pytest: it rewrites their assertions while it imports them.
PRELOADED = (
    aiohttp.web,
    aiosqlite,
    asyncpg,
    cbor2,
    cryptography.hazmat.primitives.asymmetric.ed25519,
    cryptography.hazmat.primitives.serialization,
    cryptography.x509,
    cyclopts,
    hypothesis.stateful,
    msgpack,
    msgspec,
    prometheus_client,
    rich.console,
)
OPTIONS = ("-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider")
# What a killed test leaves open would be reported after the verdict, as an error of pytest's own.
QUIET = ("-p", "no:unraisableexception", "-p", "no:threadexception")
PLUGINS = ("pytest_asyncio.plugin", "pytest_timeout", "tests.mutants.plugin")
_LINES = 15


def run_once(tests: list[str]) -> tuple[int, str]:
    """Return pytest's exit status over some tests, and the end of what it said."""
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            _become_pytest(tests, said)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        return status, "\n".join(said.read().strip().splitlines()[-_LINES:])


def _become_pytest(tests: list[str], said: "IO[str]") -> None:
    status = 70
    try:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        options = [*OPTIONS, *QUIET, *(part for plugin in PLUGINS for part in ("-p", plugin))]
        status = int(pytest.main([*options, *tests]))
    except Exception:  # noqa: BLE001  # whatever it is, the parent has to be told
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Serve until standard input ends."""
    for line in sys.stdin:
        print(json.dumps(run_once(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
