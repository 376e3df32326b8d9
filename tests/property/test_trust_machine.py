"""An attacker against one gateway: he owns the network, sees every document, and steals keys.

Hypothesis plays him, and an honest fleet beside him, move by move. `honest_sync` is what makes the
machine reach deep states: without it the attacker would mostly talk to a gateway that has nothing.
After each move everything that the documents promise must hold (see `trust_besieged`); what the
attacker may have is said where a rule gives it to him.

Random search misses some single checks; those have directed tests beside this file, and
`python -m tests.mutants` shows that removing any check is noticed.
"""

import copy
from hashlib import sha256

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from shared import limits
from shared.ids import key_id
from shared.model.job import JobSpec, Step
from shared.sync.body import PartKind
from shared.trust.documents import (
    BUNDLE_TYP,
    REPLY_TYP,
    REPORT_TYP,
    Bundle,
    Reply,
    Role,
    document_hash,
)
from shared.trust.envelope import peek_payload, seal
from shared.wire.codec import pack
from shared.wire.messages import Grant
from tests.property.trust_besieged import Besieged
from tests.trust_gateway import Gateway
from tests.unit.trust_world import (
    DAY,
    FLEET,
    HOUR,
    NAME,
    OTHER,
    PEOPLE,
    changed,
    kid,
    make_approval,
    make_root,
    seal_root,
    sealed,
    signer,
)

EVIL = "evil"
DOORS = [PartKind.ROOT, PartKind.REPLY, PartKind.CATALOG, PartKind.POLICY, PartKind.BUNDLE]
ORDERS = ["bounds", "action", "class", "alone", "again", "plain"]
picks = st.integers(0, 10_000)


def write(name: str, point: str, value: int) -> JobSpec:
    return JobSpec(name=name, steps=[Step("s", "device.write", {point: value})])


