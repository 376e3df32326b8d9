"""A person steers a rollout: pause, resume, advance, cancel, roll back.

Each is one transaction with its audit entry. Asking twice changes nothing; what makes no sense in
the present state is a conflict, with the reason in a sentence.
"""

from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from coordinator.core.audit import split_actor
from coordinator.core.ports import Tx
from coordinator.core.rollout import resume
from coordinator.core.rollout_policy import OPEN, Progress, RolloutState
from coordinator.transactions.artifacts import check_artifacts
from coordinator.transactions.cancel import cancel
from coordinator.transactions.dispatch import Bench, Loaded, Stepped, hold, load, save
from coordinator.transactions.dispatch_undo import undo, undo_spec
from coordinator.transactions.rows import audit
from coordinator.transactions.sight import sees_job
from shared import limits
from shared.errors import MistakeError, OutstationError
from shared.ids import uuid_text
from shared.model.job import JobSpec
from shared.model.selector import Selector
from shared.wire.codec import unpack

Verb = Literal["pause", "resume", "advance", "cancel", "rollback"]


class NotNowError(OutstationError):
    """What was asked for makes no sense in the rollout's present state; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants what."""

    verb: Verb
    actor: str
    limit: Selector | None = None


def steer(job: bytes, asked: Asked, bench: Bench) -> Tx[Stepped | None]:
    """Do what a person asks; None when there is no such rollout within a token's limit.

    Raises:
        NotNowError: it makes no sense now.
        MistakeError: the job does not say how it is taken back, or a file for that is gone.
    """
    loaded = yield from load(job)
    if loaded is None or not (yield from sees_job(job, asked.limit)):
        return None
    done = Stepped()
    if not loaded.begun:
        yield from _before_it_begins(loaded, asked, bench, done)
        return done
    progress = yield from _apply(loaded, asked, bench, done)
    if progress is loaded.progress:
        return done
    yield from hold(loaded.job, progress, bench.now_ms)
    now_ms = bench.now_ms
    yield from save(loaded, progress, progress.why, due_ms=now_ms, now_ms=now_ms)
    yield from audit(
        bench.now_ms,
        actor=asked.actor,
        action=f"rollout.{asked.verb}",
        object_=f"job:{uuid_text(job)}",
        detail={"stage": loaded.policy.stages[progress.stage].name},
    )
    return done


def _before_it_begins(loaded: Loaded, asked: Asked, bench: Bench, done: Stepped) -> Tx[None]:
    """Call off what waits to begin: it can be asked nothing else."""
    if asked.verb == "cancel":
        yield from _cancel(loaded, asked, bench, done)
        return
    _check_open(loaded.progress)
    agreed = loaded.row[18] is not None
    raise NotNowError(
        "its job waits for another one" if agreed else "people have yet to agree to its job"
    )


def _apply(loaded: Loaded, asked: Asked, bench: Bench, done: Stepped) -> Tx[Progress]:
    progress = loaded.progress
    by = f"by {split_actor(asked.actor)[0]}"
    match asked.verb:
        case "pause":
            _check_open(progress)
            if progress.state is RolloutState.PAUSED:
                return progress
            return replace(progress, state=RolloutState.PAUSED, why=f"paused {by}")
        case "resume" | "advance":
            _check_open(progress)
            advance = asked.verb == "advance"
            if progress.state is not RolloutState.PAUSED and not advance:
                return progress
            return resume(progress, loaded.facts, advance=advance)
        case "cancel":
            yield from _cancel(loaded, asked, bench, done)
            if progress.state not in OPEN:
                return progress
            return replace(progress, state=RolloutState.STOPPED, why=f"called off {by}")
        case "rollback":
            return (yield from _roll_back(loaded, asked, bench, done))


def _roll_back(loaded: Loaded, asked: Asked, bench: Bench, done: Stepped) -> Tx[Progress]:
    progress = loaded.progress
    if progress.state is RolloutState.ROLLED_BACK:
        return progress
    spec = unpack(loaded.row[10], JobSpec, bound=limits.SPEC_BYTES)
    if not spec.compensation:
        raise MistakeError(
            "the job does not say how it is taken back",
            where="compensation.steps",
            mend="hand in a job that does",
        )
    if progress.state not in OPEN:
        # Nobody kept its files since it was over.
        yield from check_artifacts(undo_spec(spec))
    done.agents += yield from undo(loaded.row, bench.policy, bench.now_ms)
    yield from _cancel(loaded, asked, bench, done)
    by = split_actor(asked.actor)[0]
    return replace(progress, state=RolloutState.ROLLED_BACK, why=f"rolled back by {by}")


def _cancel(loaded: Loaded, asked: Asked, bench: Bench, done: Stepped) -> Tx[None]:
    off = yield from cancel(loaded.job, actor=asked.actor, now_ms=bench.now_ms)
    done.agents += () if off is None else off.agents


def _check_open(progress: Progress) -> None:
    if progress.state not in OPEN:
        raise NotNowError(f"it is {progress.state.name}: {progress.why or 'it is over'}")
