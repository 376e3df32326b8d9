"""The commands of `outstation jobs` and their options; what they do stands in `jobs`."""

from cyclopts import App

from coordinator.cli import jobs, repeats, standing, templates
from coordinator.cli.client import Exit
from coordinator.cli.job_file import read_job
from coordinator.cli.options import AT_ONCE as _AT_ONCE
from coordinator.cli.options import DEFAULT as _DEFAULT
from coordinator.cli.options import FOREVER_S as _FOREVER_S
from coordinator.cli.options import Common, Waiting
from coordinator.cli.options import with_client as _with_client
from coordinator.cli.show import Screen
from coordinator.contract.repeats import RetryWish
from shared.errors import MistakeError

app = App(name="jobs", help="Work for the fleet: hand in, watch, explain.")


@app.command(name="submit")
def jobs_submit(
    file: str = "",
    /,
    *,
    made_of: templates.MadeOf = templates.NOTHING,
    waiting: Waiting = _AT_ONCE,
    dry_run: bool = False,
    common: Common = _DEFAULT,
) -> Exit:
    """Hand in a job from a TOML or JSON file ("-": standard input), or from a template.

    Parameters
    ----------
    dry_run
        Only check it, and tell which agents it would go to.
    """
    if bool(file) == bool(made_of.template):
        raise MistakeError("name a file, or a template with --template", where="jobs submit")
    if made_of.template:
        wish = templates.Wish(made_of=made_of, only_check=dry_run, wait_s=waiting.span_s)
        return _with_client(common, lambda c, s: jobs.submit_template(c, s, wish))
    if made_of != templates.NOTHING:
        raise MistakeError("a file says this itself", where="--set", mend="or use --template")
    job = read_job(file)
    if dry_run:
        return _with_client(common, lambda c, s: jobs.preview(c, s, job))
    if waiting.wait and job.is_standing:
        mend = "hand it in without, then see outstation jobs history"
        raise MistakeError("a standing job has no end to wait for", where="--wait", mend=mend)
    return _with_client(common, lambda c, s: jobs.submit(c, s, job, wait_s=waiting.span_s))


@app.command(name="check")
def jobs_check(file: str, /, *, local: bool = False, common: Common = _DEFAULT) -> Exit:
    """Check a job without handing it in; tell which agents it would go to.

    Parameters
    ----------
    local
        Only what can be known without the coordinator.
    """
    job = read_job(file)
    if local:
        job.check()
        Screen(as_json=False).text("the job is good, as far as its file tells")
        return Exit.OK
    return _with_client(common, lambda c, s: jobs.preview(c, s, job))


@app.command(name="cancel")
def jobs_cancel(
    job: str,
    /,
    *,
    waiting: Waiting = _AT_ONCE,
    common: Common = _DEFAULT,
) -> Exit:
    """Call a job off: what has not begun never does, what runs stops at a safe point."""
    return _with_client(common, lambda c, s: jobs.cancel(c, s, job, wait_s=waiting.span_s))


@app.command(name="retry")
def jobs_retry(
    job: str,
    /,
    *,
    unknown_effects: bool = False,
    waiting: Waiting = _AT_ONCE,
    common: Common = _DEFAULT,
) -> Exit:
    """Do a job again on the agents where it failed, as a new job.

    Parameters
    ----------
    unknown_effects
        Also where it was cut off and may have been done: look at the devices first.
    """
    wish = RetryWish(unknown_effects=unknown_effects)
    return _with_client(common, lambda c, s: repeats.again(c, s, job, wish, waiting.span_s))


@app.command(name="clone")
def jobs_clone(
    job: str,
    /,
    *,
    to: repeats.To = repeats.AS_BEFORE,
    waiting: Waiting = _AT_ONCE,
    common: Common = _DEFAULT,
) -> Exit:
    """Hand in a new job that says what an old one said."""
    return _with_client(common, lambda c, s: repeats.again(c, s, job, to.wish, waiting.span_s))


@app.command(name="log")
def jobs_log(job: str, /, *, most: int = 100, common: Common = _DEFAULT) -> None:
    """Show what was done about a job, by whom and why, newest first.

    Parameters
    ----------
    most
        At most so many.
    """
    _with_client(common, lambda c, s: repeats.show_log(c, s, job, most))


@app.command(name="execution")
def jobs_execution(execution: str, /, *, common: Common = _DEFAULT) -> None:
    """Show one execution: its devices, and every attempt and change as its agent told it."""
    _with_client(common, lambda c, s: repeats.show_execution(c, s, execution))


@app.command(name="history")
def jobs_history(
    job: str, /, *, agent: str = "", most: int = 100, common: Common = _DEFAULT
) -> None:
    """Show what a schedule or rule did, newest first.

    Parameters
    ----------
    agent
        Only on this agent.
    most
        At most so many.
    """
    _with_client(common, lambda c, s: standing.history(c, s, job, agent=agent, most=most))


@app.command(name="list")
def jobs_list(*, most: int = 50, common: Common = _DEFAULT) -> None:
    """List jobs, newest first.

    Parameters
    ----------
    most
        At most so many.
    """
    _with_client(common, lambda c, s: jobs.list_jobs(c, s, most=most))


@app.command(name="show")
def jobs_show(job: str, /, *, common: Common = _DEFAULT) -> None:
    """Show one job and what became of it on every agent and device."""
    _with_client(common, lambda c, s: jobs.show(c, s, job))


@app.command(name="wait")
def jobs_wait(job: str, /, *, timeout: int = _FOREVER_S, common: Common = _DEFAULT) -> Exit:
    """Wait until a job is done; exit status 0 only if it succeeded everywhere.

    Parameters
    ----------
    timeout
        Seconds to wait at most; exit status 7 after that. The job itself goes on.
    """
    return _with_client(common, lambda c, s: jobs.wait(c, s, job, timeout))
