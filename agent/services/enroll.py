"""Enrolment: a claim file and a key made on the box become an agent of the fleet.

The claim carries what the box needs to know whom it talks to: the fleet's CA and its root
document. It may be repeated at will until an answer arrives: the same key and claim are the same
agent. Leaves out the files of the result (`agent.services.identity`).
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from agent.core.uplink import LinkFailed
from agent.services.contact_http import HttpLink
from agent.services.http_connection import parse_url
from agent.services.identity import (
    Enrolment,
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

PATH: Final = "/v1/enroll"
_CLAIM_BYTES: Final = 2 * limits.DOCUMENT_BYTES


class _ClaimFile(msgspec.Struct, frozen=True, kw_only=True):
    outstation_claim: int
    url: str
    fleet: str
    site: str
    secret: str
    ca_pem: str
    root: str
    expires: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to enrol, and whom to trust in doing so."""

    url: str
    site: str
    secret: bytes
    ca_pem: str
    root: Root
    root_envelope: bytes


def load_claim(path: Path, *, now_ms: WallMs) -> Claim:
    """Return the claim in a file.

    Raises:
        MistakeError: the file cannot be read, is no claim, is over, or contradicts itself.
    """
    where, data = str(path), _read(path)
    mend = "ask the fleet's admin for a new one"
    try:
        held = msgspec.json.decode(data, type=_ClaimFile)
        secret = bytes.fromhex(held.secret)
        envelope = base64.b64decode(held.root, validate=True)
        until = datetime.fromisoformat(held.expires)
    except (msgspec.DecodeError, binascii.Error, ValueError) as error:
        raise MistakeError(f"is no claim file ({error})", where=where, mend=mend) from None
    if held.outstation_claim != 1:
        raise MistakeError(
            f"is a claim of version {held.outstation_claim}, this agent knows version 1",
            where=where,
            mend="install a newer agent",
        )
    if until.timestamp() * 1000 < now_ms:
        # Only a courtesy: a box whose clock is behind hears it from the coordinator.
        raise MistakeError(f"was good until {held.expires}", where=where, mend=mend)
    try:
        root = open_root(envelope, trusted=None)
    except RefusedError as error:
        raise MistakeError(f"its root document fails ({error})", where=where, mend=mend) from None
    if root.fleet.hex() != held.fleet:
        raise MistakeError("its root is another fleet's", where=where, mend=mend)
    return Claim(
        url=held.url,
        site=held.site,
        secret=secret,
        ca_pem=held.ca_pem,
        root=root,
        root_envelope=envelope,
    )


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
    if before := load_enrolment(data_dir):
        raise MistakeError(
            f"this box is enrolled as {before.agent} already",
            where=str(data_dir),
            mend="to enrol anew, name an empty data directory",
        )
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return load_or_make_signer(data_dir, entropy)
    except OSError as error:
        raise MistakeError(f"cannot be used ({error.strerror})", where=str(data_dir)) from error


async def enroll(
    claim: Claim, signer: Signer, *, url: str, name: str, labels: Mapping[str, str]
) -> Enrolment | LinkFailed:
    """Ask the coordinator at `url` to let this key in; the caller keeps the enrolment.

    Raises:
        MistakeError: the URL or the name cannot be used.
        RefusedError: the answer does not fit the claim.
    """
    endpoint = parse_url(url, where="--coordinator")
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


def _accept(body: bytes, claim: Claim, url: str, labels: Mapping[str, str]) -> Enrolment:
    """Return the enrolment once its root is the claim's, or a chain leads there."""
    answer = unpack(body, EnrollAnswer, bound=limits.DOCUMENT_BYTES)
    root, envelope = claim.root, claim.root_envelope
    for data in (*answer.steps, answer.root):
        if data != envelope:
            root, envelope = open_root(data, trusted=root), data
    if answer.fleet != root.fleet or not is_name(answer.agent):
        raise RefusedError(Reason.WRONG_FLEET, "the answer names another fleet, or no agent")
    return Enrolment(
        agent=AgentId(answer.agent),
        url=url,
        ca_pem=claim.ca_pem,
        root_envelope=envelope,
        root=root,
        labels={**labels, "site": claim.site},
    )
