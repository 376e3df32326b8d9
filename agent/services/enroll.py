"""Enrolment: a key made on the box becomes an agent of the fleet.

A claim file or a trust file says whom the box talks to: the fleet's CA and its root document. A
claim lets the box in as well; with a trust file a person vouches for the key's fingerprint. It may
be repeated at will until an answer arrives: the same key is the same agent. Leaves out waiting and
finding (`agent.services.joining`) and the files of the result (`agent.services.identity`).
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from agent.core.uplink import LinkFailed
from agent.services.contact_http import HttpLink
from agent.services.discovery import Candidate, endpoint_at
from agent.services.endpoint import parse_url
from agent.services.identity import (
    Enrolment,
    find_left,
    load_enrolment,
    load_or_make_signer,
)
from shared import limits
from shared.clock import Entropy, WallMs
from shared.errors import MistakeError, Reason, RefusedError
from shared.ids import AgentId, is_name
from shared.sync.body import CONTENT_TYPE
from shared.trust.documents import ENROLL_TYP, Root, open_root
from shared.trust.envelope import KeySigner, Signer, seal
from shared.wire.codec import pack, unpack
from shared.wire.messages import EnrollAnswer, EnrollRequest

T = TypeVar("T")

PATH: Final = "/v1/enroll"
AGAIN_MAX_S: Final = 3_600
"""Longest that one answer can put a box off that waits for a person."""
_CLAIM_BYTES: Final = 2 * limits.DOCUMENT_BYTES


class _TrustFile(msgspec.Struct, frozen=True, kw_only=True):
    outstation_trust: int
    url: str
    fleet: str
    ca_pem: str
    root: str


class _ClaimFile(msgspec.Struct, frozen=True, kw_only=True):
    outstation_claim: int
    url: str
    fleet: str
    site: str
    secret: str
    ca_pem: str
    root: str
    expires: str


@dataclass(frozen=True, slots=True)
class Waits:
    """Nobody has accepted the key yet."""

    again_s: int
    """When to ask again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Whom to trust in enrolling, and perhaps the right to."""

    url: str
    site: str
    """Empty where a person names it."""
    secret: bytes
    """Empty: a person vouches for the key."""
    ca_pem: str
    root: Root
    root_envelope: bytes


def load_claim(path: Path, *, now_ms: WallMs) -> Claim:
    """Return the claim in a file.

    Raises:
        MistakeError: the file cannot be read, is no claim, is over, or contradicts itself.
    """
    where, held = str(path), _decode(path, _ClaimFile, "claim")
    mend = "ask the fleet's admin for a new one"
    try:
        secret = bytes.fromhex(held.secret)
        until = datetime.fromisoformat(held.expires)
    except ValueError as error:
        raise MistakeError(f"is no claim file ({error})", where=where, mend=mend) from None
    if held.outstation_claim != 1:
        raise _other_version("claim", held.outstation_claim, where)
    if until.timestamp() * 1000 < now_ms:
        # Only a courtesy: a box whose clock is behind hears it from the coordinator.
        raise MistakeError(f"was good until {held.expires}", where=where, mend=mend)
    root, envelope = _root(held, where)
    return Claim(
        url=held.url,
        site=held.site,
        secret=secret,
        ca_pem=held.ca_pem,
        root=root,
        root_envelope=envelope,
    )


def load_trust_file(path: Path) -> Claim:
    """Return whom a trust file says to trust; it is no secret and no right to enrol.

    Raises:
        MistakeError: the file cannot be read, is no trust file, or contradicts itself.
    """
    where, held = str(path), _decode(path, _TrustFile, "trust")
    if held.outstation_trust != 1:
        raise _other_version("trust", held.outstation_trust, where)
    root, envelope = _root(held, where)
    return Claim(
        url=held.url, site="", secret=b"", ca_pem=held.ca_pem, root=root, root_envelope=envelope
    )


def _decode(path: Path, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(_read(path), type=kind)
    except msgspec.DecodeError as error:
        raise MistakeError(
            f"is no {what} file ({error})",
            where=str(path),
            mend="ask the fleet's admin for a new one",
        ) from None


def _other_version(what: str, version: int, where: str) -> MistakeError:
    return MistakeError(
        f"is a {what} of version {version}, this agent knows version 1",
        where=where,
        mend="install a newer agent",
    )


def _root(held: _ClaimFile | _TrustFile, where: str) -> tuple[Root, bytes]:
    """Return the root document of a file and its envelope, once they are what the file says."""
    mend = "ask the fleet's admin for a new one"
    try:
        envelope = base64.b64decode(held.root, validate=True)
    except (binascii.Error, ValueError) as error:
        what = "claim" if isinstance(held, _ClaimFile) else "trust"
        raise MistakeError(f"is no {what} file ({error})", where=where, mend=mend) from None
    try:
        root = open_root(envelope, trusted=None)
    except RefusedError as error:
        raise MistakeError(f"its root document fails ({error})", where=where, mend=mend) from None
    if root.fleet.hex() != held.fleet:
        raise MistakeError("its root is another fleet's", where=where, mend=mend)
    return root, envelope


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_CLAIM_BYTES)
    except OSError as error:
        raise MistakeError(f"cannot be read ({error.strerror})", where=str(path)) from error


def prepare(data_dir: Path, entropy: Entropy) -> KeySigner:
    """Return the key to enrol with, made now unless an earlier try made it.

    Raises:
        MistakeError: the box is enrolled already, or the directory cannot be used.
    """
    anew = "to enrol anew, name an empty data directory"
    if left := find_left(data_dir):
        raise MistakeError(f"this box was {left} until it left", where=str(data_dir), mend=anew)
    if before := load_enrolment(data_dir):
        raise MistakeError(
            f"this box is enrolled as {before.agent} already",
            where=str(data_dir),
            mend=anew,
        )
    return load_or_make_key(data_dir, entropy)


def load_or_make_key(data_dir: Path, entropy: Entropy) -> KeySigner:
    """Return the box's key, made now where there is none.

    Raises:
        MistakeError: the directory or the key in it cannot be used.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return load_or_make_signer(data_dir, entropy)
    except OSError as error:
        raise MistakeError(f"cannot be used ({error.strerror})", where=str(data_dir)) from error


