"""``/v1/artifacts``: files that jobs name by their content; and `/v1/fetch`, where agents get them.

Uploads follow tus 1.0 in their headers and RFC 9530 in their digests; downloads are ranges as in
RFC 9110 section 14, so that any client can go on where it was cut. Leaves out what a file means.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
from aiohttp import hdrs, web

from coordinator.api.context import Call
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.problems import Kind, ProblemError
from coordinator.api.router import Answer, Raw
from coordinator.api.shown import shown_by
from coordinator.contract.artifacts import (
    BYTES_TYPE,
    LENGTH_HEADER,
    OFFSET_HEADER,
    PIECE_TYPES,
    ArtifactQuery,
    ArtifactView,
    ArtifactWish,
    ImageView,
    PieceHeaders,
    RangeHeaders,
)
from coordinator.contract.common import Page, to_time
from coordinator.core.artifacts import OvertakenError, Part, asked_part, piece_digest
from coordinator.core.client_certificates import check_shown
from coordinator.services.artifacts import Known
from coordinator.transactions.artifacts import Artifact, NeededError
from shared import limits
from shared.model.artifact import artifact_text, parse_artifact
from shared.trust.fetch import read_header

_SCOPE = "artifacts"


async def announce_artifact(call: Call, body: ArtifactWish) -> Answer[ArtifactView]:
    """Announce a file; 201 when it is new, else 200 with how much of it is here."""
    wish = Artifact(
        digest=parse_artifact(body.artifact, where="artifact"),
        size=body.size,
        kind=body.kind,
        name=body.name,
        version=body.version,
        labels=body.labels,
        created_ms=0,
        created_by="",
    )
    known, new = await call.parts.artifacts.announce(wish, actor=call.actor)
    where = {"Location": f"/v1/artifacts/{artifact_text(known.row.digest)}"}
    return Answer(_view(known), 201 if new else 200, where | _offset(known))


async def get_artifacts(call: Call, query: ArtifactQuery) -> Page[ArtifactView]:
    """List artifacts in the order of their hashes."""
    secret = call.parts.fleet.page_key
    after = read_page_token(query.page_token, scope=_SCOPE, secret=secret)
    found, more = await call.parts.artifacts.list(after=after, size=query.page_size)
    last = found[-1].row.digest if found else b""
    token = page_token(last, scope=_SCOPE, secret=secret) if more else None
    return Page([_view(one) for one in found], token)


async def get_artifact(call: Call, artifact: str) -> Answer[ArtifactView]:
    """Return what is known of one artifact."""
    known = await call.parts.artifacts.known(_digest(artifact))
    return Answer(_view(known), headers=_offset(known))


async def head_artifact(call: Call, artifact: str) -> Raw:
    """Tell in headers how much of a file is here, for clients of tus."""
    known = await call.parts.artifacts.known(_digest(artifact))
    return Raw(b"", BYTES_TYPE, _offset(known))


async def patch_artifact(
    call: Call, artifact: str, request: web.Request, headers: PieceHeaders
) -> Answer[ArtifactView]:
    """Take the next bytes of a file; a request that is cut anywhere leaves what came."""
    digest, wanted = _digest(artifact), piece_digest(headers.content_digest)
    if request.content_type not in PIECE_TYPES:
        expects = {"Accept-Patch": BYTES_TYPE}
        raise ProblemError(Kind.WRONG_MEDIA_TYPE, f"send {BYTES_TYPE}", headers=expects)
    before = await call.parts.artifacts.known(digest)
    if before.received != headers.upload_offset:
        detail = f"{before.received} bytes are here, go on there"
        raise ProblemError(Kind.CONFLICT, detail, at=OFFSET_HEADER, headers=_offset(before))
    try:
        known = await call.parts.artifacts.take(
            digest, headers.upload_offset, _chunks(request), wanted=wanted, actor=call.actor
        )
    except OvertakenError as error:
        now = await call.parts.artifacts.known(digest)
        detail, where = str(error), _offset(now)
        raise ProblemError(Kind.CONFLICT, detail, at=OFFSET_HEADER, headers=where) from None
    return Answer(_view(known), headers=_offset(known))


async def delete_artifact(call: Call, artifact: str) -> Answer[ArtifactView]:
    """Delete an artifact that no job needs; return what it was."""
    known = await call.parts.artifacts.known(_digest(artifact))
    try:
        await call.parts.artifacts.delete(known.row.digest, actor=call.actor)
    except NeededError as error:
        raise ProblemError(Kind.CONFLICT, str(error), at="path.artifact") from None
    return Answer(_view(known))


async def get_content(call: Call, artifact: str, headers: RangeHeaders) -> Raw:
    """Return a file, or a range of it."""
    known = await call.parts.artifacts.known(_digest(artifact))
    if known.row.completed_ms is None:
        raise ProblemError(Kind.NOT_FOUND, "not all of it is here", at="path.artifact")
    return _content(call, known.row.digest, known.row.size, headers.range)


async def fetch_artifact(
    call: Call, artifact: str, request: web.Request, headers: RangeHeaders
) -> Raw:
    """Return a file, or a range of it, to an agent with work that names it; it signs its wish."""
    digest = _digest(artifact)
    signed = read_header(request.headers.get(hdrs.AUTHORIZATION, ""))
    agent, size = await call.parts.artifacts.check_fetch(signed, digest)
    parts = call.parts
    check_shown(parts.certificates, shown_by(request), agent, parts.clock.wall_ms())
    raw = _content(call, digest, size, headers.range)
    assert not isinstance(raw.body, bytes), "a file is a stream"
    return replace(raw, body=_in_records(raw.body))


async def _in_records(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield bytes in pieces that each become one record of TLS.

    Of a record that was cut nothing can be read: OpenSSL's 16 kB would cost a gateway 8 kB at each
    break of its line, these cost 0.5 % of framing.
    """
    async for chunk in chunks:
        for start in range(0, len(chunk), limits.RECORD_BYTES):
            yield chunk[start : start + limits.RECORD_BYTES]


