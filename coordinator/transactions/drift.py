"""Each device beside what is wished of it: since when they differ, and who mended it.

Written in the transaction of the receipt that tells it. A wish is what a profile expects of the
device itself (`identity`), the image of an update (`firmware`), or what a step of a job compares
(`JOB/STEP`). A word that comes late changes nothing that a newer one said. Leaves out
comparing, which gateways do (`agent.actions`), and showing it (`coordinator.transactions.wishes`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from coordinator.core.events import Subject
from coordinator.core.ports import Tx, execute, fetch, fetch_one
from coordinator.transactions.outbox import tell
from coordinator.transactions.rows import to_json
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId, uuid_text
from shared.model.job import JobSpec, Step, TaskState, Value
from shared.wire.codec import unpack
from shared.wire.messages import Receipt

IDENTITY: Final = "identity"
FIRMWARE: Final = "firmware"
WRITING: Final = frozenset(
    {
        *("device.write", "device.configure", "device.restore_config", "device.command"),
        *("device.update_firmware", "agent.adopt"),
    }
)
"""Actions that may make a device as it is wished to be."""
_HASH_CHARS = 16
_RULE = "_rule."


@dataclass(frozen=True, slots=True)
class _Job:
    """The job by which somebody compared."""

    id: bytes
    name: str
    steps: Mapping[str, Step]

    @property
    def writes(self) -> bool:
        return any(step.action in WRITING for step in self.steps.values())


@dataclass(frozen=True, slots=True)
class Word:
    """What a receipt says of one wish."""

    wish: str
    desired: str
    missed: Mapping[str, Value]
    """What is otherwise, as it is; empty: all is as wished."""


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
    agent: AgentId, receipts: Sequence[Receipt], job: bytes | None, now_ms: WallMs
) -> Tx[None]:
    """Keep what receipts of one execution say of devices and what is wished of them."""
    told = [(one, _by_step(one)) for one in receipts if _is_word(one)]
    told = [(one, steps) for one, steps in told if any(map(_compares, steps.values()))]
    if job is None or not told:
        return
    row = yield from fetch_one("job_spec", job)
    assert row is not None, "an execution refers to its job"
    spec = unpack(row[1], JobSpec, bound=limits.SPEC_BYTES)
    known = _Job(job, row[0], {step.id: step for step in (*spec.steps, *spec.final_steps)})
    for receipt, steps in told:
        for step, members in steps.items():
            word = _word(known, step, members)
            if word is not None:
                yield from _note(agent, receipt, known, word, now_ms)


def _is_word(receipt: Receipt) -> bool:
    """Tell whether a receipt is of a device, and of something that was done."""
    ended = receipt.state in {TaskState.DONE, TaskState.FAILED}
    return ended and bool(receipt.device) and not receipt.device.startswith("@")


def _by_step(receipt: Receipt) -> dict[str, dict[str, Value]]:
    by_step: dict[str, dict[str, Value]] = defaultdict(dict)
    for name, value in receipt.result.items():
        step, _, member = name.partition(".")
        by_step[step][member] = value
    return by_step


def _compares(members: Mapping[str, Value]) -> bool:
    return "_drifted" in members or ("_before" in members and "_dry_run" not in members)


def _word(job: _Job, step: str, members: Mapping[str, Value]) -> Word | None:
    action = job.steps[step].action if step in job.steps else ""
    match action:
        case "device.sync" if "_profile_hash" in members and members.get("_identity") is True:
            names = [name for name in str(members.get("_drift", "")).split(",") if name]
            missed = {name: members.get(f"_{name}", "") for name in names}
            return Word(IDENTITY, str(members["_profile_hash"]), missed)
        case "device.validate" if "_drifted" in members:
            return Word(f"{job.name}/{step}", _hash_of(job.steps[step]), _missed(members))
        case "device.update_firmware" if _compares(members):
            runs = str(members.get("_version", ""))
            missed = {} if runs else {FIRMWARE: members["_before"]}
            asked = job.steps[step].params
            desired = str(asked.get("version") or "") or runs or _hash_of(job.steps[step])
            return Word(FIRMWARE, desired, missed)
        case _:
            return None


def _missed(members: Mapping[str, Value]) -> dict[str, Value]:
    """Return points that are not as desired, with what they are, and rules that do not hold."""
    points = {
        name.removesuffix(".desired"): members.get(name.removesuffix(".desired"), "")
        for name in members
        if name.endswith(".desired")
    }
    broken = {
        f"rule {name.removeprefix(_RULE)}": False
        for name, value in members.items()
        if name.startswith(_RULE) and value is False
    }
    return {**points, **broken}


def _hash_of(step: Step) -> str:
    """Return a short name of what a step wishes: the same for equal parameters of any job."""
    return sha256(to_json(step.params).encode()).hexdigest()[:_HASH_CHARS]


def _note(agent: AgentId, receipt: Receipt, job: _Job, word: Word, now_ms: WallMs) -> Tx[None]:
    key = (agent, receipt.device, word.wish)
    row = yield from fetch_one("wish", *key)
    if row is None:
        count = yield from fetch_one("wish_count", agent)
        if count is not None and count[0] >= limits.WISHES:
            return
    before = _Before() if row is None else _Before(*row)
    at_ms = receipt.wall_ms
    if at_ms < before.at_ms:
        return
    misses = len(word.missed)
    turned = (misses > 0) is not (before.misses > 0)
    since_ms, noted_ms = before.since_ms, now_ms if turned else before.noted_ms
    mended_ms, mended_by = before.mended_ms, before.mended_by
    if misses and (before.since_ms is None or before.desired != word.desired):
        since_ms = at_ms
    elif not misses:
        since_ms = None
    if turned and not misses:
        mended_ms = at_ms
        mended_by = yield from _who_mended(agent, receipt.device, job, before.noted_ms)
    yield from execute(
        "wish_save",
        *(*key, word.desired, job.id, misses, to_json(word.missed), since_ms, at_ms),
        *(noted_ms, now_ms, mended_ms, mended_by),
    )
    if turned:
        by = {} if misses or mended_by is None else {"by": uuid_text(mended_by)}
        yield from tell(
            "drift.began" if misses else "drift.ended",
            Subject(agent=agent, device=receipt.device),
            now_ms,
            detail={"wish": word.wish, "misses": misses, **by},
        )


def _who_mended(agent: AgentId, device: str, job: _Job, noted_ms: int) -> Tx[bytes | None]:
    """Return the newest job that wrote to a device since it was known to differ.

    None: somebody did it on the spot, or it came back by itself.
    """
    if job.writes:
        return job.id
    most = limits.MENDING_JOBS
    rows = yield from fetch("jobs_that_wrote", agent, device, TaskState.DONE, noted_ms, most)
    for other, packed in rows:
        spec = unpack(packed, JobSpec, bound=limits.SPEC_BYTES)
        if any(step.action in WRITING for step in (*spec.steps, *spec.final_steps)):
            return bytes(other)
    return None
