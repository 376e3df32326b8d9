"""Events: what is told about a fleet, by which names, and which deeds of the audit log are told.

An event is a small fact that is written in the transaction of what it tells. Leaves out rows
(`coordinator.transactions.outbox`), what people are shown (`coordinator.contract.events`), and
changes of executions, which the database itself tells.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from shared.errors import MistakeError, nearest
from shared.ids import JobId, parse_uuid, uuid_text


class Place(NamedTuple):
    """Where an event stands among all: by the transaction that wrote it, then by its number."""

    txn: int
    number: int


BEGINNING: Final = Place(-1, 0)
"""Before every event."""
ERA: Final = 1 << 20
"""A database that was put back counts on from its restore epoch times this. That epoch counts
seconds: no number is used twice below a million events a second, and JSON is exact until 2242."""

TYPE_OF_DEED: Mapping[str, str] = {
    "agent.decommission": "agent.decommissioned",
    "agent.enroll": "agent.enrolled",
    "agent.left": "agent.left",
    "agent.quarantine": "agent.quarantined",
    "agent.rekey": "agent.rekeyed",
    "agent.relabel": "agent.relabelled",
    "agent.release": "agent.released",
    "agent.revoke": "agent.revoked",
    "agent.support": "agent.diagnosed",
    "approval.deny": "approval.denied",
    "approval.sign": "approval.signed",
    "artifact.announce": "artifact.announced",
    "artifact.complete": "artifact.completed",
    "artifact.delete": "artifact.deleted",
    "coordinator.backup": "coordinator.backed_up",
    "coordinator.restore": "coordinator.restored",
    "device.follow": "device.moved",
    "device.release": "device.released",
    "documents.adopt": "documents.adopted",
    "job.begin": "job.begun",
    "job.cancel": "job.canceled",
    "job.release": "job.released",
    "job.submit": "job.submitted",
    "retention.run": "maintenance.done",
    "rollout.advance": "rollout.advanced",
    "rollout.cancel": "rollout.canceled",
    "rollout.expired": "rollout.expired",
    "rollout.finished": "rollout.finished",
    "rollout.pause": "rollout.paused",
    "rollout.paused": "rollout.paused",
    "rollout.resume": "rollout.resumed",
    "rollout.rollback": "rollout.rolled_back",
    "rollout.rolled_back": "rollout.rolled_back",
    "rollout.running": "rollout.running",
    "rollout.stopped": "rollout.stopped",
}
"""What the audit log calls a deed, and what the event is called. Whatever else is audited is told
by the audit log alone: tokens, claims, templates and triggers concern whoever keeps them."""

TYPES: Final = frozenset(
    {
        *TYPE_OF_DEED.values(),
        *("agent.online", "agent.silent", "alarm.raised", "config.drifted"),
        *("device.claimed", "device.discovered", "device.lost"),
        *("execution.changed", "job.completed", "rollout.stage"),
        *("drift.began", "drift.ended"),
    }
)
"""Every type there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an event is about; every empty member matches everything in a filter."""

    agent: str = ""
    device: str = ""
    job: bytes = b""
    execution: bytes = b""
    object: str = ""
    """``artifact:HEX``, ``coordinator``: what is none of the others."""

    @property
    def text(self) -> str:
        """Return it as people name it: the narrowest that it has.

        >>> Subject(agent="pump-1", device="inv").text
        'device:pump-1/inv'
        """
        if self.execution:
            return f"execution:{uuid_text(self.execution)}"
        if self.device:
            return f"device:{self.agent}/{self.device}"
        if self.agent:
            return f"agent:{self.agent}"
        return f"job:{uuid_text(self.job)}" if self.job else self.object


def subject_of(text: str) -> Subject:
    """Return what ``job:ID``, ``agent:NAME`` or ``device:AGENT/DEVICE`` names.

    Raises:
        MistakeError: the id is none.
    """
    noun, _, name = text.partition(":")
    match noun:
        case "agent":
            return Subject(agent=name)
        case "device":
            agent, _, device = name.partition("/")
            return Subject(agent=agent, device=device)
        case "job":
            return Subject(job=JobId(parse_uuid(name, what="a job")))
        case "execution":
            return Subject(execution=parse_uuid(name, what="an execution"))
        case _:
            return Subject(object=text)


def check_type(text: str, *, where: str) -> str:
    """Return a type, or the noun of several: ``execution.changed`` or ``rollout``.

    Raises:
        MistakeError: nothing is ever told under that name.

    >>> check_type("rollout", where="query.type")
    'rollout'
    """
    nouns = {one.partition(".")[0] for one in TYPES}
    if text and text not in TYPES and text not in nouns:
        meant = nearest(text, (*sorted(TYPES), *sorted(nouns)))
        mend = f"did you mean {meant}?" if meant else f"there are {', '.join(sorted(TYPES))}"
        raise MistakeError(f"there is no event {text[:60]!r}", where=where, mend=mend)
    return text
