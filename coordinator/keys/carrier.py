"""The X25519 key that opens what agents send on sticks; its public half stands in the root."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from coordinator.keys.file_keys import read_secret
from shared.errors import MistakeError
from shared.runtime.files import write_atomically


def create_carrier_key(path: Path) -> bytes:
    """Make a new key in a file; return its public half.

    Raises:
        OSError: the file cannot be written.
    """
    key = X25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomically(path, pem, mode=0o600)
    return key.public_key().public_bytes_raw()


def load_carrier_key(path: Path) -> X25519PrivateKey:
    """Return the key in a file.

    Raises:
        MistakeError: the file is missing, readable by others, or no X25519 key.
    """
    try:
        key = load_pem_private_key(read_secret(path), password=None)
    except ValueError as error:
        raise MistakeError("is not an unencrypted PEM key", where=str(path)) from error
    if not isinstance(key, X25519PrivateKey):
        raise MistakeError("is not an X25519 key", where=str(path))
    return key
