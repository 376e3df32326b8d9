"""People who run a fleet and change their minds: rollouts in stages, and jobs that run by schedule.

Owns what they do and, as they do it, the judgement of a pause: nobody is released while it lasts.
What must hold in the end is judged by `rollout_checks`.
"""

import asyncio
import random
from collections.abc import Sequence

from coordinator.core.reconcile import OPEN_BELOW
from coordinator.core.rollout_policy import ErrorAction, Gate, Policy, Stage
from coordinator.transactions.rollouts_steer import Verb
from shared.ids import AgentId
from shared.model.job import ExecutionState
from tests.simulation.world.people import Asked
from tests.simulation.world.scene import Scene

_VERBS: tuple[Verb, ...] = (*("pause",) * 5, "resume", "advance", "cancel", "rollback")
_RELEASED = (
    # Who may have been released before a restore counts as old as the job is.
    "SELECT count(*) FROM rollout_member m JOIN job j ON j.job_id = m.job_id"
    " JOIN execution e ON e.execution_id = m.execution_id"
    " WHERE m.job_id = $1 AND e.created_ms > j.created_ms"
)
_UNWELL = (
    "SELECT 1 FROM rollout_member m JOIN execution e ON e.execution_id = m.execution_id"
    f" WHERE m.job_id = $1 AND m.stage = 0 AND e.state >= {int(OPEN_BELOW)}"
    f" AND e.state <> {int(ExecutionState.SUCCEEDED)}"
)
_AFTER: tuple[Verb, ...] = ("resume", "resume", "rollback")
_PAUSE_S = 2700
"""Long enough for the first stage to do well and to soak."""
_HOUR_S = 3600
_WATCHED_S = 2_400
"""So long that most agents hear that it is taken back before they are through."""


async def rollout(scene: Scene, chance: random.Random) -> None:
    """A job goes over the sites in two stages, and somebody interferes."""
    agents = [site.agent for site in scene.sites]
    asked = await scene.people.submit_staged(agents, _policy(chance))
    scene.ground.hit("rollout")
    for turn in range(chance.randint(1, 3)):
        await asyncio.sleep(chance.uniform(10, 2000 if turn else 300))
        verb = chance.choice(_VERBS)
        if await _steer(scene, asked, verb) and verb == "pause":
            await _stands_still(scene, asked)
            await _steer(scene, asked, chance.choice(_AFTER))


async def regret(scene: Scene, chance: random.Random) -> None:
    """A rollout is taken back while what it did is still watched."""
    agents = [site.agent for site in scene.sites]
    asked = await scene.people.submit_staged(agents, _policy(chance), soak_s=_WATCHED_S)
    await asyncio.sleep(chance.uniform(0.2, 1) * _WATCHED_S)
    scene.ground.hit("rollout regret")
    await _steer(scene, asked, "rollback")


async def _steer(scene: Scene, asked: Asked, verb: Verb) -> bool:
    """Steer it; whoever lets it go on accepts what failed by then, and nothing else."""
    done = await scene.people.steer(asked, verb)
    if verb == "resume" and await scene.look(_UNWELL, asked.job):
        asked.waved_on = True
    return done


def _policy(chance: random.Random) -> Policy:
    gate = Gate(
        min_executed=1,
        soak_ms=chance.choice((0, 600_000, 900_000)),
        error_action=chance.choice(list(ErrorAction)),
    )
    stages = (Stage("canary", percentage=1, min_targets=1), Stage("all"))
    return Policy(stages=stages, gate=gate, per_minute=chance.choice((0, 1)))


async def _stands_still(scene: Scene, asked: Asked) -> None:
    """Nobody is released while a rollout is paused."""
    put_back, before = scene.restored, await scene.look(_RELEASED, asked.job)
    await asyncio.sleep(_PAUSE_S)
    after = await scene.look(_RELEASED, asked.job)
    if after != before and scene.restored is put_back:
        scene.ground.wrong(f"{asked.spec.name} was released while it paused: {before} {after}")


async def standing(scene: Scene, chance: random.Random) -> None:
    """A gateway gets a job that runs again and again, until somebody has enough of it."""
    site = chance.choice(scene.sites)
    agents: Sequence[AgentId] = [site.agent]
    asked = await scene.people.submit_standing(agents, rule=chance.random() < 0.4)
    scene.ground.hit("standing job")
    await asyncio.sleep(chance.uniform(1, 3) * _HOUR_S)
    await scene.people.cancel(asked)
