"""The files of `artifacts/` beside a copy of the database, and back again.

They are named by what is in them, so a second copy into the same folder brings only what is new,
and each one that is there or arrives is checked against its name. Leaves out the database
(`coordinator.services.backup`).
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial

from coordinator.core.ports import Store
from coordinator.services.artifacts_folder import ArtifactFolder
from coordinator.transactions.artifacts import Artifact, list_artifacts
from shared import limits
from shared.errors import WorldError


async def whole_artifacts(store: Store) -> list[Artifact]:
    """Return every artifact that a database says is here completely."""
    found: list[Artifact] = []
    after, more = b"", True
    while more:
        page, more = await store.read(partial(list_artifacts, after=after, size=limits.PAGE_ITEMS))
        found += (one for one in page if one.completed_ms is not None)
        after = page[-1].digest if page else after
    return found


async def copy_artifacts(
    wanted: Sequence[Artifact], source: ArtifactFolder, target: ArtifactFolder
) -> list[Artifact]:
    """Bring what `target` lacks; return what neither has as it was.

    Raises:
        WorldError: the disk of `target` did not obey; what was brought stays, and is gone on with
            next time.
    """
    missing: list[Artifact] = []
    for one in wanted:
        if await target.sound(one.digest):
            continue
        if not await source.has(one.digest) or not await _brought(one, source, target):
            missing.append(one)
    return missing


async def _brought(one: Artifact, source: ArtifactFolder, target: ArtifactFolder) -> bool:
    here = await target.received(one.digest)
    if here < one.size:
        rest = _readable(source.read(one.digest, here, one.size))
        here = await target.write(one.digest, here, rest, None)
    return here >= one.size and await target.settle(one.digest)


async def _readable(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what a damaged file still gives: one that ends early keeps no other from being kept."""
    with contextlib.suppress(WorldError):
        async for chunk in chunks:
            yield chunk
