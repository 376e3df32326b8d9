"""A coordinator's memory of an agent's reports, for tests that play one."""

from typing import Protocol

from shared.sync.incoming import Chain, LastReport, Memory, judge_chain
from shared.trust.documents import Report


class Remembers(Protocol):
    """What is kept of one agent."""

    last: LastReport | None
    known: dict[tuple[bytes, int], bytes]
    """Digests of reports by the jobs store and their number."""
    left: set[bytes]
    """Jobs stores that it declared lost."""
    strays: list[bytes]
    """First bytes of answers to reports from beside the chain."""


def placed(row: Remembers, report: Report, digest: bytes) -> Chain:
    """Return a report's place among all that is remembered of its agent."""
    return judge_chain(
        row.last,
        counter=report.counter,
        previous=report.previous,
        digest=digest,
        jobs_epoch=report.jobs_epoch,
        memory=Memory(
            here=row.known.get((report.jobs_epoch, report.counter)),
            before=row.known.get((report.jobs_epoch, report.counter - 1)),
            left=report.jobs_epoch in row.left,
            stray=report.answered in row.strays,
        ),
    )
