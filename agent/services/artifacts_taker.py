"""Takes one answer with bytes of a file as it comes, and appends them to what is on the shelf.

Owns that nothing of another answer is written. What an answer may be is decided in
`agent.core.artifacts`; asking is `agent.services.artifacts`'s.
"""

import contextlib
from typing import BinaryIO

from agent.core.artifacts import Span, Wanted, offence
from agent.services.http_answer import Head, HttpError
from agent.store.artifacts import Part, Shelf
from shared.errors import WorldError

_READ_BYTES = 16_384
_OVERTAKEN = "another request or a stick went on with this file meanwhile"


class Taker:
    """Appends one answer to a file as it comes, in the exchange's thread."""

    def __init__(self, shelf: Shelf, wanted: Wanted, span: Span) -> None:
        self._shelf, self._wanted, self._span = shelf, wanted, span
        self.got = 0
        """Bytes that were written."""
        self.trouble: WorldError | None = None
        """The disk's."""

    def take(self, head: Head, stream: BinaryIO) -> None:
        """Take an answer's body; nothing of one that is something else than what was asked for.

        Raises:
            HttpError: it is, or it broke off, or the disk did not take it.
        """
        wrong = offence(head.status, head.fields, self._span, self._wanted)
        if wrong:
            raise HttpError(wrong)
        if "transfer-encoding" in head.fields:
            raise HttpError("it answers in chunks of unknown length")
        try:
            with contextlib.closing(self._shelf.open_part(self._wanted)) as part:
                self._append(head, stream, part)
        except WorldError as error:
            self.trouble = error
            raise HttpError(str(error)) from error

    def _append(self, head: Head, stream: BinaryIO, part: Part) -> None:
        if part.size != self._span.start:
            raise HttpError(_OVERTAKEN)
        most = self._span.end - self._span.start
        length = head.fields.get("content-length", "")
        said = int(length[:19]) if length.isdecimal() else most
        left = min(most, said)
        while left:
            data = stream.read1(min(left, _READ_BYTES))  # type: ignore[attr-defined]  # makefile's reader is a BufferedReader
            if not data:
                raise HttpError("the answer broke off")
            if not part.write(data):
                raise HttpError(_OVERTAKEN)
            self.got += len(data)
            left -= len(data)
        if said > most:
            raise HttpError("there is more than was asked for")
