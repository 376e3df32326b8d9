"""The trace that a request belongs to, as its caller says: W3C Trace Context, level 1.

Owns how ``traceparent`` is read, and how somebody who asks for something makes one. What cannot be
read is as if it were not there: a caller's tracing never fails a request. Leaves out
``tracestate``, which nothing here would change or hand on.
"""

import re
import secrets
from dataclasses import dataclass
from typing import Final, Self

TRACEPARENT: Final = "traceparent"
"""The header; in capitals the environment variable in which programs hand theirs on."""
_CHARS: Final = 55
# Section 3.2.2: version ff and ids of zeros alone are invalid. Of a later version is read what
# version 00 defines, and only if it stands where it would.
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}"
    r"-[0-9a-f]{2}(?P<later>-.*)?",
    re.ASCII | re.DOTALL,
)


def read_traceparent(*values: str) -> str:
    """Return the 55 characters that version 00 defines; empty without exactly one valid header.

    >>> read_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    >>> read_traceparent("00-made-up")
    ''
    """
    if len(values) != 1:
        return ""
    found = _TRACEPARENT.fullmatch(values[0])
    if found is None or (found["later"] and found["version"] == "00"):
        return ""
    return values[0][:_CHARS]


def trace_id(traceparent: str) -> bytes:
    """Return the 16 bytes that name the trace in what `read_traceparent` returned, or none."""
    return bytes.fromhex(traceparent[3:35])


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace of one who asks: each request of its is a span of its own."""

    trace_id: bytes

    @classmethod
    def of(cls, parent: str) -> Self:
        """Go on with the trace that `parent` says, or begin one if it says none.

        >>> Trace.of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").trace_id.hex()
        '0af7651916cd43dd8448eb211c80319c'
        """
        return cls(trace_id(read_traceparent(parent)) or secrets.token_bytes(16))

    def next_span(self) -> str:
        """Return the header of one more request; it is to be recorded."""
        return f"00-{self.trace_id.hex()}-{secrets.token_hex(8)}-01"
