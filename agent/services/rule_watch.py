"""Watches readings for rules: what came last, which rules care, and what they make of it.

Owns the newest good value of every point and the memories of rules. A poll is only noted; whoever
runs the standing jobs looks at the rules that it concerns. No poll says what became of the agent's
own facts: rules that name one are looked at now and then. Leaves out when a rule fires
(`agent.core.rules`) and what its firing does (`agent.store.standing`).
"""

import logging
from collections.abc import Callable, Mapping, Sequence

from agent.core.judge import Judged
from agent.core.moment import Moment
from agent.core.queue import Problem
from agent.core.rules import RuleMemory, Verdict, look, resumed
from agent.store.standing import StandingStore
from agent.store.standing_rows import Standing, Tale
from shared import limits
from shared.clock import MonoMs
from shared.errors import Reason, WorldError
from shared.ids import DeviceId, uuid_text
from shared.model.condition import Condition, Known
from shared.model.job import ExecutionState, JobSpec, Value
from shared.model.reading import Quality
from shared.model.spec_check import conditions_of
from shared.runtime.logs import Events

_log = Events(__name__)
_DEVICE, _DEVICES = "device.", "devices."


class RuleWatch:
    """The rules of one agent and the readings they go by."""

    def __init__(
        self,
        store: StandingStore,
        *,
        plan: Callable[[JobSpec], tuple[DeviceId, ...] | Problem],
        facts: Callable[[], Mapping[str, Value]],
        alarmed: Callable[[], None],
    ) -> None:
        """Wire it up.

        `facts` tells of the box; `alarmed` is called when there is something urgent to send.
        """
        self._store, self._plan, self._facts, self._alarmed = store, plan, facts, alarmed
        self._latest: dict[DeviceId, dict[str, int | float]] = {}
        self._fresh: set[DeviceId] = set()
        self._rules: dict[int, _Watched] = {}
        self.next_look_ms: MonoMs | None = None
        """When some rule's `for_s` ends or a fact of the agent may have changed; None: only a
        reading can change anything."""

    def see(self, judged: Judged) -> bool:
        """Note a poll; tell whether any rule cares."""
        known = self._latest.setdefault(judged.device, {})
        for point, value, quality in zip(
            judged.points, judged.values, judged.qualities, strict=True
        ):
            if value is None or quality not in {Quality.GOOD, Quality.UNCERTAIN}:
                known.pop(point, None)
            else:
                known[point] = value
        if not any(rule.cares(judged.device) for rule in self._rules.values()):
            return False
        self._fresh.add(judged.device)
        return True

    async def look(self, jobs: Sequence[Standing], now: Moment) -> bool:
        """Look at rules whose readings changed or whose time is over; tell whether any fired."""
        before = self._rules
        self._rules = {job.number: before.get(job.number) or self._watch(job) for job in jobs}
        due = self.next_look_ms is not None and now.mono_ms >= self.next_look_ms
        fresh, self._fresh = self._fresh, set()
        fired = False
        waits: list[int] = []
        try:
            for rule in self._rules.values():
                new = rule.number not in before
                for device in rule.devices:
                    if new or due or rule.concerns(device, fresh):
                        fired |= await self._look_at(rule, device, now)
                waits += [at for at in rule.looks.values() if at is not None]
        except WorldError:
            # The disk did not take a firing: it is looked at again, not forgotten.
            self._rules, self._fresh = before, self._fresh | fresh
            raise
        self.next_look_ms = MonoMs(min(waits)) if waits else None
        return fired

    async def _look_at(self, watched: "_Watched", device: DeviceId, now: Moment) -> bool:
        rule, facts = watched.rule, self._facts() if watched.of_agent else {}

        def find(name: str) -> Known:
            if name.startswith(_DEVICES):
                other, _, point = name.removeprefix(_DEVICES).partition(".")
                return self._latest.get(DeviceId(other), {}).get(point)
            if name == "device.id":
                return device
            if name.startswith(_DEVICE):
                return self._latest.get(device, {}).get(name.removeprefix(_DEVICE))
            return facts.get(name)

        holds = watched.condition.evaluate(find)
        reset = _opposite(holds) if watched.reset is None else watched.reset.evaluate(find)
        memory = watched.memories.get(device, RuleMemory())
        after, verdict, again = look(rule, memory, now, holds=holds, reset=reset)
        fired = verdict is Verdict.FIRE and await self._fire(watched, device, after, now)
        if verdict not in {Verdict.FIRE, Verdict.NOTHING}:
            tale = _held_back(device, now) if verdict is Verdict.HELD_BACK else None
            await self._store.remember(watched.job, device, after, tale, now)
        # Only once it is written: what the disk refused has not happened.
        watched.memories[device], watched.looks[device] = after, watched.look_again(again, now)
        return fired

    async def _fire(
        self, watched: "_Watched", device: DeviceId, memory: RuleMemory, now: Moment
    ) -> bool:
        tale = _alarm(watched, device, self._latest.get(device, {}), now)
        if not await self._store.fire_rule(watched.job, device, memory, tale, now=now):
            return False
        _log.event(
            "rule_fired",
            level=logging.WARNING if tale else logging.INFO,
            execution=uuid_text(watched.job.execution),
            device=device,
            trace=watched.job.trace or None,
        )
        if tale is not None:
            self._alarmed()
        return True

    def _watch(self, job: Standing) -> "_Watched":
        planned = self._plan(job.spec)
        devices = () if isinstance(planned, Problem) else planned
        return _Watched(job, devices)


