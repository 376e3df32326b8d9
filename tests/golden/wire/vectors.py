"""What the frozen bytes mean; ``python -m tests.golden.wire.vectors`` writes the file anew.

Until the first release a change of format may rewrite `v1.json`; from then on the file only grows.
Ed25519 signatures are deterministic (RFC 8032), so whole envelopes can be frozen.
"""

import json
from pathlib import Path

from shared.ids import key_id
from shared.model.job import JobSpec, Retry, Step, Targets
from shared.sync.body import Part, PartKind, encode_body
from shared.trust.catalog import CATALOG_TYP
from shared.trust.documents import (
    BUNDLE_TYP,
    ENROLL_TYP,
    REPLY_TYP,
    REPORT_TYP,
    Bundle,
    Reply,
    Report,
)
from shared.trust.envelope import KeySigner, seal
from shared.trust.fetch import FETCH_TYP, Fetch
from shared.trust.policy import POLICY_TYP
from shared.trust.root import ROOT_TYP, Role, Root
from shared.trust.starter import first_catalog, first_policy
from shared.wire.codec import pack
from shared.wire.messages import (
    Announced,
    DeviceWord,
    EnrollRequest,
    Grant,
    LossRow,
    Receipt,
    Tally,
)

FILE = Path(__file__).with_name("v1.json")

FLEET = bytes(range(16))
NOW = 1_795_000_000_000
DAY = 86_400_000
EXECUTION = bytes(range(100, 116))


def signer(name: str) -> KeySigner:
    """Return the key that always belongs to `name`."""
    return KeySigner(name.encode().ljust(32, b"\x00"))


def _role(name: str) -> Role:
    return Role(1, [key_id(signer(name).public_key)])


ROLES = ("director", "enrol", "release", "root")

SPEC = JobSpec(
    name="raise-setpoint",
    steps=[Step("apply", "device.write", {"ramp": 1.5, "setpoint": 4200}, 30)],
    targets=Targets(["north-1"], "site=north", "kind=pump"),
    retry=Retry(3, 60, 3600),
    delay_s=5,
)
ROOT = Root(
    version=1,
    fleet=FLEET,
    epoch=1,
    issued_ms=NOW,
    expires_ms=NOW + 3650 * DAY,
    keys=[signer(name).public_key for name in ROLES],
    roles={name: _role(name) for name in ROLES},
)
CATALOG = first_catalog(fleet=FLEET, issued_ms=NOW, expires_ms=NOW + 365 * DAY)
POLICY = first_policy(fleet=FLEET, issued_ms=NOW, expires_ms=NOW + 365 * DAY)
BUNDLE = Bundle(
    fleet=FLEET,
    agent="north-1",
    agent_key=key_id(signer("agent").public_key),
    jobs_epoch=b"j" * 16,
    epoch=1,
    root_version=1,
    catalog_version=1,
    policy_version=1,
    restore_epoch=0,
    seq=7,
    issued_ms=NOW,
    not_before_ms=NOW - 3_600_000,
    expires_ms=NOW + 7 * DAY,
    stale_s=5_184_000,
    grants=[
        Grant(EXECUTION, pack(SPEC), NOW + DAY, "operate"),
        Grant(b"f" * 16, pack(SPEC), NOW + DAY, "operate", job=b"j" * 16, trace=b"t" * 16),
    ],
)
REPORT = Report(
    fleet=FLEET,
    agent="north-1",
    boot_id=b"b" * 16,
    counter=42,
    previous=b"p" * 32,
    telemetry_epoch=b"t" * 16,
    jobs_epoch=b"j" * 16,
    bundle_seq=6,
    root_version=1,
    floor_ms=NOW - DAY,
    wall_ms=NOW,
    mono_ms=123_456,
    clock_state=2,
    next_block=10,
    tally=Tally(1000, 10, 900, 80, 10),
    blocks=[Announced(9, b"9" * 16), Announced(8, b"8" * 16)],
    receipts=[
        Receipt(5, EXECUTION, "pump-1", 2, 1, 0, NOW, "", {"apply.setpoint": 4200}),
        Receipt(6, EXECUTION, "", 10, 1, 0, NOW),
    ],
    ledger=[LossRow(1, 200, NOW - 10, NOW - 5, 10, estimated=True)],
    refusals={"wrong_audience": 2},
    catalog_version=1,
    policy_version=1,
    devices=[DeviceWord("pump-1", 7_200), DeviceWord("relay-1", image_permille=250)],
)
REPLY = Reply(
    agent="north-1",
    report=b"r" * 32,
    now_ms=NOW,
    held_ms=1500,
    acked=[(8, 9)],
    nacked=[(7, 201)],
    receipts_to=6,
    ledger_to=1,
    schemas_wanted=[b"s" * 4],
)
ENROLL = EnrollRequest(bytes(32), signer("agent").public_key, "north-1", {"role": "pump"})

FETCH = Fetch(fleet=FLEET, agent="north-1", artifact=b"a" * 32, at_ms=NOW)


def vectors() -> dict[str, bytes]:
    """Return the bytes of every document, by name."""
    report = seal(REPORT_TYP, pack(REPORT), [signer("agent")])
    reply = seal(REPLY_TYP, pack(REPLY), [signer("director")])
    bundle = seal(BUNDLE_TYP, pack(BUNDLE), [signer("director")])
    return {
        "spec": pack(SPEC),
        "root": seal(ROOT_TYP, pack(ROOT), [signer("root")]),
        "catalog": seal(CATALOG_TYP, pack(CATALOG), [signer("release")]),
        "policy": seal(POLICY_TYP, pack(POLICY), [signer("release")]),
        "enroll": seal(ENROLL_TYP, pack(ENROLL), [signer("agent")]),
        "fetch": seal(FETCH_TYP, pack(FETCH), [signer("agent")]),
        "report": report,
        "reply": reply,
        "bundle": bundle,
        "contact": encode_body([Part(PartKind.REPORT, report), Part(PartKind.BLOCK, b"block")]),
        "answer": encode_body([Part(PartKind.REPLY, reply), Part(PartKind.BUNDLE, bundle)]),
    }


if __name__ == "__main__":
    frozen = {name: data.hex() for name, data in vectors().items()}
    FILE.write_text(json.dumps(frozen, indent=1) + "\n")
