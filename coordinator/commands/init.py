"""`init`: found a fleet."""

import argparse
import asyncio
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from coordinator.commands.options import PORT, Commands, add_database, place_of, reach
from coordinator.errands import begin_ceremony, found
from coordinator.keys.directory import DataDirectory
from coordinator.place import Place
from coordinator.services.ceremony import write_request
from coordinator.services.founding import ONE_MACHINE
from coordinator.store.url import name_of

_CHECKLIST = """\
This machine has its own keys. The keys that decide what agents trust and what may ever run are made
elsewhere, on a machine that never sees a network, each for another person:

  [ ] Carry {request} there: it is public.
  [ ] Each officer:  outstation-coordinator office key root-NAME.pem     (three people, say)
  [ ] Each releaser: outstation-coordinator office key release-NAME.pem
      Each keeps the .pem on two sticks of their own, and hands over the .pub.
  [ ] outstation-coordinator office init request.json papers.json \\
          --root root-ANNA.pem.pub --root root-BEN.pem.pub --root root-CARA.pem.pub \\
          --release release-DORA.pem.pub [--catalog catalog.toml] [--policy policy.toml]
  [ ] As many of them as their role asks for read the papers and sign:
      outstation-coordinator office sign papers.json --key root-ANNA.pem
  [ ] Carry papers.json here:
      outstation-coordinator adopt --data {data} papers.json
  [ ] Compare fingerprints:  outstation-coordinator root show --data {data}
  [ ] outstation-coordinator run --data {data}

docs/recovery.md says what to do when a key is lost or stolen. Read it now, not then."""


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
    init.add_argument(
        "--ceremony",
        action="store_true",
        help="keep the root and release keys off this machine; prints what to do",
    )
    init.set_defaults(command=_init)


def _init(options: argparse.Namespace) -> int:
    hosts = options.host or ["localhost", "127.0.0.1", "::1", socket.gethostname()]
    url = reach(options.url) or f"https://{_bracketed(hosts[0])}:{PORT}"
    directory = DataDirectory(options.dir.absolute())
    place = place_of(directory, options.database)
    if options.ceremony:
        return _begin_ceremony(place, hosts=hosts, url=url)
    admin = asyncio.run(found(place, hosts=hosts, url=url))
    print(f"A fleet was founded in {directory.path}. Agents will reach it at {admin.url}")
    print(f"  certificate for   {', '.join(hosts)}")
    print(f"  admin's token     {directory.admin}")
    print(f"  start it          outstation-coordinator run --data {options.dir}{_again(options)}")
    print(f"WARNING: {ONE_MACHINE}", file=sys.stderr)
    return 0


def _begin_ceremony(place: Place, *, hosts: Sequence[str], url: str) -> int:
    request = begin_ceremony(place, hosts=hosts, url=url)
    directory = place.directory
    write_request(directory.request, request)
    print(_CHECKLIST.format(request=directory.request, data=directory.path))
    return 0


def _again(options: argparse.Namespace) -> str:
    """Return what `run` has to be told again."""
    return "" if options.database == "sqlite:" else f" --database {_shown(options.database)}"


def _shown(url: str) -> str:
    return url if url.startswith("sqlite:") else name_of(url)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
