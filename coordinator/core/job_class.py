"""Which class of the policy a job claims: the least one that may do what it does.

The agent judges by the policy it holds, so a wrong answer here makes a job refused, never allowed.
"""

from shared.model.job import JobSpec
from shared.trust.starter import OBSERVE, OPERATE

_READS = frozenset({"device.read"})


def job_class(spec: JobSpec) -> str:
    """Return OBSERVE for a job that only reads, else OPERATE."""
    return OBSERVE if all(step.action in _READS for step in spec.every_step) else OPERATE
