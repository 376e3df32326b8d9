"""What must be true of a world once it has come to rest: one small function for each promise.

Read from the files that the stopped programs left, and from the devices' own ledgers. Owns the
judgement; each finding is a sentence. Leaves out what happened (`play`).
"""

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.block.codec import decode
from shared.block.schema import Schema
from shared.ids import AgentId
from shared.model.reading import Quality
from tests.simulation.world.site import COUNTED, Site


def rows(path: Path, sql: str, *values: Any) -> Sequence[tuple[Any, ...]]:
    """Return what a query finds in the database of a program that is stopped."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute(sql, values).fetchall()


@dataclass(frozen=True)
class Rest:
    """A world at rest: every program has stopped, and its files say what it knew."""

    centre: Path
    """The coordinator's database."""
    sites: Sequence[Site]

    def findings(self) -> Iterator[str]:
        """Yield what is not as it was promised."""
        for site in self.sites:
            yield from nothing_is_lost_in_silence(self, site)
            yield from the_account_is_balanced(self, site)


def nothing_is_lost_in_silence(rest: Rest, site: Site) -> Iterator[str]:
    """Every reading that was recorded arrived once, or is in the ledger of losses."""
    arrived = Counter(readings_of(rest.centre, site.agent))
    for reading, times in sorted(arrived.items()):
        if times > 1:
            yield f"{site.name}: reading {reading} was delivered {times} times"
    missing = sorted(site.recorded.keys() - arrived.keys())
    (lost,) = rows(rest.centre, "SELECT sum(count) FROM ledger WHERE agent_id = $1", site.agent)[0]
    if missing and not site.may_lose:
        yield f"{site.name}: {len(missing)} readings are lost, the first is {missing[0]}"
    if missing and not lost:
        yield f"{site.name}: {len(missing)} readings are lost in silence, from {missing[0]} on"


def the_account_is_balanced(rest: Rest, site: Site) -> Iterator[str]:
    """What the agent counts is what the coordinator has, and nothing is left to deliver."""
    found = rows(
        site.folder / "data" / "telemetry.db",
        "SELECT epoch, sampled, suppressed, delivered, stored, lost FROM state",
    )
    for epoch, sampled, suppressed, delivered, stored, lost in found:
        if sampled != suppressed + delivered + stored + lost:
            yield f"{site.name}: {sampled} sampled readings are not accounted for"
        if stored:
            yield f"{site.name}: {stored} readings still wait"
        here = rows(
            rest.centre,
            "SELECT readings, lost FROM telemetry_store WHERE agent_id = $1 AND epoch = $2",
            site.agent,
            epoch,
        )
        if not site.was_restored and here != [(delivered, lost)]:
            yield f"{site.name}: it delivered {delivered} and lost {lost}, the centre has {here}"


def readings_of(centre: Path, agent: AgentId) -> Iterator[tuple[str, int]]:
    """Yield every counted reading that the coordinator has of an agent, by device."""
    schemas = {
        ref: Schema.decode(data)
        for ref, data in rows(
            centre, "SELECT schema_ref, data FROM schema WHERE agent_id = $1", agent
        )
        if data is not None
    }
    blocks = rows(centre, "SELECT schema_ref, data FROM block WHERE agent_id = $1", agent)
    for ref, data in blocks:
        channels = schemas[ref].channels
        for group in decode(data).groups:
            for place, index in enumerate(group.channels):
                if channels[index].point != COUNTED:
                    continue
                cells = zip(group.columns[place], group.qualities[place], strict=True)
                for value, quality in cells:
                    if quality == Quality.GOOD and value is not None:
                        yield str(channels[index].device), int(value)
