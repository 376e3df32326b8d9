"""`outstation-coordinator`: found a fleet, run its coordinator, let gateways and people in."""

import argparse
import asyncio
import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from coordinator.app import Listen, Place, found, issue_token, make_claim, serve
from coordinator.core.access import SCOPES
from coordinator.keys.directory import DataDirectory
from coordinator.services.claims import ClaimWish
from coordinator.services.founding import ONE_MACHINE
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, OutstationError
from shared.runtime.clock import SystemClock
from shared.runtime.files import write_atomically
from shared.runtime.logs import configure_logging
from shared.runtime.service import run_until_signal

PORT = 8443
_UNITS_S = {"m": 60, "h": 3_600, "d": 86_400}
_FAILED, _USAGE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 1 failed, 2 a person's mistake."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except MistakeError as error:
        print(f"outstation-coordinator: {error}", file=sys.stderr)
        return _USAGE
    except (OutstationError, OSError) as error:
        print(f"outstation-coordinator: {error}", file=sys.stderr)
        return _FAILED
    return status


def _init(options: argparse.Namespace) -> int:
    hosts = options.host or ["localhost", "127.0.0.1", "::1", socket.gethostname()]
    url = options.url or f"https://{_bracketed(hosts[0])}:{PORT}"
    directory = DataDirectory(options.dir.absolute())
    place = Place(directory=directory, database=_database(directory, options.database))
    admin = asyncio.run(found(place, hosts=hosts, url=url))
    print(f"A fleet was founded in {directory.path}. Agents will reach it at {admin.url}")
    print(f"  certificate for   {', '.join(hosts)}")
    print(f"  admin's token     {directory.admin}")
    print(f"  start it          outstation-coordinator run --data {options.dir}")
    print(f"WARNING: {ONE_MACHINE}", file=sys.stderr)
    return 0


def _run(options: argparse.Namespace) -> int:
    configure_logging(human=False)
    place, listen = _place(options), _listen(options.listen)
    return run_until_signal(
        lambda: serve(place, listen, ready=lambda url: print(f"ready {url}", flush=True))
    )


def _create_claim(options: argparse.Namespace) -> int:
    expires_ms = WallMs(SystemClock().wall_ms() + _seconds(options.expires) * 1000)
    wish = ClaimWish(
        site=options.site, count=options.count, expires_ms=expires_ms, url=options.url or ""
    )
    if options.file.exists():
        raise MistakeError("exists already", where=str(options.file), mend="name a new file")
    claim = asyncio.run(make_claim(_place(options), wish))
    data = msgspec.json.format(msgspec.json.encode(claim), indent=2)
    write_atomically(options.file, data + b"\n", mode=0o600)
    print(f"{options.file} lets {wish.count} agent(s) of site {wish.site} in; guard it like a key")
    return 0


def _create_token(options: argparse.Namespace) -> int:
    expires_ms = WallMs(SystemClock().wall_ms() + _seconds(options.expires) * 1000)
    text = asyncio.run(
        issue_token(_place(options), name=options.name, scope=options.scope, expires_ms=expires_ms)
    )
    print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="outstation-coordinator", description="The coordinator of a fleet of field gateways."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    init = commands.add_parser("init", help="found a fleet: keys, certificates, database, token")
    init.add_argument("dir", type=Path, metavar="DIR", help="a directory that is new or empty")
    init.add_argument(
        "--host",
        action="append",
        metavar="NAME",
        help="a name or address agents use, repeatable (default: localhost and this machine)",
    )
    init.add_argument("--url", help=f"where agents reach it (default: first host, port {PORT})")
    init.add_argument("--database", metavar="URL", default="sqlite:", help=_DATABASE_HELP)
    init.set_defaults(command=_init)
    run = commands.add_parser("run", help="serve agents and people")
    _add_place(run)
    run.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default=f"127.0.0.1:{PORT}",
        help="default %(default)s; 0.0.0.0:PORT for every interface, port 0 for a free one",
    )
    run.set_defaults(command=_run)
    _add_claim(commands.add_parser("claim", help="let gateways enrol"))
    _add_token(commands.add_parser("token", help="let people and programs use the REST API"))
    return parser


_DATABASE_HELP = "sqlite: (inside DIR, the default) or sqlite:PATH"


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="made by init")
    parser.add_argument("--database", metavar="URL", default="sqlite:", help=_DATABASE_HELP)


def _add_claim(parser: argparse.ArgumentParser) -> None:
    create = parser.add_subparsers(required=True, metavar="VERB").add_parser(
        "create", help="write a claim file; works while the coordinator runs"
    )
    _add_place(create)
    create.add_argument("--site", required=True, help="the site its agents belong to")
    create.add_argument("--count", type=int, default=1, help="agents it lets in (default 1)")
    create.add_argument("--expires", default="7d", help="for example 12h or 7d (default 7d)")
    create.add_argument("--url", help="where those agents reach the coordinator, if elsewhere")
    create.add_argument("file", type=Path, metavar="FILE")
    create.set_defaults(command=_create_claim)


def _add_token(parser: argparse.ArgumentParser) -> None:
    create = parser.add_subparsers(required=True, metavar="VERB").add_parser(
        "create", help="print a new bearer token; works while the coordinator runs"
    )
    _add_place(create)
    create.add_argument("--name", required=True, help="whose it is; the audit log names it")
    create.add_argument("--scope", choices=sorted(SCOPES), default="admin")
    create.add_argument("--expires", default="90d", help="for example 12h or 90d (default 90d)")
    create.set_defaults(command=_create_token)


def _place(options: argparse.Namespace) -> Place:
    directory = DataDirectory(options.data.absolute())
    return Place(directory=directory, database=_database(directory, options.database))


def _database(directory: DataDirectory, url: str) -> Path:
    scheme, _, path = url.partition(":")
    if scheme != "sqlite":
        raise MistakeError(
            f"{url!r} is not a database this version can use",
            where="--database",
            mend="use sqlite: or sqlite:PATH",
        )
    return Path(path).absolute() if path else directory.database


def _listen(text: str) -> Listen:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise MistakeError(
            f"{text!r} is not HOST:PORT", where="--listen", mend="for example 127.0.0.1:8443"
        )
    return Listen(host=host.removeprefix("[").removesuffix("]"), port=int(port))


def _seconds(text: str) -> int:
    found_ = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    seconds = int(found_[1]) * _UNITS_S[found_[2]] if found_ else 0
    if not 1 <= seconds <= limits.DELAY_S:
        raise MistakeError(
            f"{text!r} is not a time up to a year",
            where="--expires",
            mend="for example 30m, 12h or 7d",
        )
    return seconds


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    sys.exit(main())
