"""``/v1/standing``, ``/v1/alarms`` and a job's firings: what runs by itself out there, and did."""

import struct
from functools import partial

from coordinator.api.context import Call
from coordinator.api.ids import job_filter, missing, uuid_in_path
from coordinator.api.paging import page_token, read_page_token
from coordinator.contract.common import Page, to_wall_ms
from coordinator.contract.standing import (
    AlarmQuery,
    AlarmView,
    FiringQuery,
    FiringView,
    StandingQuery,
    StandingView,
)
from coordinator.transactions import firings
from coordinator.transactions.firings import Key, WantedAlarms, list_alarms, list_firings
from coordinator.transactions.jobs import NEWEST
from coordinator.transactions.standing import WantedStanding, list_standing
from shared import limits
from shared.ids import parse_uuid

_KEY = struct.Struct(">qq")


async def get_firings(call: Call, job: str, query: FiringQuery) -> Page[FiringView]:
    """List what a standing job did, newest first."""
    asked, scope = uuid_in_path(job, "job"), f"firings {job} {query.agent}"
    before = _read_key(call, query.page_token, scope)

    body = partial(
        list_firings,
        asked,
        agent=query.agent,
        before=before,
        size=query.page_size,
        limit=call.limit,
    )
    found = await call.parts.store.read(body)
    if found is None:
        raise missing("job", job)
    return Page(found[0], _key_token(call, found[1], scope))


async def get_alarms(call: Call, query: AlarmQuery) -> Page[AlarmView]:
    """List alarms, newest first."""
    scope = f"alarms {query.severity} {query.agent} {query.job} {query.start}"
    body = partial(
        list_alarms,
        WantedAlarms(
            severity=query.severity,
            agent=query.agent,
            job=job_filter(query.job),
            start_ms=-limits.INT_MAX if query.start is None else to_wall_ms(query.start),
            limit=call.limit,
        ),
        before=_read_key(call, query.page_token, scope),
        size=query.page_size,
    )
    views, last = await call.parts.store.read(body)
    return Page(views, _key_token(call, last, scope))


async def get_standing(call: Call, query: StandingQuery) -> Page[StandingView]:
    """List schedules and rules agent by agent, newest first."""
    parts, secret = call.parts, call.parts.fleet.page_key
    scope = f"standing {query.kind} {query.job} {query.agent}"
    body = partial(
        list_standing,
        WantedStanding(
            kind=query.kind,
            job=job_filter(query.job),
            agent=query.agent,
            limit=call.limit,
        ),
        before=read_page_token(query.page_token, scope=scope, secret=secret) or NEWEST,
        size=query.page_size,
        now_ms=parts.clock.wall_ms(),
    )
    views, more = await parts.store.read(body)
    last = parse_uuid(views[-1].execution, what="an execution") if more else b""
    return Page(views, page_token(last, scope=scope, secret=secret) if more else None)


def _read_key(call: Call, token: str, scope: str) -> Key:
    key = read_page_token(token, scope=scope, secret=call.parts.fleet.page_key)
    if not key:
        return firings.NEWEST
    at_ms, number = _KEY.unpack(key)
    return at_ms, number


def _key_token(call: Call, key: Key | None, scope: str) -> str | None:
    if key is None:
        return None
    return page_token(_KEY.pack(*key), scope=scope, secret=call.parts.fleet.page_key)