class _Watched:
    """One rule, taken apart once."""

    def __init__(self, job: Standing, devices: Sequence[DeviceId]) -> None:
        assert job.spec.rule is not None, "only rules are watched"
        conditions = conditions_of(job.spec)
        self.job, self.devices, self.rule = job, tuple(devices), job.spec.rule
        self.number = job.number
        self.condition: Condition = conditions["rule.condition"]
        self.reset: Condition | None = conditions.get("rule.reset")
        self.memories = {device: resumed(memory) for device, memory in job.memories.items()}
        self.looks: dict[DeviceId, int | None] = {}
        names = self.condition.names | (self.reset.names if self.reset else frozenset())
        self._own = any(name.startswith(_DEVICE) for name in names)
        self._others = {
            DeviceId(name.removeprefix(_DEVICES).partition(".")[0])
            for name in names
            if name.startswith(_DEVICES)
        }
        # Nobody tells when such a fact changes.
        self.of_agent = any(not name.startswith((_DEVICE, _DEVICES)) for name in names)

    def cares(self, device: DeviceId) -> bool:
        """Tell whether a reading of this device can change anything."""
        return device in self._others or (self._own and device in self.devices)

    def concerns(self, device: DeviceId, fresh: set[DeviceId]) -> bool:
        """Tell whether fresh readings can change what the rule says of `device`."""
        return bool(fresh & self._others) or (self._own and device in fresh)

    def look_again(self, due_ms: int | None, now: Moment) -> int | None:
        """Return when to look again, where `due_ms` is when its own time is over, if any runs."""
        if not self.of_agent:
            return due_ms
        later = now.mono_ms + limits.PRECONDITION_MS
        return later if due_ms is None else min(due_ms, later)


def _opposite(holds: bool | None) -> bool | None:  # noqa: FBT001 - a value of three-valued logic
    return None if holds is None else not holds


def _alarm(
    watched: _Watched, device: DeviceId, latest: Mapping[str, int | float], now: Moment
) -> Tale | None:
    alarm = watched.rule.alarm
    if alarm is None:
        return None
    named = sorted(
        name.removeprefix(_DEVICE) for name in watched.condition.names if name.startswith(_DEVICE)
    )
    values: dict[str, Value] = {point: latest[point] for point in named if point in latest}
    return Tale(
        state=ExecutionState.SUCCEEDED,
        first_ms=now.today_ms,
        last_ms=now.today_ms,
        device=device,
        detail=alarm.text,
        result={"severity": alarm.severity.value, **values},
    )


def _held_back(device: DeviceId, now: Moment) -> Tale:
    return Tale(
        state=ExecutionState.CANCELED,
        reason=Reason.RATE_LIMITED,
        first_ms=now.today_ms,
        last_ms=now.today_ms,
        device=device,
    )
