"""`outstation jobs`: hand in work, watch it, and see what really happened on each device."""

import sys
from collections.abc import Sequence

from coordinator.cli.approvals import agreed
from coordinator.cli.client import CallError, Client, Exit, segment
from coordinator.cli.devices import meant
from coordinator.cli.explain import explain
from coordinator.cli.job_file import JobFile
from coordinator.cli.show import Screen, ago, count
from coordinator.cli.standing import when
from coordinator.cli.templates import Wish
from coordinator.cli.waiting import goes_on, leaving, until_settled
from coordinator.contract.approvals import ApprovalForm
from coordinator.contract.job_parts import StepBody
from coordinator.contract.jobs import ExecutionView, JobPreview, JobView, TaskView
from coordinator.contract.rollout_check import has_rollout
from shared.model.job import Value
from shared.words import some


def submit(client: Client, screen: Screen, job: JobFile, *, wait_s: int | None) -> Exit:
    """Hand a job in; with `wait_s`, wait for its end and return what it means."""
    with job.pointing():
        view = client.post("/v1/jobs", job.submission, JobView)
    return accepted(client, screen, view, wait_s, staged=has_rollout(job.submission))


def submit_template(client: Client, screen: Screen, wish: Wish) -> Exit:
    """Hand in a job made from a template, or only tell what it would touch."""
    path = f"/v1/templates/{segment(wish.made_of.template)}/submit"
    if wish.only_check:
        query = {"validate_only": "true"}
        _previewed(screen, client.post(path, wish.made_of.use, JobPreview, query=query))
        return Exit.OK
    view = client.post(path, wish.made_of.use, JobView)
    return accepted(client, screen, view, None if view.standing else wish.wait_s)


def accepted(
    client: Client, screen: Screen, view: JobView, wait_s: int | None, *, staged: bool = False
) -> Exit:
    """Tell that a job was handed in, `staged` if it is a rollout; with `wait_s`, wait for it."""
    if wait_s is not None:
        with leaving(goes_on(view.id)):
            if not screen.as_json:
                _told_accepted(screen, view)
            return wait(client, screen, view.id, wait_s, view)
    if screen.as_json:
        screen.json(view)
    else:
        _told_accepted(screen, view)
        if view.state == "PENDING_APPROVAL":
            screen.text(f"it waits for {view.agreement.needed} people: class {view.job_class}")
            screen.text(f"they sign it with: outstation approvals sign {view.id} --key FILE")
        if view.standing:
            screen.text(f"it fires until {view.not_after:%Y-%m-%d %H:%M} UTC")
        follow = "jobs history" if view.standing else "rollouts watch" if staged else "jobs wait"
        screen.text(f"follow it with: outstation {follow} {view.id}")
    return Exit.OK


def _told_accepted(screen: Screen, view: JobView) -> None:
    screen.text(f"job {view.id} accepted for {some(view.targets, 'agent')}")
    if view.trace:
        screen.text(f"its trace is {view.trace}")


def preview(client: Client, screen: Screen, job: JobFile) -> Exit:
    """Check a job and tell what it would touch, without handing it in."""
    job.check()
    with job.pointing():
        query = {"validate_only": "true"}
        view = client.post("/v1/jobs", job.submission, JobPreview, query=query)
    _previewed(screen, view)
    return Exit.OK


def _previewed(screen: Screen, view: JobPreview) -> None:
    if screen.as_json:
        screen.json(view)
        return
    names = ", ".join(view.sample) + (", ..." if view.targets > len(view.sample) else "")
    screen.text(f"the job is good; it would go to {some(view.targets, 'agent')}: {names}")
    screen.text(f"there it is for {meant(view.devices, view.unasked, view.silent_devices)}")
    if view.approvals_needed:
        screen.text(f"{view.approvals_needed} people must agree first: class {view.job_class}")


def list_jobs(client: Client, screen: Screen, *, most: int) -> None:
    """Print the newest jobs."""
    found = list(client.pages("/v1/jobs", JobView, {}, most=most))
    if screen.as_json:
        screen.json(found)
        return
    if not found:
        screen.text("no job has been handed in yet")
        return
    screen.table(
        ("JOB", "NAME", "STATE", "TARGETS", "EXECUTIONS", "CREATED"),
        [
            (job.id, job.name, job.state, job.targets, count(job.counts), ago(job.created_at))
            for job in found
        ],
    )


def show(client: Client, screen: Screen, job_id: str) -> Exit:
    """Print a job and what became of it on every agent and device."""
    job = client.get(f"/v1/jobs/{segment(job_id)}", JobView)
    executions = _executions(client, job.id)
    if screen.as_json:
        screen.json({"job": job, "executions": executions})
        return Exit.OK
    screen.facts(
        [
            ("job", job.id),
            ("name", job.name),
            ("digest", job.digest),
            ("state", job.state),
            ("class", job.job_class),
            *([("made by", job.origin)] if job.origin else []),
            *([("trace", job.trace)] if job.trace else []),
            *_waits_for(client, job),
            ("submitted", f"{ago(job.created_at)} by {job.created_by}"),
            ("may begin until", f"{job.not_after:%Y-%m-%d %H:%M} UTC"),
            ("steps", "nobody can read them" if job.unreadable else _steps(job.spec.steps)),
            *_rest_of_plan(job),
            *_canceled(job),
        ]
    )
    screen.text()
    screen.table(
        ("AGENT", "STATE", "WHAT THAT MEANS"),
        [(one.agent, one.state, explain(one, job.standing) + _late(one)) for one in executions],
    )
    rows = [row for execution in executions for row in _rows(execution)]
    if rows:
        screen.text()
        screen.table(("AGENT", "DEVICE", "STATE", "TRY", "RESULT"), rows)
    return Exit.OK


