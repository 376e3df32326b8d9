"""`outstation devices candidates`: devices that gateways found, and which profile fits them."""

from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from coordinator.cli.client import CallError, Client, Exit, segment
from coordinator.cli.devices import settle
from coordinator.cli.options import DEFAULT, MOST, Common, with_client
from coordinator.cli.profiles import Published, all_published, published
from coordinator.cli.show import Screen, ago
from coordinator.contract.candidates import CandidateView, IgnoreRequest
from coordinator.contract.common import Page
from shared.errors import MistakeError
from shared.model.matching import MATCH_KEYS

app = App(name="candidates", help="Devices that gateways found and nobody attached.")
_PROTOCOLS = {"modbus": "modbus", "smp": "smp"}
"""What a profile has to speak for a device that was found so."""


class Shown(msgspec.Struct, frozen=True):
    """A candidate, and the published profiles that fit it, the best first."""

    candidate: CandidateView
    profiles: list[str]


@app.command(name="list")
def list_(
    *, agent: str = "", ignored: bool = False, most: int = MOST, common: Common = DEFAULT
) -> None:
    """List candidates with the published profile that fits each best.

    Parameters
    ----------
    agent
        Of this gateway only.
    ignored
        Those too that were hidden.
    most
        At most so many.
    """

    def do(client: Client, screen: Screen) -> None:
        query = {"agent": agent, "ignored": "true" if ignored else ""}
        views = list(client.pages("/v1/candidates", CandidateView, query, most=most))
        known = all_published(client) if views else []
        found = [Shown(one, [p.profile.name for p in fitting(one, known)]) for one in views]
        if screen.as_json:
            screen.json(found)
            return
        if not found:
            screen.text("nothing was found; look with a job of agent.discover")
            return
        screen.table(
            ("AGENT", "PLACE", "VENDOR", "MODEL", "FIRMWARE", "SERIAL", "PROFILE", "SEEN", "STATE"),
            [_row(one) for one in found],
        )

    with_client(common, do)


@app.command(name="ignore")
def ignore(
    agent: str,
    place: str,
    /,
    *,
    undo: Annotated[bool, Parameter(negative="")] = False,
    common: Common = DEFAULT,
) -> None:
    """Turn away what was found at a place: it is neither shown nor told, wherever it is met again.

    Parameters
    ----------
    undo
        Show it again.
    """

    def do(client: Client, screen: Screen) -> None:
        path = f"/v1/agents/{segment(agent)}/candidates"
        page = client.post(path, IgnoreRequest(place, not undo), Page[CandidateView])
        if screen.as_json:
            screen.json(page.items)
        else:
            screen.text(f"{place} of {agent} is {'shown' if undo else 'hidden'}")

    with_client(common, do)


@app.command(name="adopt")
def adopt(
    agent: str,
    place: str,
    /,
    *,
    name: str,
    profile: str = "",
    poll: float = 60,
    wait: int = 300,
    dry_run: bool = False,
    common: Common = DEFAULT,
) -> Exit:
    """Attach what was found at a place, as a device of its gateway; it proves itself or goes again.

    Parameters
    ----------
    name
        The device's id there.
    profile
        A published profile by name or artifact; the one that fits if there is only one.
    poll
        Seconds between two polls.
    wait
        Seconds to wait for the gateway.
    dry_run
        Only ask whether it could be.
    """

    def do(client: Client, screen: Screen) -> Exit:
        one = _candidate(client, agent, place)
        chosen = published(client, profile) if profile else _only(one, all_published(client))
        bus, _, address = one.place.rpartition("/")
        params: dict[str, object] = {
            "device": name,
            "bus": bus,
            "address": int(address),
            "artifact": chosen.view.artifact,
            "size": chosen.view.size,
            "poll_interval_s": poll,
        }
        if one.serial:
            params["serial"] = one.serial
        job = settle(client, screen, agent, "adopt", params, wait_s=wait, dry_run=dry_run)
        if set(job.counts) != {"SUCCEEDED"}:
            raise CallError(f"it was not adopted; see: outstation jobs show {job.id}", Exit.FAILED)
        if not screen.as_json:
            told = "could be adopted" if dry_run else "is attached"
            screen.text(f"{name} {told}: {place} of {agent} as {chosen.profile.name}")
        return Exit.OK

    return with_client(common, do)


def fitting(one: CandidateView, known: list[Published]) -> list[Published]:
    """Return the profiles whose rules fit a candidate, the best first."""
    told = {key: getattr(one, key) for key in MATCH_KEYS}
    spoken = _PROTOCOLS.get(one.way)
    fits = [
        (each.profile.match.fit(told, each.profile.identity), each)
        for each in known
        if spoken in {None, each.profile.protocol}
    ]
    ranked = sorted((pair for pair in fits if pair[0]), key=lambda pair: -pair[0])
    return [each for _, each in ranked]


def _only(one: CandidateView, known: list[Published]) -> Published:
    found = fitting(one, known)
    if len(found) != 1:
        names = ", ".join(each.profile.name for each in found)
        raise MistakeError(
            f"{len(found)} published profiles fit: {names}" if found else "no profile fits it",
            where=one.place,
            mend="name one with --profile",
        )
    return found[0]


def _candidate(client: Client, agent: str, place: str) -> CandidateView:
    query = {"agent": agent, "ignored": "true"}
    views = client.pages("/v1/candidates", CandidateView, query, most=100_000)
    found = [one for one in views if one.place == place and one.way in _PROTOCOLS]
    if len(found) != 1:
        raise MistakeError(
            f"nothing that can be adopted was found at {place!r} of {agent}",
            mend="see outstation devices candidates list",
        )
    return found[0]


def _row(shown: Shown) -> tuple[object, ...]:
    one = shown.candidate
    state = "lost" if one.lost_at else f"was {one.before}" if one.before else "here"
    if one.device and not one.lost_at:
        state = f"says it is {one.device}"
    return (
        *(one.agent, one.place, one.vendor or "-", one.model or one.name or "-"),
        *(one.firmware or "-", one.serial or "-", ", ".join(shown.profiles) or "-"),
        *(ago(one.seen_at), "ignored" if one.ignored else state),
    )
