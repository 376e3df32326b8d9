"""Whether a person's word counts at the coordinator, and when there are enough of them."""

from hashlib import sha256
from typing import Any

import pytest
from msgspec.structs import replace

from coordinator.core.approvals import Question, Vote, read_vote, stand, votes_under
from coordinator.core.job_class import choose_class
from shared.clock import WallMs
from shared.errors import MistakeError, Reason, RefusedError
from shared.ids import AgentId, KeyId
from shared.model.job import JobSpec, Step
from shared.trust.approval import APPROVAL_TYP, AgentsTarget, Approval, SelectorTarget
from shared.trust.policy import Approver
from shared.trust.targets import list_digest
from shared.wire.codec import pack
from tests.unit.trust_world import DAY, FLEET, NOW, READ, SPEC, kid, make_policy, sealed, signer

POLICY = make_policy()
LISTED = AgentsTarget(list_digest([AgentId("a"), AgentId("b")]), 2)
QUESTION = Question(
    fleet=FLEET,
    digest=sha256(pack(SPEC)).digest(),
    job_class="guarded",
    author="dave",
    listed=LISTED,
    selector="site=north",
    earlier=1,
)
APPROVAL = Approval(
    fleet=FLEET,
    job=QUESTION.digest,
    job_class="guarded",
    author="dave",
    target=LISTED,
    issued_ms=NOW,
    not_after_ms=NOW + DAY,
    max_executions=2,
)


def vote(*names: str, question: Question = QUESTION, **changes: Any) -> Vote:
    envelope = sealed(APPROVAL_TYP, replace(APPROVAL, **changes), *names)
    return read_vote(envelope, question, POLICY, WallMs(NOW))


def test_a_good_word_names_its_person_and_its_end() -> None:
    found = vote("alice")
    assert (found.person, found.key) == ("alice", kid("alice"))
    assert (found.not_after_ms, found.max_executions) == (NOW + DAY, 2)
    assert vote("alice", target=SelectorTarget("site=north")).person == "alice"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fleet": bytes(16)[:15] + b"x"}, Reason.WRONG_FLEET),
        ({"job": bytes(32)}, Reason.APPROVAL_OTHER_JOB),
        ({"job_class": "operate"}, Reason.APPROVAL_OTHER_JOB),
        ({"author": "erin"}, Reason.APPROVAL_OTHER_JOB),
        ({"target": AgentsTarget(LISTED.digest, 3)}, Reason.APPROVAL_OTHER_TARGET),
        ({"target": AgentsTarget(bytes(32), 2)}, Reason.APPROVAL_OTHER_TARGET),
        ({"target": SelectorTarget("site=south")}, Reason.APPROVAL_OTHER_TARGET),
        ({"not_after_ms": NOW - 1}, Reason.APPROVAL_EXPIRED),
        ({"issued_ms": NOW + DAY + 1}, Reason.APPROVAL_EXPIRED),
        ({"max_executions": 1}, Reason.APPROVAL_USED_UP),
    ],
)
def test_a_word_about_anything_else_does_not_count(changes: Any, reason: Reason) -> None:
    with pytest.raises(RefusedError) as refused:
        vote("alice", **changes)
    assert refused.value.reason is reason


def test_a_selector_counts_only_where_it_chose_the_agents() -> None:
    fields = {name: getattr(QUESTION, name) for name in Question.__slots__}
    named = Question(**fields | {"selector": ""})
    for selector in ("site=north", ""):
        with pytest.raises(RefusedError, match="approval_other_target"):
            vote("alice", question=named, target=SelectorTarget(selector))


@pytest.mark.parametrize("names", [("mallory",), ("director",), ("release",), ()])
def test_a_key_that_the_policy_does_not_name_says_nothing(names: tuple[str, ...]) -> None:
    with pytest.raises(RefusedError, match="threshold_not_met"):
        vote(*names)


def test_two_people_sign_two_papers() -> None:
    with pytest.raises(RefusedError, match="bad_schema"):
        vote("alice", "bob")


