"""Who this agent is: its key, made on the box, and what enrolment taught it.

Owns the two files in the data directory. Both are the owner's alone; the key never leaves.
"""

import base64
import binascii
import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from agent.core.contact import Identity
from shared import limits
from shared.clock import Entropy
from shared.errors import MistakeError, RefusedError
from shared.ids import AgentId
from shared.runtime.files import sync_directory, write_atomically
from shared.trust.documents import Root, open_root
from shared.trust.envelope import KeySigner

KEY_NAME: Final = "agent.key"
ENROLMENT_NAME: Final = "enrolment.json"
_SEED_BYTES: Final = 32
_OTHERS: Final = 0o077
_ENROLMENT_BYTES: Final = 2 * limits.DOCUMENT_BYTES
"""A root document in base64 and a CA certificate."""


class _File(msgspec.Struct, frozen=True, kw_only=True):
    agent: str
    fleet: str
    url: str
    ca_pem: str
    root: str
    labels: dict[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What an enrolled agent knows of itself and of its fleet."""

    agent: AgentId
    url: str
    ca_pem: str
    root_envelope: bytes
    root: Root
    labels: Mapping[str, str]
    """What it said of itself when it enrolled, and its site."""

    def identity(self, signer: KeySigner) -> Identity:
        """Return what contacts are signed and judged with."""
        return Identity(self.agent, self.root, self.root_envelope, signer, self.labels)


def load_enrolment(data_dir: Path) -> Enrolment | None:
    """Return the enrolment, None before there is one.

    Raises:
        MistakeError: the file is there and cannot be used.
    """
    path = data_dir / ENROLMENT_NAME
    data = _read_private(path)
    if data is None:
        return None
    mend = "put it back from a copy, or enrol anew in an empty data directory"
    try:
        held = msgspec.json.decode(data, type=_File)
        envelope = base64.b64decode(held.root, validate=True)
        root = open_root(envelope, trusted=None)
    except (msgspec.DecodeError, binascii.Error, RefusedError) as error:
        raise MistakeError(f"is damaged ({error})", where=str(path), mend=mend) from error
    if root.fleet.hex() != held.fleet:
        raise MistakeError("names one fleet and trusts another", where=str(path), mend=mend)
    return Enrolment(
        agent=AgentId(held.agent),
        url=held.url,
        ca_pem=held.ca_pem,
        root_envelope=envelope,
        root=root,
        labels=held.labels,
    )


def save_enrolment(data_dir: Path, enrolment: Enrolment) -> None:
    """Keep the enrolment, durably.

    Raises:
        OSError: the disk does not take it.
    """
    held = _File(
        agent=enrolment.agent,
        fleet=enrolment.root.fleet.hex(),
        url=enrolment.url,
        ca_pem=enrolment.ca_pem,
        root=base64.b64encode(enrolment.root_envelope).decode(),
        labels=dict(enrolment.labels),
    )
    text = msgspec.json.format(msgspec.json.encode(held), indent=2)
    write_atomically(data_dir / ENROLMENT_NAME, text + b"\n", mode=0o600)


def load_signer(data_dir: Path) -> KeySigner:
    """Return the agent's key.

    Raises:
        MistakeError: there is none, others can read it, or it is no key.
    """
    path = data_dir / KEY_NAME
    data = _read_private(path)
    if data is None:
        raise MistakeError("the agent's key is missing", where=str(path), mend="enrol first")
    try:
        seed = bytes.fromhex(data.decode("ascii"))
    except ValueError:
        seed = b""
    if len(seed) != _SEED_BYTES:
        raise MistakeError("is no key of an agent", where=str(path), mend="put back a copy of it")
    return KeySigner(seed)


def load_or_make_signer(data_dir: Path, entropy: Entropy) -> KeySigner:
    """Return the agent's key; make it, durably, where there is none.

    Raises:
        MistakeError: as `load_signer`.
        OSError: the disk does not take it.
    """
    path = data_dir / KEY_NAME
    if _read_private(path) == b"":
        path.unlink()  # a power cut came between making the file and filling it
    with contextlib.suppress(FileExistsError):
        # Exclusively: two enrolments at once must not end with two keys.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(entropy.token(_SEED_BYTES).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        sync_directory(data_dir)
    return load_signer(data_dir)


def _read_private(path: Path) -> bytes | None:
    """Return a file that must be its owner's alone; None when it does not exist."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_ENROLMENT_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MistakeError(f"cannot be read ({error.strerror})", where=str(path)) from error
    if mode & _OTHERS:
        raise MistakeError(
            "can be read by others than its owner", where=str(path), mend=f"chmod 600 {path}"
        )
    return data
