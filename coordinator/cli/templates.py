"""`outstation templates`: jobs with blanks, those that came with the program among them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from coordinator.cli.client import Client, segment
from coordinator.cli.documents import read_document
from coordinator.cli.options import DEFAULT, MOST, Common, Yes, with_client
from coordinator.cli.options import delete as delete_one
from coordinator.cli.show import Screen, ago
from coordinator.contract.job_parts import TargetsBody
from coordinator.contract.template_values import check_template
from coordinator.contract.templates import (
    Filling,
    TemplateBody,
    TemplateUse,
    TemplateView,
)
from coordinator.contract.templates import Parameter as Blank
from shared.errors import MistakeError

app = App(name="templates", help="Jobs with blanks: list, show, save and delete them.")


@app.command(name="list")
def list_(*, most: int = MOST, common: Common = DEFAULT) -> None:
    """List templates by name.

    Parameters
    ----------
    most
        At most so many.
    """
    with_client(common, lambda client, screen: _list(client, screen, most))


@app.command(name="show")
def show(template: str, /, *, version: int | None = None, common: Common = DEFAULT) -> None:
    """Show what a template asks for and what it does.

    Parameters
    ----------
    version
        Of which version; the newest if you give none.
    """
    with_client(common, lambda client, screen: _show(client, screen, template, version))


@app.command(name="save")
def save(file: Path, /, *, name: str = "", common: Common = DEFAULT) -> None:
    """Keep the template in a TOML or JSON file; of a known name it becomes the next version.

    Parameters
    ----------
    name
        Its name, where the file says none.
    """
    template = read_template(file, name)
    with_client(common, lambda client, screen: _save(client, screen, template))


@app.command(name="delete")
def delete(template: str, /, *, yes: Yes = False, common: Common = DEFAULT) -> None:
    """Delete a template; jobs that were made from it stay."""
    what, path = f"template {template}", f"/v1/templates/{segment(template)}"

    def said(gone: TemplateView) -> str:
        return f"; it was version {gone.version}"

    delete_one(common, what, path, TemplateView, yes=yes, said=said)


def read_template(file: Path, name: str) -> TemplateBody:
    """Return the template in a file.

    Raises:
        MistakeError: it cannot be read, parsed, or used.
    """
    template = read_document(file, TemplateBody, name=name or file.stem)
    try:
        check_template(template)
    except MistakeError as error:
        raise MistakeError(error.what, where=f"{file}: {error.where}", mend=error.mend) from None
    return template


def read_settings(pairs: Sequence[str]) -> dict[str, Filling]:
    """Return what ``--set name=value`` says, the values as texts.

    Raises:
        MistakeError: one has no ``=``, or a name comes twice.
    """
    values: dict[str, Filling] = {}
    for pair in pairs:
        name, is_pair, value = pair.partition("=")
        if not is_pair or not name:
            raise MistakeError(f"{pair[:60]!r} is no name=value", where="--set")
        if name in values:
            raise MistakeError(f"{name} is given twice", where="--set")
        values[name] = value
    return values


@Parameter(name="*")
@dataclass(frozen=True)
class MadeOf:
    """Options of a job that is made from a template."""

    template: Annotated[
        str, Parameter(help="make it from this template (templates list), not from a file")
    ] = ""
    set: Annotated[
        tuple[str, ...],
        Parameter(help="name=value for one of the template's parameters; repeatable", negative=""),
    ] = ()
    agent: Annotated[
        tuple[str, ...], Parameter(help="with a template: do it on this agent", negative="")
    ] = ()
    selector: Annotated[str, Parameter(help="with a template: on agents with such labels")] = ""
    device_selector: Annotated[
        str, Parameter(help="with a template: on these devices of theirs")
    ] = ""

    @property
    def use(self) -> TemplateUse:
        """Return what is asked of the coordinator.

        Raises:
            MistakeError: a value is none.
        """
        targets = None
        if self.agent or self.selector or self.device_selector:
            targets = TargetsBody(
                agents=list(self.agent),
                selector=self.selector,
                device_selector=self.device_selector,
            )
        return TemplateUse(values=read_settings(self.set), targets=targets)


NOTHING = MadeOf()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A job that somebody wants from a template."""

    made_of: MadeOf
    only_check: bool
    wait_s: int | None


def _list(client: Client, screen: Screen, most: int) -> None:
    found = list(client.pages("/v1/templates", TemplateView, {}, most=most))
    if screen.as_json:
        screen.json(found)
        return
    screen.table(
        ("TEMPLATE", "VERSION", "NEEDS", "ABOUT"),
        [(one.name, _version(one), _needs(one), one.about) for one in found],
    )


def _show(client: Client, screen: Screen, name: str, version: int | None) -> None:
    query = {} if version is None else {"version": str(version)}
    found = client.get(f"/v1/templates/{segment(name)}", TemplateView, query=query)
    if screen.as_json:
        screen.json(found)
        return
    saved = f", saved {ago(found.saved_at)} by {found.saved_by}" if found.saved_at else ""
    screen.facts(
        [
            ("template", found.name),
            ("about", found.about or "-"),
            ("version", _version(found) + saved),
        ]
    )
    if found.parameters:
        screen.text()
        screen.table(
            ("PARAMETER", "KIND", "DEFAULT", "ABOUT"),
            [(name, *_blank(one)) for name, one in found.parameters.items()],
        )
    screen.text()
    screen.text(json.dumps(found.job, indent=2))


def _save(client: Client, screen: Screen, template: TemplateBody) -> None:
    view = client.post("/v1/templates", template, TemplateView)
    if screen.as_json:
        screen.json(view)
    else:
        screen.text(f"template {view.name} is kept as version {view.version}")


def _version(one: TemplateView) -> str:
    return str(one.version) if one.version else "with the program"


def _needs(one: TemplateView) -> str:
    needed = [name for name, blank in one.parameters.items() if blank.default is msgspec.UNSET]
    return ", ".join(needed) or "-"


def _blank(one: Blank) -> tuple[str, str, str]:
    default = "needed" if one.default is msgspec.UNSET else str(one.default)
    bounds = [f"from {one.minimum:g}"] if one.minimum is not None else []
    bounds += [f"to {one.maximum:g}"] if one.maximum is not None else []
    choices = f" ({', '.join(one.choices)})" if one.choices else ""
    return " ".join([one.kind, *bounds]) + choices, default, one.about
