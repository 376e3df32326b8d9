"""What is decided about artifacts without touching one: ranges, digests of pieces, room.

Pure. The bytes are kept by whatever fulfils `Blobs`; who may fetch which file stands in
`coordinator.transactions.artifacts`.
"""

import base64
import binascii
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from shared import limits
from shared.errors import MistakeError

_RANGE = re.compile(r"bytes=([0-9]{1,15})?-([0-9]{1,15})?")
_SHA256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):")


class OvertakenError(MistakeError):
    """An upload is not where a request left it: another one goes on with it, or did."""


class Blobs(Protocol):
    """Where the bytes of artifacts are: a folder, later an object store."""

    async def received(self, digest: bytes) -> int:
        """Return how many bytes of an upload are here; all of them once it was settled."""

    async def has(self, digest: bytes) -> bool:
        """Tell whether the whole file is here, settled."""

    async def sound(self, digest: bytes) -> bool:
        """Tell whether the whole file is here as its name says; a damaged one is gone then."""

    async def write(
        self, digest: bytes, offset: int, chunks: AsyncIterator[bytes], wanted: bytes | None
    ) -> int:
        """Append to an upload that has `offset` bytes; return how many it has then.

        Whatever came is kept, also when `chunks` ends with an exception; a newer writer of the
        same file ends an older one. With `wanted`, the sha256 of these chunks, others are not kept.

        Raises:
            OvertakenError: it does not have `offset` bytes, or another request goes on with it.
            MistakeError: the chunks are other ones.
            WorldError: the disk did not obey.
        """

    async def settle(self, digest: bytes) -> bool:
        """Make an upload the file of its name; False when it has another hash, and is gone."""

    def read(self, digest: bytes, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes [start, end) of a settled file."""

    async def peek(self, digest: bytes, start: int, size: int) -> bytes:
        """Return up to `size` bytes of a settled file, to tell what it is."""

    async def remove(self, digest: bytes) -> None:
        """Let a file go, settled or not; harmless without one."""


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes [start, end) of a file of `size`."""

    start: int
    end: int
    size: int

    @property
    def content_range(self) -> str:
        """Return the header that says which part an answer carries."""
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


def asked_part(text: str, size: int) -> Part | None:
    """Return the part that a Range header asks for; None where it is beyond the file's end.

    What is no single range of bytes is ignored, as RFC 9110 section 14.2 says: the answer is the
    whole file.

    >>> asked_part("bytes=2-3", 10), asked_part("bytes=-3", 10), asked_part("bytes=10-", 10)
    (Part(start=2, end=4, size=10), Part(start=7, end=10, size=10), None)
    """
    found = _RANGE.fullmatch(text.strip())
    whole = Part(0, size, size)
    if not found or found[1] is found[2] is None:
        return whole
    if found[1] is None:
        last = int(found[2])
        return Part(max(0, size - last), size, size) if last else None
    start = int(found[1])
    end = size if found[2] is None else min(size, int(found[2]) + 1)
    if start >= size:
        return None
    return Part(start, end, size) if end > start else whole


def piece_digest(text: str) -> bytes | None:
    """Return the sha256 in a Content-Digest header (RFC 9530), None without one.

    Raises:
        MistakeError: it is malformed.
    """
    if not text:
        return None
    found = _SHA256.search(text)
    try:
        digest = base64.b64decode(found[1], validate=True) if found else b""
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        mend = "send sha-256=:BASE64:, or none"
        raise MistakeError("it holds no sha-256", where="header.content-digest", mend=mend)
    return digest


def check_room(count: int, size: int, more: int) -> None:
    """Check that one more artifact fits beside `count` others of `size` bytes together.

    Raises:
        MistakeError: it does not.
    """
    mend = "delete some that no job needs: outstation artifacts list"
    if count >= limits.ARTIFACTS:
        raise MistakeError(f"there are {count} artifacts already", where="artifact", mend=mend)
    if size + more > limits.ARTIFACTS_BYTES:
        left = max(0, limits.ARTIFACTS_BYTES - size)
        raise MistakeError(
            f"{more} bytes do not fit, there is room for {left}", where="size", mend=mend
        )
