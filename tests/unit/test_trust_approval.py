"""Approvals at the agent: each thing that makes one worthless, and how many people it takes."""

from typing import Any

import pytest

from shared import limits
from shared.errors import Reason
from shared.ids import AgentId
from shared.model.job import JobSpec, Step
from shared.trust.admission import Admitted, Held, admit_bundle
from shared.trust.approval import APPROVAL_TYP, AgentsTarget, Approval, SelectorTarget
from shared.trust.envelope import open_signed, seal
from shared.trust.keyset import Trust
from shared.trust.policy import Approver, ClassRule
from shared.trust.targets import list_digest, prove
from shared.wire.codec import pack, unpack
from shared.wire.messages import Grant
from tests.unit.trust_world import (
    DAY,
    FLEET,
    GRACE_S,
    HOUR,
    NAME,
    NOW,
    OTHER,
    PEOPLE,
    World,
    kid,
    make_approval,
    make_grant,
    make_policy,
    make_trust,
    signer,
)

WORLD = World()
START = JobSpec(name="start", steps=[Step("go", "device.write", {"start": 1})])
STOP = JobSpec(name="stop", steps=[Step("go", "device.write", {"start": 0})])


def admit(*grants: Grant, held: Held | None = None, world: World = WORLD) -> Admitted:
    return admit_bundle(world.seal_bundle(world.bundle(*grants)), held or world.held())


def start(*approvals: bytes, **changes: Any) -> Grant:
    return make_grant(START, "guarded", approvals=list(approvals), **changes)


def reason(*approvals: bytes, held: Held | None = None, **changes: Any) -> Reason | None:
    """Why the guarded job was refused; None when it was admitted."""
    admitted = admit(start(*approvals, **changes), held=held)
    assert len(admitted.jobs) + len(admitted.refused) == 1
    return admitted.refused[0].reason if admitted.refused else None


GOOD = make_approval(START, "alice", "bob")


def test_two_people_on_one_approval_are_enough() -> None:
    [job] = admit(start(GOOD)).jobs
    assert job.spec == START
    assert (job.job_class, job.approved_until_ms) == ("guarded", NOW + DAY)


def test_two_approvals_by_one_person_each_are_enough_and_the_sooner_end_counts() -> None:
    later = make_approval(START, "bob", not_after_ms=NOW + 2 * DAY)
    sooner = make_approval(START, "carol", not_after_ms=NOW + HOUR)
    [job] = admit(start(later, sooner)).jobs
    assert job.not_after_ms == NOW + HOUR
    assert job.approved_until_ms == NOW + 2 * DAY


def test_a_guarded_job_without_enough_people_is_refused() -> None:
    one = make_approval(START, "alice")
    assert reason() is Reason.APPROVALS_MISSING
    assert reason(one) is Reason.APPROVALS_MISSING
    assert reason(one, one) is Reason.APPROVALS_MISSING
    assert reason(one, make_approval(START, "alice", issued_ms=NOW + 1)) is (
        Reason.APPROVALS_MISSING
    )


def test_one_person_with_two_keys_counts_once() -> None:
    new_key = Approver("Alice", signer("alice-2").public_key)
    policy = make_policy(
        approvers=[*make_policy().approvers, new_key],
        classes={
            "guarded": ClassRule(
                2, [kid(name) for name in (*PEOPLE, "alice-2")], GRACE_S, {"device.write": []}
            )
        },
    )
    world = World(trust=make_trust(policy=policy))
    both = make_approval(START, "alice", "alice-2")
    [refused] = admit(start(both), world=world).refused
    assert refused.reason is Reason.APPROVALS_MISSING
    mixed = make_approval(START, "alice-2", "bob")
    assert admit(start(mixed), world=world).jobs


@pytest.mark.parametrize("names", [("mallory", "trudy"), ("director", "release")])
def test_strangers_and_the_fleets_own_keys_approve_nothing(names: tuple[str, ...]) -> None:
    assert reason(make_approval(START, *names)) is Reason.THRESHOLD_NOT_MET


def test_somebody_who_approves_other_classes_does_not_approve_this_one() -> None:
    policy = make_policy(
        classes={"guarded": ClassRule(1, [kid("carol")], GRACE_S, {"device.write": []})}
    )
    world = World(trust=make_trust(policy=policy))
    [refused] = admit(start(GOOD), world=world).refused
    assert refused.reason is Reason.THRESHOLD_NOT_MET
    assert admit(start(make_approval(START, "carol")), world=world).jobs


@pytest.mark.parametrize("author", ["alice", "Alice"])
def test_the_author_does_not_approve_his_own_job(author: str) -> None:
    own = make_approval(START, "alice", "bob", author=author)
    assert reason(own) is Reason.APPROVAL_BY_AUTHOR
    assert reason(make_approval(START, "alice", "bob", "carol", author=author)) is None


def test_whoever_any_approval_names_as_author_does_not_count() -> None:
    says_dave = make_approval(START, "alice")
    says_alice = make_approval(START, "bob", author="alice")
    assert reason(says_dave, says_alice) is Reason.APPROVAL_BY_AUTHOR


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"fleet": bytes(16)}, Reason.WRONG_FLEET),
        ({"job": bytes(32)}, Reason.APPROVAL_OTHER_JOB),
        ({"job_class": "operate"}, Reason.APPROVAL_OTHER_JOB),
        ({"not_after_ms": NOW - 1}, Reason.APPROVAL_EXPIRED),
        ({"max_executions": 0}, Reason.APPROVAL_USED_UP),
        ({"target": SelectorTarget("site=south")}, Reason.APPROVAL_OTHER_TARGET),
        ({"target": SelectorTarget("")}, Reason.APPROVAL_OTHER_TARGET),
        ({"target": SelectorTarget("this is no selector")}, Reason.APPROVAL_OTHER_TARGET),
    ],
)
def test_an_approval_of_something_else_is_worth_nothing(
    changes: dict[str, Any], why: Reason
) -> None:
    assert reason(make_approval(START, "alice", "bob", **changes)) is why


