"""What one contact says, and what its answer means.

Pure: stores give what there is, the service sends and commits. Choosing blocks and freezing the
report stand in `shared.sync.outgoing`, the checks of a bundle in `shared.trust.admission`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared import limits
from shared.clock import Instant, WallMs
from shared.errors import Reason, RefusedError
from shared.ids import AgentId, KeyId, key_id
from shared.sync.body import Part, PartKind, decode_body, encode_body, part_bytes
from shared.sync.outgoing import Frozen
from shared.trust.documents import Report, Root
from shared.trust.envelope import Signer
from shared.wire.messages import Tally


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this agent is to its fleet, since it was enrolled."""

    agent: AgentId
    root: Root
    signer: Signer

    @property
    def key(self) -> KeyId:
        """Return the id of the agent's key."""
        return key_id(self.signer.public_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The exchange as the agent holds it durably."""

    jobs_epoch: bytes
    counter: int
    """Number of the newest report that was ever frozen."""
    previous: bytes
    """Hash of that report's envelope; empty before the first."""
    pending: Frozen | None
    """The newest report while nothing has answered it."""
    bundle_seq: int
    floor_ms: WallMs
    answered_ms: WallMs | None
    """The coordinator's time in its newest answer."""
    bytes_up: int
    bytes_down: int
    refusals: Mapping[str, int]


def base_report(
    identity: Identity,
    standing: Standing,
    at: Instant,
    *,
    telemetry_epoch: bytes,
    next_block: int,
    tally: Tally,
) -> Report:
    """Return the next report without its lists."""
    return Report(
        fleet=identity.root.fleet,
        agent=identity.agent,
        boot_id=at.boot_id,
        counter=standing.counter + 1,
        previous=standing.previous,
        telemetry_epoch=telemetry_epoch,
        jobs_epoch=standing.jobs_epoch,
        bundle_seq=standing.bundle_seq,
        root_version=identity.root.version,
        floor_ms=standing.floor_ms,
        wall_ms=at.wall_ms,
        mono_ms=at.mono_ms,
        clock_state=at.state,
        next_block=next_block,
        tally=tally,
        refusals=dict(standing.refusals),
    )


def block_budget(budget: int, schemas: Sequence[bytes]) -> int:
    """Return how many bytes of a body are left for blocks."""
    fixed = part_bytes(limits.REPORT_BYTES) + sum(part_bytes(len(data)) for data in schemas)
    return max(0, budget - fixed)


def compose(
    report: bytes, blocks: Sequence[bytes], schemas: Sequence[bytes], *, budget: int
) -> bytes:
    """Return a contact's body: the report, then schemas and blocks in their order while they fit.

    Any subset of the announced blocks may travel. One part goes even if it is larger than the
    budget, for a site must never stand still; unless larger bodies were refused before.
    """
    body = [Part(PartKind.REPORT, report)]
    left = budget - part_bytes(len(report))
    parts = [Part(PartKind.SCHEMA, data) for data in schemas]
    parts += [Part(PartKind.BLOCK, data) for data in blocks]
    for part in parts:
        left -= part_bytes(len(part.data))
        if left < 0 and (len(body) > 1 or budget < _SHRUNK):
            break
        body.append(part)
    return encode_body(body)


_SHRUNK = 32_768
"""A budget below this was halved because somebody on the way refuses what is larger."""


def read_answer(body: bytes) -> tuple[bytes, bytes | None]:
    """Return the reply and, where there is one, the bundle of an answer.

    Raises:
        RefusedError: it is not one reply with at most one bundle.
    """
    parts = decode_body(body, bound=limits.BODY_BYTES_DOWN)
    kinds = [part.kind for part in parts]
    if kinds == [PartKind.REPLY]:
        return parts[0].data, None
    if kinds == [PartKind.REPLY, PartKind.BUNDLE]:
        return parts[0].data, parts[1].data
    raise RefusedError(Reason.BODY_MALFORMED, "an answer is a reply and at most one bundle")
