"""The commands of `outstation`, their options, and what their exit status means."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from coordinator.cli import agents as agent_commands
from coordinator.cli import (
    approvals,
    artifacts,
    audit,
    events,
    gaps,
    keys,
    membership,
    profiles,
    readings,
    reports,
    rollouts,
    standing,
    tokens,
)
from coordinator.cli import carrier as carrier_commands
from coordinator.cli import devices as device_commands
from coordinator.cli.client import CallError, Exit
from coordinator.cli.device_commands import app as devices
from coordinator.cli.job_commands import app as jobs
from coordinator.cli.options import DEFAULT as _DEFAULT
from coordinator.cli.options import MOST as _MOST
from coordinator.cli.options import Common
from coordinator.cli.options import with_client as _with_client
from coordinator.cli.show import Screen
from coordinator.cli.templates import app as templates
from coordinator.cli.triggers import app as triggers
from shared.errors import MistakeError
from shared.version import product_version

_EPILOGUE = """Exit status: 0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 unreachable,
6 conflict, 7 timed out waiting, 130 interrupted."""


app = App(
    name="outstation",
    help="See and steer a fleet of field gateways.",
    help_epilogue=_EPILOGUE,
    version_flags=["--version"],
    version=product_version,
)
agents = App(name="agents", help="Gateways: who is out there and how they are.")
app.command(devices)
app.command(profiles.app)
for _group in (agents, jobs, templates, triggers, rollouts.app):
    app.command(_group)
for _group in (standing.schedules, standing.rules, standing.alarms):
    app.command(_group)
for _group in (events.app, reports.app):
    app.command(_group)
for _group in (readings.app, artifacts.app, approvals.app, keys.app, tokens.app, audit.app):
    app.command(_group)


@app.command
def status(*, common: Common = _DEFAULT) -> None:
    """The whole fleet on one screen."""
    _with_client(common, agent_commands.status)


@agents.command(name="list")
def agents_list(
    *, selector: str = "", state: str = "", most: int = _MOST, common: Common = _DEFAULT
) -> None:
    """List agents, or the keys that wait to become some.

    Parameters
    ----------
    selector
        Label selector, e.g. "site in (north,south),role=pump".
    state
        Agents in this state; pending, expected or rejected: keys that are no agents yet.
    most
        At most so many.
    """
    if membership.is_enrolment(state):
        _with_client(common, lambda c, s: membership.list_enrolments(c, s, state=state, most=most))
        return
    _with_client(
        common,
        lambda c, s: agent_commands.list_agents(c, s, selector=selector, state=state, most=most),
    )


@agents.command(name="register")
def agents_register(
    fingerprint: str, /, *, site: str, name: str = "", common: Common = _DEFAULT
) -> None:
    """Let a box in by its fingerprint, before it has ever called.

    Parameters
    ----------
    fingerprint
        As `outstation-agent fingerprint` prints it on the box.
    site
        The site it belongs to.
    name
        Its name; one of the site's if you give none.
    """
    _with_client(common, lambda c, s: membership.register(c, s, fingerprint, site=site, name=name))


@agents.command(name="approve")
def agents_approve(
    enrolment: str,
    /,
    *,
    fingerprint: str,
    site: str = "",
    name: str = "",
    common: Common = _DEFAULT,
) -> None:
    """Accept a box that waits (`agents list --state pending`).

    Parameters
    ----------
    fingerprint
        Read from the box itself or over the phone, never from the list.
    site
        The site it belongs to, if the box did not say.
    name
        Its name, if not the one the box said.
    """
    _with_client(
        common,
        lambda c, s: membership.approve(
            c, s, enrolment, fingerprint=fingerprint, site=site, name=name
        ),
    )


@agents.command(name="reject")
def agents_reject(enrolment: str, /, *, common: Common = _DEFAULT) -> None:
    """Let a box that waits not in, also when it asks again."""
    _with_client(common, lambda c, s: membership.reject(c, s, enrolment))


@agents.command(name="rekey")
def agents_rekey(agent: str, /, *, common: Common = _DEFAULT) -> None:
    """Ask an agent for another key; the old one is refused from the new one's first use on."""
    _with_client(common, lambda c, s: membership.steer(c, s, agent, "rekey"))


