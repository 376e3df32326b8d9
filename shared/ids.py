"""Names of things as types of their own, their text forms, and how new ones are made.

Ids are made from arguments (time, entropy): nothing here reads a clock or a random source.
"""

import base64
import hashlib
import re
import uuid
from typing import NewType

from shared.clock import WallMs
from shared.errors import MistakeError

FleetId = NewType("FleetId", bytes)
"""16 bytes that name one fleet (one database)."""
AgentId = NewType("AgentId", str)
"""A gateway: lower case letters, digits and hyphens, 1 to 40 characters; never reused."""
DeviceId = NewType("DeviceId", str)
"""A device attached to one agent; same alphabet, unique within the agent."""
JobId = NewType("JobId", bytes)
"""16 bytes, UUIDv7."""
ExecutionId = NewType("ExecutionId", bytes)
"""16 bytes, UUIDv7: one job on one agent."""
KeyId = NewType("KeyId", bytes)
"""First 8 bytes of sha256(public key)."""
StoreEpoch = NewType("StoreEpoch", bytes)
"""16 random bytes made with each new database file, so a reflashed card never collides."""
BlockSeq = NewType("BlockSeq", int)
"""Number of a block within its store epoch, from 1, never reused."""
SchemaHash = NewType("SchemaHash", bytes)
"""First 8 bytes of sha256(channel list): what the columns of a block mean."""

NAME_PATTERN = r"[a-z0-9](?:[a-z0-9_-]{0,38}[a-z0-9])?"
_NAME = re.compile(NAME_PATTERN)


_SERVICE = re.compile(r"_[a-zA-Z0-9-]{1,15}\._(tcp|udp)(\.local\.?)?")
"""RFC 6763, 4.1.2 and 7."""


def is_name(text: str) -> bool:
    """Tell whether `text` may name an agent, a device, a point, a bus or a step.

    >>> is_name("pump-1"), is_name("Pump 1"), is_name("x" * 41)
    (True, False, False)
    """
    return _NAME.fullmatch(text) is not None


def is_service(text: str) -> bool:
    """Tell whether `text` may name a kind of service that is announced on a network.

    >>> is_service("_http._tcp"), is_service("_http._tcp.local."), is_service("http")
    (True, True, False)
    """
    return _SERVICE.fullmatch(text) is not None


def uuid7(wall_ms: WallMs, entropy: bytes) -> bytes:
    """Return the 16 bytes of a UUIDv7 (RFC 9562 section 5.7) from a time and 10 random bytes."""
    assert len(entropy) == 10, "a UUIDv7 takes 74 random bits out of 10 bytes"
    stamp = max(0, wall_ms) & (1 << 48) - 1
    noise = int.from_bytes(entropy)
    high = stamp << 16 | 0x7 << 12 | noise >> 64 & 0xFFF
    low = 0b10 << 62 | noise & (1 << 62) - 1
    value = high << 64 | low
    return value.to_bytes(16)


def uuid_text(value: bytes) -> str:
    """Return the canonical text form of 16 bytes."""
    return str(uuid.UUID(bytes=value))


def parse_uuid(text: str, *, what: str) -> bytes:
    """Return the 16 bytes of a UUID's text form.

    Raises:
        MistakeError: it is not a UUID; `what` names the thing it should have named.
    """
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        raise MistakeError(f"{text!r} is not {what}", mend="ids look like 0192f1c4-...") from None


def key_id(public_key: bytes) -> KeyId:
    """Return the id of an Ed25519 public key (32 bytes)."""
    return KeyId(hashlib.sha256(public_key).digest()[:8])


def fingerprint(public_key: bytes) -> str:
    """Return a key's fingerprint as people compare it: 32 hex digits in groups of four.

    >>> fingerprint(bytes(32))[:14]
    '6668 7aad f862'
    """
    digest = hashlib.sha256(public_key).hexdigest()[:32]
    return " ".join(digest[i : i + 4] for i in range(0, len(digest), 4))


_HEX32 = re.compile(r"[0-9a-f]{32}")


def parse_fingerprint(text: str, *, where: str) -> str:
    """Return the 32 hex digits of a fingerprint however a person wrote it down.

    Raises:
        MistakeError: it is none.

    >>> parse_fingerprint("6668 7AAD f862bd77-6c8f:c18b 8e9f8e20", where="")
    '66687aadf862bd776c8fc18b8e9f8e20'
    """
    digits = re.sub(r"[\s:-]", "", text).lower()
    if not _HEX32.fullmatch(digits):
        raise MistakeError(
            f"{text[:80]!r} is no fingerprint",
            where=where,
            mend="`outstation-agent fingerprint` prints 32 hex digits in groups of four",
        )
    return digits


def short_code(public_key: bytes, length: int = 5) -> str:
    """Return a short lower-case base32 code of a key, to tell agents of one site apart."""
    return base64.b32encode(hashlib.sha256(public_key).digest()).decode().lower()[:length]
