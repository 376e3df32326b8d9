"""The door for gateways themselves: be let in, take another key, say other labels, leave.

Everything that comes in proves possession of a key by its signature; what is answered to a member
is signed by the director. Leaves out what people decide about keys (REST) and contacts
(`coordinator.services.intake`).
"""

from dataclasses import dataclass
from functools import partial

from coordinator.core.ports import Store
from coordinator.keys.tls import Issue, issue_nothing
from coordinator.services.metrics import Metrics
from coordinator.services.shelf import Documents
from coordinator.services.waiting import WaitingRoom
from coordinator.transactions.enroll import Entered, enroll
from coordinator.transactions.membership import Taken, load_member_keys, take_word
from shared.clock import Clock, WallMs
from shared.errors import Reason, RefusedError
from shared.ids import AgentId, FleetId
from shared.runtime.logs import Events
from shared.trust.documents import document_hash, open_enroll
from shared.trust.envelope import seal
from shared.trust.words import HEARD_TYP, Heard, Word, claimed_speaker, open_word
from shared.wire.codec import pack
from shared.wire.messages import EnrollAnswer, EnrollRequest

_log = Events(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Answers enrolments and words."""

    fleet: FleetId
    documents: Documents
    store: Store
    clock: Clock
    work: WaitingRoom[AgentId]
    metrics: Metrics
    issue: Issue = issue_nothing

    async def enroll(self, data: bytes, *, address: str) -> bytes:
        """Return what a key is told that asks to be let in.

        Raises:
            RefusedError: it is not let in; counted and logged.
            WorldError: the store does not work now.
        """
        try:
            wish, now_ms = open_enroll(data), self.clock.wall_ms()
            body = partial(enroll, wish, now_ms=now_ms, address=address)
            entered = await self.store.run(body, durable=True)
        except RefusedError as error:
            self._refused(error, "enrolment_refused")
            raise
        _log.event(
            "enrolment_waits" if entered.agent is None else "agent_enrolled", agent=entered.agent
        )
        return pack(self._entered(entered, wish, now_ms))

    async def hear(self, data: bytes) -> bytes:
        """Return the signed answer to what an agent says of itself, once it is durable.

        Raises:
            RefusedError: nothing was changed; counted and logged.
            WorldError: the store does not work now.
        """
        try:
            agent = AgentId(claimed_speaker(data))
            keys = await self.store.read(partial(load_member_keys, agent))
            word, key = _opened(data, keys, self.fleet)
            now_ms = self.clock.wall_ms()
            body = partial(take_word, agent, word, key=key, now_ms=now_ms)
            taken: Taken = await self.store.run(body, durable=True)
        except RefusedError as error:
            self._refused(error, "word_refused")
            raise
        if taken.changed:
            _log.event("word_taken", agent=agent, word=type(word).__name__.lower())
            self.work.wake([agent])
        certificate = self.issue(taken.key, agent, now_ms)
        answer = Heard(agent, document_hash(data), certificate)
        return seal(HEARD_TYP, pack(answer), [self.documents.now.director])

    def _entered(self, entered: Entered, wish: EnrollRequest, now_ms: WallMs) -> EnrollAnswer:
        agent, fleet = entered.agent, self.documents.now.fleet
        return EnrollAnswer(
            agent or "",
            self.fleet,
            fleet.root,
            entered.site,
            entered.again_s,
            b"" if agent is None else self.issue(wish.public_key, agent, now_ms),
            fleet.steps_to_root(wish.root_version),
        )

    def _refused(self, error: RefusedError, event: str) -> None:
        self.metrics.refused.labels(error.reason.text).inc()
        _log.event(event, reason=error.reason.text, detail=error.detail)


def _opened(data: bytes, keys: tuple[bytes, ...], fleet: FleetId) -> tuple[Word, bytes]:
    """Return a word of this fleet and which of the agent's keys signed it."""
    for key in keys:
        try:
            word = open_word(data, key)
        except RefusedError as error:
            if error.reason is not Reason.THRESHOLD_NOT_MET or key == keys[-1]:
                raise
            continue
        if word.fleet != fleet:
            raise RefusedError(Reason.WRONG_FLEET)
        return word, key
    raise AssertionError("an agent has a key")
