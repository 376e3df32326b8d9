"""A gateway made of the pure trust core alone: what an agent calls, in which order, what it keeps.

The attacker's state machine plays against it, and it is the shortest full account of the agent's
side: `take` handles an answer, `Disk` is everything that has to survive a power cut. It has one
device, a pump, and its effects are a list.
"""

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from shared import limits
from shared.clock import Instant, MonoMs, WallMs
from shared.errors import RefusedError
from shared.ids import AgentId, key_id
from shared.model.job import Step
from shared.sync.body import PartKind
from shared.trust.admission import AdmittedJob, Held, admit_bundle, admit_reply, may_begin
from shared.trust.bounds import check_write
from shared.trust.counters import Counters, newest, next_write, read_slots, recovered
from shared.trust.documents import ECHO_BYTES, REPORT_TYP, document_hash
from shared.trust.envelope import KeySigner, seal
from shared.trust.floor import (
    TimeKept,
    Told,
    aged,
    begun_anew,
    first_floor,
    heard,
    present,
    raised,
)
from shared.trust.keyset import (
    Trust,
    accept_catalog,
    accept_policy,
    advance_root,
    counted,
    load_trust,
)
from shared.wire.codec import pack
from tests.unit.trust_world import LABELS, PUMP, make_report

BUILD_MS = WallMs(0)


@dataclass
class Disk:
    """What survives a power cut: four files, and the database."""

    root: bytes
    kept: TimeKept
    catalog: bytes | None = None
    policy: bytes | None = None
    slots: bytes = b""
    """The counters' file."""
    counters: Counters | None = None
    """The database's copy."""
    jobs_epoch: bytes = b"e" * 16
    previous: bytes = b""
    answered: bytes = b""
    pending: bytes | None = None
    approved: dict[bytes, frozenset[bytes]] = field(default_factory=dict)
    approved_since_ms: WallMs = WallMs(0)
    known: set[bytes] = field(default_factory=set)
    """Executions that were admitted or refused."""
    queue: list[AdmittedJob] = field(default_factory=list)


@dataclass(frozen=True)
class Effect:
    """One write or read that reached the pump, and under what."""

    execution: bytes
    step: Step
    job: AdmittedJob
    place: tuple[int, int, int]
    """Epoch, restore epoch and number of the bundle admitted last."""
    catalog: tuple[int, int]
    """Epoch and version."""
    director: frozenset[bytes]
    """Key ids that could order, by the root in force."""


