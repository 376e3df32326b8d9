"""A REST client of one request after the other, over the standard library's HTTP.

Owns the mapping from HTTP to exit codes. What is asked stands with each command.
"""

import contextlib
import http.client
import ssl
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from coordinator.cli.access import Access
from coordinator.contract.common import Page, Problem
from coordinator.contract.trace import TRACEPARENT, Trace
from shared import limits
from shared.errors import OutstationError

T = TypeVar("T")

_PIECE_BYTES = 65_536
_TIMEOUT_S = limits.WAIT_S + 15
"""Longer than the coordinator may hold an answer back."""


class Exit(IntEnum):
    """What the command line's exit status means; scripts rely on it."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    DENIED = 4
    UNREACHABLE = 5
    CONFLICT = 6
    TIMED_OUT = 7
    INTERRUPTED = 130
    """By Ctrl-C, as shells say it."""


_EXIT_OF_STATUS: Mapping[int, Exit] = {
    400: Exit.USAGE,
    401: Exit.DENIED,
    403: Exit.DENIED,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    412: Exit.CONFLICT,
    413: Exit.USAGE,
    415: Exit.USAGE,
    422: Exit.USAGE,
}


_LISTED: Mapping[str, str] = {
    f"path.{noun}": f"{noun}s" for noun in ("agent", "template", "token", "trigger")
}
"""Which command lists what a path named in vain."""
_PASSING = frozenset({429, 502, 503, 504})
"""Answers of one who is too busy, stops, or stands in front of one who does not answer."""


class CallError(OutstationError):
    """A request that was not served, as one sentence and an exit status."""

    def __init__(
        self, sentence: str, code: Exit, problem: Problem | None = None, *, passing: bool = False
    ) -> None:
        """Keep the problem document too, for `--json`; `passing`: later it may be served."""
        super().__init__(sentence)
        self.code, self.problem, self.passing = code, problem, passing


class Client:
    """Asks one coordinator, over one connection that is kept while it lasts."""

    def __init__(self, access: Access, trace: Trace) -> None:
        """Connect at the first request; what is made belongs to `trace`."""
        self._access, self._trace = access, trace
        self._headers: Mapping[str, str] = {}
        self._connection = http.client.HTTPSConnection(
            access.host, access.port, context=access.tls, timeout=_TIMEOUT_S
        )

    def get(
        self,
        path: str,
        type_: type[T],
        query: Mapping[str, object] | None = None,
        *,
        wait_s: int = 0,
    ) -> T:
        """Return what a GET answers, as `type_`; `wait_s` lets the server wait for a change."""
        headers = {"Prefer": f"wait={wait_s}"} if wait_s else {}
        return self._decode(self._call("GET", path, query, headers=headers), type_)

    def get_raw(self, path: str, query: Mapping[str, object]) -> bytes:
        """Return the body that a GET answers, as it is."""
        return self._call("GET", path, query)

    def stream(
        self,
        path: str,
        query: Mapping[str, object],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[bytes]:
        """Yield the body that a GET answers, piece by piece as it comes.

        Raises:
            CallError: it was not served, or ended before its end.
        """
        with self._trouble():
            self._send("GET", path, query, None, headers)
            response = self._connection.getresponse()
            if response.status >= http.client.BAD_REQUEST:
                raise _refusal(response.status, response.read())
            while piece := response.read1(_PIECE_BYTES):
                yield piece
            # One with a length is not closed at its end by reading on there.
            if not response.isclosed() and response.length != 0:
                raise http.client.IncompleteRead(b"")

    def post(
        self,
        path: str,
        body: object,
        type_: type[T],
        *,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Send a JSON body and return what is answered, as `type_`."""
        data = msgspec.json.encode(body)
        return self._decode(self._call("POST", path, query, data, headers), type_)

    def post_raw(
        self, path: str, data: bytes, *, content_type: str
    ) -> tuple[bytes, Mapping[str, str]]:
        """Send bytes and return the body that is answered, as it is, and its headers."""
        body = self._call("POST", path, None, data, {"Content-Type": content_type})
        return body, self._headers

    def patch(self, path: str, data: bytes, type_: type[T], *, headers: Mapping[str, str]) -> T:
        """Send bytes that change a thing and return what is answered, as `type_`."""
        return self._decode(self._call("PATCH", path, None, data, headers), type_)

    def delete(self, path: str, type_: type[T]) -> T:
        """Delete a thing and return what it was, as `type_`."""
        return self._decode(self._call("DELETE", path, None), type_)

    def pages(
        self, path: str, type_: type[T], query: Mapping[str, object], *, most: int
    ) -> Iterator[T]:
        """Iterate over a list, page by page, up to `most` items."""
        token: str | None = ""
        while token is not None and most > 0:
            size = min(most, limits.PAGE_ITEMS)
            asked = {**query, "page_size": size, "page_token": token}
            page: Page[T] = self.get(path, Page[type_], asked)  # type: ignore[valid-type]  # a runtime generic
            yield from page.items
            most -= len(page.items)
            token = page.next_page_token

    def twin(self) -> "Client":
        """Return another client of the same coordinator, with a connection of its own."""
        return Client(self._access, self._trace)

    def close(self) -> None:
        """Drop the connection."""
        self._connection.close()

    def _decode(self, data: bytes, type_: type[T]) -> T:
        try:
            return msgspec.json.decode(data, type=type_)
        except msgspec.DecodeError as error:
            raise CallError(
                f"the coordinator's answer is not understood ({error}); is it another version?",
                Exit.FAILED,
            ) from None

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        with self._trouble():
            self._send(method, path, query, data, headers)
            response = self._connection.getresponse()
            body = response.read()
            self._headers = dict(response.getheaders())
        if response.status >= http.client.BAD_REQUEST:
            raise _refusal(response.status, body)
        return body

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        data: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> None:
        asked = {key: value for key, value in (query or {}).items() if value not in ("", None)}
        target = path + ("?" + urlencode(asked) if asked else "")
        sent = {"Authorization": f"Bearer {self._access.token}", **(headers or {})}
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        if method != "GET":
            sent[TRACEPARENT] = self._trace.next_span()
        self._connection.request(method, target, data, sent)

    @contextlib.contextmanager
    def _trouble(self) -> Iterator[None]:
        """Turn what goes wrong on the line into a sentence."""
        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise CallError(
                f"{self._where()} does not prove to be your coordinator ({error.verify_message});"
                " check url and ca in your admin.toml",
                Exit.DENIED,
            ) from None
        except ssl.SSLError as error:
            self.close()
            raise CallError(
                f"what answers at {self._where()} is no coordinator, or something between"
                f" breaks off ({error.reason or error})",
                Exit.UNREACHABLE,
                passing=True,
            ) from None
        except http.client.IncompleteRead:
            self.close()
            raise CallError(
                "the answer ended before its end; ask again", Exit.FAILED, passing=True
            ) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise CallError(
                f"no coordinator answers at {self._where()}: {said}; does it run, and is that"
                " the url in your admin.toml?",
                Exit.UNREACHABLE,
                passing=True,
            ) from None

    def _where(self) -> str:
        return f"https://{self._access.host}:{self._access.port}"


def segment(text: str) -> str:
    """Return `text` as one segment of a path."""
    return quote(text, safe="")


def _refusal(status: int, body: bytes) -> CallError:
    code = _EXIT_OF_STATUS.get(status, Exit.FAILED)
    passing = status in _PASSING
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        return CallError(f"the coordinator answered {status}", code, passing=passing)
    if status == http.client.UNAUTHORIZED:
        return CallError(
            "the coordinator does not accept this token: it ended, was revoked, or is another"
            " fleet's; an admin makes a new one with: outstation tokens create",
            code,
            problem,
        )
    # A member of the job that was handed in is worth naming; the path and query are our own.
    in_body = problem.at and not problem.at.startswith(("path.", "query."))
    place = f"{problem.at}: " if in_body else ""
    said = f"{place}{problem.detail or problem.title}"
    if status == http.client.NOT_FOUND and problem.at in _LISTED:
        said += f"; see: outstation {_LISTED[problem.at]} list"
    return CallError(said, code, problem, passing=passing)
