"""Whatever the offices adopt, every agent can follow, however long it was away."""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from coordinator.core.drafts import (
    Exchange,
    Online,
    RoleKeys,
    careful_catalog,
    draft,
    exchange,
    first_root,
    loud_catalog,
    next_catalog,
    next_policy,
    plain_policy,
    revocation,
)
from coordinator.core.papers import Paper, Papers, Trusted, judge
from coordinator.core.papers_text import missing
from coordinator.services.ceremony import sign
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import FleetId, KeyId, key_id
from shared.trust.counters import Counters
from shared.trust.envelope import KeySigner
from shared.trust.keyset import (
    Trust,
    accept_catalog,
    accept_policy,
    advance_root,
    counted,
    load_trust,
)
from shared.trust.root import DIRECTOR, RELEASE, ROOT
from tests.unit.trust_world import DAY, FLEET, NOW, signer

ROLES = st.sampled_from([ROOT, RELEASE, DIRECTOR])


@dataclass
class Agent:
    """As much of a gateway as follows documents."""

    trust: Trust
    counters: Counters = field(init=False)

    def __post_init__(self) -> None:
        self.counters = Counters(epoch=1, root_version=self.trust.root.version)

    def contact(self, roots: list[bytes], held: Trusted, now_ms: WallMs) -> None:
        """Take what the coordinator sends to who holds these versions."""
        for data in roots[self.trust.root.version :]:
            self.trust = advance_root(self.trust, data)
            self.counters = counted(self.trust, self.counters)
        _, catalog, policy = held.papers
        for paper, accept in ((catalog, accept_catalog), (policy, accept_policy)):
            self.trust = accept(
                self.trust, paper.envelope, counters=self.counters, earliest_ms=now_ms
            )
        self.counters = counted(self.trust, self.counters)


class Offices(RuleBasedStateMachine):
    """Officers, a releaser and a director who exchange keys and publish as they like."""

    @initialize(officers=st.integers(1, 3), releasers=st.integers(1, 2))
    def found(self, officers: int, releasers: int) -> None:
        self.number, self.now_ms = 0, WallMs(NOW)
        self.people: dict[KeyId, KeySigner] = {}
        root = first_root(
            FleetId(FLEET),
            root=RoleKeys(self.new_keys(officers), officers // 2 + 1),
            release=RoleKeys(self.new_keys(releasers), releasers),
            online=Online(self.new_keys(1)[0], b"c" * 32),
            now_ms=self.now_ms,
        )
        drafts = [
            draft("root", root),
            draft("catalog", careful_catalog(root)),
            draft("policy", plain_policy(root)),
        ]
        papers = sign(Papers(before=[], drafts=drafts), self.people.values())
        self.held = judge(None, papers.drafts, now_ms=self.now_ms, where="x")
        self.roots = [self.held.papers[0].envelope]
        self.always, self.seldom = (Agent(load_trust(self.roots[0], None, None)) for _ in range(2))

    def new_keys(self, count: int) -> list[bytes]:
        keys = []
        for _ in range(count):
            self.number += 1
            made = signer(f"person-{self.number}")
            self.people[key_id(made.public_key)] = made
            keys.append(made.public_key)
        return keys

    def adopt(self, drafts: list[Paper]) -> None:
        """Let everybody sign, and bring it home."""
        self.now_ms = WallMs(self.now_ms + DAY)
        papers = Papers(before=list(self.held.papers), drafts=drafts)
        assert missing(papers), "nothing comes into force unsigned"
        signed = sign(papers, self.people.values())
        assert missing(signed) == []
        self.held = judge(self.held, signed.drafts, now_ms=self.now_ms, where="x")
        self.roots += [paper.envelope for paper in signed.drafts if paper.kind == "root"]
        self.always.contact(self.roots, self.held, self.now_ms)

    @rule(role=ROLES, new=st.integers(0, 2), drop=st.integers(0, 2), threshold=st.integers(0, 3))
    def rotate(self, role: str, new: int, drop: int, threshold: int) -> None:
        keys = [KeyId(key) for key in self.held.root.roles[role].keys]
        wish = Exchange(
            role=role,
            new=self.new_keys(new),
            drop=set(keys[:drop]),
            threshold=threshold or None,
        )
        try:
            drafts = exchange(self.held, wish, now_ms=self.now_ms)
        except MistakeError:
            return  # a set that could not work; what is in force stays
        self.adopt(drafts)

    @rule(role=ROLES, which=st.integers(0, 9))
    def revoke(self, role: str, which: int) -> None:
        keys = self.held.root.roles[role].keys
        key = KeyId(keys[which % len(keys)])
        before = self.held.root.epoch
        wish = revocation(self.held, key, new=self.new_keys(1))
        self.adopt(exchange(self.held, wish, now_ms=self.now_ms))
        self.people.pop(key)
        assert self.held.root.epoch == before + wish.new_epoch
        assert all(key not in entry.keys for entry in self.held.root.roles.values())

    @rule(loud=st.booleans())
    def publish_catalog(self, loud: bool) -> None:
        content = (loud_catalog if loud else careful_catalog)(self.held.root)
        self.adopt([next_catalog(self.held, content, now_ms=self.now_ms, expires_ms=None)])

    @rule(days=st.integers(60, 400))  # more than the steps of a run: each takes a day
    def publish_policy(self, days: int) -> None:
        until = self.now_ms + days * DAY
        content = plain_policy(self.held.root)
        self.adopt([next_policy(self.held, content, now_ms=self.now_ms, expires_ms=until)])

    @rule()
    def call_at_last(self) -> None:
        self.seldom.contact(self.roots, self.held, self.now_ms)
        self.holds_all(self.seldom)

    @invariant()
    def every_agent_follows(self) -> None:
        if hasattr(self, "always") and self.always.trust.catalog is not None:
            self.holds_all(self.always)

    def holds_all(self, agent: Agent) -> None:
        assert agent.trust.root == self.held.root
        assert agent.trust.catalog is not None
        assert agent.trust.policy is not None
        assert agent.trust.catalog.document == self.held.catalog
        assert agent.trust.policy.document == self.held.policy


Offices.TestCase.settings = settings(
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestOffices = Offices.TestCase
