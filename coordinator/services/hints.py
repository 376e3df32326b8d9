"""Hints between replicas: what one of them committed, another one's waiters are woken for.

Held contacts, requests that wait for a job, and loops that sleep are woken within one process by
rooms and bells. Here their keys are collected for some milliseconds, said to all replicas at once,
and what others say is rung here. A hint holds no fact: whoever is woken looks into the database, so
one that is lost, doubled or made up does no more than a look too few or too many. One that was lost
is made up for by the looks that everybody takes anyway (a held contact ends within a minute).
Leaves out how texts travel (`coordinator.core.ports.Line`).
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from coordinator.core.ports import Line, LivingStore
from coordinator.services.bell import Bell, ring
from coordinator.services.waiting import WaitingRoom
from shared import limits
from shared.clock import Entropy
from shared.errors import WorldError
from shared.ids import AgentId
from shared.runtime.logs import Events

DOCUMENTS = "documents"
"""The bell of whoever reads the signed documents again."""

_log = Events(__name__)


class Hint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is said at once."""

    sender: str = ""
    """The incarnation that said it, which has no need to hear it."""
    agents: Sequence[str] = ()
    """There may be work for them."""
    jobs: Sequence[str] = ()
    """They changed; hexadecimal."""
    bells: Sequence[str] = ()
    everything: bool = False
    """More was to be said than hints carry: all look."""


def encode_hint(hint: Hint) -> str:
    """Return the text of a hint."""
    text = msgspec.json.encode(hint).decode()
    assert len(text) <= limits.HINT_BYTES, "keys are short and few"
    return text


async def tell_of_documents(store: LivingStore, bell: Path) -> None:
    """Let every coordinator that runs read the documents again, from a process of another kind.

    Args:
        store: what they serve.
        bell: where the only one hangs its bell, if the store has one only.
    """
    line = store.line()
    if line is None:
        ring(bell)
        return
    try:
        async with line.connected(lambda _text: None, lambda: None) as say:
            await say([encode_hint(Hint(bells=(DOCUMENTS,)))])
    except WorldError as error:
        # What was committed stands: they look by themselves, too, if seldom.
        _log.event("hint_lost", level=logging.WARNING, cause=str(error))


class Hints:
    """A service: one replica's ear and mouth."""

    name = "hints"

    def __init__(self, line: Line, entropy: Entropy) -> None:
        self._line = line
        self._sender = entropy.token(8).hex()
        """Fresh at each start: a replica that comes back is another one."""
        self._bells: dict[str, Bell] = {}
        self._work: WaitingRoom[AgentId] = WaitingRoom()
        self._jobs: WaitingRoom[bytes] = WaitingRoom()
        self._agents_noted: set[str] = set()
        self._jobs_noted: set[str] = set()
        self._bells_noted: set[str] = set()
        self._later: set[str] = set()
        """Bells that wait for their second to be over."""
        self._everything = False
        self._look = False
        """Whatever somebody here waits for may have happened unheard."""
        self._noted = Bell()

    def connect(
        self,
        work: WaitingRoom[AgentId],
        jobs: WaitingRoom[bytes],
        bells: Mapping[str, Bell],
        seldom: Mapping[str, Bell] | None = None,
    ) -> None:
        """Pass on what wakes these, and wake them by what others pass on.

        Rings of `seldom` are passed on once a second: contacts ring all the time.
        """
        self._work, self._jobs = work, jobs
        work.pass_on(partial(self._note, self._agents_noted))
        jobs.pass_on(lambda keys: self._note(self._jobs_noted, [key.hex() for key in keys]))
        for name, bell in bells.items():
            self._bells[name] = bell
            bell.pass_on(partial(self._note, self._bells_noted, (name,)))
        for name, bell in (seldom or {}).items():
            self._bells[name] = bell
            bell.pass_on(partial(self._note_seldom, name))

    async def run(self) -> None:
        """Hear and say until cancelled.

        Raises:
            WorldError: the others cannot be reached.
        """
        async with self._line.connected(self._heard, self._noted.ring) as say:
            # What was said while nobody listened here; this replica's first time included.
            self._look = True
            self._noted.ring()
            while True:
                await self._noted.wait(limits.HINT_PROBE_S)
                if self._look:
                    self._look = False
                    await self._look_everywhere()
                try:
                    await say(self._take())
                except BaseException:
                    self._everything = True  # nobody knows what of it was heard
                    raise
                await asyncio.sleep(limits.HINT_MS / 1000)

    def _note(self, noted: set[str], keys: Sequence[str]) -> None:
        noted.update(keys)
        if len(noted) > limits.HINT_KEYS_WAITING:
            noted.clear()
            self._everything = True
        self._noted.ring()

    def _note_seldom(self, name: str) -> None:
        if name in self._later:
            return
        self._later.add(name)

        def now() -> None:
            self._later.discard(name)
            self._note(self._bells_noted, (name,))

        asyncio.get_running_loop().call_later(limits.HINT_SELDOM_S, now)

    def _take(self) -> list[str]:
        """Return the texts of what was noted, and forget it."""
        hints: list[Hint] = []
        if self._everything:
            hints.append(Hint(sender=self._sender, everything=True))
        else:
            agents, jobs = _pieces(self._agents_noted), _pieces(self._jobs_noted)
            bells: Sequence[str] = sorted(self._bells_noted)
            while (told := (next(agents, ()), next(jobs, ()), bells)) != ((), (), []):
                hints.append(Hint(sender=self._sender, agents=told[0], jobs=told[1], bells=told[2]))
                bells = []
        self._everything = False
        for noted in (self._agents_noted, self._jobs_noted, self._bells_noted):
            noted.clear()
        return list(map(encode_hint, hints))

    def _heard(self, text: str) -> None:
        """Wake whom a hint concerns; one that is malformed concerns nobody."""
        try:
            hint = msgspec.json.decode(text, type=Hint)
            jobs = [bytes.fromhex(job) for job in hint.jobs]
        except ValueError:
            _log.event("hint_malformed", level=logging.WARNING, text=text)
            return
        if hint.sender == self._sender:
            return
        self._work.wake_here([AgentId(agent) for agent in hint.agents])
        self._jobs.wake_here(jobs)
        for name in hint.bells:
            with contextlib.suppress(KeyError):
                self._bells[name].ring_here()
        if hint.everything:
            self._look = True
            self._noted.ring()

    async def _look_everywhere(self) -> None:
        """Wake everybody, some at a time: each of them asks the database something."""
        for bell in self._bells.values():
            bell.ring_here()
        self._jobs.wake_here(self._jobs.keys())
        waiting = self._work.keys()
        for start in range(0, len(waiting), limits.HINT_KEYS):
            self._work.wake_here(waiting[start : start + limits.HINT_KEYS])
            await asyncio.sleep(limits.HINT_MS / 1000)


def _pieces(keys: set[str]) -> Iterator[Sequence[str]]:
    """Yield keys, as many at a time as a hint carries."""
    inorder = sorted(keys)
    for start in range(0, len(inorder), limits.HINT_KEYS):
        yield inorder[start : start + limits.HINT_KEYS]
