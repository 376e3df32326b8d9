"""``/v1/readings``: columns of readings or of their minutes and hours, as JSON, CSV or Parquet."""

import asyncio
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from coordinator.api.agents import check_sight
from coordinator.api.context import Call
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.router import JSON, Raw
from coordinator.contract.common import to_wall_ms
from coordinator.contract.readings import (
    RAW_LIMIT,
    FormatText,
    ReadingsHeaders,
    ReadingsQuery,
    ReadingsView,
)
from coordinator.core.downsample import Choice, choose
from coordinator.core.rollup import HOUR_S, MINUTE_S
from coordinator.core.series import Question
from coordinator.services.export import FORMATS, Export, export, require_format
from coordinator.services.readings import (
    Place,
    RolledSeries,
    bands_of_walk,
    collect_newest,
    collect_rollups,
    find_agents,
    view_rolled,
    view_walk,
)
from shared import limits
from shared.model.selector import Selector, parse_selector

DAY_MS = 86_400_000
_POINTS = 1_000
"""Of a series that leaves its resolution to us and says no number."""
_WIDTHS = {"1m": Choice(MINUTE_S, MINUTE_S * 1000), "1h": Choice(HOUR_S, HOUR_S * 1000)}
_BY_TYPE: dict[str, FormatText] = {
    one.content_type.partition(";")[0]: name for name, one in FORMATS.items()
}


async def get_readings(call: Call, query: ReadingsQuery, headers: ReadingsHeaders) -> Raw:
    """Return readings that match, oldest first within each series.

    JSON answers have pages: of single readings the newest `limit` come first. CSV, Parquet and
    JSON lines (``Accept``, or ``format=``) are streams of everything in range; with `limit`, of
    the newest so many.
    """
    form = query.format or _accepted(headers.accept)
    question = await _question(call, query, stream=form != "json")
    if form != "json":
        require_format(form)
        choice = _WIDTHS.get(query.resolution, Choice(0, 0))
        if query.resolution == "auto":
            choice = _choose(question, query)
        asked = Export(question, choice, newest_only=query.limit is not None)
        return Raw(export(call.parts.store, asked, form), FORMATS[form].content_type)
    view = await _view(call, query, question)
    body = msgspec.json.encode(view)
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    if headers.if_none_match == tag:
        return Raw(b"", JSON, {"ETag": tag}, 304)
    return Raw(body, JSON, {"ETag": tag})


async def _question(call: Call, query: ReadingsQuery, *, stream: bool) -> Question:
    selectors: list[Selector] = []
    if query.selector:
        selectors.append(parse_selector(query.selector, where="query.selector"))
    if call.limit is not None:
        selectors.append(call.limit)
        if query.agent and not set(query.agent) & set("*?["):
            # What a limited token may not know of is as unknown as what does not exist.
            await check_sight(call, query.agent, at="query.agent")
    start_ms = -limits.INT_MAX if query.start is None else to_wall_ms(query.start)
    end_ms = limits.INT_MAX if query.end is None else to_wall_ms(query.end)
    if query.resolution == "auto":
        # A chart needs ends; clocks of gateways may be a little ahead.
        end_ms = call.parts.clock.wall_ms() + MINUTE_S * 1000 if query.end is None else end_ms
        start_ms = end_ms - DAY_MS if query.start is None else start_ms
    return Question(
        agents=await find_agents(call.parts.store, query.agent, selectors),
        device=query.device,
        point=query.point,
        start_ms=start_ms,
        end_ms=end_ms,
        limit=query.limit or (limits.READINGS if stream else RAW_LIMIT),
        only_sure=query.clock == "sure",
    )


async def _view(call: Call, query: ReadingsQuery, question: Question) -> ReadingsView:
    secret, scope = call.parts.fleet.page_key, _scope(query)
    token = read_page_token(query.page_token, scope=scope, secret=secret)
    choice = _WIDTHS.get(query.resolution, Choice(0, 0))
    if query.resolution == "auto":
        choice = _choose(question, query)
    if choice.width_s == 0:
        if token:
            end_ms = min(question.end_ms, int(token))
            question = _until(question, end_ms)
        walk = await collect_newest(call.parts.store, question)
        if choice.band_ms and not walk.is_unread:
            series = await asyncio.to_thread(bands_of_walk, walk, choice.band_ms)
            return _rolled_view(call, series, choice)
        view = await asyncio.to_thread(view_walk, walk)
        if not view.truncated or view.complete_from is None:
            return view
        key = str(to_wall_ms(view.complete_from)).encode()
        return replace(view, next_page_token=page_token(key, scope=scope, secret=secret))
    begin = _place(token)
    series, more = await collect_rollups(
        call.parts.store, question, width_s=choice.width_s, band_ms=choice.band_ms, begin=begin
    )
    view = await asyncio.to_thread(_rolled_view, call, series, choice)
    if more is None:
        return view
    key = f"{more.agent}\0{more.channel}\0{more.start_ms}".encode()
    following = page_token(key, scope=scope, secret=secret)
    return replace(view, truncated=True, next_page_token=following)


def _rolled_view(call: Call, series: list[RolledSeries], choice: Choice) -> ReadingsView:
    views = sorted(
        map(view_rolled, series), key=lambda one: (one.agent, one.device, one.point, one.unit)
    )
    return ReadingsView(
        series=views,
        readings=sum(len(one.times) for one in views),
        truncated=False,
        complete_from=None,
        undecoded_blocks=0,
        resolution={0: "raw", MINUTE_S: "1m", HOUR_S: "1h"}[choice.width_s],  # type: ignore[arg-type]  # mypy sees only text
        width_s=choice.band_ms // 1000,
        rollup_lag_s=call.parts.rollups.lag_s(),
    )


def _until(question: Question, end_ms: int) -> Question:
    return Question(
        agents=question.agents,
        device=question.device,
        point=question.point,
        start_ms=question.start_ms,
        end_ms=end_ms,
        limit=question.limit,
        only_sure=question.only_sure,
    )


def _choose(question: Question, query: ReadingsQuery) -> Choice:
    span_ms = max(1, question.end_ms - question.start_ms)
    return choose(span_ms, query.points or _POINTS)


def _place(token: bytes) -> Place | None:
    if not token:
        return None
    agent, channel, start_ms = token.decode().split("\0")
    return Place(agent, int(channel), int(start_ms))


def _scope(query: ReadingsQuery) -> str:
    """Return what a page belongs to: everything that was asked but the page itself."""
    return f"readings {msgspec.json.encode(replace(query, page_token='', limit=None)).decode()}"


def _accepted(accept: str) -> FormatText:
    """Return the first of a client's types that we have; JSON for anything else."""
    for one in accept.split(","):
        form = _BY_TYPE.get(one.partition(";")[0].strip().lower())
        if form is not None:
            return form
    return "json"
