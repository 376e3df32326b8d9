"""Pieces of files that a stick brings go onto the shelf, if an order of this agent names the file.

Owns the order of pieces: one that is here already changes nothing, and one behind a gap waits for
another stick. Which files are needed stands in `agent.store.needed`; reading sticks is `carrier`'s.
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
        held = self._shelf.held(wanted)
        if held < piece.start:
            raise RefusedError(Reason.ARTIFACT_NOT_HERE, f"bytes before {piece.start} are missing")
        fresh = piece.data[held - piece.start :]
        if fresh:
            with contextlib.closing(self._shelf.open_part(wanted)) as part:
                part.write(fresh)
        if held + len(fresh) < wanted.size:
            return False
        self._shelf.finish(wanted)
        return True
