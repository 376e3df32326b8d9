"""`outstation profiles`: device profiles, published as artifacts so that jobs can name them.

Owns reading them here, before and after they travel; `coordinator.cli.artifacts_carry` carries.
What is published is checked again by every gateway that takes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cyclopts import App

from coordinator.cli.artifacts_carry import bring
from coordinator.cli.client import CallError, Client, Exit, segment
from coordinator.cli.options import DEFAULT, MOST, Common, with_client
from coordinator.cli.show import Screen, ago
from coordinator.contract.artifacts import ArtifactView, ArtifactWish
from shared import limits
from shared.errors import MistakeError
from shared.model.artifact import PREFIX
from shared.model.profile import Profile, parse_profile
from shared.model.profile_check import check_profile

KIND = "profile"
app = App(name="profiles", help="Device profiles: publish, list, show, compare.")


@dataclass(frozen=True, slots=True)
class Published:
    """A profile and the artifact that carries it."""

    view: ArtifactView
    profile: Profile
    text: str


@app.command(name="push")
def push(*files: Path, timeout: int = 600, common: Common = DEFAULT) -> Exit:
    """Publish profiles; each is checked here first, and the same one again is harmless.

    Parameters
    ----------
    timeout
        Seconds without any progress after which it gives up.
    """
    if not files:
        raise MistakeError("name a file", where="profiles push")
    profiles = [_checked(file) for file in files]

    def do(client: Client, screen: Screen) -> Exit:
        views: list[ArtifactView] = []
        for file, profile in zip(files, profiles, strict=True):
            wish = ArtifactWish(
                artifact="", size=1, kind=KIND, name=file.name[-200:], labels=_labels(profile)
            )
            views.append(bring(client, screen, file, wish, timeout_s=timeout))
        if screen.as_json:
            screen.json(views)
        else:
            for view, profile in zip(views, profiles, strict=True):
                screen.text(f"{profile.name} {view.artifact}")
        return Exit.OK

    return with_client(common, do)


@app.command(name="list")
def list_(*, most: int = MOST, common: Common = DEFAULT) -> None:
    """List published profiles, the newest of each name first.

    Parameters
    ----------
    most
        At most so many.
    """

    def do(client: Client, screen: Screen) -> None:
        found = sorted(_views(client), key=lambda one: one.created_at, reverse=True)[:most]
        found.sort(key=lambda one: one.labels.get("profile", ""))
        if screen.as_json:
            screen.json(found)
            return
        screen.table(
            ("PROFILE", "KIND", "PROTOCOL", "HASH", "ARTIFACT", "BYTES", "SINCE", "JOBS"),
            [
                (
                    *(one.labels.get(key, "-") for key in ("profile", "kind", "protocol", "hash")),
                    *(one.artifact, one.size, ago(one.created_at), len(one.jobs)),
                )
                for one in found
            ],
        )

    with_client(common, do)


@app.command(name="show")
def show(profile: str, /, *, common: Common = DEFAULT) -> None:
    """Print a published profile as it was written: by its name (the newest one) or its artifact."""

    def do(client: Client, screen: Screen) -> None:
        found = published(client, profile)
        if screen.as_json:
            screen.json({"artifact": found.view, "text": found.text})
        else:
            screen.whole(found.text)

    with_client(common, do)


@app.command(name="diff")
def diff(before: str, after: str, /, *, common: Common = DEFAULT) -> Exit:
    """Tell what two profiles (a file, a name, an artifact) mean differently; 1: they differ."""

    def do(client: Client, screen: Screen) -> Exit:
        one, two = (_any(client, text) for text in (before, after))
        told = list(differences(one, two))
        if screen.as_json:
            screen.json({"same": one.content_hash == two.content_hash, "differences": told})
        else:
            screen.text("\n".join(told) or "they mean the same")
        return Exit.OK if one.content_hash == two.content_hash else Exit.FAILED

    return with_client(common, do)


def differences(before: Profile, after: Profile) -> Iterator[str]:
    """Yield a line for everything that two profiles mean differently."""
    for field in ("name", "kind", "protocol", "limits", "identity", "match", "firmware", "health"):
        was, is_ = getattr(before, field), getattr(after, field)
        if was != is_:
            yield f"{field}: {_short(was)} -> {_short(is_)}"
    for what, old, new in (
        ("point", {p.name: p for p in before.points}, {p.name: p for p in after.points}),
        ("call", {c.name: c for c in before.calls}, {c.name: c for c in after.calls}),
    ):
        for name in [*old, *(name for name in new if name not in old)]:
            one, two = old.get(name), new.get(name)
            if one is None or two is None:
                yield f"{what} {name}: {'only before' if two is None else 'only after'}"
                continue
            for key in one.__dataclass_fields__:
                if getattr(one, key) != getattr(two, key):
                    yield (
                        f"{what} {name}: {key}: {_short(getattr(one, key))} -> "
                        f"{_short(getattr(two, key))}"
                    )


def published(client: Client, wanted: str) -> Published:
    """Return a published profile by its name, the newest one, or by its artifact.

    Raises:
        MistakeError: there is none, or several begin so.
    """
    views = _views(client)
    named = [one for one in views if one.labels.get("profile") == wanted]
    if named:
        return load(client, max(named, key=lambda one: one.created_at))
    digits = PREFIX + wanted.removeprefix(PREFIX)
    found = [one for one in views if len(wanted) > 3 and one.artifact.startswith(digits)]
    if len(found) != 1:
        what = f"{len(found)} profiles begin so" if found else "no such profile is published"
        raise MistakeError(what, where=wanted[:80], mend="see outstation profiles list")
    return load(client, found[0])


def load(client: Client, view: ArtifactView) -> Published:
    """Return a profile that is published.

    Raises:
        CallError: what was published is none.
    """
    data = client.get_raw(f"/v1/artifacts/{segment(view.artifact)}/content", {})
    text = data[: limits.PROFILE_BYTES].decode("utf-8", "replace")
    try:
        return Published(view, parse_profile(text, source=view.artifact[:20]), text)
    except MistakeError as error:
        raise CallError(str(error), Exit.FAILED) from None


def all_published(client: Client) -> list[Published]:
    """Return the newest profile of each name; such as cannot be read are left out."""
    newest: dict[str, ArtifactView] = {}
    for view in sorted(_views(client), key=lambda one: one.created_at):
        newest[view.labels.get("profile", view.artifact)] = view
    found: list[Published] = []
    for view in newest.values():
        try:
            found.append(load(client, view))
        except CallError:
            continue
    return found


def _views(client: Client) -> list[ArtifactView]:
    every = client.pages("/v1/artifacts", ArtifactView, {}, most=100_000)
    return [one for one in every if one.kind == KIND and one.complete]


def _any(client: Client, text: str) -> Profile:
    return _checked(Path(text)) if Path(text).is_file() else published(client, text).profile


def _checked(file: Path) -> Profile:
    try:
        text = file.read_bytes()[: limits.PROFILE_BYTES + 1].decode("utf-8")
    except OSError as error:
        raise MistakeError(f"cannot be read ({error.strerror})", where=str(file)) from error
    except UnicodeDecodeError:
        raise MistakeError("is not UTF-8 text", where=str(file)) from None
    checked = check_profile(text, source=str(file))
    if checked.profile is None:
        raise MistakeError("\n".join(str(one) for one in checked.mistakes))
    return checked.profile


def _labels(profile: Profile) -> dict[str, str]:
    return {
        "profile": profile.name,
        "kind": profile.kind,
        "protocol": profile.protocol,
        "hash": profile.content_hash.hex()[:16],
    }


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
