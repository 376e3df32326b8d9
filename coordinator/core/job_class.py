"""Which class of the policy a job belongs to, and so how many people must agree to it.

The agent judges by the policy it holds, so a wrong answer here makes a job refused, never allowed.
"""

from shared.errors import MistakeError, nearest
from shared.model.job import JobSpec
from shared.trust.policy import ClassRule, Policy


def choose_class(spec: JobSpec, policy: Policy, wanted: str = "") -> tuple[str, ClassRule]:
    """Return a job's class and its rule: the wanted one, or the one that asks for the fewest.

    Raises:
        MistakeError: no class of the policy may do this, or the wanted one may not.
    """
    steps = spec.every_step
    if not wanted:
        name = policy.least_class(steps)
        if name is None:
            raise _no_class(spec, policy)
        return name, policy.classes[name]
    rule = policy.classes.get(wanted)
    if rule is None:
        meant = nearest(wanted, policy.classes)
        raise MistakeError(
            f"the policy in force has no class {wanted[:60]!r}",
            where="job_class",
            mend=f"did you mean {meant}?" if meant else f"it has {', '.join(policy.classes)}",
        )
    for step in steps:
        if not rule.allows(step):
            raise MistakeError(
                f"class {wanted} may not do step {step.id} ({step.action})",
                where="job_class",
                mend="leave it out: the class that asks for the fewest people is taken",
            )
    return wanted, rule


def _no_class(spec: JobSpec, policy: Policy) -> MistakeError:
    """Return the sentence about the first step that nobody may do, or about all of them."""
    lists = (
        ("steps", spec.steps),
        ("finally", spec.final_steps),
        ("compensation", spec.compensation),
    )
    for name, steps in lists:
        for number, step in enumerate(steps):
            if not any(rule.allows(step) for rule in policy.classes.values()):
                return MistakeError(
                    f"no class of the policy in force may do this ({step.action})",
                    where=f"{name}[{number}]",
                    mend="leave the step out, or publish a policy with a class for it",
                )
    return MistakeError(
        "no class of the policy in force may do all of these steps together",
        where="steps",
        mend="split the job, or publish a policy with a class for it",
    )