class Attack(Besieged):
    """One fleet, one gateway, one attacker."""

    # --- the honest fleet -----------------------------------------------------------------------
    @rule(value=st.integers(0, 9_000))
    def operate(self, value: int) -> None:
        """Somebody orders a write, now and then one that release never allowed."""
        self.submit(write("turn", "setpoint", value), "operate")

    @rule(people=st.sets(st.sampled_from(PEOPLE), max_size=3), together=st.booleans())
    def guarded(self, people: set[str], together: bool) -> None:
        """Somebody orders a guarded write, with as many approvals as he could get."""
        job = write(f"start-{self.number}", "start", 1)
        names = sorted(people)
        now = self.office.now_ms
        bounds = {"issued_ms": now, "not_after_ms": now + DAY}
        groups = [names] if together else [[name] for name in names]
        approvals = [make_approval(job, *group, **bounds) for group in groups if group]
        self.approved[sha256(pack(job)).digest()] = set(names)
        self.submit(job, "guarded", *approvals)

    @rule(value=st.integers(0, 5_000), deliver=st.booleans())
    def order_for_another(self, value: int, deliver: bool) -> None:
        """The office signs for a neighbour; the attacker sees it, and may bring it here."""
        grant = Grant(
            b"other" + self.execution()[5:],
            pack(write("theirs", "setpoint", value)),
            self.office.now_ms + DAY,
            "operate",
        )
        store = self.gateway.disk.jobs_epoch
        bundle = self.office.bundle([grant], jobs_epoch=store, agent=OTHER)
        self.seen.append((PartKind.BUNDLE, bundle))
        if deliver:
            self.deliver(*self.seen[-1])

    @rule(new_director=st.booleans(), new_epoch=st.booleans())
    def rotate(self, new_director: bool, new_epoch: bool) -> None:
        self.seen.append(
            (
                PartKind.ROOT,
                self.office.next_root(new_director=new_director, new_epoch=new_epoch),
            )
        )
        self.note_catalog()

    @rule(highest=st.integers(0, 5_000))
    def release_catalog(self, highest: int) -> None:
        self.seen.append((PartKind.CATALOG, self.office.next_catalog(highest)))
        self.note_catalog()

    @rule()
    def release_policy(self) -> None:
        self.seen.append((PartKind.POLICY, self.office.next_policy()))

    @rule(hours=st.integers(1, 40), powered=st.booleans())
    def wait(self, hours: int, powered: bool) -> None:
        self.office.now_ms += hours * HOUR
        if powered:
            self.powered_ms += hours * HOUR
            self.gateway.tick(hours * HOUR)
        else:
            self.gateway.restart(self.execution())

    @rule(times=st.integers(1, 3))
    def honest_sync(self, times: int) -> None:
        """One contact after another, with nobody in between."""
        for _ in range(times):
            report = self.gateway.report()
            self.reports.append(report)
            parts = self.office.hear(report)
            assert parts is not None
            self.seen += parts
            self.gateway.take(parts)

    @rule(value=st.integers(0, 5_000), people=st.sets(st.sampled_from(PEOPLE), min_size=2))
    def good_day(self, value: int, people: set[str]) -> None:
        """Work as it should be, delivered."""
        self.operate(value)
        self.guarded(people, together=True)
        self.honest_sync(2)

    @rule()
    def back_up(self) -> None:
        self.backups.append(copy.deepcopy(self.office.row))

    @precondition(lambda self: self.backups)
    @rule(which=picks)
    def restore_coordinator(self, which: int) -> None:
        """The coordinator's disk is lost; nobody may be put into quarantine for it."""
        quarantined = self.office.row.quarantined
        self.office.restore(self.backups[which % len(self.backups)])
        self.office.row.quarantined |= quarantined

    @rule(second_copy=st.booleans(), attacked=st.booleans())
    def lose_database(self, second_copy: bool, attacked: bool) -> None:
        """The card spoils the database, and perhaps the counters' file with it.

        That is the best moment to bring back everything that was ever ordered.
        """
        self.gateway.lose_database(self.execution())
        if not second_copy:
            self.gateway.disk.slots = b""
            self.gateway.disk.counters = None
            self.since_loss = len(self.gateway.effects)
            self.reach = self._reach()
        if attacked:
            self.replay_all(30)

    # --- the attacker: with nothing but the network ---------------------------------------------
    @precondition(lambda self: self.seen)
    @rule(which=picks, door=st.sampled_from([None, *DOORS]))
    def replay(self, which: int, door: PartKind | None) -> None:
        """Deliver anything that was ever sent, at its own door or at another."""
        kind, data = self.seen[which % len(self.seen)]
        self.deliver(door or kind, data)

    @precondition(lambda self: self.seen)
    @rule(last=st.integers(1, 30))
    def replay_all(self, last: int) -> None:
        """Deliver whatever was sent lately once more, one by one."""
        for kind, data in self.seen[-last:]:
            self.deliver(kind, data)

    @precondition(lambda self: self.seen)
    @rule(which=picks, at=picks, by=st.integers(1, 255))
    def tamper(self, which: int, at: int, by: int) -> None:
        kind, data = self.seen[which % len(self.seen)]
        at %= len(data)
        self.deliver(kind, data[:at] + bytes([data[at] ^ by]) + data[at + 1 :])

    @precondition(lambda self: self.seen)
    @rule(which=picks, other=picks)
    def graft(self, which: int, other: int) -> None:
        """Put the signatures of one document under another."""
        kind, data = self.seen[which % len(self.seen)]
        _, donor = self.seen[other % len(self.seen)]
        mark = donor.rfind(b"\x92\xc4\x08")
        self.deliver(kind, data[: data.rfind(b"\x92\xc4\x08")] + donor[mark:])

    @rule(value=st.integers(0, 5_000))
    def impersonate(self, value: int) -> None:
        """Put the director's key id beside a signature made up on the spot."""
        grant = Grant(
            EVIL.encode() + self.execution()[4:],
            pack(write(EVIL, "setpoint", value)),
            self.office.now_ms + DAY,
            "operate",
        )
        data = sealed(BUNDLE_TYP, self.orders([grant], 1, 0), "mallory")
        for key in self.gateway.trust.root.roles["director"].keys:
            self.deliver(PartKind.BUNDLE, data.replace(kid("mallory"), key))

    @rule(years=st.integers(-40, 40))
    def spoof_network_time(self, years: int) -> None:
        self.gateway.wall_ms = max(0, self.office.now_ms + years * 365 * DAY)

    @precondition(lambda self: self.reports)
    @rule(which=picks)
    def replay_report(self, which: int) -> None:
        """Send the coordinator what the gateway once said."""
        report = self.reports[which % len(self.reports)]
        parts = self.office.hear(report)
        assert parts is not None
        self.seen += parts

    @rule(counter=st.integers(1, 50))
    def forge_report(self, counter: int) -> None:
        """Speak for the gateway without its key."""
        payload = peek_payload(self.gateway.report(), bound=limits.REPORT_BYTES)
        assert self.office.hear(seal(REPORT_TYP, payload, [signer("mallory")])) is None
        assert counter

    # --- the attacker: with stolen keys ---------------------------------------------------------
    @rule(at_once=st.booleans())
    def steal_director(self, at_once: bool) -> None:
        """Steal the key that orders, and perhaps try all that can be ordered with it."""
        self.stolen.add(self.office.director_name)
        for what in ORDERS if at_once else ():
            self.give_orders(1, what, 0, 0)

    @rule()
    def steal_one_root_key(self) -> None:
        self.stolen.add("root-1")

    @rule(
        ahead=st.integers(-3, 10**6),
        what=st.sampled_from(ORDERS),
        years=st.sampled_from([0, 0, 0, 5]),
        which=picks,
    )
    def give_orders(self, ahead: int, what: str, years: int, which: int) -> None:
        """Sign a bundle with whatever key he has: his own, or a director's he stole."""
        office, gateway = self.office, self.gateway
        job_class, approvals, execution = "operate", [], EVIL.encode() + self.execution()[4:]
        job = write(EVIL, "setpoint", 4_000)
        if what == "bounds":
            job = write(EVIL, "setpoint", 5_001 + which)
        if what == "action":
            job = JobSpec(name=EVIL, steps=[Step("s", "agent.run_script", {"name": "x"})])
        if what == "class":
            job = write(EVIL, "start", 1)
        if what == "alone":
            job, job_class = write(EVIL, "start", 1), "guarded"
            approvals = [make_approval(job, "mallory", "trudy", not_after_ms=office.now_ms + DAY)]
        if what == "again" and office.row.queue:
            grant = office.row.queue[which % len(office.row.queue)]
            job_class, approvals = grant.job_class, grant.approvals
            self.deliver_orders([changed(grant, execution=execution)], ahead, years)
            return
        grant = Grant(execution, pack(job), office.now_ms + 400 * DAY, job_class, approvals)
        self.deliver_orders([grant], ahead, years)
        assert gateway.name == NAME

    def deliver_orders(self, grants: list[Grant], ahead: int, years: int) -> None:
        self.lied |= years > 0 and self.exposed()
        data = sealed(BUNDLE_TYP, self.orders(grants, ahead, years), self.director())
        self.seen.append((PartKind.BUNDLE, data))
        self.deliver(PartKind.BUNDLE, data)

    def orders(self, grants: list[Grant], ahead: int, years: int) -> Bundle:
        """A bundle that is right in all that the attacker can know."""
        trust, counters = self.gateway.trust, self.gateway.counters
        now = self.office.now_ms + years * 365 * DAY
        return Bundle(
            fleet=FLEET,
            agent=NAME,
            agent_key=key_id(signer("agent").public_key),
            jobs_epoch=self.gateway.disk.jobs_epoch,
            epoch=trust.root.epoch,
            root_version=trust.root.version,
            catalog_version=trust.catalog_version,
            policy_version=trust.policy_version,
            restore_epoch=counters.restore_epoch if counters else 0,
            seq=max(0, (counters.bundle_seq if counters else 0) + ahead),
            issued_ms=now,
            not_before_ms=now,
            expires_ms=now + 400 * DAY,
            stale_s=limits.GRACE_S,
            grants=grants,
        )

    @rule(years=st.integers(-2, 30), late=st.booleans(), restore=st.integers(0, 3))
    def answer_falsely(self, years: int, late: bool, restore: int) -> None:
        """Answer a report oneself: with one's own key, or with a stolen director's."""
        about = document_hash(self.gateway.report())
        said = max(0, self.office.now_ms + years * 365 * DAY)
        self.lied |= years > 0 and self.exposed() and not late
        reply = Reply(
            NAME, bytes(32) if late else about, said, 0, restore_epoch=restore, floor=None
        )
        self.deliver(PartKind.REPLY, sealed(REPLY_TYP, reply, self.director()))

    @rule(signatures=st.integers(1, 2), ahead=st.sampled_from([1, 1, 0, 2]), own=st.booleans())
    def usurp(self, signatures: int, ahead: int, own: bool) -> None:
        """Take over the key set with one officer's key, or with none."""
        root = self.gateway.trust.root
        mine = make_root(
            director="mallory",
            version=root.version + ahead,
            epoch=root.epoch + 1,
            expires_ms=self.office.now_ms + 999 * DAY,
        )
        owner = "root-1" if "root-1" in self.stolen else "mallory"
        roles = mine.roles | {"root": Role(1, [kid(owner)])}
        signers = [owner] * signatures
        before = self.gateway.disk.root
        data = seal_root(changed(mine, roles=roles), *signers, *(["trudy"] * own))
        self.seen.append((PartKind.ROOT, data))
        self.deliver(PartKind.ROOT, data)
        assert self.gateway.disk.root == before, "the key set was taken over"

    # --- the attacker: at the box ---------------------------------------------------------------
    @rule()
    def take_image(self) -> None:
        self.images.append(self.gateway.image())

    @precondition(lambda self: self.images)
    @rule(which=picks)
    def restore_image(self, which: int) -> None:
        """Put an old disk back into the box: the one attack that a box without a TPM cannot see."""
        self.gateway.disk = copy.deepcopy(self.images[which % len(self.images)])
        self.gateway.restart(self.execution())
        self.gateway.effects.clear()
        self.counted = self.since_loss = 0
        self.reach = self._reach()
        self.forked = True

    @precondition(lambda self: self.forked and not self.office.row.quarantined)
    @rule()
    def two_branches_speak(self) -> None:
        """What the box cannot see, the coordinator does, once both branches have spoken."""
        twin = Gateway(NAME, signer("agent"), self.office.root_envelopes[0])
        twin.disk = self.gateway.image()
        for machine in (self.gateway, twin, self.gateway, twin):
            self.office.now_ms += 1_000
            machine.disk.pending = None
            machine.tick(1_000 if machine is self.gateway else 900)
            self.powered_ms += 1_000
            parts = self.office.hear(machine.report())
            assert parts is not None
            machine.take(parts)
        assert self.office.row.quarantined, "two machines with one key went unnoticed"
        parts = self.office.hear(self.gateway.report())
        assert parts is not None
        assert not any(kind is PartKind.BUNDLE for kind, _ in parts), "granted in quarantine"
        assert any(kind is PartKind.REPLY for kind, _ in parts), "silenced by quarantine"


Attack.TestCase.settings = settings(
    max_examples=3 * settings().max_examples,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAttack = Attack.TestCase
