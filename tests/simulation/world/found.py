"""Worlds that are always played: each told on purpose, and able to break one promise.

A plot pins what happens, so it stays the same world while the mix of the others changes. Those of
`KNOWN` are the ground on which defects known from other systems show, and such as each judge has to
name: `tests/mutants` puts each of them in and asks the plot of its name. Those of `FOUND` once
found a defect of ours; each defect has a directed test besides.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Plot:
    """One world that is told on purpose."""

    seed: int
    stories: tuple[str, ...]
    """By their names in `stories.STORIES`, in any order: the seed says when each begins."""


KNOWN: Mapping[str, Plot] = {
    "disks that refuse": Plot(1, ("disk",) * 8 + ("ask",) * 3),
    "lines that are down for hours": Plot(2, ("weather",) * 8 + ("ask",) * 2),
    "killed in the middle of work": Plot(3, ("die with job",) * 14),
    "killed at a commit": Plot(4, ("die at commit",) * 10 + ("ask",) * 8),
    "power that goes again and again": Plot(5, ("reboot",) * 6 + ("ask",) * 6),
    "operators, schedules and triggers": Plot(
        8, ("rollout",) * 5 + ("standing",) * 2 + ("trigger",) * 3
    ),
    "rollouts that people let go on": Plot(2, ("rollout",) * 8 + ("weather", "sick device")),
    "rollouts that are taken back half-way": Plot(2, ("regret",) * 3),
    "boards that get other firmware": Plot(1, ("firmware",) * 6),
    "a coordinator whose file is damaged": Plot(5, ("ruin", *("ask",) * 3, "rollout", "reboot")),
    "strangers and sticks": Plot(2, ("guest",) * 2 + ("sticks",) * 3),
}
FOUND: Mapping[str, Plot] = {
    "an event that a restored coordinator hears again": Plot(22, ("trigger",) * 6 + ("backup",)),
    "a service that failed in cleaning up makes a stop wait for ever": Plot(
        5, ("disk",) * 4 + ("stop",) * 4
    ),
    "rows that a damaged file itself refuses": Plot(18, ("damage",) * 8),
    "what a copy does not know to be lost is told again": Plot(3, ("backup", *("reboot",) * 3)),
    "an older card has never heard of what the newer one began": Plot(
        53,
        (
            *("guest", "rekey", "weather", "ask", "backup", "weather", "weather", "die with job"),
            *("die with job", "kill", "stop", "clock step", "reboot", "damage", "reflash"),
            *("backup", "change of mind", "rekey", "sticks", "guest", "rollout"),
        ),
    ),
    "how a job ended was lost with the memory of it": Plot(
        54,
        (
            *("die with job", "sick device", "ask", "stop", "disk", "bad line", "damage", "ask"),
            *("die with job", "change of mind", "ask", "kill", "guest", "kill", "stop"),
            *("clock step", "drift", "reboot", "damage", "lose jobs", "reflash", "backup"),
            *("sticks", "guest", "rollout", "standing"),
        ),
    ),
}
PLOTS: Mapping[str, Plot] = {**KNOWN, **FOUND}
