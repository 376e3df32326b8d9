"""What a token that is limited to some agents may see: the fleet is cut to what matches."""

from coordinator.core.ports import Tx, fetch
from coordinator.core.targeting import fold_labels
from shared.model.selector import Selector


def sees_agent(agent: str, limit: Selector | None) -> Tx[bool]:
    """Tell whether an agent exists and is within a token's limit."""
    labels = fold_labels((yield from fetch("labels_of_one", agent)))
    return agent in labels and (limit is None or limit.matches(labels[agent]))


def sees_job(job: bytes, limit: Selector | None) -> Tx[bool]:
    """Tell whether every agent that a job is for is within a token's limit."""
    if limit is None:
        return True
    labels = fold_labels((yield from fetch("label_rows_of_job", job)))
    return all(map(limit.matches, labels.values()))
