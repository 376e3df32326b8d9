"""The gap map: blocks that an agent made and that are not here, to be asked for or given up.

A gap is asked for when the agent has nothing else to say, or believes delivered what is not here:
after a restore from a backup, or after anything else that should not have happened. What it has no
longer it says once, and that is remembered. Every answer asks for the oldest gaps first, for a
bounded number, so that it ends: each contact brings blocks, or the word that they are gone.
"""

from coordinator.core.ports import Tx, execute, fetch_one
from coordinator.transactions.rows import pack_ranges, unpack_ranges
from shared import limits
from shared.ids import AgentId
from shared.sync.incoming import is_gap_unexplained, wanted_again
from shared.sync.ranges import Range, Ranges
from shared.trust.documents import Report


def mind_gaps(
    agent: AgentId, report: Report, received: Ranges, *, arrived: int, newest: bool
) -> Tx[list[Range]]:
    """Keep what the agent no longer has, and return what to ask it for.

    Runs after the contact's blocks were stored and its account was saved.

    Args:
        agent: whose.
        report: what it says.
        received: every number committed of its telemetry store.
        arrived: readings of the announced blocks that are committed now.
        newest: the report is its newest; an older one is asked for nothing.
    """
    row = yield from fetch_one("telemetry_gone", agent, report.telemetry_epoch)
    if row is None:
        return []
    gone, readings = unpack_ranges(row[0]), row[2]
    said = [(first, last) for first, last in report.gone if 1 <= first <= last < report.next_block]
    grown = Ranges.joined([*gone, *said])
    if grown != gone and len(grown) <= limits.RANGES:
        gone = grown
        yield from execute("telemetry_gone_save", agent, report.telemetry_epoch, pack_ranges(gone))
    if not newest or not is_gap_unexplained(report.tally, readings=readings, arrived=arrived):
        return []
    return wanted_again(report, Ranges.joined([*received, *gone]))


def wanted_of(agent: AgentId, epoch: bytes) -> Tx[list[Range]]:
    """Return what to ask an agent for without a report of it at hand: every gap, oldest first."""
    row = yield from fetch_one("telemetry_gone", agent, epoch)
    ranges = yield from fetch_one("telemetry_ranges", agent, epoch)
    if row is None or ranges is None:
        return []
    known = Ranges.joined([*unpack_ranges(row[0]), *unpack_ranges(ranges[0])])
    return list(known.missing(1, row[1] - 1))[: limits.WANTED_RANGES]


def safe_to(agent: AgentId, epoch: bytes) -> Tx[int]:
    """Return below which number an agent's blocks are in a verified backup; 0: in none."""
    row = yield from fetch_one("telemetry_safe", agent, epoch)
    found: int = row[0] if row else 0
    return found
