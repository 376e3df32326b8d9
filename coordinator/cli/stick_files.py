"""Files that the work on a stick names, put on the stick behind it, as far as there is room.

They come from the coordinator piece by piece and are sealed here, however large they are. Owns what
fits and what is told of the rest. What a piece is stands in `shared.sync.piece`.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from coordinator.cli.client import CallError, Client, Exit, segment
from shared import limits
from shared.model.artifact import artifact_text, parse_artifact
from shared.sync.body import Part, PartKind
from shared.sync.piece import PIECE_OVER, Piece
from shared.sync.stick import HEADER_BYTES, read_header, seal_parcel
from shared.trust.sealed import SEAL_BYTES

FILE_BYTES: Final = (1 << 32) - 1
"""The longest file of a FAT file system, which most sticks have."""
_SPARE_BYTES: Final = 1 << 16
"""Left free on a stick: its directory may have to grow."""
_PARCEL_OVER: Final = PIECE_OVER + SEAL_BYTES + 32
"""What a piece costs besides its bytes, rounded up."""


@dataclass(slots=True)
class Loaded:
    """What became of the files."""

    files: int = 0
    bytes: int = 0
    left: list[str] = field(default_factory=list)
    """What is not on the stick, and why."""


def load_files(
    client: Client,
    file: BinaryIO,
    stick: bytes,
    named: str,
    *,
    seal_key: str,
    room: tuple[Path, int],
) -> Loaded:
    """Write the files that a stick's work names behind its parcels.

    Args:
        client: asks the coordinator.
        file: the stick, without its end.
        stick: what it begins with.
        named: the files, as the coordinator names them.
        seal_key: hex of the key that parcels are sealed to.
        room: the stick's folder, and bytes that its file may still have.

    Raises:
        OSError: the stick does not take it.
        CallError: the coordinator was lost; this is no stick then.
    """
    loaded = Loaded()
    header, key = read_header(stick[:HEADER_BYTES]), bytes.fromhex(seal_key)
    folder, most = room

    def put(piece: Piece) -> None:
        file.write(seal_parcel(header, [Part(PartKind.FILE, piece.encode())], key))

    for name, size in _named(named):
        file.flush()
        found = os.statvfs(folder)
        free = min(most - loaded.bytes, found.f_bavail * found.f_frsize - _SPARE_BYTES)
        pieces = -(-size // limits.STICK_PIECE_BYTES)
        if size + pieces * _PARCEL_OVER > free:
            loaded.left.append(f"{name}, {size} bytes: {max(0, free)} are free")
            continue
        try:
            _load(client, name, size, put)
        except CallError as error:
            if error.code is not Exit.DENIED and error.code is not Exit.NOT_FOUND:
                raise
            loaded.left.append(f"{name}: {error}")
            continue
        loaded.files, loaded.bytes = loaded.files + 1, loaded.bytes + size + pieces * _PARCEL_OVER
    return loaded


def _named(text: str) -> Iterator[tuple[str, int]]:
    for one in filter(None, text.split(",")):
        name, _, size = one.partition("=")
        yield artifact_text(parse_artifact(name, where="the answer")), int(size)


def _load(client: Client, name: str, size: int, put: Callable[[Piece], None]) -> None:
    digest, at, gathered = parse_artifact(name, where=""), 0, bytearray()
    for chunk in client.stream(f"/v1/artifacts/{segment(name)}/content", {}):
        gathered += chunk
        while len(gathered) >= limits.STICK_PIECE_BYTES or at + len(gathered) == size > at:
            data = bytes(gathered[: limits.STICK_PIECE_BYTES])
            del gathered[: len(data)]
            put(Piece(digest, size, at, data))
            at += len(data)
    assert at == size, "the coordinator knows the file's size"