class Gateway:
    """An enrolled gateway."""

    def __init__(self, name: AgentId, key: KeySigner, root: bytes) -> None:
        self.name, self.key = name, key
        self.boot, self.mono_ms, self.wall_ms = bytes(16), 0, 0
        self.told: Told | None = None
        self.refusals: Counter[str] = Counter()
        self.effects: list[Effect] = []
        self.held_back: Counter[str] = Counter()
        trust = load_trust(root, None, None)
        at = self.at
        self.disk = Disk(root=root, kept=first_floor(trust.root, build_ms=BUILD_MS, at=at))
        # The one moment at which counters may begin at nothing: the key is new as well.
        self._keep(Counters(epoch=trust.root.epoch, root_version=trust.root.version))

    # --- what it knows --------------------------------------------------------------------------
    @property
    def at(self) -> Instant:
        return Instant(
            wall_ms=WallMs(self.wall_ms), mono_ms=MonoMs(self.mono_ms), boot_id=self.boot
        )

    @property
    def trust(self) -> Trust:
        return _loaded(self.disk.root, self.disk.catalog, self.disk.policy)

    @property
    def counters(self) -> Counters | None:
        return newest([self.disk.counters, read_slots(self.disk.slots).counters])

    @property
    def kept(self) -> TimeKept:
        return aged(self.disk.kept, self.at)

    @property
    def held(self) -> Held:
        kept = self.kept
        return Held(
            agent=self.name,
            agent_key=key_id(self.key.public_key),
            jobs_epoch=self.disk.jobs_epoch,
            trust=self.trust,
            counters=self.counters,
            floor_ms=kept.floor_ms,
            silent_ms=kept.silent_ms,
            now_ms=present(self.told, self.at),
            labels=LABELS,
            approved=self.disk.approved,
            approved_since_ms=self.disk.approved_since_ms,
        )

    # --- a contact ------------------------------------------------------------------------------
    def report(self) -> bytes:
        """Return the report that waits for its answer, or freeze the next one."""
        if self.disk.pending is None:
            counters, trust = self.counters, self.trust
            number = (counters.counter if counters else 0) + 1
            report = make_report(
                agent=self.name,
                counter=number,
                previous=self.disk.previous,
                jobs_epoch=self.disk.jobs_epoch,
                boot_id=self.boot,
                bundle_seq=counters.bundle_seq if counters else 0,
                restore_epoch=counters.restore_epoch if counters else 0,
                root_version=trust.root.version,
                catalog_version=trust.catalog_version,
                policy_version=trust.policy_version,
                floor_ms=self.kept.floor_ms,
                wall_ms=self.wall_ms,
                mono_ms=self.mono_ms,
                attested=counters is not None,
                answered=self.disk.answered,
            )
            self.disk.pending = seal(REPORT_TYP, pack(report), [self.key])
            self.disk.previous = document_hash(self.disk.pending)
            if counters is not None:
                self._keep(counters.joined(_numbered(counters, number)))
        return self.disk.pending

    def take(self, parts: Sequence[tuple[PartKind, bytes]]) -> None:
        """Act on an answer, in the one order there is, whatever order its parts came in."""
        for kind, work in (
            (PartKind.ROOT, self._root),
            (PartKind.REPLY, self._reply),
            (PartKind.CATALOG, self._catalog),
            (PartKind.POLICY, self._policy),
            (PartKind.BUNDLE, self._bundle),
        ):
            for found, data in parts:
                if found is kind:
                    self.attempt(work, data)
        self.run()

    def attempt(self, work: Callable[[bytes], None], data: bytes) -> bool:
        try:
            work(data)
        except RefusedError as error:
            self.refusals[error.reason.text] += 1
            return False
        return True

    def _root(self, data: bytes) -> None:
        before = self.trust.root
        trust = advance_root(self.trust, data)
        self.disk.root = data
        if trust.root.epoch > before.epoch:
            self.disk.kept = begun_anew(self.kept, trust.root, build_ms=BUILD_MS)
            self.told = None
        self._reached(trust)

    def _reply(self, data: bytes) -> None:
        if self.disk.pending is None:
            return
        held = self.held
        reply = admit_reply(data, held, report_hash=document_hash(self.disk.pending))
        self.disk.kept = heard(self.kept, reply.now_ms, held.trust.root)
        self.told = Told(WallMs(reply.now_ms), self.boot, MonoMs(self.mono_ms))
        self.disk.answered = document_hash(data)[:ECHO_BYTES]
        self.disk.pending = None
        if held.counters is None and reply.floor is not None:
            floor = recovered(reply.floor, root=held.trust.root, now_ms=self.kept.floor_ms)
            self._keep(floor)

    def _catalog(self, data: bytes) -> None:
        held = self.held
        earliest = held.earliest_ms
        trust = accept_catalog(held.trust, data, counters=held.counters, earliest_ms=earliest)
        if trust.catalog is not None:
            self.disk.catalog = trust.catalog.envelope
            self._said(trust.catalog.document.issued_ms)
        self._reached(trust)

    def _policy(self, data: bytes) -> None:
        held = self.held
        earliest = held.earliest_ms
        trust = accept_policy(held.trust, data, counters=held.counters, earliest_ms=earliest)
        if trust.policy is not None:
            self.disk.policy = trust.policy.envelope
            self._said(trust.policy.document.issued_ms)
        self._reached(trust)

    def _bundle(self, data: bytes) -> None:
        admitted = admit_bundle(data, self.held)
        # One durable transaction, then the second copy of the counters; only then effects.
        self._said(admitted.floor_ms)
        for job in admitted.jobs:
            if job.execution in self.disk.known:
                continue
            self.disk.known.add(job.execution)
            self.disk.queue.append(job)
            if job.approved_until_ms is not None:
                digest = document_hash(job.spec_bytes)
                before = self.disk.approved.get(digest, frozenset())
                self.disk.approved[digest] = before | {job.execution}
        for refused in admitted.refused:
            self.disk.known.add(refused.execution)
            self.refusals[refused.reason.text] += 1
        self._keep(admitted.counters)

    def run(self) -> None:
        """Begin what may begin; nothing is tried twice."""
        waiting, self.disk.queue = self.disk.queue, []
        for job in waiting:
            held = self.held
            try:
                may_begin(
                    job.spec,
                    job_class=job.job_class,
                    not_after_ms=job.not_after_ms,
                    grace_s=job.grace_s,
                    held=held,
                )
                for step in job.spec.steps:
                    self._do(job, step, held)
            except RefusedError as error:
                self.held_back[error.reason.text] += 1

    def _do(self, job: AdmittedJob, step: Step, held: Held) -> None:
        catalog, counters = held.trust.catalog, held.counters
        assert catalog is not None
        assert counters is not None
        if step.action == "device.write":
            for point, value in step.params.items():
                assert not isinstance(value, list)
                check_write(catalog.document, profile=PUMP, point=point, value=value)
        self.effects.append(
            Effect(
                execution=job.execution,
                step=step,
                job=job,
                place=(counters.epoch, counters.restore_epoch, counters.bundle_seq),
                catalog=(catalog.document.epoch, catalog.document.version),
                director=frozenset(held.trust.root.roles["director"].keys),
            )
        )

    # --- what it keeps --------------------------------------------------------------------------
    def _said(self, moment_ms: int) -> None:
        self.disk.kept = raised(self.kept, moment_ms, self.trust.root)

    def _reached(self, trust: Trust) -> None:
        counters = self.counters
        if counters is not None:
            self._keep(counted(trust, counters))

    def _keep(self, counters: Counters) -> None:
        self.disk.counters = counters
        offset, slot = next_write(read_slots(self.disk.slots), counters)
        rest = self.disk.slots[offset + len(slot) :]
        self.disk.slots = self.disk.slots[:offset].ljust(offset, b"\x00") + slot + rest

    # --- what happens to it ---------------------------------------------------------------------
    def tick(self, ms: int) -> None:
        """Let powered time pass; it is saved now and then."""
        self.mono_ms += ms
        if self.mono_ms - self.disk.kept.mono_ms >= limits.POWERED_SAVE_MS:
            self.disk.kept = self.kept

    def restart(self, boot: bytes) -> None:
        """Cut the power and come up again, with a clock that knows nothing."""
        self.boot, self.mono_ms, self.told = boot, 0, None
        self.disk.kept = self.kept

    def lose_database(self, epoch: bytes) -> None:
        """Come up with a fresh database: the counters' file goes on, or nothing does."""
        disk, second = self.disk, read_slots(self.disk.slots).counters
        self.disk = Disk(
            root=disk.root,
            kept=self.kept,
            catalog=disk.catalog,
            policy=disk.policy,
            slots=disk.slots,
            counters=second,
            jobs_epoch=epoch,
            approved_since_ms=WallMs(self.kept.floor_ms + 1),
        )

    def image(self) -> Disk:
        """Return a copy of the disk."""
        return copy.deepcopy(self.disk)


@lru_cache(maxsize=256)
def _loaded(root: bytes, catalog: bytes | None, policy: bytes | None) -> Trust:
    return load_trust(root, catalog, policy)


def _numbered(counters: Counters, number: int) -> Counters:
    return Counters(epoch=counters.epoch, root_version=counters.root_version, counter=number)
