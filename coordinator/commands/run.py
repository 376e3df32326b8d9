"""`run`: serve agents and people."""

import argparse

from coordinator.app import serve
from coordinator.commands import options as of
from shared.runtime.logs import configure_logging
from shared.runtime.service import run_until_signal


def add(commands: of.Commands) -> None:
    """Add `run`."""
    run = commands.add_parser("run", help="serve agents and people")
    of.add_place(run)
    run.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default=f"127.0.0.1:{of.PORT}",
        help="default %(default)s; 0.0.0.0:PORT for every interface, port 0 for a free one",
    )
    run.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    configure_logging(human=False)
    place, listen = of.place(options), of.listen(options.listen)
    return run_until_signal(
        lambda: serve(place, listen, ready=lambda url: print(f"ready {url}", flush=True))
    )
