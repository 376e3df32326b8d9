"""Which agents a job is for: named ones joined with what a selector matches."""

from collections.abc import Iterable, Mapping, Sequence

from shared.errors import MistakeError
from shared.model.job import Targets
from shared.model.selector import Selector, parse_selector

Labels = Mapping[str, str]


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
    if targets.device_selector:
        parse_selector(targets.device_selector, where="targets.device_selector")
    if targets.selector:
        return parse_selector(targets.selector, where="targets.selector")
    if not targets.agents:
        raise MistakeError(
            "the job has no target", where="targets", mend="give targets.selector or targets.agents"
        )
    return None


def resolve(
    targets: Targets, selector: Selector | None, labels: Mapping[str, Labels]
) -> Sequence[str]:
    """Return the ids of the agents a job is for, sorted.

    Args:
        targets: as submitted.
        selector: what `check_targets` returned for them.
        labels: of every agent that may get work, by id.

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
                mend="GET /v1/agents?selector=... shows what a selector finds",
            )
        chosen |= matching
    return sorted(chosen)
