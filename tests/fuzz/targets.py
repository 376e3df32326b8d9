"""Every decoder that somebody else's bytes reach, with documents to begin from."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared import limits
from shared.block.codec import _CRC_AT, _CRC_END, Stage, decode, encode
from shared.block.schema import Schema
from shared.clock import WallMs
from shared.ids import KeyId
from shared.sync.body import BodyDecoder, Part, PartKind, encode_body
from shared.sync.incoming import remembered, wanted_again
from shared.sync.ranges import Ranges
from shared.trust.admission import admit_bundle, admit_reply
from shared.trust.approval import APPROVAL_TYP, Approval, Asked, Here, check_approval, open_approval
from shared.trust.catalog import CATALOG_TYP, Catalog
from shared.trust.counters import Counters, next_write, read_slots
from shared.trust.documents import (
    BUNDLE_TYP,
    ENROLL_TYP,
    REPLY_TYP,
    REPORT_TYP,
    ROOT_TYP,
    Bundle,
    Reply,
    Report,
    claimed_agent,
    document_hash,
    open_enroll,
    open_report,
    open_root,
)
from shared.trust.envelope import open_envelope, peek_payload
from shared.trust.fetch import FETCH_TYP, Fetch, claimed_fetcher, open_fetch
from shared.trust.keyset import accept_catalog, accept_policy
from shared.trust.policy import POLICY_TYP, Policy
from shared.trust.root import Root
from shared.trust.starter import first_catalog
from shared.trust.words import (
    HEARD_TYP,
    LABELS_TYP,
    LEAVE_TYP,
    REKEY_TYP,
    Heard,
    Labels,
    Leave,
    Rekey,
    Word,
    claimed_speaker,
    open_heard,
    open_word,
)
from shared.wire.codec import pack
from shared.wire.messages import Announced, EnrollRequest, LossRow, Receipt, SignedFloor
from tests.block_parts import block_of, group_of
from tests.fuzz import devices, masters, neighbours, site, smp, sticks
from tests.fuzz.cutting import pieces
from tests.fuzz.sealing import sealed
from tests.unit.trust_world import (
    DAY,
    FLEET,
    LABELS,
    NAME,
    NOW,
    PEOPLE,
    QUORUM,
    READ,
    World,
    changed,
    kid,
    make_approval,
    make_catalog,
    make_grant,
    make_policy,
    make_report,
    make_root,
    signer,
)

WORLD = World()
DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder."""

    seeds: Callable[[], Sequence[bytes]]
    """Inputs that are accepted."""
    run: Callable[[bytes], object]
    """Gives it bytes; may raise `RefusedError` and nothing else."""
    most_bytes: int
    """Memory that one input may take, whatever its size."""
    packed: bool = True
    """Its inputs are msgpack, so that values inside them can be exchanged."""
    smp: bool = False
    """Its inputs are SMP packets, so that values inside their CBOR can be exchanged."""


def _envelope(data: bytes) -> None:
    keys = {KeyId(kid("director")): signer("director").public_key}
    open_envelope(data, typ=BUNDLE_TYP, keys=keys, threshold=1, bound=limits.DOCUMENT_BYTES)


def _root(payload: bytes) -> None:
    data = sealed(ROOT_TYP, Root, payload, *QUORUM)
    open_root(data, trusted=make_root())


def _first_root(payload: bytes) -> None:
    open_root(sealed(ROOT_TYP, Root, payload, *QUORUM), trusted=None)


def _catalog(payload: bytes) -> None:
    data = sealed(CATALOG_TYP, Catalog, payload, "release")
    accept_catalog(WORLD.trust, data, counters=None, earliest_ms=WallMs(NOW))


def _policy(payload: bytes) -> None:
    data = sealed(POLICY_TYP, Policy, payload, "release")
    accept_policy(WORLD.trust, data, counters=None, earliest_ms=WallMs(NOW))


def _bundle(payload: bytes) -> None:
    admit_bundle(sealed(BUNDLE_TYP, Bundle, payload, "director"), WORLD.held())


def _reply(payload: bytes) -> None:
    admit_reply(sealed(REPLY_TYP, Reply, payload, "director"), WORLD.held(), report_hash=DIGEST)


