"""What every command that changes documents ends with: adopt the drafts, or hand out the papers.

Signed with whatever offline key lies on this machine, drafts that are complete count at once. Where
a signature is missing they are written to a file, with the list of what to do next.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from coordinator.commands import options as of
from coordinator.core.papers import Paper, Papers, Trusted
from coordinator.core.papers_text import describe, missing, paper_titles
from coordinator.place import Place, open_fleet
from coordinator.services.ceremony import adopt_papers, sign_here, write_papers
from shared.errors import MistakeError
from shared.runtime.clock import SystemClock

Maker = Callable[[Trusted], Sequence[Paper]]
"""Makes drafts that follow what is in force."""


def add_outcome(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that changes documents."""
    of.add_place(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="where to write papers that lack signatures (default: papers.json in DIR)",
    )
    parser.add_argument("--json", action="store_true", help="end with one JSON object")


def conclude(options: argparse.Namespace, make: Maker) -> int:
    """Make drafts, sign them as far as possible here, then adopt them or write them down."""
    place = of.place(options)
    out: Path = options.out or place.directory.papers
    papers, after = asyncio.run(_conclude(place, make))
    if after is None:
        _write(out, papers)
    lacking = missing(papers)
    if options.json:
        print(
            json.dumps(
                {
                    "adopted": after is not None,
                    "documents": paper_titles(papers.drafts),
                    "papers": None if after else str(out),
                    "missing": list(lacking),
                }
            )
        )
    elif after is not None:
        for title in paper_titles(papers.drafts):
            print(f"in force: {title}")
    else:
        print_way(out, papers, data=options.data)
    return 0


def print_way(out: Path, papers: Papers, *, data: Path) -> None:
    """Print what the papers would change and how they get their signatures."""
    # What is in force was read from this very store.
    for line in describe(papers, known=lambda *_: True):
        print(line)
    print(f"\nNothing is in force yet. {out} lacks signatures:")
    for sentence in missing(papers):
        print(f"  [ ] {sentence}")
    print("Carry it to each of these keys, one after the other, then back:")
    print(f"  [ ] outstation-coordinator office sign {out.name} --key KEYFILE")
    print(f"  [ ] outstation-coordinator adopt --data {data} {out.name}")


async def _conclude(place: Place, make: Maker) -> tuple[Papers, Trusted | None]:
    async with open_fleet(place) as (store, fleet):
        papers = Papers(before=fleet.papers, drafts=list(make(fleet.trusted())))
        papers = sign_here(papers, place.directory)
        if missing(papers):
            return papers, None
        now_ms = SystemClock().wall_ms()
        after = await adopt_papers(
            store, place.directory, papers, where="the drafts", now_ms=now_ms
        )
        return papers, after


def _write(out: Path, papers: Papers) -> None:
    if out.exists():
        raise MistakeError(
            "exists already: papers that are on their way would be lost",
            where=str(out),
            mend="name another file with --out, or remove it",
        )
    write_papers(out, papers)


def confirm(question: str) -> bool:
    """Ask a person at the terminal.

    Raises:
        MistakeError: there is none.
    """
    if not sys.stdin.isatty():
        raise MistakeError("nobody is there to confirm", mend="add --yes once you have read it")
    try:
        return input(f"{question} Type yes: ").strip() == "yes"
    except EOFError:
        return False
