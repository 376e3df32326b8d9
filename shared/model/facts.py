"""What conditions may name: facts about the agent, its devices' readings, the steps done before.

    battery > 40 and not link.metered          facts of the agent
    device.setpoint == 4200                    the newest good reading of the device in work
    device.model == 'P-110'                    what it says of itself, asked for now
    devices.tank.level < 2.5                   ... of a device by its id
    backup.ok and backup.setpoint != 0         how a step of the same attempt ended, what it gave

Owns the names and kinds. Who looks them up stands in `agent.core.facts`. A fact that an agent
cannot know (it has no battery) is unknown, and so is what depends on it.
"""

from collections.abc import Iterable
from typing import Final

from shared.model.condition import Kind, Vocabulary

_AGENT: Final = {
    "battery": Kind.NUMBER,
    "link.metered": Kind.TRUTH,
    "link.up": Kind.TRUTH,
    "link.silent_s": Kind.NUMBER,
    "disk.free_mb": Kind.NUMBER,
    "clock.synced": Kind.TRUTH,
    "site.locked": Kind.TRUTH,
    "agent.id": Kind.TEXT,
    "agent.uptime_s": Kind.NUMBER,
    "job.bytes": Kind.NUMBER,
    "job.attempt": Kind.NUMBER,
}
_DEVICE: Final = {
    "device.id": Kind.TEXT,
    "device.kind": Kind.TEXT,
    "device.profile": Kind.TEXT,
    "device.up": Kind.TRUTH,
    "device.vendor": Kind.TEXT,
    "device.model": Kind.TEXT,
    "device.firmware": Kind.TEXT,
}
_FAMILIES: Final = {"device.": Kind.ANY, "devices.": Kind.ANY}


def job_facts(steps: Iterable[str] = ()) -> Vocabulary:
    """Return what a condition of a job may name after the steps of these ids."""
    names, families = {**_AGENT, **_DEVICE}, dict(_FAMILIES)
    for step in steps:
        names |= {f"{step}.ok": Kind.TRUTH, f"{step}.reason": Kind.TEXT}
        families[f"{step}."] = Kind.ANY
    return Vocabulary(names, families)


RESERVED: Final = frozenset(name.partition(".")[0] for name in (*_AGENT, *_DEVICE, *_FAMILIES)) | {
    "and",
    "or",
    "not",
    "in",
    "true",
    "false",
    "abs",
    "min",
    "max",
}
"""What no step may be called: conditions could not tell the two apart."""
