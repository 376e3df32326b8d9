"""What catalog and policy have in common: the release keys sign them, and how they are numbered.

Owns opening such a document and judging its head. What else it says is its own file's to check.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from shared import limits
from shared.errors import Reason, RefusedError
from shared.trust.envelope import open_envelope
from shared.trust.root import FLEET_BYTES, RELEASE, Root
from shared.wire.codec import unpack


class Released(Protocol):
    """The head of a document that the release keys sign."""

    @property
    def version(self) -> int:
        """Return its number within its epoch, from 1."""

    @property
    def epoch(self) -> int:
        """Return the root's epoch it belongs to."""

    @property
    def fleet(self) -> bytes:
        """Return the fleet it is for."""

    @property
    def issued_ms(self) -> int:
        """Return when it was made."""

    @property
    def expires_ms(self) -> int:
        """Return until when it may be taken in."""


DocumentT = TypeVar("DocumentT", bound=Released)


def open_released(
    data: bytes, root: Root, kind: type[DocumentT], typ: str, check: Callable[[DocumentT], None]
) -> DocumentT:
    """Return a document whose signatures the release keys verified, once `check` accepts it.

    Raises:
        RefusedError: a check of the envelope failed, or BAD_SCHEMA.
    """
    keys, threshold = root.keys_of(RELEASE)
    bound = limits.DOCUMENT_BYTES
    payload = open_envelope(data, typ=typ, keys=keys, threshold=threshold, bound=bound)
    document = unpack(payload, kind, bound=bound)
    check(document)
    return document


def check_head(document: Released) -> None:
    """Check how a document is numbered, dated and addressed.

    Raises:
        RefusedError: BAD_SCHEMA with the members at fault.
    """
    if document.version < 1 or document.epoch < 1 or len(document.fleet) != FLEET_BYTES:
        raise RefusedError(Reason.BAD_SCHEMA, "version, epoch or fleet")
    if not 0 <= document.issued_ms <= document.expires_ms:
        raise RefusedError(Reason.BAD_SCHEMA, "it ends before it begins")
