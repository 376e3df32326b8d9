"""Each device beside what is wished of it: since when they differ, and who mended it.

Written in the transaction of the receipt that tells it. A word that comes late changes nothing that
a newer one said. Leaves out what a receipt says (`coordinator.core.drift_words`), comparing, which
gateways do (`agent.actions`), and showing it (`coordinator.transactions.wishes`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from coordinator.core.drift_words import CONFIGURES, OWN, WRITES, Word, compared, words_of
from coordinator.core.events import Subject
from coordinator.core.ports import Tx, execute, fetch, fetch_one
from coordinator.core.retime import counted_ms
from coordinator.transactions.devices import note_update
from coordinator.transactions.outbox import tell
from coordinator.transactions.rows import to_json
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId, uuid_text
from shared.model.job import JobSpec, Step, TaskState
from shared.wire.codec import unpack
from shared.wire.messages import Receipt

_UPDATE: Final = "device.update_firmware"


@dataclass(frozen=True, slots=True)
class _Job:
    """The job by which somebody compared."""

    id: bytes
    name: str
    steps: Mapping[str, Step]
    dry_run: bool

    def mends(self, device: str) -> bool:
        """Tell whether it may have made a device, or the agent itself, as it is wished to be."""
        mending = CONFIGURES if device == OWN else WRITES
        return not self.dry_run and any(one.action in mending for one in self.steps.values())


@dataclass(frozen=True, slots=True)
class _Before:
    """What was known of a wish until now."""

    desired: str = ""
    misses: int = 0
    since_ms: int | None = None
    at_ms: int = 0
    noted_ms: int = 0
    mended_ms: int | None = None
    mended_by: bytes | None = None


def note_drift(
    agent: AgentId, receipts_by_job: Mapping[bytes, Sequence[Receipt]], now_ms: WallMs
) -> Tx[None]:
    """Keep what receipts of tasks say of devices and what is wished of them."""
    told = [
        (receipt, job, steps)
        for job, receipts in receipts_by_job.items()
        for receipt in receipts
        if (steps := compared(receipt))
    ]
    # A report has the newest history of schedules first; what a wrong clock says comes before all.
    told.sort(key=lambda one: (counted_ms(one[0].wall_ms, now_ms), one[0].wall_ms))
    jobs: dict[bytes, _Job] = {}
    for receipt, id_, steps in told:
        if id_ not in jobs:
            jobs[id_] = yield from _job(id_)
        job = jobs[id_]
        members = ((step, steps[name]) for name, step in job.steps.items() if name in steps)
        for step, told_by_it in members:
            if step.action == _UPDATE and "_version" in told_by_it and not step.params.get("image"):
                runs = str(told_by_it["_version"])
                yield from note_update(agent, receipt.device, runs, receipt.wall_ms, now_ms)
            for word in words_of(job.name, step, receipt.device, told_by_it):
                yield from _note(agent, receipt, job, word, now_ms)


def _job(job: bytes) -> Tx[_Job]:
    row = yield from fetch_one("job_spec", job)
    assert row is not None, "an execution refers to its job"
    return _read(job, row[0], row[1])


def _read(job: bytes, name: str, packed: bytes) -> _Job:
    spec = unpack(packed, JobSpec, bound=limits.SPEC_BYTES)
    steps = {step.id: step for step in (*spec.steps, *spec.final_steps)}
    return _Job(job, name, steps, spec.dry_run)


def _note(agent: AgentId, receipt: Receipt, job: _Job, said: Word, now_ms: WallMs) -> Tx[None]:
    key = (agent, said.device, said.wish)
    row = yield from fetch_one("wish", *key)
    word = said.against("" if row is None else row[0])
    if word is None:
        return
    if row is None:
        count = yield from fetch_one("wish_count", agent)
        if count is not None and count[0] >= limits.WISHES:
            return
    before = _Before() if row is None else _Before(*row)
    at_ms = receipt.wall_ms
    if at_ms < counted_ms(before.at_ms, now_ms):
        return
    # Firings that found the same are told as one: it is so since the first of them.
    first_ms = receipt.firing_ms or at_ms
    misses = len(word.missed)
    turned = (misses > 0) is not (before.misses > 0)
    since_ms, noted_ms = before.since_ms, now_ms if turned else before.noted_ms
    mended_ms, mended_by = before.mended_ms, before.mended_by
    if misses and (before.since_ms is None or before.desired != word.desired):
        since_ms = first_ms
    elif not misses:
        since_ms = None
    if turned and not misses:
        mended_ms = first_ms
        mended_by = yield from _who_mended(agent, word.device, job, before.noted_ms)
    yield from execute(
        "wish_save",
        *(*key, word.desired, job.id, misses, to_json(word.missed), since_ms, at_ms),
        *(noted_ms, now_ms, mended_ms, mended_by),
    )
    if turned:
        by = {} if misses or mended_by is None else {"by": uuid_text(mended_by)}
        yield from tell(
            "drift.began" if misses else "drift.ended",
            Subject(agent=agent, device="" if word.device == OWN else word.device),
            now_ms,
            detail={"wish": word.wish, "misses": misses, **by},
        )


def _who_mended(agent: AgentId, device: str, job: _Job, noted_ms: int) -> Tx[bytes | None]:
    """Return the newest job that wrote to a device since it was known to differ.

    None: somebody did it on the spot, or it came back by itself.
    """
    if job.mends(device):
        return job.id
    most = limits.MENDING_JOBS
    rows = yield from fetch("jobs_that_wrote", agent, device, TaskState.DONE, noted_ms, most)
    found = (bytes(other) for other, spec in rows if _read(other, "", spec).mends(device))
    return next(found, None)
