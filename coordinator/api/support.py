"""``/v1/agents/{agent}/bundles``: support bundles that a gateway brought."""

from functools import partial
from hashlib import sha256

from coordinator.api.agents import check_sight
from coordinator.api.context import Call
from coordinator.api.problems import Kind, ProblemError
from coordinator.api.router import Raw
from coordinator.contract.common import Page, to_time
from coordinator.contract.support import BundleView
from coordinator.transactions.support import list_bundles, load_pieces
from shared.errors import RefusedError
from shared.model.support import together


async def get_bundles(call: Call, agent: str) -> Page[BundleView]:
    """List an agent's support bundles, the newest first."""
    await check_sight(call, agent)
    rows = await call.parts.store.read(partial(list_bundles, agent))
    views = [
        BundleView(
            id=row.sha256.hex(),
            name=row.name,
            bytes=row.size,
            received_at=to_time(row.at_ms),
            complete=row.here == row.parts,
        )
        for row in rows
    ]
    return Page(views, None)


async def get_bundle(call: Call, agent: str, bundle: str) -> Raw:
    """Return the text of a bundle that is here whole."""
    await check_sight(call, agent)
    missing = ProblemError(Kind.NOT_FOUND, f"no whole bundle {bundle[:64]!r}", at="path.bundle")
    try:
        digest = bytes.fromhex(bundle)
    except ValueError:
        raise missing from None
    pieces = await call.parts.store.read(partial(load_pieces, agent, digest))
    try:
        text = None if pieces is None else together(pieces)
    except RefusedError:
        text = None
    if text is None or sha256(text).digest() != digest:
        raise missing
    return Raw(text, "text/plain; charset=utf-8")
