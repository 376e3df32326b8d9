"""Jobs that the coordinator makes by itself: the story of a trigger.

Owns saving it and getting rid of it. What must hold of its firings is judged by `trigger_checks`.
Leaves out which events there are (tests/unit/test_triggers.py and test_trigger_devices.py).
"""

import asyncio
import random
from collections.abc import Sequence
from functools import partial

from coordinator.contract.job_parts import TargetsBody
from coordinator.contract.triggers import EventBody, TimesBody, TriggerBody
from coordinator.transactions.triggers import Saver, delete_trigger, save_trigger
from shared.ids import AgentId
from shared.model.job import JobSpec
from tests.simulation.world.people import People, Set
from tests.simulation.world.scene import Scene

EVERY_S = 1_800
_HOUR_S = 3_600


async def trigger(scene: Scene, chance: random.Random) -> None:
    """A job is made by itself: because another one did well, or at set times for a while."""
    people = scene.people
    sites = chance.sample(scene.sites, chance.randint(1, len(scene.sites)))
    agents = [site.agent for site in sites]
    scene.ground.hit("trigger")
    if chance.random() < 0.6:
        first = people.wishes.late(agents)
        await _save(people, agents, of=first.name)
        await people.submit_spec(first, agents)
        return
    kept = await _save(people, agents)
    await asyncio.sleep(chance.uniform(1, 3) * _HOUR_S)
    kept.gone_s = kept.gone_s or scene.ground.now_s
    await _delete(people, kept)


async def let_rest(people: People) -> None:
    """Delete once more whatever fires at set times: a copy brought it back."""
    for kept in people.triggers:
        if not kept.of:
            await _delete(people, kept)


async def _save(people: People, agents: Sequence[AgentId], *, of: str = "") -> Set:
    spec = people.wishes.plain(agents)
    body = TriggerBody(
        name=spec.name,
        event=EventBody(kind="job.succeeded", of=of) if of else None,
        schedule=None if of else TimesBody(interval_s=EVERY_S),
        job=_written(spec),
        targets=TargetsBody(agents=list(agents)),
    )
    kept = Set(spec, tuple(agents), of)
    people.triggers.append(kept)
    saver = Saver(actor="user:zoe", author="zoe", now_ms=people.now_ms)
    await people.insist(partial(save_trigger, body, saver, people.entropy))
    kept.saved_s = people.ground.now_s
    if people.centre.parts is not None:
        people.centre.parts.triggers.look_again()
    return kept


async def _delete(people: People, kept: Set) -> None:
    name = kept.spec.name
    await people.insist(partial(delete_trigger, name, actor="user:zoe", now_ms=people.now_ms))


def _written(spec: JobSpec) -> dict[str, object]:
    """Return a job as people write it, to be begun within three hours."""
    return {
        "name": spec.name,
        "steps": [
            {"id": step.id, "action": step.action, "params": step.params, "timeout_s": 10}
            for step in spec.steps
        ],
        "retry": {"failed": spec.retry.failed, "initial_s": 60, "max_s": 600},
        "expires_in_s": 3 * _HOUR_S,
    }
