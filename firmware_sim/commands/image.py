"""`outstation-sim image`: a signed MCUboot image that a sensor node boots, or refuses."""

import argparse
import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from firmware_sim.commands.node_line import add_build_options, is_sha512
from firmware_sim.mcuboot import Build, Version, make_image
from shared.errors import MistakeError

_FACTORY_SECRET = b"outstation-sim: everybody knows."
"""The key of devices that were given none: it protects nothing, and is meant not to."""
_IMAGE_KB = 1_024
"""Largest image that is made here."""


def factory_key() -> Ed25519PrivateKey:
    """Return the well-known key of devices that were given none."""
    return Ed25519PrivateKey.from_private_bytes(_FACTORY_SECRET)


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Add what `outstation-sim image` takes."""
    add = parser.add_argument
    add("output", type=Path, metavar="FILE", help="where to write the signed image")
    add("--version", required=True, metavar="X.Y.Z[.BUILD]", help="version in its header")
    add("--key", type=Path, metavar="PEM", help="private Ed25519 key; default: everybody's")
    add("--size-kb", type=int, default=32, metavar="KB", help="about how large (32)")
    add(
        "--behave",
        action="append",
        default=[],
        metavar="WORD",
        help="self-check=fails | crashes-after=SECONDS | hangs; default: it runs",
    )
    add_build_options(parser)


def run_image(given: argparse.Namespace) -> str:
    """Write a signed image; return a sentence about it.

    Raises:
        MistakeError: a version, key, size or behaviour that is none, or a file that cannot be made.
    """
    if not re.fullmatch(r"\d{1,3}\.\d{1,3}\.\d{1,5}(\.\d{1,9})?", given.version):
        raise MistakeError(f"--version {given.version} is not X.Y.Z or X.Y.Z.BUILD")
    version = Version(*map(int, given.version.split(".")))
    if max(version.major, version.minor) > 0xFF or version.revision > 0xFFFF:
        raise MistakeError(f"--version {given.version} does not fit", mend="255.255.65535 is last")
    if not 1 <= given.size_kb <= _IMAGE_KB:
        raise MistakeError(f"--size-kb {given.size_kb} is not from 1 to {_IMAGE_KB}")
    for word in given.behave:
        if not re.fullmatch(r"self-check=fails|crashes-after=[1-9]\d{0,4}|hangs", word):
            raise MistakeError(f"--behave {word} is none", mend="see outstation-sim image --help")
    words = f"firmware {version}\n"
    words += f"outstation-sim: {' '.join(given.behave)}\n" if given.behave else ""
    filling = bytes(range(256)) * (4 * given.size_kb)
    build = Build(pure=given.pure, sha512=is_sha512(given))
    body = words.encode() + b"\0" + filling
    key = _private_key(given.key)
    image = make_image(body, version, key, build)
    try:
        given.output.write_bytes(image)
    except OSError as error:
        raise MistakeError(f"cannot write {given.output}: {error.strerror}") from None
    mark = key.public_key().public_bytes_raw().hex()
    return f'{given.output}: version {version}, {len(image)} bytes\n[firmware] key = "{mark}"'


def _private_key(path: Path | None) -> Ed25519PrivateKey:
    if path is None:
        return factory_key()
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise MistakeError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise MistakeError(f"{path} holds no private Ed25519 key without a password")
    return key