async def enroll(
    claim: Claim,
    signer: Signer,
    *,
    url: str,
    name: str,
    labels: Mapping[str, str],
    at: Candidate | None = None,
) -> Enrolment | Waits | LinkFailed:
    """Ask the coordinator at `url` to let this key in; the caller keeps the enrolment.

    Args:
        claim: whom to trust, and perhaps the right to enrol.
        signer: the box's key.
        url: where the coordinator is; TLS wants its host.
        name: wished for; may be empty.
        labels: what the box says of itself.
        at: connect there instead of asking for the host's address.

    Raises:
        MistakeError: the URL or the name cannot be used.
        RefusedError: the answer does not fit the claim.
    """
    endpoint = parse_url(url, where="--coordinator")
    if at is not None:
        endpoint = endpoint_at(endpoint, at, ca_pem=claim.ca_pem, where="--discover")
    if name and not is_name(name):
        raise MistakeError(
            f"{name[:60]!r} is no name for an agent",
            where="--name",
            mend="use up to 40 lower case letters, digits, - and _",
        )
    link = HttpLink(endpoint, ca_pem=claim.ca_pem, where="the claim")
    got = await link.post(PATH, _request(claim, name, labels, signer), content_type=CONTENT_TYPE)
    return got if isinstance(got, LinkFailed) else _accept(got.body, claim, url, labels)


def _request(claim: Claim, name: str, labels: Mapping[str, str], signer: Signer) -> bytes:
    request = EnrollRequest(claim.secret, signer.public_key, name, dict(labels), claim.root.version)
    return seal(ENROLL_TYP, pack(request), [signer])


def _accept(body: bytes, claim: Claim, url: str, labels: Mapping[str, str]) -> Enrolment | Waits:
    """Return the enrolment once its root is the claim's, or a chain leads there."""
    answer = unpack(body, EnrollAnswer, bound=limits.DOCUMENT_BYTES)
    root, envelope = claim.root, claim.root_envelope
    if answer.fleet != root.fleet:
        raise RefusedError(Reason.WRONG_FLEET, "this coordinator is another fleet's")
    if not answer.agent:
        return Waits(min(max(1, answer.again_s), AGAIN_MAX_S))
    for data in (*answer.steps, answer.root):
        if data != envelope:
            root, envelope = open_root(data, trusted=root), data
    if not is_name(answer.agent):
        raise RefusedError(Reason.WRONG_FLEET, "the answer names no agent")
    return Enrolment(
        agent=AgentId(answer.agent),
        url=url,
        ca_pem=claim.ca_pem,
        root_envelope=envelope,
        root=root,
        labels={**labels, "site": answer.site or claim.site},
        certificate=answer.certificate,
    )
