"""Status, claims, and what machines ask: liveness, readiness, metrics, the API's description."""

from functools import partial

from coordinator.api.context import Call
from coordinator.api.router import Answer, Raw
from coordinator.contract.common import to_time
from coordinator.contract.fleet import ClaimFile, ClaimRequest, FleetStatus
from coordinator.services.claims import ClaimWish, create_claim
from coordinator.services.metrics import CONTENT_TYPE
from coordinator.transactions.fleet import count_everything, ping
from shared.clock import WallMs

_TEXT = "text/plain; charset=utf-8"


async def get_status(call: Call) -> FleetStatus:
    """Return the whole fleet on one screen."""
    parts, now_ms = call.parts, call.parts.clock.wall_ms()
    totals = await parts.store.read(partial(count_everything, now_ms))
    return FleetStatus(
        fleet=parts.fleet.fleet_id.hex(),
        version=parts.version,
        now=to_time(now_ms),
        started_at=to_time(parts.started_ms),
        agents=dict(totals.agents),
        jobs=dict(totals.jobs),
        executions=dict(totals.executions),
        readings=totals.readings,
        refused=dict(totals.refused),
        warnings=list(parts.warnings),
    )


async def create_claim_file(call: Call, body: ClaimRequest) -> Answer[ClaimFile]:
    """Make a claim file; the answer is the only place where its secret can be read."""
    parts = call.parts
    wish = ClaimWish(
        site=body.site,
        count=body.count,
        expires_ms=WallMs(parts.clock.wall_ms() + body.expires_in_s * 1000),
        url=body.url,
    )
    claim = await create_claim(
        parts.store,
        parts.fleet,
        parts.ca_pem,
        wish,
        actor=call.actor,
        clock=parts.clock,
        entropy=parts.entropy,
    )
    return Answer(claim, 201)


async def get_liveness(_call: Call) -> Raw:
    """Say that the process answers."""
    return Raw(b"ok\n", _TEXT)


async def get_readiness(call: Call) -> Raw:
    """Say that the database answers; 503 when it does not, and when this process is leaving."""
    if call.parts.drain.is_leaving:
        return Raw(b"leaving\n", _TEXT, status=503)
    await call.parts.store.read(ping)
    return Raw(b"ok\n", _TEXT)


async def get_metrics(call: Call) -> Raw:
    """Return every series in Prometheus' text format."""
    return Raw(call.parts.metrics.exposition(), CONTENT_TYPE)
