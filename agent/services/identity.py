"""Who this agent is: its key, made on the box, and what enrolment taught it.

Owns the files of the data directory that say who it is: the key, the one that replaces it, its
certificate, the enrolment. All are the owner's alone; the key never leaves. A key is replaced by
one rename, so a power cut leaves either the one or the other. Leaves out when that happens
(`agent.services.membership`).
"""

import base64
import binascii
import contextlib
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

import msgspec

from agent.core.contact import Identity
from shared import limits
from shared.clock import Entropy
from shared.errors import MistakeError, RefusedError
from shared.ids import AgentId
from shared.runtime.files import sync_directory, write_atomically
from shared.trust.documents import Root, open_root
from shared.trust.envelope import KeySigner, Signer
from shared.wire.codec import pack, unpack

KEY_NAME: Final = "agent.key"
NEXT_KEY_NAME: Final = "agent.key.next"
"""A key that is being introduced: while this file is there, that is not finished."""
REKEY_NAME: Final = "agent.rekey"
"""How the key in use was introduced, for a coordinator that was put back from before that."""
CERTIFICATE_NAME: Final = "client.pem"
"""Key and certificate for mutual TLS, where the coordinator issues them."""
ENROLMENT_NAME: Final = "enrolment.json"
LEFT_NAME: Final = "left.json"
"""Who this box was: what it still holds belongs to that agent, and to no other."""
_PKCS8_ED25519: Final = bytes.fromhex("302e020100300506032b657004220420")
"""What stands before the 32 bytes of a key (RFC 8410 section 7)."""
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
    given: dict[str, str] = {}
    labels_number: int = 0
    leaving: bool = False


