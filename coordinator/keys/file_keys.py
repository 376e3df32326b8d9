"""Signing keys in files of this machine: made once, read at start, never shown.

A signer in a KMS or behind PKCS#11 is another class with the same two members
(`shared.trust.envelope.Signer`).
"""

from collections.abc import Container, Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from shared.errors import MistakeError
from shared.ids import KeyId, key_id
from shared.runtime.files import write_atomically
from shared.trust.envelope import KeySigner

_OTHERS = 0o077


class FileSigner(KeySigner):
    """An Ed25519 key read from a PEM file that only its owner may read."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        """Read the key.

        Raises:
            MistakeError: the file is missing, readable by others, or no Ed25519 key.
        """
        try:
            key = load_pem_private_key(read_secret(path), password=None)
        except ValueError as error:
            raise MistakeError("is not an unencrypted PEM key", where=str(path)) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise MistakeError("is not an Ed25519 key", where=str(path))
        self.path = path
        super().__init__(key.private_bytes_raw())


def create_signer(path: Path) -> FileSigner:
    """Make a new Ed25519 key in a file; return its signer.

    Raises:
        OSError: the file cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomically(path, pem, mode=0o600)
    return FileSigner(path)


def find_signer(paths: Iterable[Path], ids: Container[KeyId]) -> FileSigner | None:
    """Return the signer of the first file whose key is one of `ids`.

    Raises:
        MistakeError: a file is no key that only its owner can read.
    """
    signers = map(FileSigner, paths)
    return next((signer for signer in signers if key_id(signer.public_key) in ids), None)


def read_secret(path: Path) -> bytes:
    """Return a secret file's bytes.

    Raises:
        MistakeError: it cannot be read, or others than its owner could.
    """
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except OSError as error:
        raise MistakeError(f"cannot be read ({error.strerror})", where=str(path)) from error
    if mode & _OTHERS:
        raise MistakeError(
            "can be read by others than its owner", where=str(path), mend=f"chmod 600 {path}"
        )
    return data
