"""Which agents a job is for: named ones joined with what a selector matches."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.errors import MistakeError
from shared.model.identity import SAID
from shared.model.job import Targets
from shared.model.selector import Selector, parse_selector

Labels = Mapping[str, str]
KNOWN: Final = frozenset({"id", "kind", "profile"}) | SAID
"""What the coordinator knows of devices that were asked what they are."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What is known of the devices of some agents."""

    devices: int
    """That a job would be for, by their newest word."""
    unasked: int
    """Agents of which no device ever said what it is."""
    silent: int = 0
    """Of `devices` those that do not answer, by their gateway's last word."""


def fold_labels(rows: Iterable[tuple[str, str | None, str | None]]) -> dict[str, dict[str, str]]:
    """Return labels by agent from (agent, key, value) rows; an agent without any has one row."""
    agents: dict[str, dict[str, str]] = {}
    for agent, key, value in rows:
        labels = agents.setdefault(agent, {})
        if key is not None and value is not None:
            labels[key] = value
    return agents


def check_targets(targets: Targets) -> Selector | None:
    """Return the parsed selector, None when there is none.

    Raises:
        MistakeError: a selector cannot be parsed, or nothing is named at all.
    """
    devices = parse_selector(targets.device_selector, where="targets.device_selector")
    if targets.selector:
        return parse_selector(targets.selector, where="targets.selector")
    if targets.agents:
        return None
    if devices.keys & KNOWN:
        return Selector(())
    raise MistakeError(
        "the job has no target",
        where="targets",
        mend="give targets.selector, targets.agents or a targets.device_selector",
    )


def needs_devices(targets: Targets) -> bool:
    """Tell whether what is known of devices decides which agents a job is for.

    By what only devices know of themselves, for other agents could but refuse it; and where nothing
    else is said. An id, a kind or a profile alone is left to the agents that a selector matches:
    they know it of devices that nobody has asked yet.
    """
    devices = parse_selector(targets.device_selector)
    everywhere = not targets.selector and not targets.agents
    return bool(devices.keys & SAID) or (everywhere and bool(devices.keys & KNOWN))


def resolve(
    targets: Targets,
    selector: Selector | None,
    labels: Mapping[str, Labels],
    having: Collection[str] | None = None,
) -> Sequence[str]:
    """Return the ids of the agents a job is for, sorted.

    Args:
        targets: as submitted.
        selector: what `check_targets` returned for them.
        labels: of every agent that may get work, by id.
        having: agents known to have a device that is meant; None: that decides nothing. Who is
            named gets the job all the same: it knows better.

    Raises:
        MistakeError: a named agent is not among them, or nothing matches.
    """
    for number, agent in enumerate(targets.agents):
        if agent not in labels:
            raise MistakeError(f"there is no agent {agent!r}", where=f"targets.agents[{number}]")
    chosen = set(targets.agents)
    if selector is not None:
        matching = {agent for agent, own in labels.items() if selector.matches(own)}
        if not matching:
            raise MistakeError(
                f"no agent matches {targets.selector!r}",
                where="targets.selector",
                mend="list the agents by that selector, or without one to see their labels",
            )
        if having is not None:
            matching = {agent for agent in matching if agent in having}
        if not matching:
            raise MistakeError(
                f"no device there is known to be {targets.device_selector}",
                where="targets.device_selector",
                mend="ask them what they are with a job of device.sync",
            )
        chosen |= matching
    return sorted(chosen)
