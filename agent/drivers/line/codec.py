"""Questions with one line for an answer, and sentences that come unasked, as feedable decoders.

Owns whose answer a line is. Leaves out lines and checksums (`framing`), SDI-12 (`sdi12`) and what
fields mean (`driver`). Pure.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from agent.core.patient import Patient
from agent.drivers.line.framing import Lines, unwrap, wrap
from shared import limits
from shared.errors import Reason, RefusedError
from shared.model.line_address import LineDialect, LineRequest, filled

_ANSWER_BYTES: Final = 48
"""Taken for an answer's length, beside what is known of it: what a slow line is waited for."""
Fields = list[str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The device understood the request and says no."""

    text: str


class Asked:
    """A `FrameDecoder` for the line that answers a request."""

    def __init__(
        self, dialect: LineDialect, request: LineRequest, *, address: int, value: str = ""
    ) -> None:
        self.unit = self.peer = address
        self.repeatable = not request.takes_value
        self._dialect = dialect
        self._text = filled(request.send, address=address, value=value)
        self._begins = filled(request.answer, address=address, value=value)
        self._error = filled(request.error, address=address, value=value)
        self.frame = wrap(dialect, self._text)
        """What is sent."""
        self.answer_bytes = len(self._begins) + _ANSWER_BYTES
        self._lines = Lines(dialect.end)

    def reset(self) -> None:
        """Forget what was fed."""
        self._lines = Lines(self._dialect.end)

    def feed(self, data: bytes) -> Fields | Refusal | None:
        """Return the fields of the answer; other lines are passed over.

        Raises:
            RefusedError: a line came that is the answer, and its checksum does not fit.
        """
        for line in self._lines.feed(data):
            texts = unwrap(self._dialect, line)
            if not texts and self._begins.encode() in line:
                raise RefusedError(Reason.DEVICE_BAD_FRAME, "the answer's checksum does not fit")
            # An adapter for two wires hears what it says.
            if self._text not in texts and (answer := self._answer(texts)) is not None:
                return answer
        return None

    def _answer(self, texts: list[str]) -> Fields | Refusal | None:
        """Return what a line says, if one of the texts that it may carry is an answer."""
        noes = [text for text in texts if self._error and text.startswith(self._error)]
        for text in texts:
            if text not in noes and text.startswith(self._begins):
                return split(self._dialect, text[len(self._begins) :])
        return Refusal(noes[0]) if noes else None


class Heard(Patient):
    """A `FrameDecoder` and `Talk` that asks nothing: it waits until all sentences have come."""

    peer = None
    repeatable = False
    """Asking again is waiting longer: `wait_ms` says how long."""
    frame = b""
    answer_bytes = 0

    def __init__(self, dialect: LineDialect, wanted: Collection[str], *, unit: int) -> None:
        self.unit = unit
        self.least_wait_ms = dialect.wait_ms
        self.found: dict[str, Fields] = {}
        """The newest of each, by its formatter; also when not all came."""
        self.damaged = 0
        """Lines whose checksum did not fit."""
        self._dialect, self._wanted = dialect, frozenset(wanted)
        self._lines = Lines(dialect.end)

    def reset(self) -> None:
        """Never called: it is not repeatable."""

    def feed(self, data: bytes) -> "dict[str, Fields] | None":
        """Return the sentences once all that are wanted were heard."""
        for line in self._lines.feed(data):
            texts = unwrap(self._dialect, line)
            self.damaged += not texts
            for text in texts:
                if self._take(text):
                    break
        return self.found if self._wanted <= self.found.keys() else None

    def _take(self, text: str) -> bool:
        """Note a sentence if it is wanted; tell whether it is."""
        head, *fields = split(self._dialect, text)
        taken = False
        for sentence in self._wanted:
            talker = head.removesuffix(sentence)
            if talker == head and head != sentence:
                continue
            if not self._dialect.talkers or talker in self._dialect.talkers:
                self.found[sentence] = fields
                taken = True
        return taken


def split(dialect: LineDialect, text: str) -> Fields:
    """Return the fields of a text, bounded; without a separator it is one."""
    if not dialect.separator:
        return [text]
    blank = not dialect.separator.strip()
    fields = text.split(None if blank else dialect.separator, limits.LINE_FIELDS)
    return [one.strip() for one in fields[: limits.LINE_FIELDS]]
