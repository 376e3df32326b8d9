"""Typed routes: a handler's signature is its validation, its answer's encoding, its description.

A handler is ``async def name(call, [path parameters], [query], [headers], [body]) -> Answer``.
`query`, `headers` and `body` are Structs; path parameters are text; a handler that reads a body
of its own kind takes `request`. Authentication comes before
anything of the request is parsed, and a route without a scope is not reachable by accident: it
has to say ``PUBLIC``. Leaves out the table (`routes`) and the document (`openapi`).
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from aiohttp import web

from coordinator.api.auth import NOBODY, authenticate
from coordinator.api.context import Call, Parts
from coordinator.api.problems import Kind, ProblemError
from coordinator.contract.mistakes import mistake_of
from coordinator.contract.trace import read_traceparent
from coordinator.core.roles import Role
from shared import limits
from shared.sync.body import CONTENT_TYPE

T = TypeVar("T")

JSON = "application/json"
PUBLIC = ""
"""The scope of a route that anybody may ask."""

_UNIONS = {Union, UnionType}
"""``A | B`` is the first for generic types and the second for plain ones."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A typed answer that needs more than status 200."""

    body: T
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is not JSON, or that is encoded already."""

    body: bytes | AsyncIterator[bytes]
    """A stream is sent as it comes; what it raises ends the connection, so nobody takes a part for
    the whole."""
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the URL table."""

    where: str
    """``GET  /v1/agents/{agent}``: a method and a path."""
    handler: Callable[..., Awaitable[Any]]
    scope: str
    """``resource:verb``, or PUBLIC."""
    problems: tuple[Kind, ...] = ()
    """What can go wrong besides what every route of its kind has."""
    status: int = 200
    """Of the usual success."""
    role: Role | None = Role.API
    """Whose processes serve it; None: all."""
    limited: bool = False
    """It keeps to the agents of a token that is limited to some; without it such a token is
    denied, so that nobody can forget to think of it."""
    takes: tuple[str, ...] = (CONTENT_TYPE,)
    """Media types of the body that a handler reads by itself."""

    @property
    def method(self) -> str:
        """Return the HTTP method."""
        return self.where.split()[0]

    @property
    def path(self) -> str:
        """Return the path, its parameters in braces."""
        return self.where.split()[1]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a handler takes and gives, read once."""

    path: tuple[str, ...]
    request: bool
    query: Any
    headers: Any
    body: Any
    results: tuple[Any, ...]
    """What the body of its answer can be; `Raw` for anything that is not JSON."""


def read_signature(route: Route) -> Signature:
    """Return a handler's types; an unknown parameter is a defect of ours."""
    hints = get_type_hints(route.handler)
    result = hints.pop("return")
    del hints[next(iter(hints))]  # the call itself, which comes first whatever its name
    options = get_args(result) if get_origin(result) in _UNIONS else (result,)
    results = tuple(get_args(one)[0] if get_origin(one) is Answer else one for one in options)
    path = tuple(re.findall(r"{(\w+)}", route.path))
    extra = set(hints) - {"request", "query", "headers", "body", *path}
    assert not extra, f"{route.handler.__name__} takes {extra}"
    assert all(hints[name] is str for name in path), "path parameters are text"
    return Signature(
        path,
        "request" in hints,
        hints.get("query"),
        hints.get("headers"),
        hints.get("body"),
        results,
    )


def adapt(route: Route, parts: Parts) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return the aiohttp handler of one route; another process's is told so."""
    signature = read_signature(route)
    if route.role is not None and route.role not in parts.roles:
        return partial(_elsewhere, route.role)

    async def handle(request: web.Request) -> web.StreamResponse:
        principal = NOBODY
        if route.scope != PUBLIC:
            principal = await authenticate(request, parts, route.scope, limited=route.limited)
        arguments: dict[str, Any] = {name: request.match_info[name] for name in signature.path}
        if signature.request:
            arguments["request"] = request
        if signature.query:
            arguments["query"] = _convert(_single(request), signature.query, "query")
        if signature.headers:
            lowered = {name.lower(): value for name, value in request.headers.items()}
            arguments["headers"] = _convert(lowered, signature.headers, "headers")
        raw = b""
        if signature.body:
            raw = await _read(request)
            arguments["body"] = _decode(raw, signature.body)
        call = Call(
            parts=parts,
            principal=principal,
            trace=read_traceparent(*request.headers.getall("traceparent", ())),
            body=raw,
            source=request.remote or "",
            path=request.path,
        )
        return _respond(await route.handler(call, **arguments))

    return handle


async def _elsewhere(role: Role, _request: web.Request) -> web.StreamResponse:
    detail = f"this process leaves {role.value} to others: the load balancer has to ask them"
    raise ProblemError(Kind.MISDIRECTED, detail)


def _respond(result: object) -> web.StreamResponse:
    if isinstance(result, web.StreamResponse):
        return result  # it was sent as it came about
    if isinstance(result, Raw):
        headers = {"Content-Type": result.content_type, **result.headers}
        return web.Response(body=result.body, status=result.status, headers=headers)
    answer = result if isinstance(result, Answer) else Answer(result)
    if answer.status == 304:
        return web.Response(status=304, headers=answer.headers)
    body = msgspec.json.encode(answer.body)
    return web.Response(body=body, status=answer.status, content_type=JSON, headers=answer.headers)


async def _read(request: web.Request) -> bytes:
    if request.content_type != JSON:
        raise ProblemError(Kind.WRONG_MEDIA_TYPE, f"send {JSON}", headers={"Accept": JSON})
    if (request.content_length or 0) > limits.REST_BODY_BYTES:
        raise ProblemError(Kind.TOO_LARGE, f"at most {limits.REST_BODY_BYTES} bytes")
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise ProblemError(Kind.TOO_LARGE, f"at most {limits.REST_BODY_BYTES} bytes") from None


def _single(request: web.Request) -> Mapping[str, str]:
    query = request.query
    for name in query:
        if len(query.getall(name)) > 1:
            raise ProblemError(Kind.INVALID, "it is given twice", at=f"query.{name}")
    return dict(query)


def _convert(values: Mapping[str, str], kind: Any, where: str) -> Any:  # noqa: ANN401  # any Struct
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(error, f"{where}.") from None


def _decode(raw: bytes, kind: Any) -> Any:  # noqa: ANN401  # any Struct
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise mistake_of(error, kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(Kind.MALFORMED, f"the body is not JSON: {error}") from None


def _invalid(error: msgspec.ValidationError, prefix: str) -> ProblemError:
    """Return the problem with msgspec's sentence, its path taken apart."""
    text, _, at = str(error).partition(" - at `")
    place = at.rstrip("`").removeprefix("$").removeprefix(".")
    return ProblemError(Kind.INVALID, text, at=(prefix + place).removesuffix("."))