def cancel(client: Client, screen: Screen, job_id: str, *, wait_s: int | None) -> Exit:
    """Call a job off; with `wait_s`, wait until every agent said what that stopped."""
    view = client.post(f"/v1/jobs/{segment(job_id)}/cancel", {}, JobView)
    if wait_s is not None and view.state == "CANCELING":
        view = until_settled(client, screen, view.id, wait_s, view)
    if screen.as_json:
        screen.json({"job": view, "executions": _executions(client, view.id)})
        return Exit.OK
    if view.state == "CANCELING":
        screen.text(f"job {view.id} is called off; its agents hear of it with their next contacts")
        screen.text(f"what that stopped shows: outstation jobs show {view.id}")
        return Exit.OK
    return show(client, screen, view.id)


def wait(
    client: Client, screen: Screen, job_id: str, wait_s: int, first: JobView | None = None
) -> Exit:
    """Wait until a job is done, print it, and return OK only if every execution succeeded."""
    job = until_settled(client, screen, job_id, wait_s, first)
    show(client, screen, job_id)
    return Exit.OK if job.succeeded_everywhere else Exit.FAILED


def _waits_for(client: Client, job: JobView) -> list[tuple[str, object]]:
    """Return what a guarded job waits for, or who let it go or stopped it."""
    agreement = job.agreement
    if not agreement.needed:
        return []
    facts: list[tuple[str, object]] = [("approvals", agreed(agreement.needed, agreement.people))]
    if agreement.denied_by:
        facts.append(("denied", f"by {agreement.denied_by}: {agreement.denied_reason}"))
    if job.state == "PENDING_APPROVAL":
        missing = agreement.needed - len(agreement.people)
        facts.append(("waits for", f"{missing} more{_open_to(client, job)}"))
        facts.append(("sign it with", f"outstation approvals sign {job.id} --key FILE"))
    return facts


def _open_to(client: Client, job: JobView) -> str:
    """Return of whom; whoever may read jobs need not be allowed to know that."""
    try:
        form = client.get(f"/v1/approvals/{segment(job.id)}", ApprovalForm)
    except CallError as error:
        if error.code is not Exit.DENIED:
            raise
        return ""
    open_to = [name for name in form.approvers if name not in form.people]
    return f" of {', '.join(open_to) or 'nobody'}"


def _executions(client: Client, job_id: str) -> list[ExecutionView]:
    pages = client.pages("/v1/executions", ExecutionView, {"job": job_id}, most=sys.maxsize)
    return sorted(pages, key=lambda execution: execution.agent)


def _steps(steps: Sequence[StepBody]) -> str:
    return " -> ".join(f"{step.id} ({step.action})" for step in steps) or "-"


def _rest_of_plan(job: JobView) -> list[tuple[str, object]]:
    """Return what a job says beyond its steps, a line each."""
    spec = job.spec
    facts: list[tuple[str, object]] = []
    if job.standing:
        facts.append(("runs", when(spec)))
    if spec.final_steps:
        facts.append(("finally", _steps(spec.final_steps)))
    if spec.post_check is not None:
        soak = f", and for {spec.post_check.soak_s} s" if spec.post_check.soak_s else ""
        facts.append(("must hold then", spec.post_check.condition + soak))
    if spec.compensation.steps:
        facts.append(("if it fails", _steps(spec.compensation.steps)))
    if spec.preconditions:
        facts.append(("begins only if", "; ".join(spec.preconditions)))
    if spec.window is not None:
        span_s = spec.window.duration_s
        facts.append(("window", f"{spec.window.cron} ({spec.window.zone}), {span_s} s"))
    if spec.after is not None:
        facts.append(("after", f"job {spec.after.job}: {spec.after.outcome}"))
    if job.waits_for is not None:
        facts.append(("begins after", f"job {job.waits_for.job}: {job.waits_for.outcome}"))
    if spec.dry_run:
        facts.append(("dry run", "it only tells what it would do"))
    return facts


def _canceled(job: JobView) -> list[tuple[str, object]]:
    if job.canceled_at is None:
        return []
    return [("called off", f"{ago(job.canceled_at)} by {job.canceled_by}")]


def _late(execution: ExecutionView) -> str:
    return " (late)" if execution.late else ""


def _rows(execution: ExecutionView) -> list[tuple[object, ...]]:
    return [
        (execution.agent, task.device, task.state, task.attempt, _result(task.result, task))
        for task in execution.tasks
    ]


def _result(values: dict[str, Value], task: TaskView) -> str:
    # `step._skipped` says that a write found every point as it should be, `step._version` what a
    # device runs now; a reason that ended the task is told behind.
    said = ", ".join(
        f"{name.replace('._', '.')}={value}"
        for name, value in values.items()
        if ("._" not in name or name.endswith("._version"))
        and not (name.endswith(".reason") and value == task.reason)
    )
    if any(value is True and name.endswith("._skipped") for name, value in values.items()):
        said += " (was so already)"
    why = ": ".join(part for part in (task.reason, task.detail) if part)
    return "; ".join(part for part in (said, why) if part)
