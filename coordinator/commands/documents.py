"""`root`, `catalog`, `policy`: show what is in force, publish something newer."""

import argparse
import asyncio
import json
import sys
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from coordinator.commands import options as of
from coordinator.commands.conclude import add_outcome, conclude
from coordinator.commands.texts import read_catalog, read_policy
from coordinator.core.document_text import time_text
from coordinator.core.drafts import Exchange, exchange, next_catalog, next_policy
from coordinator.core.papers import Document, Kind, Paper, Trusted, title_of
from coordinator.core.papers_text import body_text, root_view
from coordinator.core.policy_text import unknown_actions
from coordinator.place import open_fleet
from shared.runtime.clock import SystemClock
from shared.trust.root import ROOT, Root

_PUBLISHED: Mapping[Kind, str] = {
    "catalog": "what may ever run",
    "policy": "who must approve what",
}


def add(commands: of.Commands) -> None:
    """Add the three nouns."""
    root = commands.add_parser("root", help="the key set that agents trust")
    verbs = root.add_subparsers(required=True, metavar="VERB")
    _add_show(verbs, "root")
    renew = verbs.add_parser("renew", help="the same keys for ten more years")
    add_outcome(renew)
    renew.set_defaults(command=_renew)
    for kind, what in _PUBLISHED.items():
        noun = commands.add_parser(kind, help=what)
        verbs = noun.add_subparsers(required=True, metavar="VERB")
        _add_show(verbs, kind)
        publish = verbs.add_parser("publish", help="put a text into force, or ask for signatures")
        add_outcome(publish)
        publish.add_argument("file", type=Path, metavar="TOML")
        publish.set_defaults(command=partial(_publish, kind))


def _add_show(verbs: of.Commands, kind: Kind) -> None:
    show = verbs.add_parser("show", help=f"the {kind} in force; a catalog or policy as its text")
    of.add_place(show)
    show.add_argument("--json", action="store_true", help="as one JSON object")
    show.set_defaults(command=partial(_show, kind))


def _show(kind: Kind, options: argparse.Namespace) -> int:
    held = asyncio.run(_held(options))
    documents: Mapping[Kind, Document] = {
        "root": held.root,
        "catalog": held.catalog,
        "policy": held.policy,
    }
    document = documents[kind]
    if options.json:
        print(json.dumps(_view(document)))
        return 0
    until = f"{time_text(document.issued_ms)} to {time_text(document.expires_ms)}"
    print(f"# {title_of(kind, document)}, {until}")
    print(body_text(document), end="")
    return 0


def _view(document: Document) -> Mapping[str, object]:
    if isinstance(document, Root):
        return root_view(document)
    # What people write is also the plainest form for programs.
    content = tomllib.loads(body_text(document))
    return {
        "version": document.version,
        "epoch": document.epoch,
        "fleet": document.fleet.hex(),
        "issued_at": time_text(document.issued_ms),
        "expires_at": time_text(document.expires_ms),
        **{key: value for key, value in content.items() if key != "expires"},
    }


async def _held(options: argparse.Namespace) -> Trusted:
    async with open_fleet(of.place(options)) as (_, fleet):
        return fleet.trusted()


def _publish(kind: Kind, options: argparse.Namespace) -> int:
    now_ms = SystemClock().wall_ms()
    if kind == "catalog":
        catalog = read_catalog(options.file)
        return conclude(
            options,
            lambda held: [
                next_catalog(held, catalog.content, now_ms=now_ms, expires_ms=catalog.expires_ms)
            ],
        )
    policy = read_policy(options.file)

    def make(held: Trusted) -> list[Paper]:
        for action in unknown_actions(policy.content, held.catalog):
            # Harmless, and perhaps meant: the catalog may follow.
            note = f"note: the catalog in force allows {action} to nobody"
            print(note, file=sys.stderr)
        return [next_policy(held, policy.content, now_ms=now_ms, expires_ms=policy.expires_ms)]

    return conclude(options, make)


def _renew(options: argparse.Namespace) -> int:
    wish = Exchange(role=ROOT, new=(), drop=())
    now_ms = SystemClock().wall_ms()
    return conclude(options, lambda held: exchange(held, wish, now_ms=now_ms))
