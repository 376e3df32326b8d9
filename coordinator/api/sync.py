"""What gateways speak: contacts and enrolment, as bytes whose documents are signed.

There is no token here: the signature inside is the authentication. Leaves out what a contact
means (`coordinator.services.intake`).
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from coordinator.api.context import Call, Parts
from coordinator.api.problems import Kind, ProblemError
from coordinator.api.router import Raw
from coordinator.api.shown import shown_on
from coordinator.core.client_certificates import Demand, check_shown
from coordinator.services.sources import source_of
from shared import limits
from shared.errors import Reason, RefusedError
from shared.sync.body import CONTENT_TYPE, BodyDecoder
from shared.trust.documents import claimed_agent


class SyncQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``POST /v1/sync?wait=S``: where the answer would be empty, hold it for work."""

    wait: Annotated[int, Meta(ge=0, le=limits.WAIT_S)] = 0


async def sync(call: Call, request: web.Request, query: SyncQuery) -> Raw:
    """Answer one contact of an agent."""
    source = source_of(request.remote or "")
    decoder, reception = BodyDecoder(limits.BODY_BYTES_UP), call.parts.intake.begin(source)
    size, checked = 0, call.parts.certificates is Demand.OFF
    async for chunk in _chunks(request, limits.BODY_BYTES_UP):
        size += len(chunk)
        complete = decoder.feed(chunk)
        if complete and not checked:
            # The report comes first; what it says is verified later, also of itself.
            checked = True
            _check_certificate(call.parts, request.transport, complete[0].data)
        await reception.take(complete)
    decoder.finish()
    body = await reception.answer(body_bytes=size, wait_s=query.wait)
    return Raw(body, CONTENT_TYPE)


async def take_contact(
    parts: Parts, body: bytes, *, wait_s: int, line: asyncio.BaseTransport, address: str
) -> bytes:
    """Return the answer to a contact whose body is here as a whole; `line` is its connection.

    `address` is who calls, which a proxy in front may have told.

    Raises:
        RefusedError: nothing of it was used.
        WorldError: the store does not work; the agent sends the same again later.
    """
    decoder, reception = BodyDecoder(limits.BODY_BYTES_UP), parts.intake.begin(source_of(address))
    complete = decoder.feed(body)
    if complete and parts.certificates is not Demand.OFF:
        _check_certificate(parts, line, complete[0].data)
    await reception.take(complete)
    decoder.finish()
    return await reception.answer(body_bytes=len(body), wait_s=wait_s)


def _check_certificate(parts: Parts, line: asyncio.BaseTransport | None, report: bytes) -> None:
    """Check what the connection showed against the agent that a report claims to be from.

    Raises:
        RefusedError: CERTIFICATE_NEEDED, or it is no report.
    """
    agent = claimed_agent(report)
    check_shown(parts.certificates, shown_on(line), agent, parts.clock.wall_ms())


async def enroll_agent(call: Call, request: web.Request) -> Raw:
    """Let a gateway in that holds its key, once a claim or a person vouches for it."""
    data = b"".join([chunk async for chunk in _chunks(request, limits.REPORT_BYTES)])
    answer = await call.parts.members.enroll(data, address=request.remote or "")
    return Raw(answer, CONTENT_TYPE)


async def hear_word(call: Call, request: web.Request) -> Raw:
    """Take what an agent says of itself: another key, other labels, that it has left."""
    data = b"".join([chunk async for chunk in _chunks(request, limits.REPORT_BYTES)])
    return Raw(await call.parts.members.hear(data), CONTENT_TYPE)


async def _chunks(request: web.Request, bound: int) -> AsyncIterator[bytes]:
    """Yield a body's bytes as they come, never more than `bound`.

    Raises:
        ProblemError: WRONG_MEDIA_TYPE, TIMED_OUT.
        RefusedError: TOO_LONG, said before reading on when the length was announced.
    """
    if request.content_type != CONTENT_TYPE:
        headers = {"Accept": CONTENT_TYPE}
        raise ProblemError(Kind.WRONG_MEDIA_TYPE, f"send {CONTENT_TYPE}", headers=headers)
    if (request.content_length or 0) > bound:
        raise RefusedError(Reason.TOO_LONG, f"at most {bound} bytes")
    left = bound
    while True:
        try:
            async with asyncio.timeout(limits.CONTACT_IDLE_S):
                chunk = await request.content.readany()
        except TimeoutError:
            raise ProblemError(Kind.TIMED_OUT) from None
        if not chunk:
            return
        left -= len(chunk)
        if left < 0:
            raise RefusedError(Reason.TOO_LONG, f"at most {bound} bytes")
        yield chunk
