"""Where a point of an HTTP device lives: a place in the JSON answer to a named request.

Owns the ``[request.NAME]`` tables of profiles for protocol ``http_json`` and the addresses that
refer to them. A place is a JSON pointer (RFC 6901). Leaves out HTTP itself
(`agent.drivers.http_json`) and how a value is written (`shared.model.text_form`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

from shared import limits
from shared.ids import is_name
from shared.model.text_form import TextPlace, TextType, form_of
from shared.model.toml_text import TomlTable

Method = Literal["GET", "POST", "PUT", "PATCH"]
_METHODS: Final[tuple[Method, ...]] = get_args(Method)
_REQUEST_KEYS: Final = ("method", "path", "body", "error")
VALUE: Final = "{value}"
"""Where a written value comes to stand, in a path or a body."""
_TYPES: Final[tuple[TextType, ...]] = ("number", "int", "flag", "word")
_PLACE_KEYS: Final = ("request", "pointer", "type", "words", "write")
KEYS: Final = _PLACE_KEYS
EXAMPLE: Final = '{ request = "status", pointer = "/apower" }'


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request of a profile."""

    name: str
    method: Method
    path: str
    """Begins with a slash; behind the port's own path."""
    body: str = ""
    """JSON; with `VALUE` it becomes JSON only once the value stands there."""
    error: str = ""
    """Where an answer with a good status says all the same that it went wrong."""

    @property
    def takes_value(self) -> bool:
        """Tell whether it is made to write."""
        return VALUE in self.path or VALUE in self.body

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""
        return [self.name, self.method, self.path, self.body, self.error]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAddress(TextPlace):
    """One point's place in an HTTP device."""

    request: HttpRequest
    pointer: str
    write: HttpRequest | None = None

    @property
    def writable(self) -> bool:
        """Tell whether there is a request that writes it."""
        return self.write is not None

    @property
    def place(self) -> tuple[str, ...]:
        """Return what no two points have in common."""
        return (self.request.name, self.pointer)

    @property
    def canonical(self) -> list[str | int]:
        """Return what of it goes into a profile's hash."""
        write = self.write.name if self.write else ""
        return [self.request.name, self.pointer, write, *self.form.canonical]


def requests_of(root: TomlTable) -> dict[str, HttpRequest]:
    """Return the requests of a profile by name.

    Raises:
        MistakeError: points at the line.
    """
    names = root.values.get("request", {})
    tables = root.table("request", tuple(names) if isinstance(names, dict) else ())
    if not tables.values:
        mend = 'write [request.status] and path = "/status"'
        raise root.mistake("the profile has no requests", mend=mend)
    if len(tables.values) > limits.HTTP_REQUESTS:
        raise tables.mistake(f"more than {limits.HTTP_REQUESTS} requests")
    return {name: _request(name, tables.table(name, _REQUEST_KEYS)) for name in tables.values}


def _request(name: str, table: TomlTable) -> HttpRequest:
    if not is_name(name):
        raise table.mistake(f"{name[:60]!r} is no name")
    path, body = table.string("path"), table.string("body", "")
    if not path.startswith("/") or path.startswith("//") or len(path) > limits.HTTP_PATH_CHARS:
        what = f"path begins with one slash and has up to {limits.HTTP_PATH_CHARS} characters"
        raise table.mistake(what, key="path")
    # It stands in a request's first line: a space or a line's end would make another request of it.
    if not path.isascii() or not path.isprintable() or set(path) & set(' "<>\\^`|#'):
        mend = "write special characters as %20"
        raise table.mistake("path has characters that no URL has", key="path", mend=mend)
    if len(body.encode()) > limits.HTTP_BODY_SENT_BYTES:
        raise table.mistake(f"body is longer than {limits.HTTP_BODY_SENT_BYTES} bytes", key="body")
    method = cast("Method", table.choice("method", _METHODS, "GET"))
    if method == "GET" and body:
        raise table.mistake("a GET has no body", key="body", mend='write method = "POST"')
    error = _pointer(table, "error") if "error" in table.values else ""
    return HttpRequest(name=name, method=method, path=path, body=body, error=error)


def address_of(table: TomlTable, requests: Mapping[str, HttpRequest]) -> HttpAddress:
    """Return the place that an ``at`` names.

    Raises:
        MistakeError: points at the line.
    """
    request = requests[table.choice("request", tuple(requests))]
    if request.takes_value:
        raise table.mistake(f"request {request.name!r} writes a value", key="request")
    write = None
    if "write" in table.values:
        write = requests[table.choice("write", tuple(requests))]
        if not write.takes_value:
            mend = f"put {VALUE} into its path or its body"
            raise table.mistake(f"request {write.name!r} has no place for a value", mend=mend)
    form = form_of(table, _TYPES)
    return HttpAddress(request=request, pointer=_pointer(table, "pointer"), form=form, write=write)


def _pointer(table: TomlTable, key: str) -> str:
    text = table.string(key)
    if (text and not text.startswith("/")) or len(text) > limits.HTTP_POINTER_CHARS:
        most = limits.HTTP_POINTER_CHARS
        what = f"{key} is a JSON pointer: it begins with a slash and has up to {most} characters"
        raise table.mistake(what, key=key, mend=f'write {key} = "/temperature/tC"')
    return text
