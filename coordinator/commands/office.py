"""`office`: what is done where the offline keys are, on a machine without any coordinator.

Each key is a file of its own: one person, one stick. Papers are carried from key to key, each adds
its signature, and the last one carries them home to `adopt`.
"""

import argparse
import getpass
import sys
from functools import partial
from pathlib import Path

from coordinator.commands import options as of
from coordinator.commands.conclude import confirm
from coordinator.commands.texts import read_catalog, read_policy
from coordinator.core.drafts import RoleKeys, careful_catalog, fitted, plain_policy
from coordinator.core.papers import Papers, signed_before
from coordinator.core.papers_text import describe, missing
from coordinator.keys.file_keys import FileSigner, create_signer, read_public, write_public
from coordinator.services.ceremony import (
    Offices,
    founding_papers,
    read_papers,
    read_request,
    sign,
    wanted_keys,
    write_papers,
)
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import fingerprint, key_id
from shared.runtime.clock import SystemClock
from shared.trust.catalog import Catalog
from shared.trust.policy import Policy
from shared.trust.root import Root

_PASSPHRASE_BYTES = 1_024


def add(commands: of.Commands) -> None:
    """Add `office key`, `office init`, `office sign` and `office show`."""
    office = commands.add_parser(
        "office", help="offline keys: make them, sign with them; needs no coordinator"
    )
    verbs = office.add_subparsers(required=True, metavar="VERB")
    _add_key(verbs.add_parser("key", help="make one key: FILE, and FILE.pub to give away"))
    _add_init(verbs.add_parser("init", help="write the first documents of a fleet, unsigned"))
    _add_sign(verbs.add_parser("sign", help="read papers and sign them"))
    show = verbs.add_parser("show", help="say what papers would change and what they lack")
    show.add_argument("papers", type=Path, metavar="PAPERS")
    show.set_defaults(command=_show)


def _add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE")
    _add_passphrase(parser, "protect the key with a passphrase; asked for without the option")
    parser.add_argument("--plain", action="store_true", help="no passphrase")
    parser.set_defaults(command=_key)


def _add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("request", type=Path, metavar="REQUEST", help="from init --ceremony")
    parser.add_argument("papers", type=Path, metavar="PAPERS", help="to be written")
    for role in ("root", "release"):
        parser.add_argument(
            f"--{role}",
            type=Path,
            action="append",
            required=True,
            metavar="PUB",
            help=f"a public key of the {role} role, repeatable",
        )
        parser.add_argument(
            f"--{role}-threshold",
            type=int,
            metavar="N",
            help=f"{role} keys that must agree (default: more than half)",
        )
    parser.add_argument("--catalog", type=Path, metavar="TOML", help="default: reading only")
    parser.add_argument("--policy", type=Path, metavar="TOML", help="default: no approvals")
    parser.set_defaults(command=_init)


