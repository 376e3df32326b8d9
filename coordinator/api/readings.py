"""``/v1/readings``: columns of readings, as JSON or CSV."""

import csv
import io
from itertools import chain, repeat

import msgspec

from coordinator.api.agents import check_sight
from coordinator.api.context import Call
from coordinator.api.router import JSON, Raw
from coordinator.contract.common import to_wall_ms
from coordinator.contract.readings import ReadingsQuery, ReadingsView
from coordinator.core.series import Question
from coordinator.services.readings import answer
from shared import limits

CSV_COLUMNS = ("time", "agent", "device", "point", "unit", "value", "quality", "clock")


async def get_readings(call: Call, query: ReadingsQuery) -> Raw:
    """Return the newest readings that match, oldest first within each series.

    ``format=csv`` gives one reading a line; whether there are more is then said by the headers
    ``Outstation-Truncated`` and ``Outstation-Complete-From``.
    """
    if call.limit is not None:
        # A limited token names the agent: what it may not know of is not even counted for it.
        await check_sight(call, query.agent, at="query.agent")
    question = Question(
        agent=query.agent,
        device=query.device,
        point=query.point,
        start_ms=-limits.INT_MAX if query.start is None else to_wall_ms(query.start),
        end_ms=limits.INT_MAX if query.end is None else to_wall_ms(query.end),
        limit=query.limit,
    )
    view = await answer(call.parts.store, question)
    if query.format == "json":
        return Raw(msgspec.json.encode(view), JSON)
    headers = {"Outstation-Truncated": str(view.truncated).lower()}
    if view.complete_from is not None:
        headers["Outstation-Complete-From"] = view.complete_from.isoformat()
    return Raw(_csv(view).encode(), "text/csv; charset=utf-8", headers)


def _csv(view: ReadingsView) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for series in view.series:
        clocks = chain.from_iterable(repeat(run.state, run.count) for run in series.clocks)
        for time, value, quality, clock in zip(
            series.times, series.values, series.qualities, clocks, strict=True
        ):
            writer.writerow(
                (
                    time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    series.agent,
                    series.device,
                    series.point,
                    series.unit,
                    "" if value is None else repr(value),
                    quality,
                    clock,
                )
            )
    return out.getvalue()
