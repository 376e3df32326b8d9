"""What travels at a contact, signed: report, reply, bundle; and the request that enrols a key.

Each document has one `TYP` whose number is its major version. Opening one verifies first, then
decodes the verified bytes. A bundle refuses unknown fields: an addition that restricts must not
be overlooked. Reports and replies ignore trailing fields. What these documents are judged by
stands beside this file: `root`, `catalog`, `policy`, `approval`.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import key_id
from shared.trust.envelope import (
    Shaped,
    document_hash,
    is_signed,
    open_envelope,
    peek_payload,
    read_shape,
)
from shared.trust.root import DIRECTOR, ROOT_TYP, Role, Root, open_root
from shared.wire.codec import unpack
from shared.wire.messages import (
    Anchor,
    Announced,
    DeviceWord,
    EnrollRequest,
    Grant,
    LossRow,
    Receipt,
    SignedFloor,
    Tally,
)

__all__ = [
    "BUNDLE_TYP",
    "ENROLL_TYP",
    "REPLY_TYP",
    "REPORT_TYP",
    "ROOT_TYP",
    "Bundle",
    "ClaimedReport",
    "Reply",
    "Report",
    "Role",
    "Root",
    "claimed_agent",
    "document_hash",
    "open_bundle",
    "open_enroll",
    "open_reply",
    "open_report",
    "open_root",
    "read_report",
]

BUNDLE_TYP: Final = "bundle/1"
REPORT_TYP: Final = "report/1"
REPLY_TYP: Final = "reply/1"
ENROLL_TYP: Final = "enroll/1"

ECHO_BYTES: Final = 8
"""How much of an answer's hash a report repeats: enough to tell an agent's answers apart."""


class Bundle(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What one agent is ordered to do; signed by the director."""

    fleet: bytes
    agent: str
    agent_key: bytes
    """Key id of the agent: an order survives neither a re-enrolment nor a copied name."""
    jobs_epoch: bytes
    """The agent's store when it was signed: an order survives no loss of the memory of what ran."""
    epoch: int
    root_version: int
    catalog_version: int
    policy_version: int
    restore_epoch: int
    """Grows with each restore of the coordinator from a backup; a higher one begins a new `seq`."""
    seq: int
    """Above every bundle this agent admitted before, within both epochs."""
    issued_ms: int
    not_before_ms: int
    expires_ms: int
    stale_s: int
    """Seconds of powered time without word from the coordinator after which nothing of it
    begins."""
    grants: list[Grant]
    cancels: list[bytes] = []
    """Executions that must not begin any more."""
    config: bytes = b""
    """sha256 of the configuration this agent should have; empty: no opinion."""


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
    """Names the store that holds the counters: a new one declares that the old one was lost."""
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
    catalog_version: int = 0
    """0: it has none that its root vouches for."""
    policy_version: int = 0
    restore_epoch: int = 0
    attested: bool = True
    """False: every copy of its counters was lost; it runs nothing until it is told a floor."""
    answered: bytes = b""
    """First `ECHO_BYTES` of the hash of the newest reply it verified: it was alive after that."""
    gone: list[tuple[int, int]] = []
    """Ranges of blocks that were asked for again and that it no longer has."""
    anchors: list[Anchor] = []
    """True time of boots, until an answer to a report with them was verified."""
    schemas: list[bytes] = []
    """sha256 of each schema that travels beside the report."""
    health: list[int] = []
    """How the box is, see `agent.core.health`; empty: nothing changed worth its bytes."""
    devices: list[DeviceWord] | None = None
    """Those that something is to be said of, in place of all that was said; None: as before."""
    next_receipt: int = 0
    """The number the next receipt will get in this jobs store; 0: it does not say."""


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
    wanted: list[tuple[int, int]] = []
    """Ranges of blocks to send (again): lost on the way, or with the coordinator's disk."""
    floor: SignedFloor | None = None
    """Where an agent without counters goes on; only in an answer to one that said so."""
    safe_to: int = 0
    """Blocks below this number are in a verified backup: no restore will ask for them again."""
    next_s: int = 0
    """Seconds after which the coordinator would like the next contact; 0: no wish."""
    wish: int = 0
    """What is asked of the agent itself: a sum of `shared.trust.words.Wish`."""


def open_bundle(data: bytes, root: Root) -> Bundle:
    """Return a bundle whose signatures the director's keys verified."""
    keys, threshold = root.keys_of(DIRECTOR)
    payload = open_envelope(
        data, typ=BUNDLE_TYP, keys=keys, threshold=threshold, bound=limits.DOCUMENT_BYTES
    )
    bundle = unpack(payload, Bundle, bound=limits.DOCUMENT_BYTES)
    check_bundle(bundle)
    return bundle


def check_bundle(bundle: Bundle) -> None:
    """Check what a bundle's types leave open.

    Raises:
        RefusedError: BAD_SCHEMA with the member at fault.
    """
    if not 0 <= max(bundle.issued_ms, bundle.not_before_ms) <= bundle.expires_ms:
        raise RefusedError(Reason.BAD_SCHEMA, "it ends before it begins")
    if min(bundle.seq, bundle.restore_epoch, bundle.stale_s) < 0:
        raise RefusedError(Reason.BAD_SCHEMA, "a negative number")
    if len(bundle.grants) > limits.GRANTS_PER_BUNDLE:
        raise RefusedError(Reason.BAD_SCHEMA, "too many grants")


def open_reply(data: bytes, root: Root) -> Reply:
    """Return a reply whose signatures the director's keys verified."""
    keys, threshold = root.keys_of(DIRECTOR)
    payload = open_envelope(
        data, typ=REPLY_TYP, keys=keys, threshold=threshold, bound=limits.DOCUMENT_BYTES
    )
    return unpack(payload, Reply, bound=limits.DOCUMENT_BYTES)


def claimed_agent(data: bytes) -> str:
    """Return the agent a report says it is from, to find the key that must verify it."""
    return unpack(peek_payload(data, bound=limits.REPORT_BYTES), Report, bound=len(data)).agent


@dataclass(frozen=True, slots=True)
class ClaimedReport:
    """A report that was read and not verified: it says whose key must have signed it."""

    report: Report
    _envelope: Shaped

    def is_signed_by(self, public_key: bytes) -> bool:
        """Tell whether this agent's key signed these very bytes, as a report."""
        return is_signed(self._envelope, typ=REPORT_TYP, public_key=public_key)


def read_report(data: bytes) -> ClaimedReport:
    """Return what a report claims; nothing of it may be used before its signature was checked.

    Reads it once, where `claimed_agent` and `open_report` together read it twice.

    Raises:
        RefusedError: length, shape, type, key ids, or the values of its fields.
    """
    envelope = read_shape(data, typ=REPORT_TYP, bound=limits.REPORT_BYTES)
    return ClaimedReport(unpack(envelope.payload, Report, bound=limits.REPORT_BYTES), envelope)


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
