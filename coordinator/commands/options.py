"""Options that several subcommands share, and how their texts become values."""

import argparse
import re
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from coordinator.keys.directory import DataDirectory
from coordinator.listen import Listen
from coordinator.place import Place
from shared import limits
from shared.errors import MistakeError

# argparse has no public name for what `add_subparsers` returns.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001
"""What parsers are added to."""

PORT = 8443
DATABASE_HELP = (
    "sqlite: (inside DIR, the default), sqlite:PATH, or postgresql://USER@HOST/NAME; keys stay in"
    " DIR; PGPASSFILE is PostgreSQL's own way to keep a password out of the command line"
)
_UNITS_S = {"m": 60, "h": 3_600, "d": 86_400}


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a coordinator's files."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="made by init")
    add_database(parser)


def add_database(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the database."""
    parser.add_argument("--database", metavar="URL", default="sqlite:", help=DATABASE_HELP)


def place(options: argparse.Namespace) -> Place:
    """Return the files that `add_place`'s options name."""
    directory = DataDirectory(options.data.absolute())
    return place_of(directory, options.database)


def place_of(directory: DataDirectory, url: str) -> Place:
    """Return a directory together with the database of a URL.

    Raises:
        MistakeError: the URL is of another kind.
    """
    scheme, _, path = url.partition(":")
    if scheme in {"postgresql", "postgres"} and path.startswith("//"):
        return Place(directory=directory, database=directory.database, postgres=url)
    if scheme != "sqlite":
        raise MistakeError(
            f"{url!r} is not a database this version can use",
            where="--database",
            mend="use sqlite:, sqlite:PATH or postgresql://USER@HOST/NAME",
        )
    return Place(
        directory=directory, database=Path(path).absolute() if path else directory.database
    )


def reach(text: str | None) -> str:
    """Return the URL that gateways are given, judged as they will judge it, at their site.

    Raises:
        MistakeError: none of them could use it.
    """
    if text is None or text.startswith("unix:"):
        return text or ""  # unix: is for simulated ones
    mistake = MistakeError(
        f"{text[:200]!r} is no coordinator's URL",
        where="--url",
        mend="write for example https://coordinator.example:8443",
    )
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise mistake from None
    if not text.isascii() or not text.isprintable() or " " in text:
        raise mistake
    if not host or parts.scheme not in {"http", "https"} or parts.query or parts.username:
        raise mistake
    if parts.scheme == "http" and not _is_loopback(host):
        raise MistakeError(
            f"{text[:200]!r} would send in clear text over a network",
            where="--url",
            mend="use https",
        )
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(text: str) -> Listen:
    """Return the address in ``HOST:PORT`` or ``unix:PATH``.

    Raises:
        MistakeError: it is none.
    """
    if text.startswith("unix:/"):
        return Listen(host="localhost", port=0, socket=Path(text.removeprefix("unix:")))
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise MistakeError(
            f"{text!r} is not HOST:PORT", where="--listen", mend="for example 127.0.0.1:8443"
        )
    return Listen(host=host.removeprefix("[").removesuffix("]"), port=int(port))


def seconds(text: str) -> int:
    """Return the seconds in ``30m``, ``12h`` or ``7d``.

    Raises:
        MistakeError: it is no time, or more than a year.
    """
    found = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    length_s = int(found[1]) * _UNITS_S[found[2]] if found else 0
    if not 1 <= length_s <= limits.DELAY_S:
        raise MistakeError(
            f"{text!r} is not a time up to a year",
            where="--expires",
            mend="for example 30m, 12h or 7d",
        )
    return length_s
