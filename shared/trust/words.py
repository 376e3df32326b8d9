"""What an agent says of itself besides reports: another key, other labels, what ails it, goodbye.

Each is a small document signed by the agent's own key, and is answered by the director, bound to
the document's hash. Repeating one that was taken changes nothing, so a lost answer costs nothing.
Unknown fields refuse: what a newer agent restricts must not be overlooked.
"""

from enum import IntFlag
from typing import Final, TypeAlias

import msgspec

from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import key_id
from shared.trust.envelope import document_hash, open_envelope, peek_payload, peek_type
from shared.trust.root import DIRECTOR, Root
from shared.wire.codec import unpack

REKEY_TYP: Final = "rekey/1"
LABELS_TYP: Final = "labels/1"
LEAVE_TYP: Final = "leave/1"
SUPPORT_TYP: Final = "support/1"
HEARD_TYP: Final = "heard/1"

_KEY_BYTES: Final = 32


class Wish(IntFlag):
    """What a coordinator asks of an agent in a reply, until it is done."""

    NONE = 0
    REKEY = 1
    """Make another key."""
    LEAVE = 2
    """Deliver what waits, then forget who you were."""


class Rekey(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Another key for an agent, signed by the key it has and by the key it will have."""

    fleet: bytes
    agent: str
    new_key: bytes


class Labels(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The labels an agent has from now on; the coordinator keeps `site` to itself."""

    fleet: bytes
    agent: str
    number: int
    """Above every one before: a replay brings no old labels back."""
    labels: dict[str, str]


class Leave(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Everything was delivered that will be; the agent forgets its key once this is heard."""

    fleet: bytes
    agent: str
    reply: bytes
    """sha256 of the reply that said so."""


class Support(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One piece of a support bundle (`shared.model.support`)."""

    fleet: bytes
    agent: str
    name: str
    """Execution and step that made it."""
    sha256: bytes
    """Of the whole text."""
    size: int
    parts: int
    number: int
    """Of this piece, from 0."""
    data: bytes


class Heard(msgspec.Struct, frozen=True, array_like=True):
    """The coordinator's answer to one word; signed by the director."""

    agent: str
    word: bytes
    """sha256 of the word's envelope."""
    certificate: bytes = b""
    """DER of a client certificate for the agent's newest key, where the coordinator issues them."""


Word: TypeAlias = Rekey | Labels | Leave | Support
_KINDS: Final[dict[str, type[Rekey] | type[Labels] | type[Leave] | type[Support]]] = {
    REKEY_TYP: Rekey,
    LABELS_TYP: Labels,
    LEAVE_TYP: Leave,
    SUPPORT_TYP: Support,
}


def claimed_speaker(data: bytes) -> str:
    """Return the agent a word says it is from, to find the key that must verify it.

    Raises:
        RefusedError: it is no word.
    """
    return _decode(data, peek_payload(data, bound=limits.REPORT_BYTES)).agent


def open_word(data: bytes, public_key: bytes) -> Word:
    """Return a word that this agent's key signed; a rekey must be signed by its new key as well.

    Raises:
        RefusedError: the first check that failed.
    """
    claimed = _decode(data, peek_payload(data, bound=limits.REPORT_BYTES))
    keys, threshold = {key_id(public_key): public_key}, 1
    if isinstance(claimed, Rekey):
        keys[key_id(claimed.new_key)] = claimed.new_key
        threshold = 2
    typ = peek_type(data, bound=limits.REPORT_BYTES)
    open_envelope(data, typ=typ, keys=keys, threshold=threshold, bound=limits.REPORT_BYTES)
    return claimed


def open_heard(data: bytes, root: Root, *, word: bytes, agent: str) -> Heard:
    """Return the director's answer to exactly this word of this agent.

    Raises:
        RefusedError: forged, for somebody else, or an answer to something else.
    """
    keys, threshold = root.keys_of(DIRECTOR)
    payload = open_envelope(
        data, typ=HEARD_TYP, keys=keys, threshold=threshold, bound=limits.REPORT_BYTES
    )
    heard = unpack(payload, Heard, bound=limits.REPORT_BYTES)
    if heard.agent != agent:
        raise RefusedError(Reason.WRONG_AUDIENCE)
    if heard.word != document_hash(word):
        raise RefusedError(Reason.WRONG_NONCE, "it answers something else")
    return heard


def _decode(data: bytes, payload: bytes) -> Word:
    typ = peek_type(data, bound=limits.REPORT_BYTES)
    kind = _KINDS.get(typ)
    if kind is None:
        raise RefusedError(Reason.WRONG_TYPE, f"{typ[:40]!r} is nothing an agent says of itself")
    word: Word = unpack(payload, kind, bound=limits.REPORT_BYTES)
    if isinstance(word, Rekey) and len(word.new_key) != _KEY_BYTES:
        raise RefusedError(Reason.BAD_SCHEMA, "a key has 32 bytes")
    if isinstance(word, Support):
        _check_support(word)
    return word


def _check_support(word: Support) -> None:
    sizes = 1 <= word.parts <= limits.SUPPORT_PARTS and 0 <= word.number < word.parts
    sizes = sizes and 0 <= word.size <= limits.SUPPORT_BYTES and len(word.sha256) == _KEY_BYTES
    if not sizes or not 1 <= len(word.data) <= limits.SUPPORT_PART_BYTES:
        raise RefusedError(Reason.BAD_SCHEMA, "no piece of a support bundle has such sizes")
    if len(word.name) > limits.SUPPORT_NAME_CHARS or not word.name.isprintable():
        raise RefusedError(Reason.BAD_SCHEMA, "no support bundle has such a name")
