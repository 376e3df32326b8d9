"""What orders are judged by: trust, counters and time, the same in memory as on the disk.

Owns the order in which an answer's documents are taken, and that nothing counts before it is
durable. The rules themselves stand in `shared.trust`. One object for contacts and the executor.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeAlias, TypeVar

from agent.core.contact import Answer, Identity
from agent.core.executor import Claim
from agent.core.queue import Problem
from agent.services.calendar import Calendar
from agent.store.carried import Left, shorter
from agent.store.contact import ContactStore
from shared import limits
from shared.clock import Clock, WallMs
from shared.errors import Reason, RefusedError
from shared.model.job import Value
from shared.model.profile import Profile
from shared.runtime.build import built_ms
from shared.runtime.logs import Events
from shared.trust.admission import Held, admit_reply, may_begin
from shared.trust.bounds import (
    check_adoption,
    check_device,
    check_firmware,
    check_write,
    release_of,
)
from shared.trust.carried import Return, admit_return
from shared.trust.catalog import Catalog
from shared.trust.counters import Counters, recovered
from shared.trust.documents import Reply, Root, document_hash
from shared.trust.envelope import peek_payload
from shared.trust.floor import TimeKept, aged, begun_anew, first_floor, heard, raised
from shared.trust.keyset import (
    Trust,
    accept_catalog,
    accept_policy,
    advance_root,
    counted,
    load_trust,
)
from shared.trust.words import Wish
from shared.wire.codec import unpack
from shared.wire.messages import SignedFloor

T = TypeVar("T")
_Judge: TypeAlias = Callable[[Held, TimeKept], tuple[T, TimeKept, SignedFloor | None]]
"""Verifies what answers, and says what it makes of time and of lost counters."""
BUILD_MS = built_ms()
"""No earlier than this is it now."""
_WISHES = int(Wish.REKEY | Wish.LEAVE)
"""A newer coordinator may wish for what this agent does not know."""
SAVE_S = limits.POWERED_SAVE_MS // 2_000
"""Time kept is saved twice as often as the rule for silence supposes."""

_log = Events(__name__)


class Guard:
    """The agent's trust, in force."""

    name = "guard"

    def __init__(
        self, identity: Identity, store: ContactStore, *, clock: Clock, calendar: Calendar
    ) -> None:
        self.identity, self._store = identity, store
        self._clock, self._calendar = clock, calendar
        self._trust = load_trust(identity.root_envelope, None, None)
        self._kept = first_floor(self._trust.root, build_ms=BUILD_MS, at=clock.now())
        self._loaded = False
        self._turn = asyncio.Lock()
        """Answers are taken one after the other, wherever they come from."""
        self.trouble = ""
        """Why it admits nothing; empty when it does."""
        self.wish = Wish.NONE
        """What the newest verified reply asks of the agent itself."""
        self.reply_hash = b""
        """sha256 of that reply."""

    async def run(self) -> None:
        """Save powered time now and then, until cancelled."""
        while True:
            await asyncio.sleep(SAVE_S)
            await self.load()
            await self._store.keep_time(self.kept)

    async def load(self) -> None:
        """Read what the disk holds; once is enough.

        Raises:
            WorldError: the store does not work now.
        """
        if self._loaded:
            return
        envelopes, kept = await self._store.load_trust(), await self._store.load_time()
        counters = (await self._store.standing()).counters
        if envelopes is not None:
            self._trust = self._newer(*envelopes)
        if kept is not None:
            self._kept = aged(kept, self._clock.now())
        if counters is not None:
            self._kept = raised(self._kept, counters.floor_ms, self._trust.root)
        self._calendar.raise_floor(self._kept.floor_ms)
        self._tell(counters)
        self._loaded = True

    @property
    def root(self) -> Root:
        """Return the root document in force."""
        return self._trust.root

    @property
    def kept(self) -> TimeKept:
        """Return what is known of time now."""
        return aged(self._kept, self._clock.now())

    async def held(self) -> Held:
        """Return what a bundle is judged by.

        Raises:
            WorldError: the store does not work now.
        """
        await self.load()
        approved, since_ms = await self._store.load_approved()
        kept, standing = self.kept, await self._store.standing()
        return Held(
            agent=self.identity.agent,
            agent_key=self.identity.key,
            jobs_epoch=standing.jobs_epoch,
            trust=self._trust,
            counters=standing.counters,
            floor_ms=kept.floor_ms,
            silent_ms=kept.silent_ms,
            now_ms=self._calendar.present(),
            labels=self.identity.labels,
            approved=approved,
            approved_since_ms=since_ms,
        )

    async def permit(self, claim: Claim, profile: bytes | None) -> Problem | None:
        """Return why an attempt may not begin now, None when it may.

        Args:
            claim: the attempt.
            profile: content hash of its device's profile; None when it is no longer attached.

        Raises:
            WorldError: the store does not work now.
        """
        held = await self.held()
        try:
            may_begin(
                claim.spec,
                job_class=claim.job_class,
                not_after_ms=claim.begins_by_ms,
                grace_s=claim.grace_s,
                held=held,
            )
            if profile is not None and held.trust.catalog is not None:
                steps = claim.spec.every_step
                check_device(held.trust.catalog.document, steps, profile)
        except RefusedError as error:
            return Problem(error.reason, error.detail)
        return None

    def may_write(self, profile: bytes, point: str, value: Value) -> Problem | None:
        """Return why the catalog in force allows no such write, None when it does.

        Asked right before every write, whatever action it is of.

        Args:
            profile: content hash of the device's profile.
            point: what is written.
            value: in the profile's unit.
        """
        return self._unless(partial(check_write, profile=profile, point=point, value=value))

    def may_install(self, digest: bytes, size: int, device_class: str) -> Problem | None:
        """Return why the catalog in force allows no such image for such a device."""
        return self._unless(
            partial(check_firmware, digest=digest, size=size, device_class=device_class)
        )

    def release_of(self, name: bytes, device_class: str) -> int | None:
        """Return the release of an image by its file's hash or its own; None: it is not listed."""
        held = self._trust.catalog
        return None if held is None else release_of(held.document, name, device_class)

    def may_adopt(self, profile: Profile) -> Problem | None:
        """Return why no device of such a profile may be attached from afar."""
        names_a_key = profile.firmware is not None
        return self._unless(
            partial(check_adoption, profile=profile.content_hash, names_a_key=names_a_key)
        )

    def _unless(self, check: Callable[[Catalog], None]) -> Problem | None:
        """Return why the catalog in force does not pass a check, None when it does."""
        held = self._trust.catalog
        if held is None:
            return Problem(Reason.ACTION_NOT_ALLOWED, "there is no catalog")
        try:
            check(held.document)
        except RefusedError as error:
            return Problem(error.reason, error.detail)
        return None

    def script_hash(self, name: str) -> bytes | None:
        """Return the sha256 that the catalog in force names for a script, None: it names none."""
        held = self._trust.catalog
        scripts = held.document.scripts if held is not None else []
        return next((one.sha256 for one in scripts if one.name == name), None)

    async def take(self, answer: Answer, *, report_hash: bytes) -> Reply:
        """Take an answer's roots, reply, catalog and policy; its bundle comes after them.

        When this returns, all that was accepted is durable. What beside the reply is refused is
        counted and changes nothing.

        Raises:
            RefusedError: the reply is not one to this report.
            WorldError: the disk failed; the report stays unanswered.
        """

        def judge(now: Held, kept: TimeKept) -> tuple[Reply, TimeKept, SignedFloor | None]:
            reply = admit_reply(answer.reply, now, report_hash=report_hash)
            root = now.trust.root
            self._calendar.learn(WallMs(min(reply.now_ms, root.expires_ms + 1)))
            return reply, heard(kept, reply.now_ms, root), reply.floor

        async with self._turn:
            reply = await self._take(answer, judge)
            self.wish, self.reply_hash = Wish(reply.wish & _WISHES), document_hash(answer.reply)
            return reply

    async def take_return(self, answer: Answer, left: Mapping[bytes, Left]) -> tuple[Return, int]:
        """Take what a stick brought: a return in the place of the reply.

        It is not fresh, so it tells no present; it only proves that the coordinator lived after
        it had a report that this agent remembers (`left`). Returns the return, and by how many
        milliseconds the silence became shorter.

        Raises:
            RefusedError: the return is not for this agent, or void.
            WorldError: the disk failed; nothing counts yet.
        """
        heard_ms = 0

        def judge(now: Held, kept: TimeKept) -> tuple[Return, TimeKept, SignedFloor | None]:
            nonlocal heard_ms
            found = admit_return(answer.reply, now)
            mine = left.get(found.carried)
            heard_ms = shorter(kept, mine)
            after = raised(kept, found.now_ms, now.trust.root)
            floor = found.floor if mine is not None and mine.newest else None
            return found, replace(after, silent_ms=after.silent_ms - heard_ms), floor

        async with self._turn:
            return await self._take(answer, judge), heard_ms

    async def _take(self, answer: Answer, judge: _Judge[T]) -> T:
        held = await self.held()
        trust, kept = await self._follow(answer.roots), self.kept
        if trust.root.epoch > held.trust.root.epoch:
            kept = begun_anew(kept, trust.root, build_ms=BUILD_MS)
            self._calendar.begin_anew(kept.floor_ms)
        try:
            found, kept, floor = judge(_under(held, trust), kept)
        except RefusedError:
            await self._keep(trust, held.counters, kept, before=held)
            raise
        counters = held.counters
        if counters is None:
            counters = await self._recover(floor, trust.root, kept)
        trust, kept = await self._accept(answer, trust, counters, kept)
        await self._keep(trust, counters, kept, before=held)
        return found

    def admitted(self, floor_ms: WallMs) -> None:
        """Note that a bundle was admitted, whose issue time moved the floor."""
        self._kept = raised(self.kept, floor_ms, self._trust.root)
        self._calendar.raise_floor(self._kept.floor_ms)

    async def refuse(self, error: RefusedError, what: str) -> None:
        """Count a refused document."""
        await self._store.count_refusal(error.reason)
        _log.event(
            "document_refused",
            level=logging.WARNING,
            document=what,
            reason=error.reason.text,
            detail=error.detail,
        )

    async def _follow(self, roots: tuple[bytes, ...]) -> Trust:
        """Return the trust that the roots lead to, as far as they do."""
        trust = self._trust
        try:
            for data in roots:
                # A report that is resent is answered with what was accepted meanwhile.
                if _version(data) > trust.root.version:
                    trust = advance_root(trust, data)
        except RefusedError as error:
            await self.refuse(error, "root")
        return trust

    async def _recover(
        self, floor: SignedFloor | None, root: Root, kept: TimeKept
    ) -> Counters | None:
        if floor is None:
            return None
        try:
            counters = recovered(floor, root=root, now_ms=kept.floor_ms)
        except RefusedError as error:
            await self.refuse(error, "floor")
            return None
        _log.event("counters_recovered", bundle_seq=counters.bundle_seq, counter=counters.counter)
        return counters

    async def _accept(
        self, answer: Answer, trust: Trust, counters: Counters | None, kept: TimeKept
    ) -> tuple[Trust, TimeKept]:
        """Return the trust and the time after the catalog and the policy of an answer."""
        for what, data, accept in (
            ("catalog", answer.catalog, accept_catalog),
            ("policy", answer.policy, accept_policy),
        ):
            if data is None:
                continue
            earliest = WallMs(max(kept.floor_ms, self._calendar.present() or 0))
            try:
                trust = accept(trust, data, counters=counters, earliest_ms=earliest)
            except RefusedError as error:
                await self.refuse(error, what)
                continue
            issued = [one.document.issued_ms for one in (trust.catalog, trust.policy) if one]
            kept = raised(kept, max(issued), trust.root)
        return trust, kept

    async def _keep(
        self, trust: Trust, counters: Counters | None, kept: TimeKept, *, before: Held
    ) -> None:
        """Make durable what changed; only then it counts."""
        after = None if counters is None else counted(trust, counters)
        if trust is not before.trust or after != before.counters:
            found = before.counters is None and after is not None
            await self._store.keep_trust(trust, after, kept, recovered=found)
            _log.event(
                "trust_moved_on",
                root=trust.root.version,
                catalog=trust.catalog_version,
                policy=trust.policy_version,
            )
        self._trust, self._kept = trust, kept
        self._calendar.raise_floor(kept.floor_ms)
        self._tell(after)

    def _newer(self, root: bytes, catalog: bytes | None, policy: bytes | None) -> Trust:
        """Return the trust that was kept, unless what the box enrolled under is newer."""
        try:
            kept = load_trust(root, catalog, policy)
        except RefusedError as error:
            _log.event("trust_damaged", level=logging.ERROR, cause=str(error))
            return self._trust
        same = kept.root.fleet == self._trust.root.fleet
        return kept if same and kept.root.version >= self._trust.root.version else self._trust

    def _tell(self, counters: Counters | None) -> None:
        self.trouble = "" if counters is not None else _UNATTESTED


_UNATTESTED = (
    "every copy of its counters was lost: it admits no jobs until its coordinator tells it "
    "where to go on"
)


def _under(held: Held, trust: Trust) -> Held:
    return Held(
        agent=held.agent,
        agent_key=held.agent_key,
        jobs_epoch=held.jobs_epoch,
        trust=trust,
        counters=held.counters,
        floor_ms=held.floor_ms,
        silent_ms=held.silent_ms,
    )


def _version(root: bytes) -> int:
    payload = peek_payload(root, bound=limits.DOCUMENT_BYTES)
    return unpack(payload, Root, bound=limits.DOCUMENT_BYTES).version
