"""Artifacts over REST: files named by their content, sent in pieces that may be cut."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from coordinator.contract.common import PageSize, PageToken, Time
from shared import limits

BYTES_TYPE: Final = "application/octet-stream"
"""What pieces are sent as and files are answered as."""
PIECE_TYPES: Final = (BYTES_TYPE, "application/offset+octet-stream")
"""What a piece may be sent as; clients of tus 1.0 say the second."""
OFFSET_HEADER: Final = "Upload-Offset"
"""Where a piece begins; of an answer: how many bytes are there (as tus 1.0 names it)."""
LENGTH_HEADER: Final = "Upload-Length"
DIGEST_HEADER: Final = "Content-Digest"
"""RFC 9530: ``sha-256=:BASE64:`` of the piece; one that does not fit is not kept."""

ShortText = Annotated[str, Meta(max_length=limits.ARTIFACT_NAME_CHARS)]


class ArtifactWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``POST /v1/artifacts``: announce a file before its bytes; again is harmless."""

    artifact: str
    """``sha256:`` and 64 hex digits of the whole file."""
    size: Annotated[int, Meta(ge=1, le=limits.ARTIFACT_BYTES)]
    kind: Annotated[str, Meta(pattern="^(firmware|agent|profile|file)$")] = "file"
    name: ShortText = ""
    """What the file was called, for people."""
    version: ShortText = ""
    labels: Annotated[dict[str, str], Meta(max_length=limits.LABELS)] = {}


class ImageView(msgspec.Struct, frozen=True, kw_only=True):
    """What a firmware image says of itself (MCUboot header and trailer)."""

    version: str
    """``1.2.3``, or ``1.2.3.4`` with a build number, as MCUmgr shows it."""
    image_size: int
    """Bytes behind the header."""
    hash: str
    """sha256 by which the bootloader and the device know it; empty: it has none."""
    signed: bool


class ArtifactView(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact."""

    artifact: str
    size: int
    kind: str
    name: str
    version: str
    labels: dict[str, str]
    received: int
    """Bytes that are here."""
    complete: bool
    """All of it is here and has the hash that its name says."""
    image: ImageView | None
    """None: it is no MCUboot image, or not here yet."""
    created_at: Time
    created_by: str
    completed_at: Time | None
    jobs: list[str]
    """Some jobs that need it: while there are any it cannot be deleted."""


class ArtifactQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``GET /v1/artifacts``, in the order of their hashes."""

    page_size: PageSize = 100
    page_token: PageToken = ""


class PieceHeaders(msgspec.Struct, frozen=True, rename="kebab"):
    """``PATCH /v1/artifacts/{artifact}``: the next bytes of a file."""

    upload_offset: Annotated[int, Meta(ge=0, le=limits.ARTIFACT_BYTES)]
    """How many bytes are there already, as the last answer said."""
    content_digest: Annotated[str, Meta(max_length=200)] = ""


class RangeHeaders(msgspec.Struct, frozen=True, rename="kebab"):
    """A part of a file: RFC 9110 section 14.2, one range of bytes."""

    range: Annotated[str, Meta(max_length=100)] = ""
