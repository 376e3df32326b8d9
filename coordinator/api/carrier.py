"""``/v1/parcels`` and ``/v1/agents/{agent}/stick``: what somebody carried, and carries back.

A client cuts a stick into parcels and posts each below the stick's header: sticks may be larger
than any request. Leaves out what a parcel means (`coordinator.services.carrier`).
"""

import asyncio

from aiohttp import web

from coordinator.api.agents import check_sight
from coordinator.api.context import Call
from coordinator.api.problems import Kind, ProblemError
from coordinator.api.router import Raw
from coordinator.contract.sticks import (
    FILES_HEADER,
    NO_STORE,
    SEAL_HEADER,
    STICK_TYPE,
    WORK_HEADER,
    ParcelView,
)
from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import AgentId
from shared.model.artifact import artifact_text
from shared.sync.stick import END, HEADER_BYTES, StickDecoder

_MOST = HEADER_BYTES + limits.PARCEL_BYTES + 2 * len(END)


async def take_parcel(call: Call, request: web.Request) -> ParcelView:
    """Take in a stick of one parcel; the same one again changes nothing."""
    if request.content_type != STICK_TYPE:
        headers = {"Accept": STICK_TYPE}
        raise ProblemError(Kind.WRONG_MEDIA_TYPE, f"send {STICK_TYPE}", headers=headers)
    decoder = StickDecoder()
    parcels = decoder.feed(await _read(request))
    if decoder.header is None or len(parcels) != 1:
        raise RefusedError(Reason.STICK_MALFORMED, "send a header and one parcel")
    brought = await call.parts.carrier.take(decoder.header, parcels[0])
    stored = brought.taken.stored
    return ParcelView(
        agent=brought.agent,
        blocks=stored.blocks,
        readings=stored.readings,
        duplicates=stored.duplicates,
        receipts=brought.taken.reconciled.new,
        refused={reason.text: count for reason, count in stored.refused.items()},
    )


async def fill_stick(call: Call, agent: str) -> Raw:
    """Return a stick for an agent; work on it counts as delivered, whatever becomes of it."""
    await check_sight(call, agent, at="path.agent")
    filled = await call.parts.carrier.fill(AgentId(agent), actor=call.actor)
    work = str(filled.executions) if filled.has_store else NO_STORE
    files = ",".join(f"{artifact_text(one)}={size}" for one, size in filled.files.items())
    headers = {WORK_HEADER: work, FILES_HEADER: files, SEAL_HEADER: filled.seal.hex()}
    return Raw(filled.data, STICK_TYPE, headers)


async def _read(request: web.Request) -> bytes:
    if (request.content_length or 0) > _MOST:
        raise RefusedError(Reason.TOO_LONG, f"at most {_MOST} bytes")
    body = bytearray()
    while True:
        try:
            async with asyncio.timeout(limits.CONTACT_IDLE_S):
                chunk = await request.content.readany()
        except TimeoutError:
            raise ProblemError(Kind.TIMED_OUT) from None
        if not chunk:
            return bytes(body)
        body += chunk
        if len(body) > _MOST:
            raise RefusedError(Reason.TOO_LONG, f"at most {_MOST} bytes")