@agents.command(name="revoke")
def agents_revoke(agent: str, /, *, common: Common = _DEFAULT) -> None:
    """Let a lost or stolen agent in no more, for ever; its name is not given again."""
    _with_client(common, lambda c, s: membership.steer(c, s, agent, "revoke"))


@agents.command(name="release")
def agents_release(agent: str, /, *, common: Common = _DEFAULT) -> None:
    """End an agent's quarantine, once you know which machine is the real one."""
    _with_client(common, lambda c, s: membership.steer(c, s, agent, "release"))


@agents.command(name="decommission")
def agents_decommission(agent: str, /, *, common: Common = _DEFAULT) -> None:
    """Let an agent deliver what it has, forget its key and go; its history stays readable."""
    _with_client(common, lambda c, s: membership.steer(c, s, agent, "decommission"))


@agents.command(name="show")
def agents_show(agent: str, /, *, common: Common = _DEFAULT) -> None:
    """Show one agent: link, clock, account of its readings, latest work."""
    _with_client(common, lambda c, s: agent_commands.show_agent(c, s, agent))


@agents.command(name="gaps")
def agents_gaps(agent: str, /, *, days: int = 30, common: Common = _DEFAULT) -> None:
    """Show what of an agent's readings is here, on its way, given up or lost, and when.

    Parameters
    ----------
    days
        How far the picture goes back.
    """
    _with_client(common, lambda c, s: gaps.show_gaps(c, s, agent, days=days))


@agents.command(name="diagnose")
def agents_diagnose(
    agent: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    wait: int = 300,
    fresh: bool = True,
    common: Common = _DEFAULT,
) -> Exit:
    """Have a gateway bring a support bundle: its status, findings and last log lines, no secrets.

    Parameters
    ----------
    output
        The file it is kept in; without one it is printed.
    wait
        How long to wait for the gateway, in seconds.
    fresh
        Ask for a new one; --no-fresh: the newest that is here.
    """
    return _with_client(
        common,
        lambda c, s: device_commands.diagnose(c, s, agent, output=output, wait_s=wait, fresh=fresh),
    )


@app.command(name="import")
def import_(*files: Path, common: Common = _DEFAULT) -> Exit:
    """Take in sticks that were filled by `outstation-agent export`; a folder is all of its files.

    Any order, again and again, cut off or old: what is whole counts once.
    """
    if not files:
        raise MistakeError("name a file or a folder", where="import")
    return _with_client(common, lambda c, s: carrier_commands.bring(c, s, files))


@app.command
def export(file: Path, /, *, agent: str, common: Common = _DEFAULT) -> Exit:
    """Write a stick for an agent: acknowledgements, documents and its work.

    Work on it counts as delivered, for it may arrive whatever happens to the link.

    Parameters
    ----------
    agent
        Whose; nobody else can read it.
    """
    return _with_client(common, lambda c, s: carrier_commands.take_away(c, s, agent, file))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    tokens = list(sys.argv[1:] if argv is None else argv)
    try:
        code = app(
            _options_last(tokens),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except CycloptsError as error:
        return _fail(str(error), Exit.USAGE)
    except MistakeError as error:
        return _fail(str(error), Exit.USAGE)
    except CallError as error:
        if "--json" in tokens and error.problem is not None:
            Screen(as_json=True).json(error.problem)
        return _fail(str(error), error.code)
    except KeyboardInterrupt:
        return _fail("stopped; a job that was handed in goes on", Exit.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our pipe has seen enough; what follows has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except OSError as error:
        return _fail(f"{error.filename or 'this machine'}: {error.strerror or error}", Exit.FAILED)
    return code if isinstance(code, Exit) else Exit.OK


def _options_last(tokens: list[str]) -> list[str]:
    """Move ``--config FILE`` and ``--json`` that stand before the command behind it."""
    leading: list[str] = []
    rest = list(tokens)
    while rest and rest[0].startswith("-"):
        if rest[0] == "--json" or rest[0].startswith("--config="):
            leading.append(rest.pop(0))
        elif rest[0] == "--config" and len(rest) > 1:
            leading += [rest.pop(0), rest.pop(0)]
        else:
            break
    return rest + leading if rest else tokens


def _fail(sentence: str, code: Exit) -> int:
    Screen(as_json=False).warn(sentence)
    return code


if __name__ == "__main__":
    sys.exit(main())