def _content(call: Call, digest: bytes, size: int, asked: str) -> Raw:
    part = asked_part(asked, size)
    if part is None:
        headers = {"Content-Range": f"bytes */{size}"}
        raise ProblemError(Kind.BAD_RANGE, f"it has {size} bytes", at="Range", headers=headers)
    headers = {
        "ETag": f'"{digest.hex()}"',
        "Accept-Ranges": "bytes",
        "Content-Length": str(part.end - part.start),
    }
    whole = part == Part(0, size, size)
    if not whole or asked:
        headers["Content-Range"] = part.content_range
    body = call.parts.artifacts.blobs.read(digest, part.start, part.end)
    return Raw(body, BYTES_TYPE, headers, 206 if "Content-Range" in headers else 200)


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    """Yield a body's bytes as they come.

    Raises:
        ProblemError: TIMED_OUT, nothing came for too long.
    """
    while True:
        try:
            async with asyncio.timeout(limits.CONTACT_IDLE_S):
                chunk = await request.content.readany()
        except TimeoutError:
            raise ProblemError(Kind.TIMED_OUT) from None
        if not chunk:
            return
        yield chunk


def _digest(artifact: str) -> bytes:
    return parse_artifact(artifact, where="path.artifact")


def _offset(known: Known) -> dict[str, str]:
    return {OFFSET_HEADER: str(known.received), LENGTH_HEADER: str(known.row.size)}


def _view(known: Known) -> ArtifactView:
    row = known.row
    complete = row.completed_ms is not None and known.received == row.size
    image = msgspec.json.decode(row.image, type=ImageView) if row.image else None
    return ArtifactView(
        artifact=artifact_text(row.digest),
        size=row.size,
        kind=row.kind,
        name=row.name,
        version=row.version,
        labels=dict(row.labels),
        received=known.received,
        complete=complete,
        image=image,
        created_at=to_time(row.created_ms),
        created_by=row.created_by,
        completed_at=to_time(row.completed_ms) if complete and row.completed_ms else None,
        jobs=list(row.jobs),
    )
