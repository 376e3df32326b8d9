"""What the coordinator told agents that it has, held against its file.

Every answer is a promise: what it acknowledges is in the database, for good. Asked at once while
the disk refuses, and of the newest answers when a life begins, whatever ended the one before.
Leaves out what was acknowledged before a backup was put in place: agents give that once more.
"""

from collections.abc import Iterator
from pathlib import Path

from shared.sync.body import PartKind, decode_body
from shared.sync.ranges import Ranges
from shared.trust.documents import Bundle, Reply, Report
from shared.trust.envelope import peek_payload
from shared.wire.codec import unpack
from tests.simulation.world.files import rows

NEWEST = 20
"""So many answers are asked about when the next life begins."""
_BLOCKS = (
    "SELECT seq FROM block WHERE agent_id = $1 AND epoch = $2"
    " UNION SELECT seq FROM block_aside WHERE agent_id = $1 AND epoch = $2"
)
_RECEIPTS = (
    "SELECT r.number FROM receipt r JOIN jobs_store s"
    " ON s.agent_id = r.agent_id AND s.ordinal = r.epoch WHERE s.agent_id = $1 AND s.epoch = $2"
)
_ISSUED = "SELECT bundle_seq FROM agent WHERE agent_id = $1"


def not_kept(centre: Path, request: bytes, answer: bytes) -> Iterator[str]:
    """Yield what an answer says that the coordinator's file does not know of."""
    asked, said = _parts(request), _parts(answer)
    if PartKind.REPLY not in said:
        return
    report = unpack(asked[PartKind.REPORT], Report, bound=len(request))
    reply = unpack(said[PartKind.REPLY], Reply, bound=len(answer))
    acked = Ranges.joined(reply.acked)
    refused = {seq for seq, _ in reply.nacked}
    blocks = {one.seq for one in report.blocks if one.seq in acked} - refused
    here = {seq for (seq,) in rows(centre, _BLOCKS, report.agent, report.telemetry_epoch)}
    if blocks - here:
        yield f"blocks {sorted(blocks - here)} of {report.agent} were acknowledged and not kept"
    receipts = {
        one.number for one in report.receipts if not one.count and one.number <= reply.receipts_to
    }
    heard = {number for (number,) in rows(centre, _RECEIPTS, report.agent, report.jobs_epoch)}
    if receipts - heard:
        lacks = sorted(receipts - heard)
        yield f"receipts {lacks} of {report.agent} were acknowledged and not kept"
    if PartKind.BUNDLE in said:
        seq = unpack(said[PartKind.BUNDLE], Bundle, bound=len(answer)).seq
        ((issued,),) = rows(centre, _ISSUED, report.agent)
        if issued < seq:
            yield f"an order of {report.agent} was handed out and forgotten"


def _parts(body: bytes) -> dict[PartKind, bytes]:
    """Return what the documents of a body say, by kind; nobody altered it on its way."""
    return {
        part.kind: peek_payload(part.data, bound=len(part.data))
        for part in decode_body(body, bound=len(body))
        if part.kind in {PartKind.REPORT, PartKind.REPLY, PartKind.BUNDLE}
    }
