"""A tiny fleet with real keys, for tests of documents and of contacts.

Three officers hold root keys, two of whom must agree; one release key and one director key; three
people may approve. Every maker takes changes, so that a test says only what is wrong about its
document.
"""

from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from typing import Any

import msgspec

from shared.clock import WallMs
from shared.ids import AgentId, key_id
from shared.model.job import JobSpec, Step, Targets
from shared.trust.admission import Held
from shared.trust.approval import APPROVAL_TYP, Approval, SelectorTarget
from shared.trust.catalog import (
    CATALOG_TYP,
    ActionBounds,
    Catalog,
    ConfigBounds,
    NamesBound,
    PointBound,
    ProfileBounds,
)
from shared.trust.counters import Counters
from shared.trust.documents import (
    BUNDLE_TYP,
    REPLY_TYP,
    ROOT_TYP,
    Bundle,
    Reply,
    Report,
    Role,
    Root,
)
from shared.trust.envelope import KeySigner, seal
from shared.trust.keyset import Trust, Vouched
from shared.trust.policy import POLICY_TYP, Approver, ClassRule, Policy
from shared.wire.codec import pack
from shared.wire.messages import Grant, Tally

FLEET = bytes(range(16))
NOW = 1_795_000_000_000
HOUR = 3_600_000
DAY = 86_400_000
NAME = AgentId("north-1")
OTHER = AgentId("south-1")
STORE = b"j" * 16
"""The agent's jobs epoch."""
LABELS = {"site": "north", "role": "pump"}
OFFICERS = ("root-1", "root-2", "root-3")
QUORUM = OFFICERS[:2]
PEOPLE = ("alice", "bob", "carol")
PUMP = sha256(b"pump profile").digest()
SPEC = JobSpec(
    name="raise",
    steps=[Step("apply", "device.write", {"setpoint": 4200})],
    targets=Targets(agents=[NAME]),
)
READ = JobSpec(name="look", steps=[Step("look", "device.read", {"points": ["setpoint"]})])
GRACE_S = 30 * 86_400


def changed(document: Any, **changes: Any) -> Any:
    """Return a document with some fields changed."""
    return msgspec.structs.replace(document, **changes)


@cache
def signer(name: str) -> KeySigner:
    """Return the key that always belongs to `name`."""
    return KeySigner(name.encode().ljust(32, b"."))


def kid(name: str) -> bytes:
    """Return the id of the key that belongs to `name`."""
    return key_id(signer(name).public_key)


def sealed(typ: str, document: object, *names: str) -> bytes:
    """Return the envelope of a document signed by each named key."""
    return seal(typ, pack(document), [signer(name) for name in names])


def make_root(*, director: str = "director", release: str = "release", **changes: Any) -> Root:
    """Return a root with two of three officers, one release key, one director, one enroller."""
    names = (*OFFICERS, release, director, "enrol")
    root = Root(
        version=1,
        fleet=FLEET,
        epoch=1,
        issued_ms=NOW - DAY,
        expires_ms=NOW + 365 * DAY,
        keys=[signer(name).public_key for name in names],
        roles={
            "root": Role(2, [kid(name) for name in OFFICERS]),
            "release": Role(1, [kid(release)]),
            "director": Role(1, [kid(director)]),
            "enrol": Role(1, [kid("enrol")]),
        },
    )
    return changed(root, **changes)


def seal_root(root: Root, *names: str) -> bytes:
    """Return the envelope of `root` signed by each named key."""
    return sealed(ROOT_TYP, root, *(names or QUORUM))


def make_catalog(**changes: Any) -> Catalog:
    """Return a catalog: reads, and writes of a pump's setpoint and start."""
    catalog = Catalog(
        version=1,
        fleet=FLEET,
        epoch=1,
        issued_ms=NOW - DAY,
        expires_ms=NOW + 90 * DAY,
        any_profile=False,
        actions={
            "device.read": ActionBounds({"points": NamesBound(8)}, by_profile=False),
            "device.write": ActionBounds({}, by_profile=True),
        },
        profiles=[
            ProfileBounds(PUMP, [PointBound("setpoint", 0, 5000), PointBound("start", 0, 1)])
        ],
        config=ConfigBounds([], {}),
        scripts=[],
        firmware=[],
        agents=[],
    )
    return changed(catalog, **changes)


def make_policy(**changes: Any) -> Policy:
    """Return a policy: observing and operating freely, starting pumps only with two people."""
    policy = Policy(
        version=1,
        fleet=FLEET,
        epoch=1,
        issued_ms=NOW - DAY,
        expires_ms=NOW + 90 * DAY,
        approvers=[Approver(name, signer(name).public_key) for name in PEOPLE],
        classes={
            "observe": ClassRule(0, [], GRACE_S, {"device.read": []}),
            "operate": ClassRule(0, [], GRACE_S, {"device.read": [], "device.write": ["setpoint"]}),
            "guarded": ClassRule(2, [kid(name) for name in PEOPLE], GRACE_S, {"device.write": []}),
        },
    )
    return changed(policy, **changes)


