"""One query in the place of thirteen: what every contact asks of its agent, read at once.

A query costs some thirty microseconds in SQLite, most of it handing the interpreter over between
threads, and a round trip in PostgreSQL. The transaction itself does not know: it asks as always,
and finds at hand what was read ahead. An answer is given once, and only for exactly the query that
it is about, so what is asked again after a change comes from the store. Leaves out what is asked.
"""

from collections.abc import Sequence
from typing import TypeVar

from coordinator.core.intake import Incoming
from coordinator.core.ports import Query, Row, Tx, fetch_one
from shared import limits
from shared.block.codec import BlockHeader
from shared.ids import AgentId
from shared.trust.documents import Report

T = TypeVar("T")

Known = dict[Query, Sequence[Row]]
"""Rows by the query that would have brought them."""

_NOTHING: Sequence[Row] = ()


def with_known(body: Tx[T], known: Known) -> Tx[T]:
    """Run a body; what is known is answered without asking the store, each answer once."""
    try:
        step = next(body)
        while True:
            rows = known.pop(step, None) if known and isinstance(step, Query) else None
            if rows is None:
                rows = yield step
            step = body.send(rows)
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        body.close()


def look_ahead(agent: AgentId, report: Report, blocks: Sequence[Incoming] = ()) -> Tx[Known]:
    """Return the rows that taking in a report of an agent asks for before it writes anything.

    Of its blocks' boots and channel lists those of the first: nearly always, all have the same.
    """
    telemetry, jobs, counter = report.telemetry_epoch, report.jobs_epoch, report.counter
    first = next((block.header for block in blocks if block.header is not None), None)
    boot, schema = (b"", b"") if first is None else (first.boot, first.schema)
    row = yield from fetch_one("contact_state", agent, telemetry, jobs, counter, boot, schema)
    if row is None:
        return {Query("agent_identity", (agent,)): _NOTHING}
    identity, chain, rest = row[:8], row[8:15], row[15:28]
    here, before, left, received, ledger, safe_to, day, taken = rest[:8]
    *store, quota, is_wanting = rest[8:]
    known = {
        Query("agent_identity", (agent,)): (identity,),
        Query("contact_chain", (agent,)): _found(*chain),
        Query("report_digest", (agent, jobs, counter)): _found(here),
        Query("report_digest", (agent, jobs, counter - 1)): _found(before),
        Query("store_left", (agent, jobs)): _found(left),
        Query("telemetry_ranges", (agent, telemetry)): _found(received, ledger),
        Query("telemetry_safe", (agent, telemetry)): _found(safe_to),
        Query("intake_day", (agent,)): _found(day, taken),
        Query("jobs_store", (agent, jobs)): _found(*store),
        Query("keeping_quota", ()): _found(quota),
    }
    if not is_wanting:
        known[Query("schemas_wanted", (agent, limits.SCHEMAS_WANTED))] = _NOTHING
    if first is not None:
        known |= _of_block(agent, report, first, row[28:])
    return known


def _of_block(agent: AgentId, report: Report, header: BlockHeader, row: Row) -> Known:
    """Return what is known of a block's channel list and boot."""
    has_schema, oldest_ms, *times = row
    known: Known = {}
    if has_schema:
        known[Query("schema_want", (agent, header.schema))] = _NOTHING
    # Of several anchors only one was read; a report's own come before a block is placed.
    if oldest_ms == times[1] and not report.anchors:
        known[Query("boot_times", (agent, header.boot, limits.ANCHORS_PER_BOOT))] = (tuple(times),)
    return known


def _found(*values: object) -> Sequence[Row]:
    """Return a row that was joined in; none where its first column, which is never null, is."""
    return _NOTHING if values[0] is None else (values,)
