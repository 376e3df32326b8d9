"""Artifacts of one coordinator: taken in piece by piece, shown, served to whom they are for.

Owns that the list and the files say the same: a file counts once it is whole, has its hash and is
in the list; whatever else lies about is cleared away at the start. Leaves out HTTP
(`coordinator.api.artifacts`) and the disk (`coordinator.services.artifacts_folder`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import msgspec

from coordinator.contract.artifacts import ImageView
from coordinator.core.ports import Store
from coordinator.services.artifacts_folder import ArtifactFolder
from coordinator.transactions.artifacts import (
    Artifact,
    announce,
    complete,
    find,
    forget,
    forget_abandoned,
    list_artifacts,
    may_fetch,
    note_lost,
    note_piece,
)
from coordinator.transactions.membership import load_member_keys
from shared import limits
from shared.clock import Clock
from shared.errors import MistakeError, Reason, RefusedError
from shared.ids import FleetId
from shared.model.artifact import artifact_text
from shared.model.mcuboot import HEADER_BYTES, TRAILER_BYTES, read_header, read_trailer
from shared.runtime.logs import Events
from shared.trust.fetch import Fetch, claimed_fetcher, open_fetch

_log = Events(__name__)
_NOTED_MS = 3_600_000
"""An upload is noted as gone on with once an hour: of a week it makes no difference."""


@dataclass(frozen=True, slots=True)
class Known:
    """An artifact and how much of it is here."""

    row: Artifact
    received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """Answers for the files that jobs name."""

    fleet: FleetId
    store: Store
    blobs: ArtifactFolder
    clock: Clock

    async def tidy(self) -> None:
        """Bring list and files together, once, before anybody asks.

        Raises:
            WorldError: the database or the disk does not work now.
        """
        now_ms = self.clock.wall_ms()
        abandoned = await self.store.run(partial(forget_abandoned, now_ms), durable=True)
        for digest in await self.blobs.all():
            if await self.store.read(partial(find, digest)) is None:
                await self.blobs.remove(digest)
        if abandoned:
            _log.event("artifacts_abandoned", count=len(abandoned))

    async def announce(self, wish: Artifact, *, actor: str) -> tuple[Known, bool]:
        """Note that a file will come; return how much is here, and whether it is new.

        Raises:
            MistakeError: there is no room, or it does not fit what was announced before.
        """
        now_ms = self.clock.wall_ms()
        for digest in await self.store.run(partial(forget_abandoned, now_ms), durable=True):
            await self.blobs.remove(digest)
        body = partial(announce, wish, actor=actor, now_ms=now_ms)
        row, new = await self.store.run(body, durable=True)
        if row.completed_ms is not None and not await self.blobs.sound(row.digest):
            # The list came back from a backup, somebody tidied up by hand, or a disk forgot.
            _log.event("artifact_lost", level=logging.WARNING, artifact=artifact_text(row.digest))
            await self.store.run(partial(note_lost, row.digest, now_ms=now_ms), durable=True)
        elif row.completed_ms is None and await self.blobs.received(row.digest) >= row.size:
            await self._settle(row, actor=actor)
        return await self.known(row.digest), new

    async def take(
        self,
        digest: bytes,
        offset: int,
        chunks: AsyncIterator[bytes],
        *,
        wanted: bytes | None,
        actor: str,
    ) -> Known:
        """Take the next bytes of a file; the last ones settle it.

        Raises:
            RefusedError: ARTIFACT_UNKNOWN, or ARTIFACT_ALTERED: the whole has another hash, and
                nothing of it was kept.
            MistakeError: the offset is another one, the file is whole, or these are too many.
            WorldError: the disk did not obey; what came before is kept.
        """
        known = await self.known(digest)
        if known.row.completed_ms is not None:
            raise MistakeError("all of it is here already", where="header.upload-offset")
        now_ms = self.clock.wall_ms()
        if now_ms - known.row.created_ms > _NOTED_MS:
            await self.store.run(partial(note_piece, digest, now_ms=now_ms), durable=False)
        bounded = _bounded(chunks, known.row.size - offset)
        here = await self.blobs.write(digest, offset, bounded, wanted)
        if here >= known.row.size:
            await self._settle(known.row, actor=actor)
        return await self.known(digest)

    async def known(self, digest: bytes) -> Known:
        """Return an artifact and how much of it is here.

        Raises:
            RefusedError: ARTIFACT_UNKNOWN.
        """
        row = await self.store.read(partial(find, digest))
        if row is None:
            raise RefusedError(Reason.ARTIFACT_UNKNOWN, f"nobody sent {artifact_text(digest)}")
        return Known(row, await self.blobs.received(digest))

    async def list(self, *, after: bytes, size: int) -> tuple[list[Known], bool]:
        """Return a part of the list, and whether there is more."""
        rows, more = await self.store.read(partial(list_artifacts, after=after, size=size))
        return [Known(row, await self.blobs.received(row.digest)) for row in rows], more

    async def delete(self, digest: bytes, *, actor: str) -> bool:
        """Let an artifact go that no job needs; False when there is none.

        Raises:
            NeededError: jobs need it.
        """
        body = partial(forget, digest, actor=actor, now_ms=self.clock.wall_ms())
        gone = await self.store.run(body, durable=True)
        if gone:
            await self.blobs.remove(digest)
        return gone

    async def check_fetch(self, request: bytes, digest: bytes) -> tuple[str, int]:
        """Return which agent may have this file now, and the file's size.

        Raises:
            RefusedError: it may not, or there is none.
        """
        agent = claimed_fetcher(request)
        keys = await self.store.read(partial(load_member_keys, agent))
        fetch = self._opened(request, keys)
        if fetch.fleet != self.fleet:
            raise RefusedError(Reason.WRONG_FLEET)
        if fetch.artifact != digest:
            raise RefusedError(Reason.WRONG_NONCE, "it was signed for another file")
        return agent, await self.store.read(partial(may_fetch, agent, digest))

    def _opened(self, request: bytes, keys: tuple[bytes, ...]) -> Fetch:
        for key in keys:
            try:
                return open_fetch(request, key, now_ms=self.clock.wall_ms())
            except RefusedError as error:
                if error.reason is not Reason.THRESHOLD_NOT_MET or key == keys[-1]:
                    raise
        raise AssertionError("an agent has a key")

    async def _image(self, digest: bytes) -> str:
        """Return what a firmware image says of itself, as JSON; nothing of any other file."""
        header = read_header(await self.blobs.peek(digest, 0, HEADER_BYTES))
        if header is None:
            return ""
        trailer = await self.blobs.peek(digest, header.trailer_at, TRAILER_BYTES)
        told = read_trailer(trailer)
        view = ImageView(
            version=str(header.version),
            image_size=header.image_size,
            hash=told.hash,
            signed=told.signed,
        )
        return msgspec.json.encode(view).decode()

    async def _settle(self, row: Artifact, *, actor: str) -> None:
        if not await self.blobs.settle(row.digest):
            _log.event("artifact_altered", level=logging.WARNING, artifact=row.digest.hex())
            raise RefusedError(
                Reason.ARTIFACT_ALTERED,
                f"what came is not {artifact_text(row.digest)}; nothing was kept, send it again",
            )
        image, now_ms = await self._image(row.digest), self.clock.wall_ms()
        body = partial(complete, row.digest, image=image, actor=actor, now_ms=now_ms)
        await self.store.run(body, durable=True)
        _log.event("artifact_complete", artifact=artifact_text(row.digest), size=row.size)


async def _bounded(chunks: AsyncIterator[bytes], left: int) -> AsyncIterator[bytes]:
    """Yield a body's bytes in pieces worth a write, never more than `left`; also of one that broke.

    Raises:
        MistakeError: there are more.
    """
    gathered = bytearray()
    cut: BaseException | None = None
    chunk = b"-"
    while chunk:
        try:
            chunk = await anext(chunks, b"")
        # Whatever ended the line, what came is kept, and then it is raised.
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
            cut, chunk = error, b""
        gathered += chunk
        if len(gathered) > left:
            raise MistakeError("these bytes go beyond its size", where="body")
        if gathered and (not chunk or len(gathered) >= limits.ARTIFACT_CHUNK_BYTES):
            left -= len(gathered)
            yield bytes(gathered)
            gathered.clear()
    if cut is not None:
        raise cut
