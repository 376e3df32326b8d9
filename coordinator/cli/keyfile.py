"""An approver's own key: made on his machine, kept in a file that only he reads, never sent.

PEM (PKCS #8, Ed25519), with a passphrase if he wants one.
"""

import getpass
import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from shared.errors import MistakeError
from shared.runtime.files import write_atomically
from shared.trust.envelope import KeySigner

_OTHERS = 0o077
_BYTES = 16_384
VARIABLE = "OUTSTATION_PASSPHRASE"
"""The environment variable that holds the passphrase where nobody can type one."""


def create_key(path: Path, *, passphrase: str) -> KeySigner:
    """Make a key in a new file; an empty passphrase protects it by the file's mode alone.

    Raises:
        MistakeError: the file exists, or cannot be written.
    """
    if path.exists():
        raise MistakeError("exists already", where=str(path), mend="name a new file")
    key = Ed25519PrivateKey.generate()
    lock: KeySerializationEncryption = NoEncryption()
    if passphrase:
        lock = BestAvailableEncryption(passphrase.encode())
    try:
        write_atomically(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
    except OSError as error:
        raise MistakeError(f"cannot be written: {error.strerror}", where=str(path)) from None
    return KeySigner(key.private_bytes_raw())


def load_key(path: Path) -> KeySigner:
    """Return the signer of a key file, asking for its passphrase where it has one.

    Raises:
        MistakeError: it cannot be read, others can read it, it is no key, or the passphrase is
            another one.
    """
    data = _read(path)
    key: object
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError:  # what cryptography raises for a key that has a passphrase
        key = _unlocked(path, data)
    except ValueError:
        raise MistakeError("is not a key in PEM form", where=str(path)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise MistakeError(
            "is not an Ed25519 key", where=str(path), mend="outstation keys create FILE makes one"
        )
    return KeySigner(key.private_bytes_raw())


def ask_new_passphrase() -> str:
    """Return a passphrase that was typed twice, or the environment's.

    Raises:
        MistakeError: nobody can type, or the two differ.
    """
    if given := os.environ.get(VARIABLE):
        return given
    first = _type("Passphrase for the new key: ")
    if not first or first != _type("Once more: "):
        raise MistakeError("they differ, or there is none", where="--passphrase")
    return first


def _unlocked(path: Path, data: bytes) -> object:
    passphrase = os.environ.get(VARIABLE) or _type(f"Passphrase of {path}: ")
    try:
        return load_pem_private_key(data, password=passphrase.encode())
    except ValueError:
        raise MistakeError("it has another passphrase", where=str(path)) from None


def _type(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise MistakeError(
            "a passphrase is needed and nobody can type one",
            where="--key",
            mend=f"set {VARIABLE} for this one command",
        )
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise MistakeError("no passphrase was typed", where="--key") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode, data = os.fstat(file.fileno()).st_mode, file.read(_BYTES)
    except OSError as error:
        raise MistakeError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if mode & _OTHERS:
        raise MistakeError(
            "can be read by others than its owner", where=str(path), mend=f"chmod 600 {path}"
        )
    return data
