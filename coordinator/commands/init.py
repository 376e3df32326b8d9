"""`init`: found a fleet."""

import argparse
import asyncio
import socket
import sys
from pathlib import Path

from coordinator.app import Place, found
from coordinator.commands.options import PORT, Commands, add_database, database
from coordinator.keys.directory import DataDirectory
from coordinator.services.founding import ONE_MACHINE


def add(commands: Commands) -> None:
    """Add `init`."""
    init = commands.add_parser("init", help="found a fleet: keys, certificates, database, token")
    init.add_argument("dir", type=Path, metavar="DIR", help="a directory that is new or empty")
    init.add_argument(
        "--host",
        action="append",
        metavar="NAME",
        help="a name or address agents use, repeatable (default: localhost and this machine)",
    )
    init.add_argument("--url", help=f"where agents reach it (default: first host, port {PORT})")
    add_database(init)
    init.set_defaults(command=_init)


def _init(options: argparse.Namespace) -> int:
    hosts = options.host or ["localhost", "127.0.0.1", "::1", socket.gethostname()]
    url = options.url or f"https://{_bracketed(hosts[0])}:{PORT}"
    directory = DataDirectory(options.dir.absolute())
    place = Place(directory=directory, database=database(directory, options.database))
    admin = asyncio.run(found(place, hosts=hosts, url=url))
    print(f"A fleet was founded in {directory.path}. Agents will reach it at {admin.url}")
    print(f"  certificate for   {', '.join(hosts)}")
    print(f"  admin's token     {directory.admin}")
    print(f"  start it          outstation-coordinator run --data {options.dir}")
    print(f"WARNING: {ONE_MACHINE}", file=sys.stderr)
    return 0


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
