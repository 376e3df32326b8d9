"""The only definition of signed documents: root, bundle, report, reply, enrolment.

Each has one `TYP` whose number is its major version. Opening one verifies first, then decodes
the verified bytes. Control documents (root, bundle) refuse unknown fields: an addition that
restricts must not be overlooked. Reports and replies ignore trailing fields.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import msgspec

from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import KeyId, key_id
from shared.trust.envelope import open_envelope, peek_payload
from shared.wire.codec import unpack
from shared.wire.messages import Announced, EnrollRequest, Grant, LossRow, Receipt, Tally

ROOT_TYP: Final = "root/1"
BUNDLE_TYP: Final = "bundle/1"
REPORT_TYP: Final = "report/1"
REPLY_TYP: Final = "reply/1"
ENROLL_TYP: Final = "enroll/1"


class Role(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How many of which keys speak for a role."""

    threshold: int
    keys: list[bytes]
    """Key ids, all of them listed in the root's `keys`."""


class Root(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The set of keys a fleet trusts, by role; signed by the root role itself."""

    version: int
    fleet: bytes
    epoch: int
    """A higher epoch makes every older sequence number void (recovery from fast-forward)."""
    issued_ms: int
    expires_ms: int
    keys: list[bytes]
    """Ed25519 public keys."""
    roles: dict[str, Role]

    def keys_of(self, role: str) -> tuple[Mapping[KeyId, bytes], int]:
        """Return the public keys of a role by id, and its threshold."""
        entry = self.roles.get(role)
        if entry is None:
            raise RefusedError(Reason.BAD_SCHEMA, f"the root names no role {role!r}")
        known = {key_id(public): public for public in self.keys}
        return {KeyId(k): known[KeyId(k)] for k in entry.keys if k in known}, entry.threshold


class Bundle(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What one agent is ordered to do; signed by the director."""

    fleet: bytes
    agent: str
    agent_key: bytes
    """Key id of the agent: an order survives neither a re-enrolment nor a copied name."""
    epoch: int
    root_version: int
    seq: int
    """Above every bundle this agent admitted before, within the epoch."""
    issued_ms: int
    not_before_ms: int
    expires_ms: int
    grants: list[Grant]


class Report(msgspec.Struct, frozen=True, array_like=True):
    """What an agent says at a contact; frozen and resent byte-identical until it is answered."""

    fleet: bytes
    agent: str
    boot_id: bytes
    counter: int
    previous: bytes
    """sha256 of the previous report's envelope; empty in the first."""
    telemetry_epoch: bytes
    jobs_epoch: bytes
    bundle_seq: int
    root_version: int
    floor_ms: int
    wall_ms: int
    mono_ms: int
    clock_state: int
    next_block: int
    """The number the next block will get: every lower one was made."""
    tally: Tally
    blocks: list[Announced] = []
    receipts: list[Receipt] = []
    ledger: list[LossRow] = []
    refusals: dict[str, int] = {}
    """Refused documents by reason text, since the jobs epoch began."""


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """The coordinator's one answer to one report; signed by the director."""

    agent: str
    report: bytes
    """sha256 of the report's envelope: the nonce that makes `now_ms` fresh."""
    now_ms: int
    held_ms: int
    """How long the reply was held back while there was nothing to say."""
    acked: list[tuple[int, int]] = []
    """Ranges of block numbers that are committed, newest last."""
    nacked: list[tuple[int, int]] = []
    """(block number, reason): will never be accepted; keep it aside."""
    receipts_to: int = 0
    ledger_to: int = 0
    schemas_wanted: list[bytes] = []
    """References (`shared.model.reading.schema_ref`) of schemas that stored blocks wait for."""
    restore_epoch: int = 0


def document_hash(envelope: bytes) -> bytes:
    """Return sha256 over a whole envelope: how documents refer to each other."""
    return sha256(envelope).digest()


def open_root(data: bytes, *, trusted: Root | None) -> Root:
    """Return a root document signed by its own root role and, when given, by `trusted`'s.

    Raises:
        RefusedError: a check failed; the trusted root stays in force.
    """
    claimed = unpack(peek_payload(data, bound=limits.DOCUMENT_BYTES), Root, bound=len(data))
    if len(claimed.keys) > limits.KEYS_IN_ROOT:
        raise RefusedError(Reason.BAD_SCHEMA, "too many keys")
    for judge in (trusted, claimed):
        if judge is None:
            continue
        keys, threshold = judge.keys_of("root")
        open_envelope(
            data,
            typ=ROOT_TYP,
            keys=keys,
            threshold=max(1, threshold),
            bound=limits.DOCUMENT_BYTES,
        )
    if trusted is not None:
        if claimed.fleet != trusted.fleet:
            raise RefusedError(Reason.WRONG_FLEET)
        if claimed.epoch < trusted.epoch:
            raise RefusedError(Reason.WRONG_EPOCH)
        if claimed.version != trusted.version + 1:
            raise RefusedError(Reason.WRONG_ROOT_VERSION, f"{claimed.version}")
    return claimed


def open_bundle(data: bytes, root: Root) -> Bundle:
    """Return a bundle whose signatures the director's keys verified."""
    keys, threshold = root.keys_of("director")
    payload = open_envelope(
        data, typ=BUNDLE_TYP, keys=keys, threshold=threshold, bound=limits.DOCUMENT_BYTES
    )
    return unpack(payload, Bundle, bound=limits.DOCUMENT_BYTES)


def open_reply(data: bytes, root: Root) -> Reply:
    """Return a reply whose signatures the director's keys verified."""
    keys, threshold = root.keys_of("director")
    payload = open_envelope(
        data, typ=REPLY_TYP, keys=keys, threshold=threshold, bound=limits.DOCUMENT_BYTES
    )
    return unpack(payload, Reply, bound=limits.DOCUMENT_BYTES)


def claimed_agent(data: bytes) -> str:
    """Return the agent a report says it is from, to find the key that must verify it."""
    return unpack(peek_payload(data, bound=limits.REPORT_BYTES), Report, bound=len(data)).agent


def open_report(data: bytes, public_key: bytes) -> Report:
    """Return a report that this agent's key signed."""
    payload = open_envelope(
        data,
        typ=REPORT_TYP,
        keys={key_id(public_key): public_key},
        threshold=1,
        bound=limits.REPORT_BYTES,
    )
    return unpack(payload, Report, bound=limits.REPORT_BYTES)


def open_enroll(data: bytes) -> EnrollRequest:
    """Return an enrolment request that proves possession of the key it names."""
    claimed = unpack(peek_payload(data, bound=limits.REPORT_BYTES), EnrollRequest, bound=len(data))
    open_envelope(
        data,
        typ=ENROLL_TYP,
        keys={key_id(claimed.public_key): claimed.public_key},
        threshold=1,
        bound=limits.REPORT_BYTES,
    )
    return claimed
