"""Support bundles that wait to be brought to the coordinator.

Owns the folder in which they wait, whole, and which one is next. A crash brings one again from its
first piece: the coordinator takes a piece twice. Leaves out writing them (`caretaker`) and saying
them (`membership`).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared import limits
from shared.model.support import cut
from shared.runtime.files import write_atomically

WAITING: Final = "support/waiting"
"""In the data directory."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One bundle, cut into pieces."""

    name: str
    sha256: bytes
    size: int
    pieces: tuple[bytes, ...]


class Bundles:
    """What waits, the oldest first; the newest few stay if nobody fetches them."""

    def __init__(self, data_dir: Path, *, nudge: Callable[[], None] = lambda: None) -> None:
        """Wait below the data directory; `nudge` lets the next contact come soon."""
        self._folder = data_dir / WAITING
        self.nudge = nudge
        """For whoever `put` something, back in the event loop: `put` is for a thread."""
        self._said: dict[str, int] = {}

    def put(self, name: str, text: bytes) -> None:
        """Have a bundle brought.

        Raises:
            OSError: the disk did not take it.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._folder / name, text)
        for old in self._waiting()[: -limits.SUPPORT_KEPT]:
            old.unlink(missing_ok=True)

    def next(self) -> tuple[Bundle, int] | None:
        """Return the bundle to bring now and its first piece that nobody has heard yet.

        Raises:
            OSError: it cannot be read.
        """
        waiting = self._waiting()
        if not waiting:
            return None
        text = waiting[0].read_bytes()
        digest = hashlib.sha256(text).digest()
        bundle = Bundle(waiting[0].name, digest, len(text), tuple(cut(text)))
        return bundle, self._said.get(bundle.sha256.hex(), 0)

    def heard(self, bundle: Bundle, pieces: int) -> None:
        """Note that its first pieces were heard; a bundle heard to its end waits no more."""
        self._said[bundle.sha256.hex()] = pieces
        if pieces >= len(bundle.pieces):
            self.drop(bundle)

    def drop(self, bundle: Bundle) -> None:
        """Let a bundle wait no more: it was heard, or nobody wants it."""
        self._said.pop(bundle.sha256.hex(), None)
        (self._folder / bundle.name).unlink(missing_ok=True)

    def _waiting(self) -> list[Path]:
        try:
            return sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        except OSError:
            return []
