"""Signing keys in files of this machine: made once, read at start, never shown.

A signer in a KMS or behind PKCS#11 is another class with the same two members
(`shared.trust.envelope.Signer`).
"""

import re
from collections.abc import Container, Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from shared.errors import MistakeError
from shared.ids import KeyId, fingerprint, key_id
from shared.runtime.files import write_atomically
from shared.trust.envelope import KeySigner

_OTHERS = 0o077
_PUBLIC_BYTES = 4_096
_HEX32 = re.compile(r"[0-9a-fA-F]{64}")


class FileSigner(KeySigner):
    """An Ed25519 key read from a PEM file that only its owner may read."""

    __slots__ = ("path",)

    def __init__(self, path: Path, passphrase: bytes | None = None) -> None:
        """Read the key.

        Raises:
            MistakeError: the file is missing, readable by others, no Ed25519 key, or protected by
                another passphrase.
        """
        try:
            key = load_pem_private_key(read_secret(path), password=passphrase)
        except TypeError as error:
            what = "is not" if passphrase else "is"
            raise MistakeError(f"{what} protected by a passphrase", where=str(path)) from error
        except ValueError as error:
            what = "does not open with this passphrase" if passphrase else "is not a PEM key"
            raise MistakeError(what, where=str(path)) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise MistakeError("is not an Ed25519 key", where=str(path))
        self.path = path
        super().__init__(key.private_bytes_raw())


def create_signer(path: Path, passphrase: bytes | None = None) -> FileSigner:
    """Make a new Ed25519 key in a file; return its signer.

    Raises:
        OSError: the file cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    lock = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
    write_atomically(path, pem, mode=0o600)
    return FileSigner(path, passphrase)


def write_public(path: Path, public: bytes) -> None:
    """Write a public key, to be carried and compared.

    Raises:
        OSError: the file cannot be written.
    """
    text = f"# fingerprint {fingerprint(public)}\n{public.hex()}\n"
    write_atomically(path, text.encode(), mode=0o644)


def read_public(path: Path) -> bytes:
    """Return the public key that `write_public` wrote.

    Raises:
        MistakeError: the file cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            lines = file.read(_PUBLIC_BYTES).decode("ascii", "replace").splitlines()
    except OSError as error:
        raise MistakeError(f"cannot be read ({error.strerror})", where=str(path)) from error
    words = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if len(words) != 1 or not _HEX32.fullmatch(words[0]):
        raise MistakeError(
            "holds no public key",
            where=str(path),
            mend="name the .pub file that outstation-coordinator office key wrote",
        )
    return bytes.fromhex(words[0])


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
