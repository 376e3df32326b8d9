"""Everything an attacker in the middle of a link can make out of what passes by.

Pure: captured bytes in, hostile bytes out. The attacker has every byte and the transport's keys,
but none of the keys that sign.
"""

import msgspec

from shared import limits
from shared.model.job import JobSpec, Step
from shared.sync.body import Part, PartKind, decode_body, encode_body
from shared.trust.documents import BUNDLE_TYP, REPLY_TYP, REPORT_TYP, Bundle, Reply, Report
from shared.trust.envelope import Signer, peek_payload, seal
from shared.trust.starter import OPERATE
from shared.wire.codec import pack, unpack
from shared.wire.messages import Grant

ROGUE_SETPOINT = 4999
"""What every hostile order tries to write; no honest job of the demo does."""


def part(body: bytes, kind: PartKind) -> bytes | None:
    """Return the first part of a kind in a captured body, if it has one."""
    parts = decode_body(body, bound=limits.BODY_BYTES_UP)
    return next((item.data for item in parts if item.kind is kind), None)


def count_blocks(body: bytes) -> int:
    """Return how many blocks a captured body carries."""
    parts = decode_body(body, bound=limits.BODY_BYTES_UP)
    return sum(item.kind is PartKind.BLOCK for item in parts)


def altered(envelope: bytes) -> bytes:
    """Return a signed document with one bit of its payload turned over."""
    position = envelope.index(peek_payload(envelope, bound=limits.DOCUMENT_BYTES)) + 20
    return envelope[:position] + bytes([envelope[position] ^ 1]) + envelope[position + 1 :]


def forged_report(envelope: bytes, attacker: Signer) -> bytes:
    """Return the agent's next report as the attacker would write it, signed with his own key."""
    report = unpack(peek_payload(envelope, bound=limits.REPORT_BYTES), Report, bound=len(envelope))
    lie = msgspec.structs.replace(report, counter=report.counter + 1, blocks=[], receipts=[])
    return seal(REPORT_TYP, pack(lie), [attacker])


def forged_bundle(envelope: bytes, attacker: Signer, execution: bytes) -> bytes:
    """Return a newer bundle for the same agent that orders a rogue write."""
    genuine = unpack(
        peek_payload(envelope, bound=limits.DOCUMENT_BYTES), Bundle, bound=len(envelope)
    )
    spec = JobSpec(
        name="rogue", steps=[Step("apply", "device.write", {"setpoint": ROGUE_SETPOINT})]
    )
    order = Grant(execution, pack(spec), genuine.expires_ms, OPERATE)
    bundle = msgspec.structs.replace(genuine, seq=genuine.seq + 1000, grants=[order])
    return seal(BUNDLE_TYP, pack(bundle), [attacker])


def forged_reply(envelope: bytes, attacker: Signer) -> bytes:
    """Return an answer that tells the agent to forget every reading and receipt it holds."""
    genuine = unpack(
        peek_payload(envelope, bound=limits.DOCUMENT_BYTES), Reply, bound=len(envelope)
    )
    lie = msgspec.structs.replace(
        genuine, acked=[(1, limits.INT_MAX)], receipts_to=limits.INT_MAX, ledger_to=limits.INT_MAX
    )
    return seal(REPLY_TYP, pack(lie), [attacker])


def answer(reply: bytes, bundle: bytes | None = None) -> bytes:
    """Return the body of an answer made of these documents."""
    parts = [Part(PartKind.REPLY, reply)]
    if bundle is not None:
        parts.append(Part(PartKind.BUNDLE, bundle))
    return encode_body(parts)


def request(report: bytes) -> bytes:
    """Return the body of a contact that carries only this report."""
    return encode_body([Part(PartKind.REPORT, report)])
