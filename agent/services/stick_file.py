"""The files of `outstation-agent export` and `import`: read, written, shown how far they are.

Owns the command's side: a file appears whole under its name or not at all, synced together with its
directory; a damaged one is told in a sentence, after what is whole on it was taken in. Leaves out
what sticks say (`carrier`) and how an agent that runs is spoken to (`stick_door`).
"""

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from agent.services.ask import short_name
from agent.services.carrier import Exported, Imported
from agent.services.stick_door import FRAME_BYTES, SIZE_BYTES, FrameKind, frame
from shared.errors import MistakeError, OutstationError, Reason, RefusedError, WorldError
from shared.runtime.files import replacing
from shared.sync.stick import StickDecoder
from shared.words import some

_TIMEOUT_S = 120
_READ_BYTES = 1 << 18
_SPARE_BYTES = 1 << 16
"""Left free on a stick: its directory may have to grow."""
FILE_BYTES = (1 << 32) - 1
"""The longest file of a FAT file system, which most sticks have."""


class Source(Protocol):
    """An agent that fills a stick and takes one in: running, or from its files."""

    def export(self, room: int) -> Iterator[tuple[bytes, Exported]]:
        """Yield a stick's pieces and what is on it so far."""

    def take(self, pieces: Iterator[bytes]) -> Iterator[Imported]:
        """Take in a header and parcels; yield what was done after each parcel."""


def export_file(source: Source, path: Path, *, most: int, show: bool) -> Exported:
    """Write a stick's file; return what is on it.

    Raises:
        MistakeError: it cannot be written there, or the fleet takes no sticks.
        OutstationError: the agent could not give it all; there is no file then.
    """
    told = Exported()
    try:
        free = os.statvfs(path.parent)
        room = min(most, free.f_bavail * free.f_frsize - _SPARE_BYTES)
        with replacing(path, mode=None) as file, _progress(show=show) as progress:
            for piece, told in source.export(max(0, room)):
                file.write(piece)
                progress(f"{some(told.blocks, 'block')}, {told.bytes} bytes")
    except OSError as error:
        raise MistakeError(f"cannot be written ({error.strerror})", where=str(path)) from error
    return told


def import_file(source: Source, path: Path, *, show: bool) -> Imported:
    """Take in a stick's file; return what it brought.

    Raises:
        MistakeError: it cannot be read, is no stick, or is for somebody else: nothing was done.
        RefusedError: it is damaged; what was whole before that is taken in.
    """
    told = Imported()
    with _progress(show=show) as progress:
        try:
            for told in source.take(read_pieces(path)):
                progress(f"{told.parcels} parcels")
        except MistakeError as error:
            raise MistakeError(error.what, where=str(path), mend=error.mend) from None
        except RefusedError as error:
            raise _damaged(path, error, parcels=told.parcels) from None
    return told


def read_pieces(path: Path) -> Iterator[bytes]:
    """Yield a stick's header, then its sealed parcels.

    Raises:
        MistakeError: it cannot be read, or is no stick.
        RefusedError: STICK_MALFORMED, after everything that is whole.
    """
    decoder = StickDecoder()
    begun = False
    try:
        with path.open("rb") as file:
            while data := file.read(_READ_BYTES):
                try:
                    parcels = decoder.feed(data)
                except RefusedError as error:
                    if decoder.header is None:
                        raise MistakeError(f"is no stick ({error.detail})") from None
                    if not begun:
                        yield decoder.header.encode()
                    raise
                if not begun and decoder.header is not None:
                    begun = True
                    yield decoder.header.encode()
                yield from parcels
    except OSError as error:
        raise MistakeError(f"cannot be read ({error.strerror})") from error
    if not begun:
        raise MistakeError("is no stick (it is too short)")
    decoder.finish()


def _damaged(path: Path, error: RefusedError, *, parcels: int) -> RefusedError:
    sentence = f"{path}: {error.detail or error.reason.text}; "
    whole = f"taken in: {some(parcels, 'whole parcel')}" if parcels else "nothing was taken in"
    return RefusedError(Reason.STICK_MALFORMED, sentence + whole)


@contextlib.contextmanager
def _progress(*, show: bool) -> Iterator[Callable[[str], None]]:
    """Give a function that shows how far something is, on one line of standard error."""
    shown = show and sys.stderr.isatty()

    def tell(text: str) -> None:
        if shown:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()

    try:
        yield tell
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class RunningAgent:
    """`Source` over the socket of an agent that runs."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    @classmethod
    @contextlib.contextmanager
    def connect(cls, path: Path) -> Iterator["RunningAgent | None"]:
        """Give the agent that listens at `path`; None: nobody does."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_TIMEOUT_S)
            try:
                with short_name(path) as name:
                    connection.connect(name)
            except OSError:
                yield None
                return
            yield cls(connection)

    def export(self, room: int) -> Iterator[tuple[bytes, Exported]]:
        """As `Source.export`."""
        self._send(f"export {room}\n".encode())
        while True:
            kind, piece = self._receive()
            if kind is FrameKind.DONE:
                return
            _, told = self._receive()
            yield piece, msgspec.json.decode(told, type=Exported)
            self._send(frame(FrameKind.TOLD, b""))

    def take(self, pieces: Iterator[bytes]) -> Iterator[Imported]:
        """As `Source.take`."""
        # Before anything is said: a file that is no stick is none of the agent's business.
        header = next(pieces)
        self._send(b"import\n" + frame(FrameKind.PIECE, header))
        for piece in pieces:
            self._send(frame(FrameKind.PIECE, piece))
            _, told = self._receive()
            yield msgspec.json.decode(told, type=Imported)
        self._send(frame(FrameKind.DONE, b""))
        _, told = self._receive()
        yield msgspec.json.decode(told, type=Imported)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise _gone(error) from error

    def _receive(self) -> tuple[FrameKind, bytes]:
        head = self._exactly(1 + SIZE_BYTES)
        size = int.from_bytes(head[1:])
        if size > FRAME_BYTES or head[:1] not in {kind.value for kind in FrameKind}:
            raise OutstationError("the agent that runs is of another version; restart it")
        kind, data = FrameKind(head[:1]), self._exactly(size)
        if kind is FrameKind.FAILED:
            raise MistakeError(data.decode("utf-8", "replace"))
        return kind, data

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            try:
                more = self._socket.recv(min(size - len(data), _READ_BYTES))
            except OSError as error:
                raise _gone(error) from error
            if not more:
                raise WorldError(Reason.STORE_CLOSED, "the agent was stopped meanwhile")
            data += more
        return bytes(data)


def _gone(error: OSError) -> WorldError:
    return WorldError(Reason.STORE_CLOSED, f"the agent does not answer ({error})")
