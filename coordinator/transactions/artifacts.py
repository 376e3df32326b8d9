"""Artifacts as the database knows them: announced, complete, needed by jobs, fetched by agents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from coordinator.core.artifacts import check_room
from coordinator.core.audit import split_actor
from coordinator.core.ports import Row, Tx, execute, execute_many, fetch, fetch_one
from coordinator.transactions.contact import load_identity
from coordinator.transactions.rows import audit, to_json
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError, OutstationError, Reason, RefusedError
from shared.ids import JobId, uuid_text
from shared.model.artifact import artifact_text, artifacts_of
from shared.model.job import JobSpec
from shared.model.selector import is_label

_NEEDED_BY = 5
"""Jobs named to whoever may not delete what they need."""


class NeededError(OutstationError):
    """An artifact cannot go: jobs may still have to fetch it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One row."""

    digest: bytes
    size: int
    kind: str
    name: str
    version: str
    labels: Mapping[str, str]
    image: str = ""
    """What it says of itself, as JSON; empty: nothing."""
    created_ms: int
    created_by: str
    completed_ms: int | None = None
    jobs: Sequence[str] = ()
    """Some that need it."""


def announce(wish: Artifact, *, actor: str, now_ms: WallMs) -> Tx[tuple[Artifact, bool]]:
    """Note that a file will come; return it, and whether it is new.

    The same one again only returns what is known.

    Raises:
        MistakeError: there is no room, the labels are none, or it has another size.
    """
    known = yield from find(wish.digest)
    if known is not None:
        if known.size != wish.size:
            raise MistakeError(f"it was announced with {known.size} bytes", where="size")
        return known, False
    for key, value in wish.labels.items():
        if not is_label(key, value):
            raise MistakeError(f"{key}={value!r} is no label"[:200], where="labels")
    row = yield from fetch_one("artifact_totals")
    assert row is not None, "an aggregate always answers"
    check_room(row[0], row[1], wish.size)
    values = (wish.digest, wish.size, wish.kind, wish.name, wish.version)
    who = split_actor(actor)[0]
    yield from execute("artifact_insert", *values, to_json(dict(wish.labels)), now_ms, who)
    yield from _audit("artifact.announce", wish.digest, actor, now_ms, size=wish.size)
    made = yield from find(wish.digest)
    assert made is not None, "it was just inserted"
    return made, True


def find(digest: bytes) -> Tx[Artifact | None]:
    """Return one artifact, None when nobody announced it."""
    row = yield from fetch_one("artifact", digest)
    return None if row is None else (yield from _artifact(row))


def list_artifacts(*, after: bytes, size: int) -> Tx[tuple[list[Artifact], bool]]:
    """Return up to `size` artifacts after a hash, and whether there are more."""
    rows = yield from fetch("artifacts_after", after, size + 1)
    found: list[Artifact] = []
    for row in rows[:size]:
        one = yield from _artifact(row)
        found.append(one)
    return found, len(rows) > size


def complete(digest: bytes, *, image: str, actor: str, now_ms: WallMs) -> Tx[None]:
    """Note that all of a file is here and has its hash; again changes nothing."""
    changed = yield from fetch_one("artifact_complete", digest, now_ms, image)
    if changed is not None:
        yield from _audit("artifact.complete", digest, actor, now_ms)


def note_lost(digest: bytes, *, now_ms: WallMs) -> Tx[None]:
    """Note that a file that was here is not: it may be sent again."""
    yield from execute("artifact_lost", digest, now_ms)


def note_piece(digest: bytes, *, now_ms: WallMs) -> Tx[None]:
    """Note that somebody goes on with an upload: it is not abandoned."""
    yield from execute("artifact_goes_on", digest, now_ms)


def forget(digest: bytes, *, actor: str, now_ms: WallMs) -> Tx[bool]:
    """Take an artifact out of the list; False when there is none.

    Raises:
        NeededError: jobs need it.
    """
    known = yield from find(digest)
    if known is None:
        return False
    if known.jobs:
        raise NeededError(f"jobs need it: {', '.join(known.jobs)}")
    yield from execute("artifact_delete", digest)
    yield from _audit("artifact.delete", digest, actor, now_ms, name=known.name)
    return True


def forget_abandoned(now_ms: WallMs) -> Tx[Sequence[bytes]]:
    """Take uploads out of the list that nobody went on with; return which."""
    before = now_ms - limits.ARTIFACT_ABANDONED_MS
    rows = yield from fetch("artifacts_abandoned", before, limits.PAGE_ITEMS)
    gone = []
    for (digest,) in rows:
        if not (yield from fetch("jobs_needing_artifact", digest, 1)):
            yield from execute("artifact_delete", digest)
            gone.append(digest)
    return gone


def check_artifacts(spec: JobSpec) -> Tx[None]:
    """Check that all the artifacts that a new job names are here.

    Raises:
        MistakeError: one is not, or has another size.
    """
    for digest, size in artifacts_of(spec).items():
        row = yield from fetch_one("artifact", digest)
        if row is None or row[9] is None:
            raise MistakeError(
                f"{artifact_text(digest)} is not here" + (" completely" if row else ""),
                where="steps",
                mend="hand it in first: outstation artifacts push FILE",
            )
        if size not in {-1, row[1]}:
            what = f"{artifact_text(digest)} has {row[1]} bytes, not {size}"
            raise MistakeError(what, where="steps")


def name_artifacts(job: JobId, spec: JobSpec) -> Tx[None]:
    """Note which artifacts a new job names."""
    named = artifacts_of(spec)
    yield from execute_many("job_artifact_insert", ((job, digest) for digest in named))


def may_fetch(agent: str, digest: bytes) -> Tx[int]:
    """Return the size of a file that an agent may have: a job that it was given names it.

    Raises:
        RefusedError: ARTIFACT_UNKNOWN whether there is no such file or it is not for this agent;
            UNKNOWN_AGENT, REVOKED, DECOMMISSIONED.
    """
    identity = yield from load_identity(agent)
    row = yield from fetch_one("artifact_of_agent", digest, agent)
    if row is None or row[1] is None or identity.quarantined:
        raise RefusedError(Reason.ARTIFACT_UNKNOWN, "no work of this agent needs such a file")
    return int(row[0])


def _artifact(row: Row) -> Tx[Artifact]:
    digest, size, kind, name, version, labels, image, created_ms, created_by, completed_ms = row
    jobs = yield from fetch("jobs_needing_artifact", digest, _NEEDED_BY)
    return Artifact(
        digest=digest,
        size=size,
        kind=kind,
        name=name,
        version=version,
        labels=msgspec.json.decode(labels, type=dict[str, str]),
        image=image,
        created_ms=created_ms,
        created_by=created_by,
        completed_ms=completed_ms,
        jobs=[uuid_text(job) for (job,) in jobs],
    )


def _audit(action: str, digest: bytes, actor: str, now_ms: WallMs, **detail: int | str) -> Tx[None]:
    yield from audit(
        now_ms, actor=actor, action=action, object_=f"artifact:{digest.hex()}", detail=detail
    )
