"""Logs as events: a stable name and typed fields, one JSON object a line.

Owns the two formats, redaction of secrets, and the bound of a field. Leaves out where the lines
go: standard error, and the service manager from there. Metrics are not logs.

    log = Events(__name__)
    log.event("block_sealed", seq=17, bytes=402)
"""

import datetime as dt
import json
import logging
import re
import sys
import traceback
from typing import TextIO

from shared import limits

Field = str | int | float | bool | bytes | None

_HIDDEN = "[redacted]"
_SECRET_NAMES = re.compile(r"token|secret|password|passphrase|private|authorization|cookie|claim")
_SECRET_TEXT = re.compile(
    r"(?P<label>(?<![A-Za-z])ost_|(?i:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_ID_BYTES = 16
"""Ids are shown in full; longer byte strings may be keys, and none is worth a log line."""
_FIELDS = "outstation_fields"


def redact(text: str) -> str:
    """Return text without tokens, bearer credentials and private keys.

    >>> redact("POST with Bearer ost_abcdefghij failed")
    'POST with Bearer [redacted] failed'
    """
    return _SECRET_TEXT.sub(lambda found: (found["label"] or "") + _HIDDEN, text)


class Events:
    """A logger that takes an event's name and its fields instead of a sentence."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def event(
        self,
        name: str,
        *,
        level: int = logging.INFO,
        error: BaseException | None = None,
        **fields: Field,
    ) -> None:
        """Log one event; `error` adds its traceback.

        Field names that speak of secrets, and values that look like them, are not written.
        """
        self._logger.log(level, name, exc_info=error, extra={_FIELDS: fields})


class JsonFormat(logging.Formatter):
    """One JSON object a line: ``at`` (RFC 3339, UTC), ``level``, ``logger``, ``event``, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; never raises for a value, and never contains a line break."""
        line: dict[str, Field] = {
            "at": _rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        for name, value in _content(record).items():
            # A field must not pass for the event's own time, level or place.
            line[f"field_{name}" if name in line else name] = value
        return json.dumps(line, ensure_ascii=False, default=str)


class HumanFormat(logging.Formatter):
    """For eyes on a terminal: time, level, event and fields on one line, then a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines; control characters of values are escaped, a peer may choose them."""
        content = _content(record)
        event, trace = content.pop("event"), content.pop("traceback", "")
        clock = _rfc3339(record.created)[11:23]
        parts = [clock, f"{record.levelname:<7}", _printable(event)]
        parts += [f"{name}={_printable(value)}" for name, value in content.items()]
        line = " ".join(parts)
        return f"{line}\n{trace!s}" if trace else line


def configure_logging(
    *, level: int = logging.INFO, stream: TextIO | None = None, human: bool | None = None
) -> None:
    """Send every log of this process to one stream (standard error), replacing what was set up.

    `human` chooses the format; by default a terminal gets the readable one, a pipe JSON.
    """
    target = stream or sys.stderr
    readable = target.isatty() if human is None else human
    handler = logging.StreamHandler(target)
    handler.setFormatter(HumanFormat() if readable else JsonFormat())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    # Each SQL hop would be two lines at DEBUG.
    logging.getLogger("aiosqlite").setLevel(logging.WARNING)


def _content(record: logging.LogRecord) -> dict[str, Field]:
    """Return the event, its fields and its traceback, safe to write."""
    fields = getattr(record, _FIELDS, None)
    content: dict[str, Field] = {}
    if fields is None:
        # A library's sentence: its text stays whole, under one event name.
        content["event"] = "message"
        content["text"] = _safe("text", record.getMessage())
    else:
        content["event"] = record.msg
        for name, value in fields.items():
            content[f"field_{name}" if name == "event" else name] = _safe(name, value)
    if record.exc_info and record.exc_info[1]:
        trace = "".join(traceback.format_exception(record.exc_info[1]))
        content["traceback"] = redact(trace)[-limits.LOG_TRACE_CHARS :]
    return content


def _safe(name: str, value: object) -> Field:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _SECRET_NAMES.search(name.lower()):
        return _HIDDEN
    if isinstance(value, bytes):
        return value.hex() if len(value) <= _ID_BYTES else f"<{len(value)} bytes>"
    text = redact(str(value))
    bound = limits.LOG_FIELD_CHARS
    return text if len(text) <= bound else f"{text[:bound]}... ({len(text)} characters)"


def _printable(value: object) -> str:
    text = str(value)
    plain = text.isprintable() and text and " " not in text
    return text if plain else json.dumps(text)


def _rfc3339(seconds: float) -> str:
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
