"""`outstation-agent profile`: check one, hold it against a device, make one of what a device tells.

Owns their arguments and what is printed. Leaves out reading a profile (`shared.model.profile`),
asking a device (`agent.services.profile_trial`) and SunSpec (`agent.services.sunspec_import`).
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared import limits
from shared.errors import MistakeError

if TYPE_CHECKING:
    from agent.services.profile_trial import ProfileVerdict

OK, FAILED, MISTAKE = 0, 1, 2


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the group."""
    group = commands.add_parser("profile", help="check device profiles, and try them on a device")
    inner = group.add_subparsers(required=True, metavar="COMMAND")
    check = inner.add_parser("check", help="tell everything that is wrong with profiles")
    check.add_argument("file", type=Path, nargs="+", metavar="FILE")
    check.set_defaults(command=_check)
    tried = inner.add_parser("test", help="read every point from a device; nothing is written")
    tried.add_argument("file", type=Path, metavar="FILE")
    _add_place(tried)
    tried.set_defaults(command=_test)
    taken = inner.add_parser("import-sunspec", help="make a profile of what a device's map tells")
    taken.add_argument(
        "file",
        type=Path,
        nargs="*",
        metavar="FILE",
        help="model_NNN.json of the SunSpec Alliance, or a device's registers as ADDRESS,WORD",
    )
    _add_place(taken, required=False)
    taken.add_argument("--output", "-o", type=Path, metavar="FILE", help="instead of printing it")
    taken.set_defaults(command=_import_sunspec)
    for parser in (check, tried, taken):
        parser.add_argument("--json", action="store_true", help="one JSON object, for scripts")


def _add_place(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument(
        "--url",
        required=required,
        metavar="URL",
        help="tcp://HOST:PORT, serial:///dev/X?baud=9600, ...",
    )
    parser.add_argument("--address", type=int, metavar="N", help="the device's number on its bus")
    parser.add_argument(
        "--timeout", type=int, metavar="MS", dest="timeout_ms", help="how long to wait for answers"
    )


def read_text(path: Path) -> str:
    """Return a profile's text.

    Raises:
        MistakeError: it cannot be read, or is no text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limits.PROFILE_BYTES + 1)
        return data.decode("utf-8")
    except OSError as error:
        what = f"cannot be read ({os.strerror(error.errno or 0)})"
        raise MistakeError(what, where=str(path)) from error
    except UnicodeDecodeError:
        raise MistakeError("is not UTF-8 text", where=str(path)) from None


def _check(options: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415

    from shared.model.profile_check import check_profile  # noqa: PLC0415

    told: list[dict[str, object]] = []
    for path in options.file:
        checked = check_profile(read_text(path), source=str(path))
        profile = checked.profile
        told.append(
            {
                "file": str(path),
                "name": profile.name if profile else "",
                "points": len(profile.points) if profile else 0,
                "hash": profile.content_hash.hex() if profile else "",
                "mistakes": [
                    {"where": one.where, "what": one.what, "mend": one.mend}
                    for one in checked.mistakes
                ],
            }
        )
        if options.json:
            continue
        for mistake in checked.mistakes:
            print(f"outstation-agent: {mistake}", file=sys.stderr)
        if profile is not None:
            short = profile.content_hash.hex()[:16]
            print(f"{path}: {profile.name}, {len(profile.points)} points, {short}")
    if options.json:
        print(msgspec.json.encode({"profiles": told}).decode())
    return MISTAKE if any(one["mistakes"] for one in told) else OK


def _test(options: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415

    from agent.services.profile_trial import place_of, try_profile  # noqa: PLC0415
    from shared.model.profile import parse_profile  # noqa: PLC0415

    profile = parse_profile(read_text(options.file), source=str(options.file))
    place = place_of(options.url, options.address, profile, options.timeout_ms)
    verdict = asyncio.run(try_profile(profile, place))
    if options.json:
        print(msgspec.json.encode(verdict).decode())
    else:
        print("\n".join(_shown(verdict)))
    return FAILED if verdict.wrong else OK


def _import_sunspec(options: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415

    from agent.services.profile_trial import Place  # noqa: PLC0415
    from agent.services.sunspec_files import read_files  # noqa: PLC0415
    from agent.services.sunspec_import import import_dump, import_sunspec  # noqa: PLC0415
    from shared.model.profile import parse_profile  # noqa: PLC0415

    models, dump = read_files(options.file)
    if (dump is None) == (options.url is None):
        raise MistakeError(
            "where models begin and how they are scaled is known from one device only",
            where="import-sunspec",
            mend="name either its --url or one file with its registers, besides models",
        )
    if dump is not None:
        text = asyncio.run(import_dump(dump, models))
    else:
        place = Place(url=options.url, address=options.address or 1, timeout_ms=options.timeout_ms)
        text = asyncio.run(import_sunspec(place, models))
    profile = parse_profile(text, source="the profile made of it")
    if options.output is not None:
        options.output.write_text(text)
    if options.json:
        told = {"name": profile.name, "points": len(profile.points), "text": text}
        print(msgspec.json.encode(told).decode())
    elif options.output is None:
        print(text, end="")
    else:
        print(f"{options.output}: {profile.name}, {len(profile.points)} points")
    return OK


def _shown(verdict: "ProfileVerdict") -> list[str]:
    lines = [f"{name}: {text}" for name, text in verdict.identity.items()]
    lines += [f"{name}: WRONG, the profile expects {x}" for name, x in verdict.drift.items()]
    rows = [("POINT", "VALUE", "UNIT", "WRONG")]
    rows += [
        (one.point, "-" if one.value is None else f"{one.value:.10g}", one.unit or "-", one.wrong)
        for one in verdict.points
    ]
    lines += table(rows)
    what = f"{verdict.wrong} WRONG" if verdict.wrong else "all as the profile says"
    return [*lines, f"{len(verdict.points)} points read: {what}"]


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows in columns as wide as they need."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