def seal_catalog(catalog: Catalog, by: str = "release") -> bytes:
    """Return the envelope of a catalog."""
    return sealed(CATALOG_TYP, catalog, by)


def seal_policy(policy: Policy, by: str = "release") -> bytes:
    """Return the envelope of a policy."""
    return sealed(POLICY_TYP, policy, by)


def make_trust(
    root: Root | None = None, catalog: Catalog | None = None, policy: Policy | None = None
) -> Trust:
    """Return the trust of an agent that has all three."""
    root = root or make_root()
    catalog, policy = catalog or make_catalog(), policy or make_policy()
    return Trust(
        root=root,
        root_envelope=seal_root(root),
        catalog=Vouched(catalog, seal_catalog(catalog)),
        policy=Vouched(policy, seal_policy(policy)),
    )


def make_approval(spec: JobSpec, *names: str, **changes: Any) -> bytes:
    """Return an approval of a job for the agents of the north, signed by each named person."""
    approval = Approval(
        fleet=FLEET,
        job=sha256(pack(spec)).digest(),
        job_class="guarded",
        author="dave",
        target=SelectorTarget("site=north"),
        issued_ms=NOW,
        not_after_ms=NOW + DAY,
        max_executions=1,
    )
    return sealed(APPROVAL_TYP, changed(approval, **changes), *names)


def make_grant(job: JobSpec = SPEC, job_class: str = "operate", **changes: Any) -> Grant:
    """Return a grant of a job; without `execution` it is always the same one."""
    return changed(Grant(b"x" * 16, pack(job), NOW + DAY, job_class), **changes)


def make_report(**changes: Any) -> Report:
    """Return a report that says nothing."""
    report = Report(
        fleet=FLEET,
        agent=NAME,
        boot_id=bytes(16),
        counter=7,
        previous=bytes(32),
        telemetry_epoch=b"t" * 16,
        jobs_epoch=STORE,
        bundle_seq=3,
        root_version=1,
        floor_ms=NOW,
        wall_ms=NOW,
        mono_ms=1,
        clock_state=2,
        next_block=1,
        tally=Tally(0, 0, 0, 0, 0),
    )
    return changed(report, **changes)


@dataclass
class World:
    """One coordinator's keys and one agent's."""

    trust: Trust = field(default_factory=make_trust)
    agent: KeySigner = field(default_factory=lambda: signer("agent"))
    name: AgentId = NAME

    @property
    def root(self) -> Root:
        """Return the root in force."""
        return self.trust.root

    def counters(self, **changes: Any) -> Counters:
        """Return the counters of an agent that admitted nothing yet."""
        counters = Counters(
            epoch=self.root.epoch,
            root_version=self.root.version,
            catalog_version=self.trust.catalog_version,
            policy_version=self.trust.policy_version,
            floor_ms=NOW,
        )
        return changed(counters, **changes)

    def held(self, **changes: Any) -> Held:
        """Return what the agent judges by."""
        held = Held(
            agent=self.name,
            agent_key=key_id(self.agent.public_key),
            jobs_epoch=STORE,
            trust=self.trust,
            counters=self.counters(),
            floor_ms=WallMs(NOW),
            silent_ms=0,
            labels=LABELS,
        )
        return replace(held, **changes)

    def bundle(self, *grants: Grant, **changes: Any) -> Bundle:
        """Return a good bundle, or one with some fields changed."""
        bundle = Bundle(
            fleet=FLEET,
            agent=self.name,
            agent_key=key_id(self.agent.public_key),
            jobs_epoch=STORE,
            epoch=self.root.epoch,
            root_version=self.root.version,
            catalog_version=self.trust.catalog_version,
            policy_version=self.trust.policy_version,
            restore_epoch=0,
            seq=1,
            issued_ms=NOW,
            not_before_ms=NOW,
            expires_ms=NOW + DAY,
            stale_s=GRACE_S,
            grants=list(grants),
        )
        return changed(bundle, **changes)

    def seal_bundle(self, bundle: Bundle, by: str = "director") -> bytes:
        """Return the envelope of `bundle` signed by the named key."""
        return sealed(BUNDLE_TYP, bundle, by)

    def seal_reply(self, report: bytes, by: str = "director", **changes: Any) -> bytes:
        """Return the envelope of a reply to a report's hash."""
        return sealed(REPLY_TYP, changed(Reply(self.name, report, NOW, 0), **changes), by)
