"""One contact, from what there is to say to what the answer frees.

The order keeps every promise through a crash at any point: the report is durable before it is
sent; the reply is verified before anything of it counts; the bundle is durable before the report
is called answered; readings are freed before that too. What was interrupted is sent again, byte
for byte, and the coordinator answers it again.
"""

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from agent.core.anchor import is_far, measured
from agent.core.budget import BudgetSettings, permille
from agent.core.contact import (
    Answer,
    Standing,
    base_report,
    block_budget,
    completed,
    compose,
    is_signed_with,
    read_answer,
    vouched,
)
from agent.core.device_words import Told
from agent.core.health import (
    ALL_ANSWER,
    STILL,
    Moving,
    Silence,
    health_of_queue,
    is_worth_telling,
)
from agent.core.ladder import RULES, Rule, Rung
from agent.core.ports import TelemetryPort
from agent.core.uplink import Answered, Delivered, Fault, LinkFailed
from agent.services.calendar import Calendar
from agent.services.guard import Guard
from agent.services.orders import Orders, Planner
from agent.services.purse import Purse
from agent.store.contact import ContactStore
from agent.store.jobs import JobStore
from shared import limits
from shared.clock import Clock, Instant, WallMs
from shared.errors import RefusedError, WorldError
from shared.model.health import Health
from shared.runtime.logs import Events
from shared.sync.outgoing import Freed, Frozen, choose_blocks, freed_by, freeze_report
from shared.sync.ranges import Ranges
from shared.trust.documents import ECHO_BYTES, Reply, document_hash
from shared.wire.messages import Receipt

_log = Events(__name__)


class Link(Protocol):
    """The way to the coordinator."""

    async def exchange(self, body: bytes, *, wait_s: int, keep: bool) -> Delivered | LinkFailed:
        """Send a body and return the answer's; `keep` asks for the connection to stay open.

        The coordinator may hold an empty answer back for `wait_s` seconds.
        """

    def abort(self) -> None:
        """Break off the exchange in flight, which then ends as ABORTED; harmless without one."""

    async def close(self) -> None:
        """Close what is open; the next exchange opens it again."""


