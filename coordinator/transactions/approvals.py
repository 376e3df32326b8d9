"""People agree to a job, or deny it; it is released in the transaction of the last approval needed.

Owns loading the question, keeping votes, and the release: executions are made only then, each with
the proof of its agent's place in the list that people signed. Leaves out whether a vote counts
(`coordinator.core.approvals`).
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.contract.approvals import ApprovalForm, ApprovalView, VoteView
from coordinator.contract.common import to_time
from coordinator.core.approvals import Question, Standing, Vote, read_vote, stand, votes_under
from coordinator.core.audit import split_actor
from coordinator.core.ports import Row, Tx, execute, execute_many, fetch, fetch_one
from coordinator.core.rollout_policy import RolloutState
from coordinator.transactions.executions import insert_executions
from coordinator.transactions.job_state import job_state
from coordinator.transactions.rollouts_begin import never_begins
from coordinator.transactions.rows import audit
from coordinator.transactions.sight import sees_job
from shared import limits
from shared.clock import WallMs
from shared.errors import OutstationError
from shared.ids import AgentId, FleetId, JobId, KeyId, uuid_text
from shared.model.job import JobSpec
from shared.model.selector import Selector
from shared.trust.approval import AgentsTarget
from shared.trust.policy import ClassRule, Policy
from shared.trust.targets import list_digest, prove_all
from shared.wire.codec import pack, unpack


class SettledError(OutstationError):
    """The job waits for nobody any more; the sentence says what became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What approvals are judged by, and for whom."""

    fleet: FleetId
    policy: Policy
    now_ms: WallMs
    limit: Selector | None = None
    """The caller's: jobs that go beyond it do not exist for him."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What an approval brought about; `released` is empty while more are needed."""

    released: Sequence[AgentId]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    row: Row
    question: Question
    agents: Sequence[AgentId]
    spec: JobSpec
    rows: Sequence[Row]
    """Of the votes."""

    @property
    def votes(self) -> list[Vote]:
        return [
            Vote(
                person=person,
                key=KeyId(key),
                envelope=envelope,
                not_after_ms=not_after_ms,
                max_executions=most,
            )
            for key, person, envelope, not_after_ms, most, _ in self.rows
        ]

    def standing(self, bench: Bench) -> Standing:
        """Return how far it is: what was needed when it was released, else what is needed now."""
        rule = self._rule(bench)
        if rule is None:
            needed, at_ms = self.row[6], WallMs(min(bench.now_ms, self.row[11]))
        else:
            needed, at_ms = max(1, rule.threshold), bench.now_ms
        votes = self.counting(bench)
        return stand(votes, needed=needed, author=self.question.author, now_ms=at_ms)

    def counting(self, bench: Bench) -> list[Vote]:
        """Return the votes of those who may approve it: once it was released, all that were."""
        rule = self._rule(bench)
        return self.votes if rule is None else votes_under(self.votes, rule, bench.policy)

    def _rule(self, bench: Bench) -> ClassRule | None:
        """Return what is asked for now, None where what was asked for then counts."""
        released_ms = self.row[7]
        rule = bench.policy.classes.get(self.question.job_class)
        return None if released_ms is not None else rule


def view_approval(job: bytes, bench: Bench) -> Tx[ApprovalForm | None]:
    """Return what people are asked about a job, None when nobody is asked about such a job."""
    case = yield from _load(job, bench)
    if case is None:
        return None
    view = _view(case, bench)
    return ApprovalForm(
        **{name: getattr(view, name) for name in view.__struct_fields__},
        fleet=bench.fleet.hex(),
        spec=base64.b64encode(case.row[3]).decode(),
        agents=list(case.agents),
        agents_digest=case.question.listed.digest.hex(),
        selector=case.question.selector,
    )


def list_approvals(
    bench: Bench, *, pending: bool, before: bytes, size: int
) -> Tx[tuple[list[ApprovalView], bool]]:
    """Return up to `size` guarded jobs older than an id, newest first, and if there are more."""
    views: list[ApprovalView] = []
    query = "approvals_pending" if pending else "approvals_all"
    while True:
        page = yield from fetch(query, before, size + 1)
        for (job,) in page:
            case = yield from _load(job, bench)
            views += [] if case is None else [_view(case, bench)]
        if len(views) > size or len(page) <= size:
            return views[:size], len(views) > size
        before = page[-1][0]


def approve(job: bytes, envelope: bytes, bench: Bench, *, actor: str) -> Tx[Agreed | None]:
    """Keep a person's approval; release the job once enough distinct people agreed.

    None when nobody is asked about such a job.

    Raises:
        SettledError: it waits for nobody any more.
        RefusedError: the approval does not count.
    """
    case = yield from _load(job, bench)
    if case is None:
        return None
    _check_open(case, bench)
    vote = read_vote(envelope, case.question, bench.policy, bench.now_ms)
    others = [one for one in case.votes if one.counts(bench.now_ms) and one.key != vote.key]
    if len(others) >= limits.APPROVALS_PER_GRANT:
        raise SettledError(f"it has {len(others)} approvals already, as many as agents take")
    yield from execute(
        "approval_save",
        job,
        vote.key,
        vote.person,
        vote.envelope,
        vote.not_after_ms,
        vote.max_executions,
        bench.now_ms,
    )
    yield from audit(
        bench.now_ms,
        actor=actor,
        action="approval.sign",
        object_=f"job:{uuid_text(job)}",
        detail={
            "person": vote.person,
            "key": vote.key.hex(),
            "digest": case.question.digest.hex(),
            "not_after_ms": vote.not_after_ms,
            "max_executions": vote.max_executions,
        },
    )
    after = yield from _load(job, bench)
    assert after is not None, "it was read in this transaction"
    standing = after.standing(bench)
    if not standing.enough:
        return Agreed(())
    yield from _release(job, after, standing, bench)
    return Agreed(after.agents)


