"""What a JSON document says at a place: RFC 8259 read with bounds, RFC 6901 pointers.

Pure: bytes in, raw counts out. Leaves out what a count means (`agent.drivers.plain`).
"""

import json
import math
import re
from itertools import accumulate
from typing import Any, Final, Protocol
from urllib.parse import quote

from shared import limits
from shared.errors import Reason, RefusedError
from shared.model.http_address import HttpRequest
from shared.model.text_form import TextForm

_MISSING: Final = object()
_TOKENS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{\]}]', re.DOTALL)
"""Texts, whatever brackets they hold, and brackets; possessive: nothing of it is tried twice."""
_STEPS: Final = dict.fromkeys(b"[{", 1) | dict.fromkeys(b"]}", -1)
_PLAIN: Final = "!$'()*,:@"
"""Beside letters and digits, what means nothing of its own in a path or a query."""


class JsonPlace(Protocol):
    """Where in a document a point is, and how it is written there."""

    @property
    def form(self) -> TextForm:
        """Return how it is written."""

    @property
    def pointer(self) -> str | None:
        """Return the JSON pointer; None: there is none."""


def read_document(body: bytes) -> Any:  # noqa: ANN401 - JSON is anything; callers ask for places
    """Return what an answer's body says.

    Raises:
        RefusedError: it is no JSON, or nested too deeply.
    """
    if _too_deep(body):
        raise RefusedError(Reason.DEVICE_BAD_FRAME, "the answer's JSON is nested too deeply")
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_number, parse_int=_int)
    except (ValueError, RecursionError):
        raise RefusedError(Reason.DEVICE_BAD_FRAME, "the answer is no JSON") from None


def count_at(document: object, at: JsonPlace) -> tuple[bool, int | float | None]:
    """Return whether there is anything at a point's place, and the raw count that it says."""
    found = _at(document, at.pointer or "")
    if found is _MISSING or found is None:
        return False, None
    return True, _count(found, at)


def complaint(document: object, request: HttpRequest) -> str:
    """Return what an answer with a good status complains of, empty where it does not."""
    if not request.error:
        return ""
    found = _at(document, request.error)
    # An empty list of errors is none.
    if found is _MISSING or not found:
        return ""
    if isinstance(found, dict):
        found = found.get("message", found)
    text = found if isinstance(found, str) else json.dumps(found)
    return "".join(letter if letter.isprintable() else "?" for letter in text[:100])


def text_at(document: object, key: str) -> str:
    """Return a member's text, empty where it has none."""
    found = document.get(key) if isinstance(document, dict) else None
    shown = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
    return "".join(one if one.isprintable() else "?" for one in shown[: limits.IDENTITY_CHARS])


def written(at: JsonPlace, raw: float) -> str:
    """Return the JSON of a raw count, as it stands in a request.

    >>> from shared.model.http_address import HttpAddress
    >>> read = HttpRequest(name="r", method="GET", path="/")
    >>> flag = HttpAddress(request=read, pointer="/on", form=TextForm("flag"))
    >>> written(flag, 1)
    'true'
    """
    if at.form.type == "flag":
        return "true" if raw else "false"
    text = at.form.text(raw)
    return json.dumps(text) if at.form.type == "word" else text


def in_path(at: JsonPlace, raw: float) -> str:
    """Return a raw count as it stands in a path: a word without quotes, but escaped (RFC 3986, 2).

    >>> from shared.model.http_address import HttpAddress
    >>> read = HttpRequest(name="r", method="GET", path="/")
    >>> mode = HttpAddress(request=read, pointer="/m", form=TextForm("word", ("off", "eco/a&b")))
    >>> in_path(mode, 1)
    'eco%2Fa%26b'
    """
    bare = at.form.text(raw) if at.form.type == "word" else written(at, raw)
    return quote(bare, safe=_PLAIN)


def _count(found: object, at: JsonPlace) -> int | float | None:
    if isinstance(found, str):
        return at.form.read(found)
    if isinstance(found, bool):
        return int(found) if at.form.type == "flag" else None
    if at.form.type == "word" or not isinstance(found, int | float):
        return None
    if at.form.is_float:
        return _float(found)
    if isinstance(found, float) and not found.is_integer():
        return None
    low, high = at.form.range
    return int(found) if low <= found <= high else None


def _float(found: float) -> float | None:
    try:
        number = float(found)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _at(document: object, pointer: str) -> object:
    """Return what a pointer leads to (RFC 6901, 4)."""
    here = document
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(here, dict):
            here = here.get(key, _MISSING)
        elif isinstance(here, list) and key.isascii() and key.isdecimal() and len(key) < 6:
            here = here[int(key)] if int(key) < len(here) else _MISSING
        else:
            return _MISSING
    return here


def _int(text: str) -> int | float:
    """Return a whole number; one beyond any counter is a float, however many digits it has."""
    return int(text) if len(text) <= 20 else float(text)


def _no_number(text: str) -> float:
    raise ValueError(text)


def _too_deep(body: bytes) -> bool:
    """Tell whether brackets outside of texts nest deeper than anything that makes sense."""
    steps = (_STEPS.get(found[0][0], 0) for found in _TOKENS.finditer(body))
    return any(depth > limits.JSON_DEPTH for depth in accumulate(steps))