@pytest.mark.parametrize("author", ["alice", "ALICE"])
def test_the_author_does_not_agree_with_himself(author: str) -> None:
    fields = {name: getattr(QUESTION, name) for name in Question.__slots__}
    own = Question(**fields | {"author": author})
    with pytest.raises(RefusedError, match="approval_by_author"):
        vote("alice", question=own, author=author)


def test_people_are_counted_and_not_their_keys() -> None:
    def of(person: str, until_ms: int = NOW + DAY) -> Vote:
        return Vote(
            person=person,
            key=KeyId(person.encode()),
            not_after_ms=until_ms,
            max_executions=1,
            envelope=b"",
        )

    def standing(*votes: Vote) -> tuple[tuple[str, ...], bool]:
        found = stand(votes, needed=2, author="dave", now_ms=WallMs(NOW))
        return found.people, found.enough

    assert standing() == ((), False)
    assert standing(of("alice"), of("alice")) == (("alice",), False)
    assert standing(of("bob"), of("alice")) == (("alice", "bob"), True)
    assert standing(of("dave"), of("Dave"), of("alice")) == (("alice",), False)
    assert standing(of("alice"), of("bob", NOW - 1)) == (("alice",), False)
    found = stand([of("alice"), of("bob", NOW + 5)], needed=2, author="dave", now_ms=WallMs(NOW))
    assert found.until_ms == NOW + 5


def test_an_approver_who_left_the_policy_does_not_count() -> None:
    without = make_policy(
        approvers=[Approver(name, signer(name).public_key) for name in ("bob", "carol")],
        classes={
            **POLICY.classes,
            "guarded": replace(POLICY.classes["guarded"], approvers=[kid("bob"), kid("carol")]),
        },
    )
    envelope = sealed(APPROVAL_TYP, APPROVAL, "alice")
    with pytest.raises(RefusedError, match="threshold_not_met"):
        read_vote(envelope, QUESTION, without, WallMs(NOW))


def test_a_person_has_the_name_that_the_policy_gives_him_now() -> None:
    renamed = make_policy(approvers=[Approver("anna", signer("alice").public_key)])
    rule = replace(POLICY.classes["guarded"], approvers=[kid("alice")])
    found = votes_under([vote("alice"), vote("bob")], rule, renamed)
    assert [one.person for one in found] == ["anna"]


# --- classes ------------------------------------------------------------------------------------
def job(*steps: Step) -> JobSpec:
    return JobSpec("j", list(steps))


def test_a_job_belongs_to_the_class_that_asks_for_the_fewest() -> None:
    assert choose_class(READ, POLICY)[0] in {"observe", "operate"}
    assert choose_class(SPEC, POLICY)[0] == "operate"
    start = job(Step("go", "device.write", {"start": 1}))
    assert choose_class(start, POLICY)[0] == "guarded"
    assert choose_class(SPEC, POLICY, "guarded")[1].threshold == 2, "more people may be wanted"


@pytest.mark.parametrize(
    ("spec", "wanted", "where", "said"),
    [
        (job(Step("go", "device.explode", {})), "", "steps[0]", "no class"),
        (SPEC, "gaurded", "job_class", "did you mean guarded"),
        (SPEC, "observe", "job_class", "may not do step apply"),
    ],
)
def test_a_class_that_does_not_fit_is_a_mistake(
    spec: JobSpec, wanted: str, where: str, said: str
) -> None:
    with pytest.raises(MistakeError, match=said) as mistake:
        choose_class(spec, POLICY, wanted)
    assert mistake.value.where == where


def test_what_a_job_does_in_the_end_counts_for_its_class_too() -> None:
    hidden = JobSpec("j", list(READ.steps), final_steps=[Step("go", "device.write", {"start": 1})])
    assert choose_class(JobSpec("j", list(READ.steps)), POLICY)[1].threshold == 0
    with pytest.raises(MistakeError):
        choose_class(hidden, POLICY, "observe")