def deny(job: bytes, reason: str, bench: Bench, *, actor: str) -> Tx[bool]:
    """Let a job never run; False when nobody is asked about such a job.

    Raises:
        SettledError: it waits for nobody any more.
    """
    case = yield from _load(job, bench)
    if case is None:
        return False
    _check_open(case, bench)
    yield from execute("job_deny", job, bench.now_ms, split_actor(actor)[0], reason)
    yield from never_begins(job, RolloutState.STOPPED, "its job was denied", bench.now_ms)
    yield from audit(
        bench.now_ms,
        actor=actor,
        action="approval.deny",
        object_=f"job:{uuid_text(job)}",
        detail={"reason": reason, "digest": case.question.digest.hex()},
    )
    return True


def _load(job: bytes, bench: Bench) -> Tx[_Case | None]:
    row = yield from fetch_one("approval_question", job)
    if row is None or not (yield from sees_job(job, bench.limit)):
        return None
    digest, packed, job_class, author = row[2:6]
    agents = sorted(AgentId(agent) for (agent,) in (yield from fetch("targets_of_job", job)))
    earlier = yield from fetch_one("released_before", digest, job)
    assert earlier is not None, "an aggregate always answers"
    spec = unpack(packed, JobSpec, bound=limits.SPEC_BYTES)
    question = Question(
        fleet=bench.fleet,
        digest=digest,
        job_class=job_class,
        author=author,
        listed=AgentsTarget(list_digest(agents), len(agents)),
        selector="" if spec.targets.agents else spec.targets.selector,
        earlier=earlier[0],
    )
    votes = yield from fetch("approvals_of_job", job)
    return _Case(row=row, question=question, agents=agents, spec=spec, rows=votes)


def _check_open(case: _Case, bench: Bench) -> None:
    released_ms, denied_ms, denied_by, denied_reason, not_after_ms, expired_ms = case.row[7:13]
    if denied_ms is not None:
        raise SettledError(f"{denied_by} denied it: {denied_reason}")
    if released_ms is not None:
        raise SettledError("enough people agreed; it was released")
    # It may have been settled since this request was received.
    if expired_ms is not None or bench.now_ms >= not_after_ms:
        raise SettledError("the time in which it might have begun is over")


def _release(job: bytes, case: _Case, standing: Standing, bench: Bench) -> Tx[None]:
    assert standing.until_ms is not None, "somebody agreed"
    proofs = prove_all(case.agents)
    yield from execute_many(
        "job_target_prove",
        ((job, agent, pack(proof)) for agent, proof in zip(case.agents, proofs, strict=True)),
    )
    # What begins after the first approval has ended, each agent refuses.
    not_after_ms = min(case.row[11], standing.until_ms)
    yield from execute("job_release", job, bench.now_ms, not_after_ms)
    waits = yield from fetch_one("job_waits", job)
    if waits is None or waits[0] is None or waits[2] is not None:
        yield from insert_executions(JobId(job), case.agents, now_ms=bench.now_ms)
    yield from audit(
        bench.now_ms,
        actor="approvals",
        action="job.release",
        object_=f"job:{uuid_text(job)}",
        detail={"people": ", ".join(standing.people), "needed": standing.needed},
    )


def _view(case: _Case, bench: Bench) -> ApprovalView:
    (job, name, digest, _, job_class, author, _, released_ms, denied_ms, *rest) = case.row
    denied_by, denied_reason, not_after_ms, expired_ms, created_ms, targets = rest
    standing = case.standing(bench)
    rule = bench.policy.classes.get(job_class)
    keys = bench.policy.keys_of(rule) if rule else {}
    people = {bench.policy.person(key) for key in keys}
    counting = {vote.key for vote in case.counting(bench) if vote.counts(bench.now_ms)}
    return ApprovalView(
        job=uuid_text(job),
        name=name,
        state=job_state(
            released_ms=released_ms, denied_ms=denied_ms, expired_ms=expired_ms, busy=True
        ),
        job_class=job_class,
        author=author,
        digest=digest.hex(),
        created_at=to_time(created_ms),
        not_after=to_time(not_after_ms),
        targets=targets,
        needed=standing.needed,
        people=list(standing.people),
        votes=[
            _vote_view(vote, row, counts=vote.key in counting)
            for vote, row in zip(case.votes, case.rows, strict=True)
        ],
        approvers=sorted(one for one in people if one.casefold() != author.casefold()),
        denied_by=denied_by,
        denied_reason=denied_reason,
        earlier=case.question.earlier,
    )


def _vote_view(vote: Vote, row: Row, *, counts: bool) -> VoteView:
    return VoteView(
        person=vote.person,
        key=vote.key.hex(),
        received_at=to_time(row[5]),
        not_after=to_time(vote.not_after_ms),
        max_executions=vote.max_executions,
        counts=counts,
    )