def _report(payload: bytes) -> None:
    data = sealed(REPORT_TYP, Report, payload, "agent")
    claimed_agent(data)
    report = open_report(data, signer("agent").public_key)
    remembered(report, DIGEST)
    wanted_again(report, Ranges())


def _enroll(payload: bytes) -> None:
    open_enroll(sealed(ENROLL_TYP, EnrollRequest, payload, "agent"))


def _word(typ: str, word: Word) -> Target:
    def check(payload: bytes) -> None:
        data = sealed(typ, type(word), payload, "agent", "agent-next")
        claimed_speaker(data)
        open_word(data, signer("agent").public_key)

    return Target(lambda: [pack(word)], check, 2 * MB)


def _fetch(payload: bytes) -> None:
    data = sealed(FETCH_TYP, Fetch, payload, "agent")
    claimed_fetcher(data)
    open_fetch(data, signer("agent").public_key, now_ms=WallMs(NOW))


def _heard(payload: bytes) -> None:
    data = sealed(HEARD_TYP, Heard, payload, "director")
    open_heard(data, WORLD.trust.root, word=b"word", agent=NAME)


def _approval(payload: bytes) -> None:
    keys = {KeyId(kid(name)): signer(name).public_key for name in PEOPLE}
    data = sealed(APPROVAL_TYP, Approval, payload, "alice", "bob")
    approval, _ = open_approval(data, keys)
    here = Here(
        fleet=FLEET,
        agent=NAME,
        labels=LABELS,
        earliest_ms=WallMs(NOW),
        approved_since_ms=WallMs(0),
    )
    asked = Asked(job=approval.job, job_class=approval.job_class, proof=None, used=0)
    check_approval(approval, asked, here)


def _contact(data: bytes) -> None:
    """Bytes arrive in pieces of any size."""
    whole = BodyDecoder(limits.BODY_BYTES_UP)
    whole.feed(data)
    whole.finish()
    cut = BodyDecoder(limits.BODY_BYTES_UP)
    for piece in pieces(data):
        cut.feed(piece)


def _block(covered: bytes) -> None:
    """Everything but the checksum is the attacker's; a right one is put in its place."""
    crc = zlib.crc32(covered).to_bytes(4, "little")[: _CRC_END - _CRC_AT]
    decode(covered[:_CRC_AT] + crc + covered[_CRC_AT:])


def _blocks() -> list[bytes]:
    rows = group_of([[1.5, 2.25, None, 7.0], [1, 2, 3, 3], [float("inf"), 0.1, -0.0, 1e300]])
    whole = [encode(block_of(rows), stage=stage) for stage in Stage]
    return [data[:_CRC_AT] + data[_CRC_END:] for data in whole]


def _payload(envelope: bytes) -> bytes:
    return peek_payload(envelope, bound=limits.DOCUMENT_BYTES)


def _bundles() -> list[bytes]:
    guarded = make_grant(READ, "guarded", approvals=[make_approval(READ, "alice", "bob")])
    return [pack(WORLD.bundle(make_grant(), make_grant(READ, "observe"), guarded))]


def _reports() -> list[bytes]:
    full = make_report(
        blocks=[Announced(n, bytes(16)) for n in range(1, 9)],
        receipts=[Receipt(1, bytes(16), "pump-1", 2, 1, 0, NOW, "done", {"a.setpoint": 1.5})],
        ledger=[LossRow(1, 200, NOW, NOW, 3)],
        refusals={"replayed": 2},
        gone=[(3, 4)],
        next_block=9,
    )
    return [pack(make_report()), pack(full)]


def _replies() -> list[bytes]:
    plain = _payload(WORLD.seal_reply(DIGEST))
    full = _payload(
        WORLD.seal_reply(
            DIGEST,
            acked=[(1, 5)],
            nacked=[(6, 200)],
            schemas_wanted=[bytes(8)],
            wanted=[(7, 8)],
            floor=SignedFloor(1, 1, 1, 1, 0, 4, 9),
        )
    )
    return [plain, full]


def _counters() -> list[bytes]:
    offset, slot = next_write(read_slots(b""), Counters(epoch=1, root_version=1))
    return [slot, bytes(offset) + slot + slot]


def _schemas() -> list[bytes]:
    return [pack([["pump-1", "setpoint", "bar", "gauge"], ["pump-1", "start", "", "state"]])]


