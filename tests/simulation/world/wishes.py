"""The jobs that people of this world want, drawn from the seed: each effect can be told apart.

Every value that a job sets is set by no other step of any job, so the devices' ledgers say which
step did what, and how often. Owns the specs; asking for them is `people`'s.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from shared.ids import uuid_text
from shared.model.job import JobSpec, Retry, Step, Targets
from shared.model.plan import Batch, Dependency, PostCheck, Rule
from shared.model.schedule import Schedule, Window

ONCE = "device.command"
FORGED = 4_999
"""What only an attacker would set."""
_FIRST = 100


@dataclass
class Wishes:
    """Makes specs, one after the other."""

    chance: random.Random
    numbers: "count[int]" = field(default_factory=lambda: count(_FIRST))
    jobs: list[bytes] = field(default_factory=list)
    """Ids of jobs that were submitted, for those that wait for another."""

    def spec(self, agents: Sequence[str]) -> JobSpec:
        """Return something to be done on some agents."""
        kinds: Sequence[Callable[[], dict[str, object]]] = (
            *(self._once, self._once, self._write, self._several, self._undone, self._checked),
            *(self._impatient, self._waiting, self._windowed, self._after, self._keyed),
            *(self._refused, self._restart, self._look, self._canary),
        )
        return self._spec(agents, self.chance.choice(kinds)())

    def plain(self, agents: Sequence[str]) -> JobSpec:
        """Return something simple, to be done at once."""
        return self._spec(agents, self._once())

    def late(self, agents: Sequence[str]) -> JobSpec:
        """Return something simple, to be done in a while."""
        return self._spec(agents, self._waiting())

    def staged(self, agents: Sequence[str], *, soak_s: int = 0) -> JobSpec:
        """Return something that can be taken back, also while it is watched for a while."""
        undo = [self._set("u", once=True)]
        check = PostCheck("device.setpoint > 0", soak_s=soak_s, every_s=60) if soak_s else None
        return self._spec(agents, {**self._once(), "compensation": undo, "post_check": check})

    def firmware(self, agents: Sequence[str], device: str, file: Mapping[str, object]) -> JobSpec:
        """Return that a device shall run another image."""
        step = Step("a", "device.update_firmware", dict(file), timeout_s=600)  # type: ignore[arg-type]  # as given
        return self._spec(agents, {"steps": [step], "devices": f"id={device}"})

    def standing(self, agents: Sequence[str], *, rule: bool) -> JobSpec:
        """Return something to be done again and again."""
        when: dict[str, object] = {"schedule": Schedule(interval_s=900)}
        if rule:
            condition = f"device.poll_count > {self.chance.randint(5, 60)}"
            when = {"rule": Rule(condition, reset="device.poll_count > 0", max_per_day=6)}
        return self._spec(agents, {**self._once(), **when})

    def _spec(self, agents: Sequence[str], draft: dict[str, object]) -> JobSpec:
        number = next(self.numbers)
        targets = Targets(agents=list(agents), device_selector=str(draft.pop("devices", "")))
        retry = Retry(failed=self.chance.randint(0, 2), initial_s=60, max_s=600)
        return JobSpec(**{"name": f"wish-{number}", "targets": targets, "retry": retry, **draft})  # type: ignore[arg-type]  # members of a spec by name

    def _set(self, name: str, *, once: bool = False, value: int = 0, **more: object) -> Step:
        number = value or next(self.numbers)
        if once:
            given = {"call": "set-once", "value": number}
            return Step(name, ONCE, given, timeout_s=10, **more)  # type: ignore[arg-type]  # a step's
        return Step(name, "device.write", {"setpoint": number}, timeout_s=10, **more)  # type: ignore[arg-type]  # a step's

    def _once(self) -> dict[str, object]:
        return {"steps": [self._set("a", once=True)]}

    def _write(self) -> dict[str, object]:
        return {"steps": [self._set("a", retries=1)]}

    def _several(self) -> dict[str, object]:
        steps = [self._set(name, once=self.chance.random() < 0.6) for name in "abc"]
        return {"steps": steps, "final_steps": [self._set("z")]}

    def _undone(self) -> dict[str, object]:
        check = PostCheck("device.setpoint > 4990", within_s=60, every_s=30)
        undo = [self._set("u", once=self.chance.random() < 0.5)]
        return {"steps": [self._set("a")], "post_check": check, "compensation": undo}

    def _checked(self) -> dict[str, object]:
        check = PostCheck("device.setpoint > 0", soak_s=self.chance.choice([0, 1200]), every_s=60)
        return {"steps": [self._set("a")], "post_check": check}

    def _impatient(self) -> dict[str, object]:
        return {"steps": [self._set(name, once=True) for name in "ab"], "timeout_s": 5}

    def _waiting(self) -> dict[str, object]:
        return {"steps": [self._set("a", once=True)], "delay_s": self.chance.choice([300, 7200])}

    def _windowed(self) -> dict[str, object]:
        return {"steps": [self._set("a", once=True)], "window": Window("0 */3 * * *", 1800)}

    def _after(self) -> dict[str, object]:
        after = None
        if self.jobs:
            job = uuid_text(self.chance.choice(self.jobs))
            after = Dependency(job, self.chance.choice(["ANY", "SUCCEEDED"]))
        return {"steps": [self._set("a", once=True)], "after": after}

    def _keyed(self) -> dict[str, object]:
        return {"steps": [self._set("a", once=True)], "conflict_key": "k", "delay_s": 1800}

    def _refused(self) -> dict[str, object]:
        where = self.chance.choice(["id=nobody", ""])
        step = Step("a", "device.read", {"points": ["nothing"]})
        return {"steps": [step], "devices": where}

    def _restart(self) -> dict[str, object]:
        return {"steps": [Step("a", "agent.restart", {})]}

    def _look(self) -> dict[str, object]:
        return {"steps": [Step("a", "device.read", {"points": ["flow", "setpoint"]})]}

    def _canary(self) -> dict[str, object]:
        batch = Batch(canary=1, max_parallel=1, tolerate_ppm=self.chance.choice([0, 500_000]))
        return {"steps": [self._set("a", once=True)], "batch": batch}
