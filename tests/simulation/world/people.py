"""The people around a fleet: who ask for work, change their minds, approve, rekey, revoke.

They use the transactions that the REST handlers use, and like everybody they may not hear back: a
wish that was cut off is made again under its Idempotency-Key, as the command line does. Owns what
was asked for and agreed to; it is what effects are held against.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import TypeVar

from coordinator.core.ports import Tx
from coordinator.core.rollout_policy import Policy as RolloutPolicy
from coordinator.transactions.approvals import Bench, SettledError, approve, deny
from coordinator.transactions.cancel import cancel
from coordinator.transactions.dispatch import Bench as StepBench
from coordinator.transactions.dispatch import OvertakenError
from coordinator.transactions.membership import ask_for_rekey, decommission, release, revoke
from coordinator.transactions.rollouts_steer import Asked as Wanted
from coordinator.transactions.rollouts_steer import NotNowError, Verb, steer
from coordinator.transactions.submit import Submission, draft, submit
from shared.clock import WallMs
from shared.errors import MistakeError, RefusedError, WorldError
from shared.ids import AgentId, FleetId
from shared.model.job import JobSpec
from shared.trust.approval import APPROVAL_TYP, AgentsTarget, Approval
from shared.trust.envelope import seal
from shared.trust.targets import list_digest
from shared.wire.codec import pack
from tests.simulation.world.centre import Centre
from tests.simulation.world.fleet import FLEET, GUARDED, PEOPLE, signer_of
from tests.simulation.world.ground import Ground
from tests.simulation.world.life import GoneError
from tests.simulation.world.wishes import Wishes

T = TypeVar("T")

_AGAIN_S = 20
_AUTHOR = "zoe"


@dataclass
class Asked:
    """A job that was submitted."""

    job: bytes
    spec: JobSpec
    agents: tuple[AgentId, ...]
    guarded: bool
    not_after_ms: int
    approvals: set[str] = field(default_factory=set)
    denied: bool = False
    waved_on: bool = False
    """A person let its rollout go on though its gate was not met, or nobody was left."""


@dataclass
class Set:
    """A trigger that somebody saved: its job is made once for each occasion."""

    spec: JobSpec
    agents: tuple[AgentId, ...]
    of: str
    """The job whose good end is the occasion; empty: set times are."""
    saved_s: float = 0.0
    """When it was heard of; 0: nobody knows that yet."""
    gone_s: float = 0.0
    """When it was deleted, or lost with a restored database; 0: never."""


class People:
    """Everybody who may tell the coordinator something."""

    def __init__(self, ground: Ground, centre: Centre) -> None:
        self.ground, self.centre = ground, centre
        self.chance = ground.chance("people")
        self.wishes = Wishes(ground.chance("wishes"))
        self.entropy = ground.entropy("people")
        self.asked: list[Asked] = []
        self.rollouts: list[Asked] = []
        self.standing: list[Asked] = []
        self.triggers: list[Set] = []
        self._keys = 0

    async def insist(self, body: Callable[[], Tx[T]]) -> T:
        """Ask until it was done, and heard of."""
        while True:
            try:
                return await self.centre.change(body)
            except (GoneError, WorldError):
                await asyncio.sleep(_AGAIN_S)

    async def submit(self, *agents: AgentId, plain: bool = False) -> Asked:
        """Ask for a job; a plain one may begin at once, and nobody has to agree to it."""
        spec = self.wishes.plain(agents) if plain else self.wishes.spec(agents)
        return await self._submit(spec, agents, guarded=not plain and self.chance.random() < 0.3)

    async def submit_spec(self, spec: JobSpec, agents: Sequence[AgentId]) -> Asked:
        """Ask for a job that somebody has thought of already."""
        return await self._submit(spec, agents)

    async def submit_staged(
        self, agents: Sequence[AgentId], rollout: RolloutPolicy, *, soak_s: int = 0
    ) -> Asked:
        """Ask for a job that goes over some agents in stages, and can be taken back."""
        spec = self.wishes.staged(agents, soak_s=soak_s)
        asked = await self._submit(spec, agents, rollout=rollout)
        self.rollouts.append(asked)
        return asked

    async def submit_standing(self, agents: Sequence[AgentId], *, rule: bool) -> Asked:
        """Ask for a job that runs again and again."""
        asked = await self._submit(self.wishes.standing(agents, rule=rule), agents)
        self.asked.remove(asked)
        self.standing.append(asked)
        return asked

    async def _submit(
        self,
        spec: JobSpec,
        agents: Sequence[AgentId],
        *,
        guarded: bool = False,
        rollout: RolloutPolicy | None = None,
    ) -> Asked:
        while self.centre.parts is None:
            await asyncio.sleep(_AGAIN_S)
        now_ms = self.centre.clock.wall_ms()
        lasts_ms = self.chance.choice([1, 3, 8]) * 3_600_000
        self._policy = self.centre.parts.documents.now.shelf.policy
        wanted = draft(
            spec,
            self._policy,
            not_after_ms=WallMs(now_ms + lasts_ms),
            now_ms=now_ms,
            wanted_class=GUARDED if guarded else "",
        )
        wanted = replace(wanted, rollout=rollout)
        self._keys += 1
        submission = Submission(
            actor=f"user:{_AUTHOR}",
            token_id="token",
            now_ms=now_ms,
            author=_AUTHOR,
            key=f"key-{self._keys}",
            body_digest=sha256(wanted.packed).digest(),
        )
        try:
            done = await self.insist(partial(submit, wanted, submission, self.entropy))
        except MistakeError:
            # The job that it waits for was lost with a restored database.
            return Asked(b"", spec, (), guarded, 0)
        asked = Asked(done.job, spec, tuple(agents), guarded, now_ms + lasts_ms)
        self.ground.note("asked", spec.name, guarded)
        self.asked.append(asked)
        self.wishes.jobs.append(done.job)
        self._wake(*agents)
        if guarded:
            await self.deliberate(asked)
        return asked

    async def deliberate(self, asked: Asked) -> None:
        """Let people agree to a guarded job, or one of them deny it."""
        for person in self.chance.sample(PEOPLE, self.chance.choice([1, 2, 2, 3])):
            await asyncio.sleep(self.chance.uniform(10, 1200))
            bench = self._bench()
            if self.chance.random() < 0.35:
                body = partial(deny, asked.job, "no", bench, actor=f"user:{person}")
                asked.denied |= await self._vote(body, "deny")
                continue
            envelope = self._approval(asked, person, bench.now_ms)
            # Counted before it is sent: what nobody heard of may count.
            asked.approvals.add(person)
            await self._vote(
                partial(
                    approve,
                    asked.job,
                    envelope,
                    bench,
                    actor=f"user:{person}",
                ),
                "approve",
            )
        self._wake(*asked.agents)

    async def _vote(self, body: Callable[[], Tx[object]], kind: str) -> bool:
        try:
            await self.insist(body)
        except (SettledError, RefusedError):
            return False
        self.ground.hit(kind)
        return True

    async def cancel(self, asked: Asked) -> None:
        """Call a job off."""
        self.ground.hit("cancel")
        now_ms = self.centre.clock.wall_ms()
        done = await self.insist(partial(cancel, asked.job, actor="user:zoe", now_ms=now_ms))
        if done is not None:
            self._wake(*done.agents)

    async def steer(self, asked: Asked, verb: Verb) -> bool:
        """Pause, resume, advance, call off or take back a rollout; False: it was too late."""
        asked.waved_on |= verb == "advance"
        while True:
            now_ms, policy = self.now_ms, self._bench().policy
            bench = StepBench(now_ms, policy)
            try:
                done = await self.insist(partial(steer, asked.job, Wanted(verb, "user:zoe"), bench))
            except OvertakenError:
                continue
            except NotNowError:
                return False
            if done is None:
                return False  # it was lost with a restored database
            self.ground.hit(f"rollout {verb}")
            self._wake(*done.agents)
            return True

    async def rekey(self, agent: AgentId) -> None:
        """Ask an agent for another key."""
        self.ground.hit("rekey")
        await self.insist(partial(ask_for_rekey, agent, actor="user:zoe", now_ms=self.now_ms))

    async def revoke(self, agent: AgentId) -> None:
        """Let an agent in no more."""
        self.ground.hit("revoke")
        await self.insist(partial(revoke, agent, actor="user:zoe", now_ms=self.now_ms))

    async def decommission(self, agent: AgentId) -> None:
        """Ask an agent to deliver what it has, and to leave."""
        self.ground.hit("decommission")
        await self.insist(partial(decommission, agent, actor="user:zoe", now_ms=self.now_ms))

    async def release(self, agent: AgentId) -> None:
        """End a quarantine."""
        await self.insist(partial(release, agent, actor="user:zoe", now_ms=self.now_ms))

    @property
    def now_ms(self) -> WallMs:
        """What the coordinator's clock says."""
        return self.centre.clock.wall_ms()

    def _bench(self) -> Bench:
        if self.centre.parts is not None:
            self._policy = self.centre.parts.documents.now.shelf.policy
        return Bench(fleet=FleetId(FLEET), policy=self._policy, now_ms=self.now_ms)

    def _approval(self, asked: Asked, person: str, now_ms: WallMs) -> bytes:
        said = Approval(
            fleet=FLEET,
            job=sha256(pack(asked.spec)).digest(),
            job_class=GUARDED,
            author=_AUTHOR,
            target=AgentsTarget(list_digest(sorted(asked.agents)), len(asked.agents)),
            issued_ms=now_ms,
            not_after_ms=asked.not_after_ms,
            max_executions=1,
        )
        return seal(APPROVAL_TYP, pack(said), [signer_of(person)])

    def _wake(self, *agents: AgentId) -> None:
        if self.centre.parts is not None:
            self.centre.parts.work.wake(agents)
            self.centre.parts.deadlines.look_again()
