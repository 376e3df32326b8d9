"""Forms that every resource shares: times, problems, pages.

All bodies are JSON objects in snake_case. Times are RFC 3339 in UTC, ids are text, states are
upper case as in docs/ARCHITECTURE.md, reasons are the lower case texts of `shared.errors.Reason`.
Leaves out what a resource says: one file per noun beside this one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import Meta

from shared import limits
from shared.clock import WallMs

T = TypeVar("T")

PROBLEM_TYPE: Final = "application/problem+json"
PROBLEM_URN: Final = "urn:outstation:problem:"

Time = Annotated[datetime, Meta(tz=True, description="RFC 3339, UTC")]
PageSize = Annotated[int, Meta(ge=1, le=limits.PAGE_ITEMS)]
PageToken = Annotated[str, Meta(max_length=512, description="`next_page_token` of the last page")]
SelectorText = Annotated[
    str,
    Meta(max_length=limits.SELECTOR_CHARS, description="label selector: `site in (a,b),role=pump`"),
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS = -62_135_596_800_000
_LAST_MS = 253_402_300_799_999


def to_time(wall_ms: int) -> datetime:
    """Return a moment as people read it; what no calendar can show becomes its nearest end.

    >>> to_time(1_700_000_000_123).isoformat()
    '2023-11-14T22:13:20.123000+00:00'
    """
    return _EPOCH + timedelta(milliseconds=max(_FIRST_MS, min(wall_ms, _LAST_MS)))


def to_wall_ms(time: datetime) -> WallMs:
    """Return UTC milliseconds of a time that carries its zone, rounded down."""
    return WallMs((time - _EPOCH) // timedelta(milliseconds=1))


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a request was not served (RFC 9457); `type` is stable, `detail` is for people."""

    type: str
    """``urn:outstation:problem:NAME``."""
    title: str
    status: int
    detail: str = ""
    """What is wrong and what would help, for people."""
    mend: str = ""
    """What would help, by itself; also the end of `detail`."""
    at: str = ""
    """The member at fault: ``steps[0].params`` in the body, ``query.page_size``, ``path.job``."""
    reason: str = ""
    """The wire reason's text, where a signed document was refused."""

    @property
    def name(self) -> str:
        """Return the last part of `type`, e.g. ``not-found``."""
        return self.type.removeprefix(PROBLEM_URN)


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list; `next_page_token` fetches the next part, null ends it."""

    items: Sequence[T]
    next_page_token: str | None = None
