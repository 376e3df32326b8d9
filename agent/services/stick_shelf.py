"""Pieces of files that a stick brings go onto the shelf, if an order of this agent names the file.

Owns the order of pieces: one that is here already changes nothing, and one behind a gap waits for
another stick. The same file may be on its way over the link meanwhile. Which files are needed
stands in `agent.store.needed`; reading sticks is `carrier`'s.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from agent.core.artifacts import Wanted
from agent.store.artifacts import Shelf
from shared.errors import Reason, RefusedError
from shared.sync.piece import Piece


class StickShelf:
    """Takes files from sticks."""

    def __init__(self, shelf: Shelf, needed: Callable[[], Awaitable[Mapping[bytes, int]]]) -> None:
        self._shelf, self._needed = shelf, needed

    async def take(self, piece: Piece) -> bool:
        """Take one piece; tell whether it made its file whole.

        Raises:
            RefusedError: bytes before it are missing, or the whole is not what it is called.
            WorldError: the disk failed, or has no room.
        """
        needed = await self._needed()
        if needed.get(piece.digest) != piece.size:
            return False  # its order is over, or never came: no fault of the stick
        return await asyncio.to_thread(self._take, piece, list(needed))

    def _take(self, piece: Piece, needed: list[bytes]) -> bool:
        wanted = Wanted(piece.digest, piece.size)
        if self._shelf.find(wanted) is not None:
            return False
        self._shelf.make_room(wanted, needed)
        while (held := self._append(wanted, piece)) is None:
            pass  # a download went on with it: each turn there is more, or all of it is gone
        if held < wanted.size:
            return False
        self._shelf.finish(wanted)
        return True

    def _append(self, wanted: Wanted, piece: Piece) -> int | None:
        """Return how much of the file is here with the piece; None: somebody else wrote as well."""
        held = self._shelf.held(wanted)
        if held < piece.start:
            raise RefusedError(Reason.ARTIFACT_NOT_HERE, f"bytes before {piece.start} are missing")
        with contextlib.closing(self._shelf.open_part(wanted)) as part:
            if part.size != held or not part.write(piece.data[held - piece.start :]):
                return None
            return part.size
