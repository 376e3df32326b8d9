"""What one contact says, and what its answer means.

Pure: stores give what there is, the service sends and commits. Choosing blocks and freezing the
report stand in `shared.sync.outgoing`, the checks of a bundle in `shared.trust.admission`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from msgspec.structs import replace

from agent.core.budget import Spent
from shared import limits
from shared.clock import Instant, WallMs
from shared.errors import Reason, RefusedError
from shared.ids import AgentId, KeyId, key_id
from shared.sync.body import Part, PartKind, decode_body, encode_body, part_bytes
from shared.sync.outgoing import Frozen
from shared.sync.ranges import Range
from shared.trust.admission import Held
from shared.trust.counters import Counters
from shared.trust.documents import Report, Root, read_report
from shared.trust.envelope import Signer
from shared.wire.messages import Anchor, DeviceWord, Tally


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this agent is to its fleet, since it was enrolled."""

    agent: AgentId
    root: Root
    """The one it enrolled under; `agent.services.guard` knows where it led since."""
    root_envelope: bytes
    signer: Signer
    labels: Mapping[str, str] = field(default_factory=dict)
    """Its own, by which an approval may bind it."""

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
    echo: bytes
    """First bytes of the hash of the newest verified answer; empty before the first."""
    counters: Counters | None
    """How far it came; None: every copy was lost."""
    answered_ms: WallMs | None
    """The coordinator's time in its newest answer."""
    bytes_up: int
    bytes_down: int
    refusals: Mapping[str, int]
    spent: Spent = field(default_factory=Spent)
    """Bytes of the link, today and this month."""
    heard_epoch: int = 0
    """The highest restore epoch whose coordinator was told again what it had lost."""
    next_receipt: int = 0
    """The number of the receipt after those of the report that is being made."""

    @property
    def bundle_seq(self) -> int:
        """Return the number of the bundle that was admitted last."""
        return 0 if self.counters is None else self.counters.bundle_seq


def base_report(
    identity: Identity,
    standing: Standing,
    held: Held,
    at: Instant,
    *,
    telemetry_epoch: bytes,
    next_block: int,
    tally: Tally,
    anchors: Sequence[Anchor] = (),
) -> Report:
    """Return the next report without its lists, but for the few `anchors`."""
    return Report(
        fleet=identity.root.fleet,
        agent=identity.agent,
        boot_id=at.boot_id,
        counter=standing.counter + 1,
        previous=standing.previous,
        telemetry_epoch=telemetry_epoch,
        jobs_epoch=standing.jobs_epoch,
        bundle_seq=standing.bundle_seq,
        root_version=held.trust.root.version,
        floor_ms=held.floor_ms,
        wall_ms=at.wall_ms,
        mono_ms=at.mono_ms,
        clock_state=at.state,
        next_block=next_block,
        tally=tally,
        refusals=dict(standing.refusals),
        catalog_version=held.trust.catalog_version,
        policy_version=held.trust.policy_version,
        restore_epoch=standing.heard_epoch,
        attested=standing.counters is not None,
        answered=standing.echo,
        anchors=list(anchors),
        next_receipt=standing.next_receipt,
    )


def is_signed_with(frozen: Frozen, identity: Identity) -> bool:
    """Tell whether a report bears the signature of the key that the agent has now."""
    return read_report(frozen.envelope).is_signed_by(identity.signer.public_key)


def completed(
    report: Report,
    *,
    gone: Sequence[Range],
    schemas: Sequence[bytes],
    health: Sequence[int],
    devices: list[DeviceWord] | None = None,
) -> Report:
    """Return the report with what is seldom said.

    Args:
        report: without it.
        gone: blocks that were asked for again and are not here.
        schemas: the channel lists that travel beside the report, which vouches for them.
        health: see `agent.core.health`; empty: nothing worth its bytes changed.
        devices: see `agent.core.device_words`; None: they are as they were told.
    """
    return replace(
        report,
        gone=list(gone[: limits.GONE_RANGES]),
        schemas=[sha256(data).digest() for data in schemas],
        health=list(health),
        devices=devices,
    )


def vouched(schemas: Sequence[bytes], sent: Frozen) -> list[bytes]:
    """Return the channel lists that a report vouches for; others wait for the next one."""
    return [data for data in schemas if sha256(data).digest() in sent.schemas]


def block_budget(budget: int, schemas: Sequence[bytes]) -> int:
    """Return how many bytes of a body are left for blocks and their announcements."""
    fixed = part_bytes(_REPORT_BYTES) + sum(part_bytes(len(data)) for data in schemas)
    return max(0, budget - fixed)


_REPORT_BYTES = 4_096
"""A report without announcements: an account, and as a rule a few receipts."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The documents of an answer, by kind."""

    roots: tuple[bytes, ...]
    reply: bytes
    catalog: bytes | None
    policy: bytes | None
    bundle: bytes | None


_OPTIONAL = (PartKind.CATALOG, PartKind.POLICY, PartKind.BUNDLE)


def read_answer(body: bytes) -> Answer:
    """Return the documents of an answer.

    Raises:
        RefusedError: it is not roots, one reply, and at most one each of catalog, policy and
            bundle, in this order.
    """
    parts = decode_body(body, bound=limits.BODY_BYTES_DOWN)
    kinds = [part.kind for part in parts]
    roots = 0
    while roots < len(kinds) and kinds[roots] is PartKind.ROOT:
        roots += 1
    rest = {part.kind: part.data for part in parts[roots:]}
    order = [PartKind.REPLY, *(kind for kind in _OPTIONAL if kind in rest)]
    if kinds[roots:] != order:
        raise RefusedError(Reason.BODY_MALFORMED, "an answer is a reply and what belongs to it")
    return Answer(
        roots=tuple(part.data for part in parts[:roots]),
        reply=rest[PartKind.REPLY],
        catalog=rest.get(PartKind.CATALOG),
        policy=rest.get(PartKind.POLICY),
        bundle=rest.get(PartKind.BUNDLE),
    )
