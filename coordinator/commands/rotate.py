"""`rotate` and `revoke`: other keys for a role, before or after one was stolen."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from coordinator.commands import options as of
from coordinator.commands.conclude import add_outcome, conclude
from coordinator.core.drafts import Exchange, exchange, revocation
from coordinator.core.papers import Paper, Trusted
from coordinator.keys.directory import DataDirectory
from coordinator.keys.file_keys import create_signer, find_signer, read_public
from shared.errors import MistakeError
from shared.ids import KeyId, key_id
from shared.runtime.clock import SystemClock
from shared.trust.root import DIRECTOR, OFFLINE, RELEASE, ROOT

_KEY_ID = re.compile(r"[0-9a-f]{16}")


def add(commands: of.Commands) -> None:
    """Add `rotate` and `revoke`."""
    rotate = commands.add_parser("rotate", help="give a role other keys, nothing being wrong")
    rotate.add_argument("role", choices=(DIRECTOR, RELEASE, ROOT))
    _add_new(rotate)
    rotate.add_argument(
        "--drop",
        action="append",
        metavar="KEY",
        help="a key that goes, by id or .pub file, repeatable (default: all that the role has)",
    )
    rotate.add_argument("--threshold", type=int, metavar="N", help="how many must agree")
    add_outcome(rotate)
    rotate.set_defaults(command=_rotate)
    revoke = commands.add_parser("revoke", help="end a key that was stolen or lost")
    revoke.add_argument("key", metavar="KEY", help="by id or .pub file")
    _add_new(revoke)
    add_outcome(revoke)
    revoke.set_defaults(command=_revoke)


def _add_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--new",
        type=Path,
        action="append",
        default=[],
        metavar="PUB",
        help="a key that comes, repeatable (default: one that is made on this machine, where the "
        "old one is)",
    )


def _rotate(options: argparse.Namespace) -> int:
    directory = of.place(options).directory
    asked = None if options.drop is None else {_key(text) for text in options.drop}
    new = [read_public(path) for path in options.new]

    def make(held: Trusted) -> Sequence[Paper]:
        keys = {KeyId(key) for key in held.root.roles[options.role].keys}
        drop = keys if asked is None else asked
        if unknown := drop - keys:
            raise MistakeError(
                f"the {options.role} role has no key {min(unknown).hex()}",
                where="--drop",
                mend=f"its keys are {', '.join(sorted(key.hex() for key in keys))}",
            )
        wish = Exchange(
            role=options.role,
            new=new or _made_here(directory, options.role, drop),
            drop=drop,
            threshold=options.threshold,
        )
        return exchange(held, wish, now_ms=SystemClock().wall_ms())

    return conclude(options, make)


def _revoke(options: argparse.Namespace) -> int:
    directory = of.place(options).directory
    key = _key(options.key)
    new = [read_public(path) for path in options.new]

    def make(held: Trusted) -> Sequence[Paper]:
        role = revocation(held, key, new=()).role
        wish = revocation(held, key, new=new or _made_here(directory, role, {key}))
        return exchange(held, wish, now_ms=SystemClock().wall_ms())

    return conclude(options, make)


def _made_here(directory: DataDirectory, role: str, drop: set[KeyId]) -> list[bytes]:
    """Return a new key made on this machine, where it replaces one that is here.

    The director's belongs here in any case. Which file counts is what the root document says, so
    a key that was made for papers that never came home does no harm.
    """
    offline = role in OFFLINE
    if offline and find_signer(directory.offline_keys(), drop) is None:
        return []
    made = create_signer(directory.keys / f"{role}-new.pem")
    path = directory.keys / f"{role}-{key_id(made.public_key).hex()}.pem"
    made.path.rename(path)
    return [made.public_key]


def _key(text: str) -> KeyId:
    """Return the key that a person named.

    Raises:
        MistakeError: nothing is named so.
    """
    if _KEY_ID.fullmatch(text):
        return KeyId(bytes.fromhex(text))
    path = Path(text)
    if not path.exists():
        raise MistakeError(
            f"{text!r} is neither a key's id nor a file",
            mend="outstation-coordinator root show lists the ids: 16 hex digits",
        )
    return key_id(read_public(path))
