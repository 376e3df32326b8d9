"""Says words to the coordinator: signed, answered with a verified one, and paid for.

Owns what words cost until somebody counts it: an answer that never came cost as much as one that
did. Leaves out which words are due (`agent.services.membership`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from agent.core.uplink import Delivered, Fault, LinkFailed
from agent.services.identity import AgentKey, Enrolment
from shared.errors import RefusedError
from shared.sync.body import CONTENT_TYPE
from shared.trust.envelope import Signer, seal
from shared.trust.root import Root
from shared.trust.words import (
    LABELS_TYP,
    LEAVE_TYP,
    REKEY_TYP,
    SUPPORT_TYP,
    Heard,
    Labels,
    Leave,
    Rekey,
    Support,
    Word,
    open_heard,
)
from shared.wire.codec import pack

PATH: Final = "/v1/word"
_TYPES: Final[Mapping[type, str]] = {
    Rekey: REKEY_TYP,
    Labels: LABELS_TYP,
    Leave: LEAVE_TYP,
    Support: SUPPORT_TYP,
}


class Door(Protocol):
    """The way to the coordinator, as far as words need it."""

    async def post(
        self, path: str, body: bytes, *, content_type: str, wait_s: int = 0, keep: bool = False
    ) -> Delivered | LinkFailed:
        """POST a body; return the body of a 200 answer, else what went wrong."""

    def present(self, certificate: Path) -> None:
        """Show this certificate from the next connection on."""


@dataclass
class Toll:
    """What words cost the link and nobody has counted yet."""

    up: int = 0
    down: int = 0

    def add(self, end: Delivered | LinkFailed) -> None:
        """Note what one cost, answered or not."""
        self.up, self.down = self.up + end.up, self.down + end.down

    def take(self) -> Delivered | None:
        """Return what is to be counted, once; None: nothing."""
        taken, self.up, self.down = Delivered(body=b"", up=self.up, down=self.down), 0, 0
        return taken if taken.up or taken.down else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Who says words, and what answers to them are judged by."""

    enrolment: Enrolment
    key: AgentKey
    root: Callable[[], Root]
    door: Door
    toll: Toll = field(default_factory=Toll)

    async def say(self, word: Word, *signers: Signer) -> tuple[bytes, Heard] | LinkFailed:
        """Say something of oneself; return it as it was signed, and its verified answer."""
        envelope = seal(_TYPES[type(word)], pack(word), signers or [self.key])
        answer = await self.send(envelope)
        return answer if isinstance(answer, LinkFailed) else (envelope, answer)

    async def send(self, envelope: bytes) -> Heard | LinkFailed:
        """Send a signed word; return its verified answer."""
        got = await self.door.post(PATH, envelope, content_type=CONTENT_TYPE, keep=True)
        self.toll.add(got)
        if isinstance(got, LinkFailed):
            return got
        try:
            return open_heard(got.body, self.root(), word=envelope, agent=self.enrolment.agent)
        except RefusedError as error:
            return LinkFailed(fault=Fault.BAD_ANSWER, detail=str(error), up=got.up, down=got.down)
