"""`outstation artifacts`: files that jobs name by their content, firmware first of all."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from coordinator.cli.artifacts_carry import bring, take
from coordinator.cli.client import Client, Exit, segment
from coordinator.cli.options import DEFAULT, MOST, Common, with_client
from coordinator.cli.show import Screen, ago
from coordinator.contract.artifacts import ArtifactView, ArtifactWish
from shared.errors import MistakeError
from shared.model.artifact import PREFIX

app = App(name="artifacts", help="Files that jobs name by their content: push, list, delete.")


@app.command(name="push")
def push(
    file: Path,
    /,
    *,
    kind: str = "firmware",
    version: str = "",
    label: Annotated[list[str] | None, Parameter(negative="")] = None,
    timeout: int = 3_600,
    common: Common = DEFAULT,
) -> Exit:
    """Hand in a file; goes on where it was cut, by itself and when it is asked again.

    Parameters
    ----------
    kind
        firmware, agent or file.
    version
        For people; what a firmware image says of itself is read from it anyway.
    label
        KEY=VALUE, repeatable.
    timeout
        Seconds without any progress after which it gives up.
    """
    labels = dict(_label(text) for text in label or ())

    def do(client: Client, screen: Screen) -> Exit:
        wish = ArtifactWish(
            artifact="", size=1, kind=kind, name=file.name[-200:], version=version, labels=labels
        )
        view = bring(client, screen, file, wish, timeout_s=timeout)
        if screen.as_json:
            screen.json(view)
        else:
            screen.text(view.artifact)
        return Exit.OK

    return with_client(common, do)


@app.command(name="list")
def list_(*, most: int = MOST, common: Common = DEFAULT) -> None:
    """List artifacts.

    Parameters
    ----------
    most
        At most so many.
    """

    def do(client: Client, screen: Screen) -> None:
        found = list(client.pages("/v1/artifacts", ArtifactView, {}, most=most))
        if screen.as_json:
            screen.json(found)
            return
        screen.table(
            ("ARTIFACT", "KIND", "NAME", "VERSION", "BYTES", "HERE", "SINCE", "JOBS"),
            [
                (
                    *(one.artifact, one.kind, one.name),
                    one.version or (one.image.version if one.image else ""),
                    *(one.size, _here(one), ago(one.created_at), len(one.jobs)),
                )
                for one in found
            ],
        )

    with_client(common, do)


@app.command(name="show")
def show(artifact: str, /, *, common: Common = DEFAULT) -> None:
    """Show one artifact: what it says of itself, and which jobs need it."""

    def do(client: Client, screen: Screen) -> None:
        view = client.get(_path(client, artifact), ArtifactView)
        if screen.as_json:
            screen.json(view)
            return
        facts: list[tuple[str, object]] = [
            ("artifact", view.artifact),
            ("kind", view.kind),
            ("name", view.name or "-"),
            ("version", view.version or "-"),
            ("bytes", view.size),
            ("here", _here(view)),
            ("labels", ", ".join(f"{key}={value}" for key, value in view.labels.items()) or "-"),
            ("handed in", f"{ago(view.created_at)} by {view.created_by}"),
            ("needed by", ", ".join(view.jobs) or "no job"),
        ]
        if view.image is not None:
            signed = "signed" if view.image.signed else "not signed"
            image = f"MCUboot {view.image.version}, {view.image.image_size} bytes, {signed}"
            facts += [("image", image), ("image hash", view.image.hash or "-")]
        screen.facts(facts)

    with_client(common, do)


@app.command(name="delete")
def delete(artifact: str, /, *, common: Common = DEFAULT) -> None:
    """Delete an artifact that no job needs."""

    def do(client: Client, screen: Screen) -> None:
        view = client.delete(_path(client, artifact), ArtifactView)
        if screen.as_json:
            screen.json(view)
        else:
            screen.text(f"{view.artifact} is gone")

    with_client(common, do)


@app.command(name="fetch")
def fetch(artifact: str, file: Path, /, *, timeout: int = 3_600, common: Common = DEFAULT) -> None:
    """Get an artifact back into a file, which appears once it is whole and verified.

    Parameters
    ----------
    timeout
        Seconds without any progress after which it gives up.
    """

    def do(client: Client, screen: Screen) -> None:
        view = client.get(_path(client, artifact), ArtifactView)
        take(client, screen, view, file, timeout_s=timeout)
        if screen.as_json:
            screen.json(view)
        else:
            screen.text(f"{file}: {view.size} bytes, as {view.artifact}")

    with_client(common, do)


def _path(client: Client, text: str) -> str:
    """Return the path of an artifact by its name, or by the first digits of its hash.

    Raises:
        MistakeError: several begin so, or none.
    """
    digits = text.removeprefix(PREFIX)
    if not digits:
        # As in `delete "$NAME"`: all begin so, and where there is one only, that would be it.
        raise MistakeError(
            "names no artifact", where=repr(text), mend="see outstation artifacts list"
        )
    if len(digits) == 64:
        return f"/v1/artifacts/{segment(PREFIX + digits)}"
    views = client.pages("/v1/artifacts", ArtifactView, {}, most=100_000)
    found = [view.artifact for view in views if view.artifact.startswith(PREFIX + digits)]
    if len(found) != 1:
        what = f"{len(found)} artifacts begin so" if found else "no artifact begins so"
        raise MistakeError(what, where=text[:80], mend="see outstation artifacts list")
    return f"/v1/artifacts/{segment(found[0])}"


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise MistakeError(f"{text[:80]!r} is not KEY=VALUE", where="--label")
    return key, value


def _here(view: ArtifactView) -> str:
    return "all" if view.complete else f"{view.received * 100 // view.size} %"
