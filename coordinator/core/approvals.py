"""Approvals at the coordinator: whether one counts, and when enough distinct people agreed.

The agent judges again, by the policy and the labels it holds itself: what is decided here only
keeps honest people from waiting for a job that every agent would refuse. Owns both decisions.
Leaves out the document and the agent's checks (`shared.trust.approval`, `shared.trust.granting`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from shared.clock import WallMs
from shared.errors import Reason, RefusedError
from shared.ids import KeyId
from shared.trust.approval import AgentsTarget, Approval, SelectorTarget, open_approval
from shared.trust.granting import rule_of
from shared.trust.policy import ClassRule, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What people are asked: may this job run."""

    fleet: bytes
    digest: bytes
    """sha256 of the job's canonical bytes."""
    job_class: str
    author: str
    listed: AgentsTarget
    """The agents that it was resolved to."""
    selector: str
    """What chose them; empty where agents were also named one by one."""
    earlier: int
    """How often this very job was released before: each agent may have run it so often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One person's valid word."""

    person: str
    key: KeyId
    not_after_ms: int
    max_executions: int
    envelope: bytes

    def counts(self, now_ms: WallMs) -> bool:
        """Tell whether it has not ended."""
        return now_ms <= self.not_after_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a job is on its way to being released."""

    needed: int
    people: tuple[str, ...]
    """Whose approvals count now, each of them once, sorted."""
    until_ms: int | None
    """When the first of those approvals ends: the job may not begin after it."""

    @property
    def enough(self) -> bool:
        """Tell whether as many distinct people agreed as the policy asks for."""
        return len(self.people) >= self.needed


def read_vote(envelope: bytes, question: Question, policy: Policy, now_ms: WallMs) -> Vote:
    """Return who signed an approval, once it speaks of exactly this job and may count.

    Raises:
        RefusedError: with the reason of the first check that failed.
    """
    keys = policy.keys_of(rule_of(question.job_class, policy))
    approval, signed = open_approval(envelope, keys)
    for check in _CHECKS:
        check(approval, question, now_ms)
    if len(signed) != 1:
        raise RefusedError(Reason.BAD_SCHEMA, "each approver signs a document of his own")
    key = next(iter(signed))
    person = policy.person(key)
    if person.casefold() == question.author.casefold():
        raise RefusedError(Reason.APPROVAL_BY_AUTHOR, f"{person} asked for this job himself")
    return Vote(
        person=person,
        key=key,
        not_after_ms=approval.not_after_ms,
        max_executions=approval.max_executions,
        envelope=envelope,
    )


def votes_under(votes: Iterable[Vote], rule: ClassRule, policy: Policy) -> list[Vote]:
    """Return the votes of those who may approve now, each under the name that the policy gives it.

    It may have changed since they were read, and agents count by the newest that they hold.
    """
    keys = policy.keys_of(rule)
    return [replace(vote, person=policy.person(vote.key)) for vote in votes if vote.key in keys]


def stand(votes: Iterable[Vote], *, needed: int, author: str, now_ms: WallMs) -> Standing:
    """Return how many distinct people agree now."""
    counting = [
        vote
        for vote in votes
        if vote.counts(now_ms) and vote.person.casefold() != author.casefold()
    ]
    people = {vote.person.casefold(): vote.person for vote in counting}
    return Standing(
        needed=needed,
        people=tuple(sorted(people.values())),
        until_ms=min((vote.not_after_ms for vote in counting), default=None),
    )


def _fleet(approval: Approval, question: Question, _now_ms: WallMs) -> None:
    if approval.fleet != question.fleet:
        raise RefusedError(Reason.WRONG_FLEET)


def _job(approval: Approval, question: Question, _now_ms: WallMs) -> None:
    if approval.job != question.digest:
        raise RefusedError(Reason.APPROVAL_OTHER_JOB, "it approves another job, or another text")
    if approval.job_class != question.job_class:
        raise RefusedError(Reason.APPROVAL_OTHER_JOB, f"as {approval.job_class[:40]!r}")


def _author(approval: Approval, question: Question, _now_ms: WallMs) -> None:
    # Agents take the author from what approvers signed: a wrong one must not get to them.
    if approval.author != question.author:
        raise RefusedError(Reason.APPROVAL_OTHER_JOB, f"{question.author} asked for it")


def _target(approval: Approval, question: Question, _now_ms: WallMs) -> None:
    if not _is_bound(approval.target, question):
        raise RefusedError(Reason.APPROVAL_OTHER_TARGET, "it is bound to other agents")


def _time(approval: Approval, _question: Question, now_ms: WallMs) -> None:
    if max(now_ms, approval.issued_ms) > approval.not_after_ms:
        raise RefusedError(Reason.APPROVAL_EXPIRED)


def _uses(approval: Approval, question: Question, _now_ms: WallMs) -> None:
    if approval.max_executions <= question.earlier:
        raise RefusedError(
            Reason.APPROVAL_USED_UP,
            f"this very job was released {question.earlier} times before: "
            f"allow {question.earlier + 1} executions",
        )


def _is_bound(target: AgentsTarget | SelectorTarget, question: Question) -> bool:
    match target:
        case AgentsTarget():
            return target == question.listed
        case SelectorTarget(selector):
            return bool(selector) and selector == question.selector


_CHECKS = (_fleet, _job, _author, _target, _time, _uses)