class Contact:
    """The agent's side of the exchange, one contact at a time."""

    def __init__(
        self,
        *,
        guard: Guard,
        store: ContactStore,
        jobs: JobStore,
        telemetry: TelemetryPort,
        link: Link,
        plan: Planner,
        clock: Clock,
        calendar: Calendar,
    ) -> None:
        self._identity, self._guard = guard.identity, guard
        self._store, self._telemetry, self._link = store, telemetry, link
        self._orders = Orders(guard=guard, jobs=jobs, plan=plan, calendar=calendar)
        self._clock, self._calendar = clock, calendar
        self.purse = Purse(BudgetSettings(), clock=clock, calendar=calendar)
        """Counts the bytes; another one limits them."""
        self.free_mb: Callable[[], int] = lambda: 0
        """What the disk still has; set by whoever knows the disk."""
        self.moving: Callable[[], Moving] = lambda: STILL
        """What is on its way; set by whoever knows the files and the devices."""
        self.silence: Callable[[], Silence] = lambda: ALL_ANSWER
        """Who does not answer; set by whoever knows the devices."""
        self._told: Health | None = None
        self._told_before = 0
        """Contacts since an answered report said how the box is."""
        self._told_devices = Told()
        self._asked = Ranges()
        """Blocks that the coordinator asked for again, until a report answers."""
        self._asked_before = Ranges()

    async def prepare(self) -> None:
        """Learn what was spent before; a store that does not work is tried again by `run`."""
        with contextlib.suppress(WorldError):
            self.purse.load((await self._store.standing()).spent)

    async def run(
        self,
        *,
        seal: bool,
        wait_s: int,
        budget: int,
        keep: bool,
        rule: Rule = RULES[Rung.ALL],
        may_wait: Callable[[], bool] = lambda: True,
    ) -> Answered | LinkFailed:
        """Make one contact; every way it can fail is returned.

        Args:
            seal: take the open readings along.
            wait_s: the coordinator may hold an empty answer back this long.
            budget: bytes that the body may have.
            keep: leave the connection open.
            rule: what the bytes of the day leave for it.
            may_wait: asked just before an exchange that is to be held back.
        """
        try:
            await self._store.heal()
            await self._guard.load()
            standing = await self._store.standing()
            self.purse.load(standing.spent)
            sent, resent = await self._freeze(standing, budget, rule, seal=seal)
            body = await self._compose(sent, budget, rule)
            asked = self._clock.now()
            # No await from here to the exchange in flight: what comes up can break that off.
            if wait_s and (resent or not may_wait()):
                wait_s = 0
            got = await self._link.exchange(body, wait_s=wait_s, keep=keep)
            if isinstance(got, LinkFailed):
                await self._count(got)
                return got
            return await self._act(got, sent, asked, resent=resent)
        except WorldError as error:
            _log.event("contact_store_failed", level=logging.ERROR, cause=str(error))
            return LinkFailed(fault=Fault.STORE, detail=str(error))

    async def _count(self, end: Delivered | LinkFailed) -> None:
        spent = self.purse.charge(end.up + end.down)
        await self._store.count_bytes(up=end.up, down=end.down, spent=spent)

    async def _freeze(
        self, before: Standing, budget: int, rule: Rule, *, seal: bool
    ) -> tuple[Frozen, bool]:
        """Return the report to send, and whether it may have been sent before."""
        if before.pending is not None:
            if is_signed_with(before.pending, self._identity):
                return before.pending, True
            # Whoever had this key changed it since: the coordinator may know the old one no more.
            await self._store.give_up(before.pending)
        if seal and rule.lowest_priority:
            await self._telemetry.seal()
        again, gone = await self._telemetry.asked(self._asked)
        waiting = {one.seq: one for one in (*await self._telemetry.waiting(), *again)}
        schemas = await self._telemetry.unsent_schemas()
        blocks = choose_blocks(
            [one for one in waiting.values() if one.priority <= rule.lowest_priority],
            budget_bytes=block_budget(budget, schemas),
            asked=self._asked,
            backlog=rule.backlog,
            gaps=len(Ranges.of(waiting)),
        )
        ledger = await self._telemetry.ledger() if rule.ledger else []
        tally, anchors = await self._telemetry.tally(), await self._telemetry.anchors()
        at, held = self._clock.now(), await self._guard.held()
        moving, silence = self.moving(), self.silence()
        words, told_devices = self._told_devices.say(moving, silence)
        health = await self._health(at, moving, silence)
        said = is_worth_telling(self._told, health, contacts=self._told_before)

        def make(standing: Standing, receipts: Sequence[Receipt]) -> Frozen:
            base = base_report(
                self._identity,
                standing,
                held,
                at,
                telemetry_epoch=self._telemetry.epoch,
                next_block=self._telemetry.next_block,
                tally=tally,
                anchors=anchors,
            )
            return freeze_report(
                completed(
                    base,
                    gone=gone,
                    schemas=schemas,
                    health=health.numbers() if said else (),
                    devices=words,
                ),
                blocks=blocks,
                receipts=receipts,
                ledger=ledger,
                signer=self._identity.signer,
            )

        frozen = await self._store.freeze(make, at.wall_ms)
        self._asked_before, self._asked = self._asked, Ranges()
        # A report is resent until it is answered: what it says will be heard.
        self._told = health if said else self._told
        self._told_before = 1 if said else self._told_before + 1
        self._told_devices = told_devices
        return frozen, False

    async def _health(self, at: Instant, moving: Moving, silence: Silence) -> Health:
        depths = await self._telemetry.depths()
        oldest_ms = min((one.oldest_ms for one in depths), default=at.wall_ms)
        spent = self.purse.spent
        return health_of_queue(
            {one.priority: one.readings for one in depths},
            oldest_s=(at.wall_ms - oldest_ms) // 1000,
            free_mb=self.free_mb(),
            today_bytes=spent.day_bytes,
            share=permille(spent, self.purse.settings),
            moving=moving,
            silence=silence,
        )

    async def _compose(self, sent: Frozen, budget: int, rule: Rule) -> bytes:
        """Return the body: a report from earlier leaves out what there are no bytes for by now."""
        schemas = vouched(await self._telemetry.unsent_schemas(), sent)
        announced = sent.blocks if sent.telemetry_epoch == self._telemetry.epoch else ()
        if announced and rule.lowest_priority < RULES[Rung.ALL].lowest_priority:
            may_go = {
                one.seq
                for one in await self._telemetry.waiting()
                if one.priority <= rule.lowest_priority
            }
            announced = tuple(seq for seq in announced if seq in may_go)
        blocks = await self._telemetry.blocks(announced)
        return compose(sent.envelope, blocks, schemas, budget=budget)

    async def _act(
        self, got: Delivered, sent: Frozen, asked: Instant, *, resent: bool
    ) -> Answered | LinkFailed:
        """Act on an answer to a report that was `asked` then, for the first time or once more."""
        here = self._clock.now()
        try:
            answer = read_answer(got.body)
            standing = await self._store.standing()
            reply = await self._guard.take(answer, report_hash=sent.digest)
        except RefusedError as error:
            await self._guard.refuse(error, "reply")
            await self._count(got)
            return LinkFailed(fault=Fault.BAD_ANSWER, detail=str(error))
        # An answer to a report from earlier may be from earlier too.
        astray = not resent and await self._learn(reply, asked, here)
        ordered = answer.bundle is not None and await self._orders.admit(answer.bundle)
        freed, done, receipts = await self._settle(got, sent, answer, reply, standing.heard_epoch)
        # A store that replaced a lost one is given work only once it has repeated the hash of an
        # answer to it: that is something to say.
        unknown = not standing.echo and (standing.counters is None or standing.counter > 1)
        asks = self._hear_gaps(reply)
        is_new = unknown or astray or asks
        progress = is_new or done > 0 or bool(freed.blocks or freed.rejected or freed.ledger_to)
        left = is_new or receipts > 0 or await self._has_telemetry()
        return Answered(
            left=left,
            progress=progress,
            resent=resent,
            ordered=ordered,
            next_s=reply.next_s,
            took_ms=max(1, here.mono_ms - asked.mono_ms - reply.held_ms),
            up=got.up,
            down=got.down,
        )

    async def _settle(
        self, got: Delivered, sent: Frozen, answer: Answer, reply: Reply, heard_epoch: int
    ) -> tuple[Freed, int, int]:
        """Free what is acknowledged; return it, how many receipts were, and how many are left."""
        freed = freed_by(
            reply,
            sent,
            telemetry_epoch=self._telemetry.epoch,
            jobs_epoch=sent.jobs_epoch,
            heard_epoch=heard_epoch,
        )
        try:
            await self._telemetry.free(freed)
        except WorldError as error:
            # Nothing is lost: what was not freed is announced and acknowledged again.
            _log.event("free_failed", level=logging.ERROR, cause=str(error))
        done, receipts = await self._store.settle(
            sent,
            freed,
            now_ms=WallMs(reply.now_ms),
            kept=self._guard.kept,
            echo=document_hash(answer.reply)[:ECHO_BYTES],
            up=got.up,
            down=got.down,
            spent=self.purse.charge(got.up + got.down),
        )
        return freed, done, receipts

    async def _has_telemetry(self) -> bool:
        return bool(await self._telemetry.waiting() or await self._telemetry.ledger())

    def _hear_gaps(self, reply: Reply) -> bool:
        """Note which blocks are asked for again; tell whether that is something new to answer."""
        spans = [(a, b) for a, b in reply.wanted[: limits.WANTED_RANGES] if 1 <= a <= b]
        self._asked = Ranges.joined(spans)
        return bool(self._asked) and self._asked != self._asked_before

    async def _learn(self, reply: Reply, asked: Instant, got: Instant) -> bool:
        """Keep what a reply says of this boot's true time.

        Returns whether the coordinator should hear of it soon: readings it has are far off.
        """
        anchor = measured(reply.now_ms, reply.held_ms, asked=asked, got=got)
        if anchor is None or not await self._telemetry.learn(anchor):
            return False
        return is_far(anchor, got)
