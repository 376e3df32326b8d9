"""`adopt`: bring signed papers home."""

import argparse
import asyncio
import json
from pathlib import Path

from coordinator.commands import options as of
from coordinator.core.papers import Papers
from coordinator.core.papers_text import paper_titles
from coordinator.errands import end_ceremony
from coordinator.place import open_fleet
from coordinator.services.ceremony import adopt_papers, read_papers
from shared.runtime.clock import SystemClock


def add(commands: of.Commands) -> None:
    """Add `adopt`."""
    adopt = commands.add_parser(
        "adopt", help="put signed papers into force; works while the coordinator runs"
    )
    of.add_place(adopt)
    adopt.add_argument("file", type=Path, metavar="FILE")
    adopt.add_argument("--json", action="store_true", help="end with one JSON object")
    adopt.set_defaults(command=_adopt)


def _adopt(options: argparse.Namespace) -> int:
    papers = read_papers(options.file)
    place = of.place(options)
    if place.directory.request.exists():
        admin = asyncio.run(end_ceremony(place, papers, where=str(options.file)))
        said = [
            f"the fleet is founded in {place.directory.path}; agents will reach it at {admin.url}",
            f"admin's token: {place.directory.admin}",
        ]
    else:
        asyncio.run(_bring(options, papers))
        said = []
    if options.file.absolute() == place.directory.papers:
        # Where this machine put it: the next papers want the place.
        options.file.unlink()
    titles = paper_titles(papers.drafts)
    if options.json:
        print(json.dumps({"adopted": True, "documents": titles}))
        return 0
    for line in (*said, *(f"in force: {title}" for title in titles)):
        print(line)
    return 0


async def _bring(options: argparse.Namespace, papers: Papers) -> None:
    place = of.place(options)
    async with open_fleet(place) as (store, _):
        await adopt_papers(
            store,
            place.directory,
            papers,
            where=str(options.file),
            now_ms=SystemClock().wall_ms(),
        )
