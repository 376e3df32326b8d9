"""Carries a file to a coordinator and back over lines that break: each cut costs a piece at most.

Owns pieces, going on after a cut, and progress. What is known of a file stands in
`coordinator.cli.artifacts`.
"""

import base64
import os
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeVar

from msgspec.structs import replace

from coordinator.cli.client import CallError, Client, Exit, segment
from coordinator.cli.show import Screen
from coordinator.contract.artifacts import (
    BYTES_TYPE,
    DIGEST_HEADER,
    OFFSET_HEADER,
    ArtifactView,
    ArtifactWish,
)
from shared.errors import MistakeError
from shared.model.artifact import PREFIX

T = TypeVar("T")

_PIECE_BYTES: Final = 1 << 20
_LEAST_BYTES: Final = 1 << 14
"""A line that breaks in the middle of pieces gets smaller ones."""
_PAUSE_S, _PAUSE_MAX_S = 0.2, 10.0
"""After a cut; twice as long after each one in a row that brought nothing."""


def bring(
    client: Client, screen: Screen, path: Path, wish: ArtifactWish, *, timeout_s: int
) -> ArtifactView:
    """Hand in a file and return what the coordinator says of it; again is harmless.

    Raises:
        MistakeError: it cannot be read, is empty, or changed meanwhile.
        CallError: it is refused, or nothing went on for `timeout_s`.
    """
    try:
        with path.open("rb") as file:
            digest = sha256()
            while data := file.read(_PIECE_BYTES):
                digest.update(data)
            size = file.tell()
            if not size:
                raise MistakeError("is empty", where=str(path))
            whole = replace(wish, artifact=PREFIX + digest.hexdigest(), size=size)
            patient = _Patient(timeout_s)
            view = patient.ask(lambda: client.post("/v1/artifacts", whole, ArtifactView))
            piece = _PIECE_BYTES
            while not view.complete:
                _show(screen, path, view.received, size)
                file.seek(view.received)
                data = file.read(piece)
                if not data:
                    raise MistakeError("it changed while it was read", where=str(path))
                after = patient.attempt(partial(_send, client, view, data))
                if after is None:
                    piece = max(_LEAST_BYTES, piece // 4)
                    after = patient.ask(lambda: client.post("/v1/artifacts", whole, ArtifactView))
                if after.received > view.received:
                    patient.progressed()
                view = after
            _show(screen, path, size, size)
            _end(screen)
            return view
    except OSError as error:
        raise MistakeError(f"cannot be read ({error.strerror})", where=str(path)) from error


def take(client: Client, screen: Screen, view: ArtifactView, path: Path, *, timeout_s: int) -> None:
    """Get a file; it appears under its name once it is whole and has its hash.

    What came before a cut stays beside it and is gone on with.

    Raises:
        MistakeError: it cannot be written.
        CallError: it is refused, is not what its name says, or nothing came for `timeout_s`.
    """
    beside = path.with_name(f"{path.name}.{view.artifact.removeprefix(PREFIX)[:16]}.partial")
    patient = _Patient(timeout_s)
    try:
        with beside.open("ab") as file:
            while file.tell() < view.size:
                before = file.tell()
                _show(screen, path, before, view.size)
                patient.attempt(partial(_receive, client, view, before, file.write))
                if file.tell() > before:
                    patient.progressed()
            file.flush()
            os.fsync(file.fileno())
        if f"{PREFIX}{_hash(beside)}" != view.artifact:
            beside.unlink()
            raise CallError(f"what came is not {view.artifact}; nothing was kept", Exit.FAILED)
        beside.replace(path)
    except OSError as error:
        raise MistakeError(f"cannot be written ({error.strerror})", where=str(path)) from error
    _end(screen)


class _Patient:
    """Asks again while the line is at fault, until nothing went on for too long."""

    def __init__(self, timeout_s: int) -> None:
        self._timeout_s = timeout_s
        self.progressed()

    def progressed(self) -> None:
        """Begin to wait anew."""
        self._since_s, self._pause_s = time.monotonic(), _PAUSE_S

    def ask(self, call: Callable[[], T]) -> T:
        """Return what a call answers, however often it takes."""
        while True:
            found = self.attempt(call)
            if found is not None:
                return found

    def attempt(self, call: Callable[[], T]) -> T | None:
        """Return what a call answers, None when the line broke.

        Raises:
            CallError: it is refused, or the patience is over.
        """
        try:
            return call()
        except CallError as error:
            passing = error.passing or error.code is Exit.CONFLICT or error.problem is None
            if not passing or time.monotonic() - self._since_s > self._timeout_s:
                raise
        time.sleep(self._pause_s)
        self._pause_s = min(_PAUSE_MAX_S, 2 * self._pause_s)
        return None


def _send(client: Client, view: ArtifactView, data: bytes) -> ArtifactView:
    headers = {
        "Content-Type": BYTES_TYPE,
        OFFSET_HEADER: str(view.received),
        DIGEST_HEADER: f"sha-256=:{base64.b64encode(sha256(data).digest()).decode()}:",
    }
    return client.patch(_path(view), data, ArtifactView, headers=headers)


def _receive(client: Client, view: ArtifactView, at: int, write: Callable[[bytes], int]) -> bool:
    headers = {"Range": f"bytes={at}-{view.size - 1}"}
    left = view.size - at
    for piece in client.stream(f"{_path(view)}/content", {}, headers=headers):
        write(piece[:left])
        left -= min(left, len(piece))
    return True


def _path(view: ArtifactView) -> str:
    return f"/v1/artifacts/{segment(view.artifact)}"


def _hash(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while data := file.read(_PIECE_BYTES):
            digest.update(data)
    return digest.hexdigest()


def _show(screen: Screen, path: Path, done: int, size: int) -> None:
    if not screen.as_json:
        filled = done * 30 // size
        bar = "\u2588" * filled + "\u00b7" * (30 - filled)
        screen.progress(f"{path.name}  {bar}  {done * 100 // size:3} %  {done} of {size} bytes")


def _end(screen: Screen) -> None:
    if not screen.as_json:
        screen.progress("")
