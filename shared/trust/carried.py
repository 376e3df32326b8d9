"""What travels on a stick, signed: an agent's report beside its chain, and what answers it.

A *carried* report says what an online one says, and takes no place in the chain: it only names the
newest report that was frozen. So nothing that happens to a stick, lost, late, twice, in another
order, can contradict what goes over the link, and both may be under way at once. Many may be under
way at once too; each is numbered, so that an old account never replaces a newer one.

A *return* answers all of them together: it says what is committed, not what one report brought.
Old returns say less, and never anything that has become wrong, unless the coordinator was restored
from a backup meanwhile (`restore_epoch`).
"""

from typing import Final

import msgspec

from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import key_id
from shared.trust.admission import Held
from shared.trust.documents import Report
from shared.trust.envelope import open_envelope, peek_payload
from shared.trust.root import DIRECTOR, Root
from shared.wire.codec import unpack
from shared.wire.messages import SignedFloor

CARRIED_TYP: Final = "carried/1"
RETURN_TYP: Final = "return/1"


class Carried(msgspec.Struct, frozen=True, array_like=True):
    """What an agent says on a stick; any number of them are on one."""

    number: int
    """From 1 within the jobs epoch; every parcel of every stick has its own."""
    report: Report
    """Its `counter` and `previous` name the newest report of the chain, they do not continue it."""
    receipts_from: int = 0
    """The oldest receipt that the agent still keeps; 0: it keeps none."""
    ledger_from: int = 0
    """The oldest row of the loss ledger that it still keeps; 0: it keeps none."""


class Return(msgspec.Struct, frozen=True, array_like=True):
    """What the coordinator has of an agent, for the agent to forget; signed by the director."""

    agent: str
    agent_key: bytes
    """Key id of the agent: a name that was enrolled anew is somebody else."""
    carried: bytes
    """sha256 of the newest carried report of this agent; empty: none came yet."""
    now_ms: int
    """When it was signed; a stick may be on its way for weeks."""
    telemetry_epoch: bytes
    jobs_epoch: bytes
    restore_epoch: int
    acked: list[tuple[int, int]] = []
    """Ranges of block numbers that carried reports announced and that are committed."""
    nacked: list[tuple[int, int]] = []
    receipts_to: int = 0
    ledger_to: int = 0
    schemas_wanted: list[bytes] = []
    wanted: list[tuple[int, int]] = []
    floor: SignedFloor | None = None
    """Where an agent without counters goes on; holds only for the sender of `carried`."""
    safe_to: int = 0


def claimed_sender(data: bytes) -> str:
    """Return the agent a carried report says it is from, to find the key that must verify it."""
    payload = peek_payload(data, bound=limits.REPORT_BYTES)
    return unpack(payload, Carried, bound=len(data)).report.agent


def open_carried(data: bytes, public_key: bytes) -> Carried:
    """Return a carried report that this agent's key signed."""
    payload = open_envelope(
        data,
        typ=CARRIED_TYP,
        keys={key_id(public_key): public_key},
        threshold=1,
        bound=limits.REPORT_BYTES,
    )
    carried = unpack(payload, Carried, bound=limits.REPORT_BYTES)
    if carried.number < 1 or min(carried.receipts_from, carried.ledger_from) < 0:
        raise RefusedError(Reason.BAD_SCHEMA, "a number is out of range")
    return carried


def claimed_carried(data: bytes) -> bytes:
    """Return which carried report a return names, unverified: only to look for it."""
    payload = peek_payload(data, bound=limits.DOCUMENT_BYTES)
    return unpack(payload, Return, bound=len(data)).carried


def open_return(data: bytes, root: Root) -> Return:
    """Return a return whose signatures the director's keys verified."""
    keys, threshold = root.keys_of(DIRECTOR)
    payload = open_envelope(
        data, typ=RETURN_TYP, keys=keys, threshold=threshold, bound=limits.DOCUMENT_BYTES
    )
    return unpack(payload, Return, bound=limits.DOCUMENT_BYTES)


def admit_return(data: bytes, held: Held) -> Return:
    """Return a return that is for this very agent, from a coordinator that was not replaced.

    Raises:
        RefusedError: forged, for somebody else, or signed before the coordinator was restored
            from a backup: it acknowledges what was lost since.
    """
    answer = open_return(data, held.trust.root)
    if answer.agent != held.agent:
        raise RefusedError(Reason.WRONG_AUDIENCE)
    if answer.agent_key != held.agent_key:
        raise RefusedError(Reason.WRONG_AUDIENCE, "for the same name with another key")
    known = 0 if held.counters is None else held.counters.under(held.trust.root).restore_epoch
    if answer.restore_epoch < known:
        raise RefusedError(Reason.WRONG_RESTORE_EPOCH, f"{answer.restore_epoch} after {known}")
    return answer