def test_an_approval_of_another_job_does_not_carry_over() -> None:
    assert reason(make_approval(STOP, "alice", "bob")) is Reason.APPROVAL_OTHER_JOB


def test_an_approval_is_bound_to_the_agents_that_its_people_saw() -> None:
    agents = [AgentId(name) for name in ("east-1", "north-1", "west-1")]
    target = AgentsTarget(list_digest(agents), len(agents))
    approval = make_approval(START, "alice", "bob", target=target)
    proof = prove(agents, NAME)
    assert reason(approval, proof=proof) is None
    assert reason(approval) is Reason.APPROVAL_OTHER_TARGET
    assert reason(approval, proof=prove(agents, agents[0])) is Reason.APPROVAL_OTHER_TARGET
    others = [agents[0], OTHER, agents[2]]
    elsewhere = AgentsTarget(list_digest(others), len(others))
    foreign = make_approval(START, "alice", "bob", target=elsewhere)
    assert reason(foreign, proof=proof) is Reason.APPROVAL_OTHER_TARGET


def test_the_labels_that_count_are_the_agents_own() -> None:
    relabelled = WORLD.held(labels={"site": "south"})
    assert reason(GOOD, held=relabelled) is Reason.APPROVAL_OTHER_TARGET


def test_an_approval_ends_by_the_agents_own_reckoning() -> None:
    late = WORLD.held(floor_ms=NOW + DAY + 1)
    bundle = WORLD.bundle(start(GOOD), expires_ms=NOW + 2 * DAY)
    [refused] = admit_bundle(WORLD.seal_bundle(bundle), late).refused
    assert refused.reason is Reason.APPROVAL_EXPIRED


def test_an_approved_job_runs_as_often_as_was_approved_and_no_more() -> None:
    digest = unpack(
        open_signed(GOOD, typ=APPROVAL_TYP, keys={}, bound=9_999)[0], Approval, bound=9_999
    ).job
    before = WORLD.held(approved={digest: frozenset({b"earlier"})})
    assert reason(GOOD, held=before) is Reason.APPROVAL_USED_UP
    twice = make_approval(START, "alice", "bob", max_executions=2)
    assert reason(twice, held=before) is None
    same = WORLD.held(approved={digest: frozenset({b"x" * 16})})
    assert reason(GOOD, held=same) is None, "the same execution granted again is not another one"


def test_one_bundle_cannot_use_an_approval_twice() -> None:
    admitted = admit(start(GOOD), start(GOOD, execution=b"y" * 16))
    assert [job.execution for job in admitted.jobs] == [b"x" * 16]
    assert [job.reason for job in admitted.refused] == [Reason.APPROVAL_USED_UP]


def test_no_approval_outgrows_what_an_agent_can_remember() -> None:
    digest = unpack(
        open_signed(GOOD, typ=APPROVAL_TYP, keys={}, bound=9_999)[0], Approval, bound=9_999
    ).job
    ran = frozenset(n.to_bytes(16) for n in range(limits.APPROVED_EXECUTIONS))
    endless = make_approval(START, "alice", "bob", max_executions=limits.INT_MAX)
    held = WORLD.held(approved={digest: ran})
    assert reason(endless, held=held) is Reason.APPROVAL_USED_UP


def test_what_was_approved_before_the_memory_was_lost_needs_new_approvals() -> None:
    forgetful = WORLD.held(approved_since_ms=NOW + 1)
    assert reason(GOOD, held=forgetful) is Reason.APPROVAL_FORGOTTEN
    fresh = make_approval(START, "alice", "bob", issued_ms=NOW + 1)
    assert reason(fresh, held=forgetful) is None


def test_a_worthless_approval_beside_enough_good_ones_does_no_harm() -> None:
    assert reason(b"garbage", make_approval(STOP, "carol"), GOOD) is None


def test_more_approvals_than_anybody_needs_are_refused_unread() -> None:
    many = [GOOD] * (limits.APPROVALS_PER_GRANT + 1)
    assert reason(*many) is Reason.BAD_SCHEMA


def test_an_unknown_field_in_an_approval_is_refused() -> None:
    payload = open_signed(GOOD, typ=APPROVAL_TYP, keys={}, bound=9_999)[0]
    plain = unpack(payload, list[object], bound=9_999)
    names = [signer("alice"), signer("bob")]
    restricted = seal(APPROVAL_TYP, pack([*plain, "only while Dave watches"]), names)
    assert reason(restricted) is Reason.BAD_SCHEMA


def test_an_approval_of_one_fleet_says_nothing_in_another() -> None:
    assert reason(make_approval(START, "alice", "bob", fleet=FLEET[::-1])) is Reason.WRONG_FLEET


def test_a_class_without_threshold_asks_nobody() -> None:
    open_class = ClassRule(0, [], GRACE_S, {"device.write": []})
    policy = make_policy(classes={"guarded": open_class})
    trust: Trust = make_trust(policy=policy)
    assert admit(start(), world=World(trust=trust)).jobs


def test_every_altered_byte_of_an_approval_makes_it_worthless() -> None:
    for index in range(0, len(GOOD), 7):
        altered = GOOD[:index] + bytes([GOOD[index] ^ 1]) + GOOD[index + 1 :]
        assert reason(altered) is not None