class AgentKey(KeySigner):
    """The key in use: a signer that stays the same object when another key takes its place."""

    __slots__ = ()

    @classmethod
    def load(cls, data_dir: Path) -> Self:
        """Return the agent's key.

        Raises:
            MistakeError: there is none, others can read it, or it is no key.
        """
        return cls(_seed(data_dir / KEY_NAME))

    def reload(self, data_dir: Path) -> None:
        """Be the key that is there now.

        Raises:
            MistakeError: as `load`.
        """
        super().__init__(_seed(data_dir / KEY_NAME))


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What an enrolled agent knows of itself and of its fleet."""

    agent: AgentId
    url: str
    ca_pem: str
    root_envelope: bytes
    root: Root
    labels: Mapping[str, str]
    """What the coordinator knows that it said of itself, and its site."""
    given: Mapping[str, str] = field(default_factory=dict)
    """Of these, what the command line that enrolled it said."""
    labels_number: int = 0
    """How often it told its labels anew."""
    certificate: bytes = b""
    """DER for mutual TLS, as the coordinator just gave it; kept in a file of its own."""
    leaving: bool = False
    """It was told, by signed word, to deliver what it has and forget who it was."""

    def identity(self, signer: Signer) -> Identity:
        """Return what contacts are signed and judged with."""
        return Identity(self.agent, self.root, self.root_envelope, signer, self.labels)

    def at(self, endpoint: str) -> "Enrolment":
        """Return the enrolment for whoever shows or tries where the coordinator is said to be.

        It is not to be kept: what an `endpoint` from afar says may be taken back.
        """
        return replace(self, url=endpoint) if endpoint else self

    def wanted_labels(self, configured: Mapping[str, str]) -> dict[str, str]:
        """Return the labels it should have: its site is not its own to choose."""
        return {**configured, **self.given, "site": self.labels.get("site", "")}


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
        given=held.given,
        labels_number=held.labels_number,
        leaving=held.leaving,
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
        given=dict(enrolment.given),
        labels_number=enrolment.labels_number,
        leaving=enrolment.leaving,
    )
    text = msgspec.json.format(msgspec.json.encode(held), indent=2)
    write_atomically(data_dir / ENROLMENT_NAME, text + b"\n", mode=0o600)


def load_signer(data_dir: Path, name: str = KEY_NAME) -> KeySigner:
    """Return the agent's key.

    Raises:
        MistakeError: there is none, others can read it, or it is no key.
    """
    return KeySigner(_seed(data_dir / name))


def load_or_make_signer(data_dir: Path, entropy: Entropy, name: str = KEY_NAME) -> KeySigner:
    """Return the agent's key, or the one to come; make it, durably, where there is none.

    Raises:
        MistakeError: as `load_signer`.
        OSError: the disk does not take it.
    """
    path = data_dir / name
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
    return load_signer(data_dir, name)


def is_rekeying(data_dir: Path) -> bool:
    """Tell whether another key was begun and is not in use yet."""
    return (data_dir / NEXT_KEY_NAME).exists()


def turn_key(data_dir: Path, proof: bytes) -> None:
    """Put the key to come in the place of the one in use, durably.

    `proof` is how it was introduced. It is kept with those before it: a coordinator that was put
    back forgets as many keys as were changed since.

    Raises:
        OSError: the disk does not take it.
    """
    proofs = [*load_proofs(data_dir), proof][-limits.KEY_PROOFS :]
    write_atomically(data_dir / REKEY_NAME, pack(proofs), mode=0o600)
    (data_dir / NEXT_KEY_NAME).replace(data_dir / KEY_NAME)
    sync_directory(data_dir)


def load_proofs(data_dir: Path) -> list[bytes]:
    """Return how the newest keys were introduced, the one in use last; none for the first key."""
    kept = _read_private(data_dir / REKEY_NAME)
    if kept is None:
        return []
    try:
        return unpack(kept, list[bytes], bound=limits.REPORT_BYTES)
    except RefusedError:
        return []  # without it only a coordinator that was put back is at a loss


def save_certificate(data_dir: Path, certificate: bytes) -> Path:
    """Keep a certificate beside its key, as TLS reads them; return the file.

    Raises:
        MistakeError: as `load_signer`.
        OSError: the disk does not take it.
    """
    key = base64.b64encode(_PKCS8_ED25519 + _seed(data_dir / KEY_NAME)).decode()
    pem = f"-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n"
    path = data_dir / CERTIFICATE_NAME
    text = pem + ssl.DER_cert_to_PEM_cert(certificate)
    write_atomically(path, text.encode("ascii"), mode=0o600)
    return path


def find_certificate(data_dir: Path) -> Path | None:
    """Return the file for mutual TLS; None where there is none."""
    path = data_dir / CERTIFICATE_NAME
    return path if path.exists() else None


def forget_identity(data_dir: Path, agent: AgentId) -> None:
    """Forget key and enrolment; what was read stays. A power cut in between is mended by repeating.

    Raises:
        OSError: the disk does not obey.
    """
    text = msgspec.json.encode({"agent": agent})
    write_atomically(data_dir / LEFT_NAME, text + b"\n", mode=0o600)
    # The enrolment goes last: as long as it is there, leaving is not finished.
    for name in (NEXT_KEY_NAME, REKEY_NAME, CERTIFICATE_NAME, KEY_NAME, ENROLMENT_NAME):
        (data_dir / name).unlink(missing_ok=True)
    sync_directory(data_dir)


def find_left(data_dir: Path) -> str:
    """Return who this box was before it left its fleet; empty when it never did."""
    try:
        held = msgspec.json.decode((data_dir / LEFT_NAME).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        return ""
    return held.get("agent", "")


def _seed(path: Path) -> bytes:
    data = _read_private(path)
    if data is None:
        raise MistakeError("the agent's key is missing", where=str(path), mend="enrol first")
    try:
        seed = bytes.fromhex(data.decode("ascii"))
    except ValueError:
        seed = b""
    if len(seed) != _SEED_BYTES:
        raise MistakeError("is no key of an agent", where=str(path), mend="put back a copy of it")
    return seed


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
