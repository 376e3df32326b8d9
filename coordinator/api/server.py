"""The aiohttp application: every route mounted, every exception turned into a problem."""

import asyncio
import logging
from functools import cache

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from coordinator.api.context import Parts
from coordinator.api.openapi import describe
from coordinator.api.problems import Kind, ProblemError, as_problem
from coordinator.api.router import JSON, adapt
from coordinator.api.routes import ROUTES
from shared import limits
from shared.errors import OutstationError, WorldError
from shared.runtime.logs import Events
from shared.sync.body import CONTENT_TYPE

_log = Events(__name__)
_BAD_CHARS = 200
"""A line of the log for bytes that a stranger chose."""
_HTTP: dict[int, Kind] = {
    404: Kind.NOT_FOUND,
    405: Kind.METHOD_NOT_ALLOWED,
    413: Kind.TOO_LARGE,
}
_ADDRESS_CHARS = 64
"""An IPv6 address with its zone, and room."""
_OPENAPI = "/openapi.json"
# A contact's answer goes without: nothing in between may keep a POST, and every byte is paid for.
SAFE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def build_application(parts: Parts, *, behind_proxy: bool = False) -> web.Application:
    """Return the application of one coordinator; a proxy in front tells who calls."""
    application = web.Application(
        middlewares=[_guard(parts, behind_proxy=behind_proxy)],
        client_max_size=limits.REST_BODY_BYTES,
    )
    for route in ROUTES:
        # HEAD would do a GET's work for an answer nobody reads.
        application.router.add_route(route.method, route.path, adapt(route, parts))

    @cache
    def document() -> bytes:
        # Tens of milliseconds: for who asks for it, not for every start.
        return describe(ROUTES, version=parts.version)

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=await asyncio.to_thread(document), content_type=JSON)

    application.router.add_route("GET", _OPENAPI, openapi)

    async def let_everybody_go(_application: web.Application) -> None:
        parts.work.close()
        parts.jobs.close()

    application.on_shutdown.append(let_everybody_go)
    application.on_response_prepare.append(_short_of_words)
    return application


async def _short_of_words(_request: web.Request, response: web.StreamResponse) -> None:
    """Take the one header that may go out of a contact's answer: gateways pay for each byte."""
    if response.content_type == CONTENT_TYPE:
        del response.headers["Server"]


class BadRequests(logging.Filter):
    """What is not HTTP at all is one line, not a traceback: anybody can send it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the traceback off aiohttp's word about bytes that it could not parse."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.exc_info = None
            record.levelno, record.levelname = logging.INFO, "INFO"
            record.msg, record.args = f"not HTTP: {error.message}"[:_BAD_CHARS], ()
        return True


def _guard(parts: Parts, *, behind_proxy: bool) -> Middleware:
    """Return the middleware that counts requests and answers problems."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if behind_proxy:
            request = _as_forwarded(request)
        try:
            response = await handler(request)
        # The border of the product: a defect of ours costs its request, not the coordinator.
        except Exception as error:  # noqa: BLE001
            response = answer_problem(error, request.path)
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "none"
        parts.metrics.requests.labels(route, response.status).inc()
        if response.content_type != CONTENT_TYPE:
            response.headers.update(SAFE)
        response.headers["Server"] = "outstation"
        return response

    return guard


def answer_problem(error: Exception, path: str) -> web.Response:
    """Return how an exception is told to who asked, and log what is not theirs."""
    match error:
        case WorldError():
            _log.event("store_unavailable", level=logging.WARNING, detail=str(error))
            return as_problem(error).response()
        case OutstationError():
            return as_problem(error).response()
        case web.HTTPException():
            return _http_problem(error)
        case _:
            _log.event("request_failed", level=logging.ERROR, error=error, path=path)
            return ProblemError(Kind.INTERNAL).response()


def _as_forwarded(request: web.Request) -> web.Request:
    """Return a request that comes from where the proxy in front had it from.

    Proxies append to ``X-Forwarded-For`` whom they see, or a header of their own after those that
    came; what stands before that anybody can write.
    """
    said = request.headers.getall("X-Forwarded-For", [""])[-1].rpartition(",")[2].strip()
    return request.clone(remote=said[:_ADDRESS_CHARS]) if said else request


def _http_problem(error: web.HTTPException) -> web.Response:
    """Return the problem for what aiohttp itself found: no such path, no such method."""
    kind = _HTTP.get(error.status, Kind.INTERNAL if error.status >= 500 else Kind.MALFORMED)
    allow = error.headers.get("Allow")
    return ProblemError(kind, headers={"Allow": allow} if allow else {}).response()
