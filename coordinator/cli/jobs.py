"""`outstation jobs`: hand in work, watch it, and see what really happened on each device."""

import json
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from coordinator.cli.approvals import agreed
from coordinator.cli.client import CallError, Client, Exit, segment
from coordinator.cli.show import Screen, ago, count
from coordinator.contract.approvals import ApprovalForm
from coordinator.contract.job_spec import JobSubmission, parse_submission
from coordinator.contract.jobs import (
    SETTLED,
    ExecutionView,
    JobPreview,
    JobView,
    TaskView,
)
from shared import limits
from shared.errors import MistakeError
from shared.model.job import Value

_LONG_POLL_S = 30


def read_submission(path: str) -> JobSubmission:
    """Return the job that a TOML or JSON file describes; ``-`` is standard input.

    Raises:
        MistakeError: it cannot be read, parsed, or understood; says where.
    """
    document = _document(path)
    try:
        return parse_submission(document)
    except msgspec.ValidationError as error:
        what, _, at = str(error).partition(" - at `$")
        member = at.rstrip("`").lstrip(".")
        raise MistakeError(what, where=f"{path}: {member}" if member else path) from None


def submit(client: Client, screen: Screen, job: JobSubmission, *, wait_s: int | None) -> Exit:
    """Hand a job in; with `wait_s`, wait for its end and return what it means."""
    view = client.post("/v1/jobs", job, JobView)
    if wait_s is not None:
        return wait(client, screen, view.id, wait_s)
    if screen.as_json:
        screen.json(view)
    else:
        screen.text(f"job {view.id} accepted for {view.targets} agents")
        if view.state == "PENDING_APPROVAL":
            screen.text(f"it waits for {view.agreement.needed} people: class {view.job_class}")
            screen.text(f"they sign it with: outstation approvals sign {view.id} --key FILE")
        screen.text(f"follow it with: outstation jobs wait {view.id}")
    return Exit.OK


def preview(client: Client, screen: Screen, job: JobSubmission) -> Exit:
    """Check a job and tell what it would touch, without handing it in."""
    view = client.post("/v1/jobs", job, JobPreview, query={"validate_only": "true"})
    if screen.as_json:
        screen.json(view)
    else:
        names = ", ".join(view.sample) + (", ..." if view.targets > len(view.sample) else "")
        screen.text(f"the job is good; it would go to {view.targets} agents: {names}")
        if view.approvals_needed:
            screen.text(f"{view.approvals_needed} people must agree first: class {view.job_class}")
    return Exit.OK


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
            *_waits_for(client, job),
            ("submitted", f"{ago(job.created_at)} by {job.created_by}"),
            ("may begin until", f"{job.not_after:%Y-%m-%d %H:%M} UTC"),
            ("steps", " -> ".join(f"{step.id} ({step.action})" for step in job.spec.steps)),
        ]
    )
    screen.text()
    screen.table(
        ("AGENT", "DEVICE", "STATE", "TRY", "RESULT"),
        [row for execution in executions for row in _rows(execution)],
    )
    return Exit.OK


def wait(client: Client, screen: Screen, job_id: str, wait_s: int) -> Exit:
    """Wait until a job is done, print it, and return OK only if every execution succeeded."""
    deadline = time.monotonic() + wait_s
    while True:
        left = deadline - time.monotonic()
        hold = max(1, min(_LONG_POLL_S, int(left)))
        job = client.get(f"/v1/jobs/{segment(job_id)}", JobView, wait_s=hold)
        if job.state in SETTLED:
            show(client, screen, job_id)
            return Exit.OK if set(job.counts) == {"SUCCEEDED"} else Exit.FAILED
        if time.monotonic() >= deadline:
            raise CallError(
                f"the job is not done after {wait_s} s: {_standing(job)}; it goes on by itself",
                Exit.TIMED_OUT,
            )


def _waits_for(client: Client, job: JobView) -> list[tuple[str, object]]:
    """Return what a guarded job waits for, or who let it go or stopped it."""
    agreement = job.agreement
    if not agreement.needed:
        return []
    facts: list[tuple[str, object]] = [("approvals", agreed(agreement.needed, agreement.people))]
    if agreement.denied_by:
        facts.append(("denied", f"by {agreement.denied_by}: {agreement.denied_reason}"))
    if job.state == "PENDING_APPROVAL":
        form = client.get(f"/v1/approvals/{segment(job.id)}", ApprovalForm)
        open_to = [name for name in form.approvers if name not in form.people]
        missing = form.needed - len(form.people)
        facts.append(("waits for", f"{missing} more of {', '.join(open_to) or 'nobody'}"))
        facts.append(("sign it with", f"outstation approvals sign {job.id} --key FILE"))
    return facts


def _standing(job: JobView) -> str:
    if job.state == "PENDING_APPROVAL":
        return f"approved {agreed(job.agreement.needed, job.agreement.people)}"
    return count(job.counts)


def _executions(client: Client, job_id: str) -> list[ExecutionView]:
    pages = client.pages("/v1/executions", ExecutionView, {"job": job_id}, most=sys.maxsize)
    return sorted(pages, key=lambda execution: execution.agent)


def _rows(execution: ExecutionView) -> list[tuple[object, ...]]:
    late = " (late)" if execution.late else ""
    if not execution.tasks:
        return [(execution.agent, "", execution.state, "", (execution.reason or "") + late)]
    return [
        (execution.agent, task.device, task.state, task.attempt, _result(task.result, task) + late)
        for task in execution.tasks
    ]


def _result(values: dict[str, Value], task: TaskView) -> str:
    # `step._skipped` says that a write found every point as it should be.
    said = ", ".join(f"{name}={value}" for name, value in values.items() if "._" not in name)
    if any(value is True and name.endswith("._skipped") for name, value in values.items()):
        said += " (was so already)"
    why = ": ".join(part for part in (task.reason, task.detail) if part)
    return "; ".join(part for part in (said, why) if part)


def _document(path: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read(limits.SPEC_BYTES + 1) if path == "-" else Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not text"
        raise MistakeError(f"it cannot be read: {said}", where=path) from None
    if len(text) > limits.SPEC_BYTES:
        raise MistakeError(f"a job has at most {limits.SPEC_BYTES} bytes", where=path)
    try:
        document = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise MistakeError(f"it is neither TOML nor JSON: {error}", where=path) from None
    return dict(document)
