"""Files in a device's memory as jobs see them, and the port that moves them.

Leaves out the protocol (`agent.drivers`) and what a job makes of them (`agent.actions.files`).
"""

import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from shared.model.action_parameters import Upload


@dataclass(frozen=True, slots=True)
class FileSeen:
    """What a device tells of one of its files."""

    size: int
    crc32: int | None
    """Of all of it (IEEE 802.3); None: the device makes no such sums."""

    def is_beginning_of(self, content: bytes) -> bool:
        """Tell whether the file is the first part of a content, or all of it, by its sum."""
        if self.size > len(content) or self.crc32 is None:
            return False
        return self.crc32 == zlib.crc32(content[: self.size])

    def is_all_of(self, content: bytes) -> bool:
        """Tell whether the file has this content, by its length and sum."""
        return self.size == len(content) and self.is_beginning_of(content)


class FilePort(Protocol):
    """What a driver has beside `Driver` if its device has files.

    Everything raises WorldError: silence, or the device's refusal in its own words.
    """

    async def look(self, name: str) -> FileSeen | None:
        """Return what the device tells of a file, None where it has none of that name."""

    async def put(self, name: str, content: bytes) -> int:
        """Make a file have this content, from wherever the device is; return the bytes sent."""

    async def get(self, name: str, most: int) -> bytes:
        """Return a file of at most so many bytes, checked by its sum where there is one."""


@runtime_checkable
class Filing(Protocol):
    """A driver whose device has files."""

    @property
    def files(self) -> FilePort:
        """Return the way to them."""


Bring = Callable[[str, bytes, Upload], Awaitable[bool]]
"""Keeps a file under a name, and tells whether it is brought to the coordinator."""