def _bodies() -> list[bytes]:
    parts = [Part(PartKind.REPORT, b"r" * 20), Part(PartKind.BLOCK, b"b" * 200)]
    return [encode_body(parts), encode_body(parts[:1])]


MB = 1 << 20
TARGETS: dict[str, Target] = {
    "envelope": Target(lambda: [WORLD.seal_bundle(WORLD.bundle())], _envelope, MB),
    "root": Target(lambda: [pack(make_root(version=2))], _root, 8 * MB),
    "first-root": Target(lambda: [pack(make_root())], _first_root, 8 * MB),
    "catalog": Target(
        lambda: [
            pack(make_catalog(version=2)),
            pack(
                changed(first_catalog(fleet=FLEET, issued_ms=NOW, expires_ms=NOW + DAY), version=3)
            ),
        ],
        _catalog,
        8 * MB,
    ),
    "policy": Target(lambda: [pack(make_policy(version=2))], _policy, 8 * MB),
    "approval": Target(lambda: [_payload(make_approval(READ, "alice"))], _approval, 8 * MB),
    "bundle": Target(_bundles, _bundle, 8 * MB),
    "reply": Target(_replies, _reply, 8 * MB),
    "report": Target(_reports, _report, 2 * MB),
    "enroll": Target(
        lambda: [pack(EnrollRequest(bytes(32), signer("agent").public_key, "north-1", LABELS))],
        _enroll,
        2 * MB,
    ),
    "rekey": _word(REKEY_TYP, Rekey(FLEET, NAME, signer("agent-next").public_key)),
    "labels": _word(LABELS_TYP, Labels(FLEET, NAME, 7, LABELS)),
    "leave": _word(LEAVE_TYP, Leave(FLEET, NAME, DIGEST)),
    "fetch": Target(lambda: [pack(Fetch(FLEET, NAME, DIGEST, NOW))], _fetch, 2 * MB),
    "heard": Target(
        lambda: [pack(Heard(NAME, document_hash(b"word"), bytes(300)))], _heard, 2 * MB
    ),
    "counters": Target(_counters, read_slots, MB, packed=False),
    "contact": Target(_bodies, _contact, 4 * MB, packed=False),
    "block": Target(_blocks, _block, 16 * MB, packed=False),
    "schema": Target(_schemas, Schema.decode, 8 * MB),
    "stick": Target(sticks.sticks, sticks.stick, 4 * MB, packed=False),
    "parcel": Target(sticks.parcels, sticks.parcel, 4 * MB, packed=False),
    "piece": Target(sticks.pieces, sticks.piece, 4 * MB, packed=False),
    "ask": Target(neighbours.asks, neighbours.ask, MB, packed=False),
    "carried": Target(sticks.carried_seeds, sticks.carried, 2 * MB),
    "return": Target(sticks.return_seeds, sticks.returned, 8 * MB),
    "smp-packet": Target(smp.packets, smp.packet, MB, packed=False, smp=True),
    "smp-console": Target(smp.streams, smp.console, MB, packed=False),
    "mcuboot": Target(smp.images, smp.mcuboot, MB, packed=False),
    "smp-answer": Target(masters.answers, masters.smp_answer, MB, packed=False, smp=True),
    "smp-heard": Target(masters.streams, masters.smp_console, MB, packed=False),
    "smp-burst": Target(masters.pieces, masters.smp_burst, MB, packed=False),
    "firmware": Target(masters.images, masters.firmware, MB, packed=False),
    "modbus": Target(masters.modbus_answers, masters.modbus_answer, MB, packed=False),
    "http-answer": Target(devices.answers, devices.http, MB, packed=False),
    "http-request": Target(devices.requests, devices.served, MB, packed=False),
    "json": Target(devices.documents, devices.document, 2 * MB, packed=False),
    "lines": Target(devices.talk, devices.lines, MB, packed=False),
    "sdi12": Target(devices.sensor, devices.sdi12, MB, packed=False),
    "snmp-answer": Target(site.snmp_answers, site.snmp_answer, MB, packed=False),
    "mqtt-heard": Target(site.mqtt_streams, site.mqtt_heard, MB, packed=False),
    "mqtt-client": Target(site.mqtt_clients, site.mqtt_client, MB, packed=False),
    "snmp-request": Target(site.snmp_requests, site.snmp_request, MB, packed=False),
}
"""Name -> decoder. A new decoder of foreign bytes is one line here and a folder of the corpus."""