def _add_sign(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("papers", type=Path, metavar="PAPERS", help="signatures are added to it")
    parser.add_argument("--key", type=Path, required=True, metavar="FILE")
    _add_passphrase(parser, "the key's passphrase; asked for when it has one")
    parser.add_argument("--yes", action="store_true", help="sign without asking")
    parser.set_defaults(command=_sign)


def _add_passphrase(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help=what)


def _key(options: argparse.Namespace) -> int:
    public_file = options.file.with_name(options.file.name + ".pub")
    for path in (options.file, public_file):
        if path.exists():
            raise MistakeError("exists already", where=str(path), mend="name a new file")
    passphrase = None if options.plain else _passphrase(options, again=True)
    public = create_signer(options.file, passphrase).public_key
    write_public(public_file, public)
    print(f"{options.file}  keep it secret, keep a second copy")
    print(f"{public_file}  give it away")
    print(f"key {key_id(public).hex()}, fingerprint {fingerprint(public)}")
    return 0


def _init(options: argparse.Namespace) -> int:
    if options.papers.exists():
        raise MistakeError("exists already", where=str(options.papers), mend="name a new file")
    request = read_request(options.request)
    root, release = (
        _role(getattr(options, role), getattr(options, f"{role}_threshold"))
        for role in ("root", "release")
    )
    papers = founding_papers(
        request,
        Offices(root=root, release=release),
        now_ms=SystemClock().wall_ms(),
        catalog=partial(_first_catalog, options.catalog),
        policy=partial(_first_policy, options.policy),
    )
    write_papers(options.papers, papers)
    _print(papers)
    print(f"{options.papers} is to be signed by each of them: office sign PAPERS --key FILE")
    return 0


def _sign(options: argparse.Namespace) -> int:
    papers = read_papers(options.papers)
    signer = _signer(options)
    titles = wanted_keys(papers).get(key_id(signer.public_key))
    if titles is None:
        raise MistakeError(
            f"speaks for nothing in {options.papers}: its id is {key_id(signer.public_key).hex()}",
            where=str(options.key),
            mend="office show PAPERS says which keys are asked",
        )
    _print(papers, signer.public_key)
    if not options.yes and not confirm(f"Sign {' and '.join(titles)}?"):
        print("nothing was signed", file=sys.stderr)
        return 1
    papers = sign(papers, [signer])
    write_papers(options.papers, papers)
    print(f"signed: {', '.join(titles)}")
    _print_missing(papers)
    return 0


def _show(options: argparse.Namespace) -> int:
    papers = read_papers(options.papers)
    _print(papers)
    _print_missing(papers)
    return 0


def _print(papers: Papers, public_key: bytes | None = None) -> None:
    """Without a key, nothing is proven of what papers say was before."""
    for line in describe(papers, known=partial(signed_before, public_key)):
        print(line)


def _print_missing(papers: Papers) -> None:
    lacking = missing(papers)
    for sentence in lacking:
        print(f"[ ] {sentence}")
    if not lacking:
        print("complete: carry it home, outstation-coordinator adopt --data DIR PAPERS")


def _role(files: list[Path], threshold: int | None) -> RoleKeys:
    keys = [read_public(path) for path in files]
    return RoleKeys(keys, len(keys) // 2 + 1 if threshold is None else threshold)


def _first_catalog(path: Path | None, root: Root) -> Catalog:
    if path is None:
        return careful_catalog(root)
    text = read_catalog(path)
    now_ms = WallMs(root.issued_ms)
    return fitted(text.content, root, version=1, now_ms=now_ms, expires_ms=text.expires_ms)


def _first_policy(path: Path | None, root: Root) -> Policy:
    if path is None:
        return plain_policy(root)
    text = read_policy(path)
    now_ms = WallMs(root.issued_ms)
    return fitted(text.content, root, version=1, now_ms=now_ms, expires_ms=text.expires_ms)


def _signer(options: argparse.Namespace) -> FileSigner:
    if options.passphrase_file is not None:
        return FileSigner(options.key, _passphrase(options, again=False))
    if b"ENCRYPTED" in _peek(options.key):
        return FileSigner(options.key, _passphrase(options, again=False))
    return FileSigner(options.key)


def _peek(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.readline(_PASSPHRASE_BYTES)
    except OSError as error:
        raise MistakeError(f"cannot be read ({error.strerror})", where=str(path)) from error


def _passphrase(options: argparse.Namespace, *, again: bool) -> bytes:
    if options.passphrase_file is not None:
        found = _peek(options.passphrase_file).rstrip(b"\r\n")
    elif not sys.stdin.isatty():
        raise MistakeError(
            "nobody is there to type a passphrase", mend="name one with --passphrase-file"
        )
    else:
        found = _type("passphrase: ")
        if again and _type("once more: ") != found:
            raise MistakeError("the two passphrases differ")
    if not found:
        raise MistakeError(
            "an empty passphrase protects nothing", mend="say --plain if you mean it"
        )
    return found


def _type(prompt: str) -> bytes:
    try:
        return getpass.getpass(prompt).encode()
    except EOFError:
        raise MistakeError("no passphrase was typed") from None
