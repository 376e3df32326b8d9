"""`run`: serve agents and people."""

import argparse
from dataclasses import replace

from coordinator.commands import options as of
from coordinator.core.client_certificates import Demand
from coordinator.core.roles import Role, check_roles, parse_roles
from shared import limits
from shared.errors import MistakeError
from shared.runtime.logs import configure_logging
from shared.runtime.memory import collect_rarely
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
    run.add_argument(
        "--client-certificates",
        choices=("off", "optional", "required"),
        default="off",
        help="mutual TLS for contacts; agents get certificates of the fleet's CA (%(default)s)",
    )
    run.add_argument(
        "--behind-proxy",
        action="store_true",
        help="plain HTTP on a loopback address or unix:/PATH: a proxy here ends TLS, and its "
        "X-Forwarded-For is believed",
    )
    run.add_argument(
        "--announce", action="store_true", help="tell the local network where it is (mDNS)"
    )
    run.add_argument(
        "--roles",
        metavar="LIST",
        default=",".join(role.value for role in Role),
        help="what this process does, on PostgreSQL beside others (%(default)s)",
    )
    run.add_argument(
        "--drain",
        metavar="SECONDS",
        default="0",
        help="after SIGTERM, be not ready for so long before the port is closed (%(default)s)",
    )
    run.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    # Only who serves waits until HTTP and all that answers it is imported.
    from coordinator.app import serve  # noqa: PLC0415

    configure_logging(human=False)
    place, listen = of.place(options), of.listen(options.listen)
    listen = replace(
        listen,
        announce=options.announce,
        certificates=Demand(options.client_certificates),
        behind_proxy=options.behind_proxy,
    )
    listen.check()
    roles, drain_s = parse_roles(options.roles), _drain_s(options.drain)
    check_roles(roles, shared=bool(place.postgres))
    collect_rarely()
    return run_until_signal(
        lambda: serve(
            place,
            listen,
            ready=lambda url: print(f"ready {url}", flush=True),
            apart=True,
            roles=roles,
            drain_s=drain_s,
        )
    )


def _drain_s(text: str) -> int:
    """Return how long a coordinator goes on after the word to stop.

    Raises:
        MistakeError: it is no such time.
    """
    if not (text.isascii() and text.isdigit() and int(text) <= limits.DRAIN_MOST_S):
        raise MistakeError(
            f"{text!r} is no number of seconds up to {limits.DRAIN_MOST_S}",
            where="--drain",
            mend="name twice the time in which the load balancer asks /readyz again",
        )
    return int(text)
