"""What is known of a fleet under attack, and what must hold whatever the attacker does.

Leaves out what happens to it (`test_trust_machine`).
"""

from hashlib import sha256
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from shared.model.job import JobSpec
from shared.sync.body import PartKind
from shared.sync.incoming import Chain
from shared.wire.codec import pack
from tests.trust_gateway import Disk, Gateway
from tests.trust_office import Office, Row
from tests.unit.trust_world import NAME, kid, signer


class Besieged(RuleBasedStateMachine):
    """One fleet and one gateway; a machine adds who does what to them."""

    @initialize()
    def enrol(self) -> None:
        key = signer("agent")
        self.office = Office(key)
        self.gateway = Gateway(NAME, key, self.office.root_envelopes[0])
        self.seen: list[tuple[PartKind, bytes]] = []
        self.reports: list[bytes] = []
        self.stolen: set[str] = set()
        self.number = 0
        self.images: list[Disk] = []
        self.backups: list[Row] = []
        self.high: dict[tuple[int, int], int] = {}
        """Highest setpoint by epoch and version of the catalogs that release signed."""
        self.approved: dict[bytes, set[str]] = {}
        """People who really approved, by job digest."""
        self.issued: dict[bytes, bytes] = {}
        """Jobs that an honest office granted to this gateway, by execution."""
        self.forked = False
        """Two machines hold one key, or one was set back."""
        self.lied = False
        """A stolen director key told a time."""
        self.counted = self.since_loss = 0
        self.powered_ms = 0
        self.reach = self._reach()
        self.note_catalog()

    # --- helpers --------------------------------------------------------------------------------
    def note_catalog(self) -> None:
        catalog = self.office.catalogs[-1]
        highest = catalog.profiles[0].points[0].high
        assert isinstance(highest, int)
        self.high[(catalog.epoch, catalog.version)] = highest

    def execution(self) -> bytes:
        self.number += 1
        return self.number.to_bytes(16)

    def submit(self, job: JobSpec, job_class: str, *approvals: bytes) -> None:
        execution = self.execution()
        self.issued[execution] = pack(job)
        self.office.submit(job, job_class, execution, *approvals)

    def exposed(self) -> bool:
        """Whether the attacker holds a key that orders at this gateway, by the root it has."""
        named = set(self.gateway.trust.root.roles["director"].keys)
        return any(kid(name) in named for name in self.stolen)

    def director(self) -> str:
        """The key the attacker signs orders with: a stolen one if he has any."""
        directors = sorted(name for name in self.stolen if name.startswith("director"))
        return directors[-1] if directors else "mallory"

    def deliver(self, kind: PartKind, data: bytes) -> None:
        self.gateway.take([(kind, data)])

    def _reach(self) -> tuple[Any, ...]:
        gateway = self.gateway
        root, counters = gateway.trust.root, gateway.counters
        if counters is None:
            return (root.version,)
        return (
            root.version,
            (counters.epoch, counters.restore_epoch, counters.bundle_seq),
            (counters.epoch, counters.catalog_version, counters.policy_version),
            (counters.epoch, gateway.trust.catalog_version, gateway.trust.policy_version),
            (counters.epoch, gateway.disk.kept.floor_ms),
        )

    # --- what must hold -------------------------------------------------------------------------
    @invariant()
    def nothing_ran_that_was_not_allowed(self) -> None:
        gateway = getattr(self, "gateway", None)
        if gateway is None:
            return
        for effect in gateway.effects[self.counted :]:
            for point, value in effect.step.params.items():
                assert effect.step.action == "device.write", "an action nobody released"
                highest = {"setpoint": self.high[effect.catalog], "start": 1}[point]
                assert 0 <= value <= highest, f"{point} = {value} under {effect.catalog}"
            if "start" in effect.step.params:
                people = self.approved.get(sha256(effect.job.spec_bytes).digest(), set())
                assert len(people) >= 2, f"a guarded job ran with {people}"
            if effect.job.spec_bytes != self.issued.get(effect.execution):
                orders = {kid(name) for name in self.stolen}
                assert effect.director & orders, "ordered by somebody who holds no key for it"
            assert not effect.execution.startswith(b"other"), "a neighbour's order ran here"
        self.counted = len(gateway.effects)

    @invariant()
    def nothing_ran_twice(self) -> None:
        gateway = getattr(self, "gateway", None)
        if gateway is None:
            return
        # A thief of the director's key can order the same thing as often as he likes.
        ran = [one.execution for one in gateway.effects if one.execution in self.issued]
        assert len(ran) == len(set(ran)), "an execution ran twice"
        starts = [
            sha256(effect.job.spec_bytes).digest()
            for effect in gateway.effects
            if "start" in effect.step.params
        ]
        assert len(starts) == len(set(starts)), "one approval, two executions"
        places = [effect.place for effect in gateway.effects[self.since_loss :]]
        assert places == sorted(places), "orders ran out of order"

    @invariant()
    def nothing_went_back(self) -> None:
        if not hasattr(self, "gateway"):
            return
        reach = self._reach()
        for before, now in zip(self.reach, reach, strict=False):
            assert now >= before, f"{before} -> {now}"
        self.reach = reach

    @invariant()
    def the_floor_is_never_ahead_of_the_truth(self) -> None:
        if not hasattr(self, "gateway"):
            return
        most = self.office.now_ms
        if self.lied:
            # Not even a stolen key speaks of a time after the end of the keys.
            most = max(root.expires_ms for root in self.office.roots) + 1 + self.powered_ms
        assert self.gateway.kept.floor_ms <= most

    @invariant()
    def nobody_is_quarantined_by_a_replay(self) -> None:
        if hasattr(self, "office") and not self.forked:
            assert Chain.CLONE not in self.office.verdicts
