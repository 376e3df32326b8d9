"""Where a point of a device that speaks lines of text lives, and how its lines are made.

Owns the ``[line]`` and ``[request.NAME]`` sections of profiles for protocol ``line``, and the
addresses that refer to them. Three kinds of talk: ``ask`` (a request, one line for an answer),
``listen`` (sentences come by themselves, as in NMEA 0183) and ``sdi12``. Leaves out the lines
themselves (`agent.drivers.line`) and how a value is written (`shared.model.text_form`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from shared import limits
from shared.ids import is_name
from shared.model.text_form import TextForm, TextPlace, TextType, form_of
from shared.model.toml_text import TomlTable

Talk = Literal["ask", "listen", "sdi12"]
Check = Literal["none", "xor", "sum8", "crc16"]
_TALKS: Final[tuple[Talk, ...]] = get_args(Talk)
_CHECKS: Final[tuple[Check, ...]] = get_args(Check)
_SLOT: Final = re.compile(r"\{(address|value)(?::([1-9]\d?)(x?))?\}")
_LINE_KEYS: Final = (
    *("talk", "start", "end", "separator", "checksum", "mark"),
    *("talkers", "wait_ms"),
)
_REQUEST_KEYS: Final = ("send", "answer", "error")
KEYS: Final = (
    *("request", "sentence", "measurement", "field", "type", "words"),
    *("write", "crc"),
)
EXAMPLE: Final = '{ request = "read", field = 0 }'
_MEASUREMENT: Final = re.compile(r"M[1-9]?|R[0-9]")
"""Measure, read continuously (SDI-12 V1.4, 4.4). Who measures concurrently does not call."""
_SENTENCE: Final = re.compile(r"[A-Z0-9]{2,10}")
_TALKER: Final = re.compile(r"[A-Z0-9]{1,4}")
_WAIT_MS: Final[dict[Talk, int]] = {"ask": 0, "listen": 2_000, "sdi12": 10_000}
SDI12_ADDRESSES: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""A device's address is its place among these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRequest:
    """One request and what its answer begins with; both are templates."""

    name: str
    send: str
    answer: str = ""
    error: str = ""
    """A line that begins so says no."""

    @property
    def takes_value(self) -> bool:
        """Tell whether it is made to write."""
        return "value" in slots_of(self.send)

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""
        return [self.name, self.send, self.answer, self.error]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineDialect:
    """How a device's lines are made."""

    talk: Talk
    start: str = ""
    end: str = "\r\n"
    separator: str = ","
    checksum: Check = "none"
    mark: str = ""
    """Stands before the checksum."""
    talkers: tuple[str, ...] = ()
    """Whose sentences count; none: everybody's."""
    wait_ms: int = 0
    """How long sentences, or a sensor that measures, may let themselves be waited for."""
    requests: tuple[LineRequest, ...] = ()

    @property
    def addresses(self) -> tuple[int, int] | None:
        """Return the lowest and the highest address on such a line; None: there are none."""
        if self.talk == "sdi12":
            return 0, len(SDI12_ADDRESSES) - 1
        templates = [text for one in self.requests for text in (one.send, one.answer)]
        addressed = any("address" in slots_of(text) for text in templates)
        return (0, limits.LINE_ADDRESSES) if addressed else None

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""
        return [
            *("line", self.talk, self.start, self.end, self.separator, self.checksum, self.mark),
            self.wait_ms,
            *self.talkers,
            *(text for one in self.requests for text in one.canonical),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAddress(TextPlace):
    """One point's place in a line."""

    source: str
    """Name of the request, formatter of the sentence, or the measurement."""
    field: int
    request: LineRequest | None = None
    write: LineRequest | None = None
    crc: bool = False
    """SDI-12: the sensor is asked for a checksum too."""

    @property
    def writable(self) -> bool:
        """Tell whether there is a request that writes it."""
        return self.write is not None

    @property
    def place(self) -> tuple[str, ...]:
        """Return what no two points have in common."""
        return (self.source, str(self.field))

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""
        write = self.write.name if self.write else ""
        return [self.source, self.field, write, int(self.crc), *self.form.canonical]


def slots_of(template: str) -> set[str]:
    """Return the names of a template's slots.

    >>> sorted(slots_of("#{address:2}SP={value:5}"))
    ['address', 'value']
    """
    return {found[1] for found in _SLOT.finditer(template)}


def filled(template: str, *, address: int, value: str = "") -> str:
    """Return a template with its slots filled, with zeros before what is shorter than its width.

    >>> filled("#{address:2x}SP={value:5}", address=31, value="42")
    '#1FSP=00042'
    """

    def fill(found: "re.Match[str]") -> str:
        width = int(found[2] or 0)
        if found[1] == "value":
            return value.zfill(width)
        return f"{address:X}".zfill(width) if found[3] else str(address).zfill(width)

    return _SLOT.sub(fill, template)


# --- reading of profiles --------------------------------------------------------------------------
def sections_of(root: TomlTable) -> dict[str, LineDialect]:
    """Return how lines are made, under ``line``.

    Raises:
        MistakeError: points at the line.
    """
    if "line" not in root.values:
        mend = 'write [line] and talk = "ask", "listen" or "sdi12"'
        raise root.mistake("the profile does not say how its lines are made", mend=mend)
    table = root.table("line", _LINE_KEYS)
    talk = cast("Talk", table.choice("talk", _TALKS))
    listens = talk == "listen"
    if talk == "sdi12":
        _refuse(table, ("start", "end", "separator", "checksum", "mark"), "SDI-12 lines are fixed")
    if not listens:
        _refuse(table, ("talkers",), "only who listens chooses talkers")
    if talk == "ask":
        _refuse(table, ("wait_ms",), "the port knows how long an answer takes")
    check = cast("Check", table.choice("checksum", _CHECKS, "xor" if listens else "none"))
    mark = _text(table, "mark", "*" if check == "xor" else "", most=4)
    wait_ms = table.integer("wait_ms", 0, limits.LINE_WAIT_MS, _WAIT_MS[talk])
    end = table.string("end", "\r\n")
    if end not in {"\r\n", "\r", "\n", ";"}:
        raise table.mistake("a line ends with \\r\\n, \\r, \\n or ;", key="end")
    return {
        "line": LineDialect(
            talk=talk,
            start=_text(table, "start", "$" if listens else "", most=4),
            end=end,
            separator=_text(table, "separator", ",", most=4),
            checksum=check,
            mark=mark,
            talkers=_talkers(table),
            wait_ms=wait_ms,
            requests=_requests(root, talk),
        )
    }


def _requests(root: TomlTable, talk: Talk) -> tuple[LineRequest, ...]:
    names = root.values.get("request", {})
    tables = root.table("request", tuple(names) if isinstance(names, dict) else ())
    if bool(tables.values) != (talk == "ask"):
        what = "needs requests" if talk == "ask" else "asks nothing of its own"
        mend = 'write [request.read] and send = "..."' if talk == "ask" else ""
        raise root.mistake(f'talk = "{talk}" {what}', key="request", mend=mend)
    if len(tables.values) > limits.LINE_REQUESTS:
        raise tables.mistake(f"more than {limits.LINE_REQUESTS} requests")
    return tuple(_request(name, tables.table(name, _REQUEST_KEYS)) for name in tables.values)


def _request(name: str, table: TomlTable) -> LineRequest:
    if not is_name(name):
        raise table.mistake(f"{name[:60]!r} is no name")
    found = LineRequest(
        name=name,
        send=_text(table, "send", None),
        answer=_text(table, "answer", ""),
        error=_text(table, "error", ""),
    )
    for key, text in (("send", found.send), ("answer", found.answer), ("error", found.error)):
        if set(_SLOT.sub("", text)) & {"{", "}"}:
            mend = "write {address}, {address:2}, {address:2x}, {value} or {value:5}"
            raise table.mistake(f"{key} has a brace that is no slot", key=key, mend=mend)
    if not found.send:
        raise table.mistake("an empty request asks nothing", key="send")
    return found


def address_of(table: TomlTable, sections: Mapping[str, Any]) -> LineAddress:
    """Return the place that an ``at`` names.

    Raises:
        MistakeError: points at the line.
    """
    dialect = sections["line"]
    assert isinstance(dialect, LineDialect), "the section of such a profile"
    own = {"ask": "request", "listen": "sentence", "sdi12": "measurement"}[dialect.talk]
    _refuse(
        table,
        tuple(key for key in ("request", "sentence", "measurement") if key != own),
        f'with talk = "{dialect.talk}" a point is at a {own}',
    )
    field = table.integer("field", 0, limits.LINE_FIELDS - 1, 0)
    if dialect.talk == "sdi12":
        return _measured(table, field)
    _refuse(table, ("crc",), "only SDI-12 has it")
    if dialect.talk == "listen":
        _refuse(table, ("write",), "who listens writes nothing")
        sentence = table.string("sentence")
        if not _SENTENCE.fullmatch(sentence):
            raise table.mistake(f"{sentence[:20]!r} is no sentence", key="sentence", mend="GGA")
        types: tuple[TextType, ...] = ("number", "int", "hex", "flag", "word", "degrees")
        return LineAddress(source=sentence, field=field, form=form_of(table, types))
    return _asked(table, field, {one.name: one for one in dialect.requests})


def _asked(table: TomlTable, field: int, requests: Mapping[str, LineRequest]) -> LineAddress:
    request = requests[table.choice("request", tuple(requests))]
    if request.takes_value:
        raise table.mistake(f"request {request.name!r} writes a value", key="request")
    write = None
    if "write" in table.values:
        write = requests[table.choice("write", tuple(requests))]
        if not write.takes_value:
            raise table.mistake(f"request {write.name!r} has no place for a value", key="write")
    form = form_of(table, ("number", "int", "hex", "flag", "word"))
    return LineAddress(source=request.name, field=field, form=form, request=request, write=write)


def _measured(table: TomlTable, field: int) -> LineAddress:
    _refuse(table, ("write", "type", "words"), "a measurement is a number that is read")
    measurement = table.string("measurement")
    if not _MEASUREMENT.fullmatch(measurement):
        mend = "write M, M1 to M9 or R0 to R9"
        raise table.mistake(f"{measurement[:20]!r} is no measurement", mend=mend)
    crc = table.flag("crc", default=False)
    source = f"{measurement[0]}C{measurement[1:]}" if crc else measurement
    return LineAddress(source=source, field=field, form=TextForm("number"), crc=crc)


def _talkers(table: TomlTable) -> tuple[str, ...]:
    found = table.values.get("talkers", [])
    if not isinstance(found, list) or len(found) > limits.WORDS:
        raise table.mistake('talkers is a list like ["GP", "GN"]', key="talkers")
    if not all(isinstance(one, str) and _TALKER.fullmatch(one) for one in found):
        raise table.mistake("a talker has 1 to 4 letters or digits", key="talkers")
    return tuple(found)


def _refuse(table: TomlTable, keys: tuple[str, ...], why: str) -> None:
    for key in keys:
        if key in table.values:
            raise table.mistake(f"{why}: no {key} here", key=key)


def _text(
    table: TomlTable, key: str, default: str | None, most: int = limits.LINE_TEXT_CHARS
) -> str:
    text = table.string(key, default)
    if len(text) > most or not text.isascii() or not text.isprintable():
        raise table.mistake(f"{key} has up to {most} printable ASCII characters", key=key)
    return text
