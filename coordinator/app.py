"""The composition root: what a command line asks for, put together from the parts.

The only place that names concrete classes. Leaves out reading the command line and printing
(`coordinator.commands`).
"""

import base64
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from coordinator.api.context import Parts
from coordinator.api.listen import Listen, listening
from coordinator.app_parts import compose
from coordinator.contract.fleet import AdminFile, ClaimFile, TrustFile
from coordinator.core.access import make_token
from coordinator.core.papers import Papers
from coordinator.core.ports import LivingStore
from coordinator.core.roles import EVERY_ROLE, Role, check_roles
from coordinator.keys.directory import DataDirectory
from coordinator.keys.tls import server_context
from coordinator.services.announce import Announcer
from coordinator.services.apart import Apart, Watching
from coordinator.services.bell import Bell
from coordinator.services.ceremony import FoundingRequest, check_founding, read_request
from coordinator.services.claims import ClaimWish, create_claim
from coordinator.services.drain import Drain
from coordinator.services.events import Teller
from coordinator.services.founding import (
    found_fleet,
    make_first_papers,
    make_online_keys,
    prepare_directory,
    write_admin_file,
)
from coordinator.services.hints import DOCUMENTS, Hints
from coordinator.services.shelf import News
from coordinator.services.upkeep import Recovery, Renewal, renew_if_due
from coordinator.store.opening import open_store
from coordinator.store.url import name_of
from coordinator.transactions.fleet import Fleet, load_fleet
from coordinator.transactions.tokens import save_token
from shared.clock import Clock, WallMs
from shared.errors import MistakeError
from shared.ids import FleetId
from shared.runtime.clock import SystemClock, SystemEntropy
from shared.runtime.files import lock_directory
from shared.runtime.logs import Events
from shared.runtime.service import Service, Supervisor

_log = Events(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one coordinator's files are."""

    directory: DataDirectory
    database: Path
    """SQLite's file."""
    postgres: str = ""
    """The URL of a PostgreSQL database in its stead."""


async def found(place: Place, *, hosts: Sequence[str], url: str) -> AdminFile:
    """Make a new fleet in an empty directory; return how its admin gets in.

    Raises:
        MistakeError: the directory is in use, or a host is none.
        WorldError, OSError: the disk did not obey.
    """
    await _require_empty(place)
    request = begin_ceremony(place, hosts=hosts, url=url)
    papers = make_first_papers(place.directory, request, now_ms=SystemClock().wall_ms())
    return await _found(place, papers, request)


def begin_ceremony(place: Place, *, hosts: Sequence[str], url: str) -> FoundingRequest:
    """Make what a coordinator itself needs in an empty directory; its fleet is founded elsewhere.

    Raises:
        MistakeError: the directory is in use, or a host is none.
        OSError: the disk did not obey.
    """
    prepare_directory(place.directory)
    fleet_id, now_ms = FleetId(SystemEntropy().token(16)), SystemClock().wall_ms()
    return make_online_keys(place.directory, fleet_id, hosts=hosts, url=url, now_ms=now_ms)


async def end_ceremony(place: Place, papers: Papers, *, where: str) -> AdminFile:
    """Found the fleet whose first documents were brought home; return how its admin gets in.

    Raises:
        MistakeError: they do not answer this coordinator's request, or lack signatures.
        WorldError, OSError: the disk did not obey.
    """
    request = read_request(place.directory.request)
    check_founding(papers, request, now_ms=SystemClock().wall_ms(), where=where)
    await _require_empty(place)
    admin = await _found(place, papers, request)
    place.directory.request.unlink()
    return admin


async def _found(place: Place, papers: Papers, request: FoundingRequest) -> AdminFile:
    ca_pem = place.directory.authority.read_text("ascii")
    clock, entropy = SystemClock(), SystemEntropy()
    async with open_store(place.database, place.postgres) as store:
        admin = await found_fleet(
            store, papers, request, ca_pem=ca_pem, clock=clock, entropy=entropy
        )
    write_admin_file(place.directory, admin)
    return admin


async def make_claim(place: Place, wish: ClaimWish) -> ClaimFile:
    """Make a claim, also while the coordinator runs.

    Raises:
        MistakeError: nothing was founded there, or the wish cannot be granted.
        WorldError: the disk did not obey.
    """
    async with open_fleet(place) as (store, fleet):
        return await create_claim(
            store,
            fleet,
            place.directory.authority.read_text("ascii"),
            wish,
            actor="command line",
            clock=SystemClock(),
            entropy=SystemEntropy(),
        )


async def make_trust_file(place: Place, *, url: str) -> TrustFile:
    """Return whom gateways should trust; public, and no right to enrol.

    Raises:
        MistakeError: nothing was founded there.
        WorldError: the disk did not obey.
    """
    async with open_fleet(place) as (_, fleet):
        return TrustFile(
            url=url or fleet.url,
            fleet=fleet.fleet_id.hex(),
            ca_pem=place.directory.authority.read_text("ascii"),
            root=base64.b64encode(fleet.root).decode(),
        )


async def issue_token(
    place: Place, *, name: str, scope: str, expires_ms: WallMs, selector: str = ""
) -> str:
    """Make a bearer token and return its text, which is kept nowhere; also while running.

    Raises:
        MistakeError: nothing was founded there, or the name, a scope or the selector is none.
        WorldError: the disk did not obey.
    """
    token = make_token(SystemEntropy().token(40))
    body = partial(
        save_token,
        token,
        name=name,
        scope=scope,
        selector=selector,
        expires_ms=expires_ms,
        actor="command line",
        now_ms=SystemClock().wall_ms(),
    )
    async with open_fleet(place) as (store, _):
        await store.run(body, durable=True)
    return token.text


async def serve(
    place: Place,
    listen: Listen,
    *,
    ready: Callable[[str], None],
    clock: Clock | None = None,
    apart: bool = False,
    roles: frozenset[Role] = EVERY_ROLE,
    drain_s: int = 0,
) -> int:
    """Run a coordinator until cancelled; requests in work are then given time to end.

    Args:
        place: its files; no other process may serve the same file of SQLite.
        listen: where.
        ready: called with the URL once requests are answered.
        clock: another one than the system's.
        apart: do what nobody waits for in a process of its own.
        roles: what this process does; others on the same database do the rest.
        drain_s: when cancelled, say for so long that it is not ready, and go on.

    Raises:
        MistakeError: not founded, in use, from a newer program, or the port is taken.
        WorldError: the store cannot be opened.
    """
    check_roles(roles, shared=bool(place.postgres))
    async with AsyncExitStack() as stack:
        news = Bell()
        if not place.postgres:
            # Replicas may share a directory of keys; what they share besides is the database's.
            stack.enter_context(lock_directory(_existing(place).path))
        store, fleet = await stack.enter_async_context(open_fleet(place))
        if not place.postgres:
            # Only now: a database that is refused is left alone, with all that lies beside it.
            stack.enter_context(news.hung_at(place.directory.bell))
        clock = clock or SystemClock()
        where = name_of(place.postgres) if place.postgres else str(place.database)
        parts = compose(
            place.directory,
            store,
            fleet,
            clock,
            demand=listen.certificates,
            roles=roles,
            drain=(drain := Drain(drain_s)),
            where=where,
        )
        await parts.artifacts.tidy()
        renew_if_due(place.directory, clock)
        context = server_context(place.directory, listen.certificates)
        services = [
            *_hints(store, parts, news),
            parts.feed,
            Renewal(place.directory, context, clock),
            Recovery(store),
            *_scheduled(place, parts, apart=apart),
            News(parts.documents, store, news, parts.work),
        ]
        supervisor = Supervisor(services, clock=clock, entropy=parts.entropy)
        await stack.enter_async_context(supervisor)
        url = await stack.enter_async_context(listening(parts, listen, context))
        if listen.announce:
            await stack.enter_async_context(_announcing(fleet, listen, url, clock, parts))
        for warning in parts.warnings:
            _log.event("warning", level=logging.WARNING, text=warning)
        _log.event("ready", url=url, fleet=fleet.fleet_id, version=parts.version)
        ready(url)
        await drain.around(supervisor.wait())
    return 0


def _hints(store: LivingStore, parts: Parts, news: Bell) -> Sequence[Service]:
    """Return what tells other replicas of this one's work, and this one of theirs."""
    line = store.line()
    if line is None:
        return ()
    hints = Hints(line, parts.entropy)
    bells = {
        DOCUMENTS: news,
        "deadlines": parts.deadlines.bell,
        "dispatcher": parts.dispatcher.bell,
        "triggers": parts.triggers.bell,
        "events": parts.feed.bell,
    }
    hints.connect(parts.work, parts.jobs, bells, seldom={"readings": parts.readings})
    return (hints,)


def _scheduled(place: Place, parts: Parts, *, apart: bool) -> Sequence[Service]:
    """Return what a scheduler does; the last of it may have a process of its own."""
    if Role.SCHEDULER not in parts.roles:
        return (Watching(parts.rollups),)
    teller = Teller(parts.store, parts.clock, parts.feed.ring)
    parts.jobs.tell(teller.look_again)
    first: Sequence[Service] = (parts.deadlines, parts.dispatcher, parts.triggers, teller)
    if not apart:
        return (*first, *parts.upkeep)
    url = place.postgres or f"sqlite:{place.database}"
    return (*first, Apart(place.directory, url, parts.rollups))


@asynccontextmanager
async def open_fleet(place: Place) -> AsyncIterator[tuple[LivingStore, Fleet]]:
    """Open a coordinator's database and close it again.

    Raises:
        MistakeError: nothing was founded there, or its schema is newer.
        WorldError: it is damaged, or the disk did not obey.
    """
    directory = _existing(place)
    async with open_store(place.database, place.postgres) as store:
        fleet = await store.read(load_fleet)
        if fleet is None:
            raise _not_founded(directory)
        yield store, fleet


def _existing(place: Place) -> DataDirectory:
    # Rows may stand elsewhere; keys never do.
    there = place.directory.authority if place.postgres else place.database
    if not there.is_file():
        raise _not_founded(place.directory)
    return place.directory


async def _require_empty(place: Place) -> None:
    """Refuse a PostgreSQL database that holds a fleet, before keys for another one are made.

    Raises:
        MistakeError: it holds one, or it cannot be opened.
        WorldError: its server does not answer.
    """
    if not place.postgres:
        return
    async with open_store(place.database, place.postgres) as store:
        if await store.read(load_fleet) is not None:
            raise MistakeError(
                "this database holds a fleet already; one database is one fleet",
                where="--database",
                mend="name an empty database, or the directory that holds this fleet's keys",
            )


def _not_founded(directory: DataDirectory) -> MistakeError:
    if directory.request.exists():
        return MistakeError(
            "the ceremony of this fleet is not over",
            where=str(directory.path),
            mend="outstation-coordinator adopt brings the signed papers home",
        )
    return MistakeError(
        "no fleet was founded here",
        where=str(directory.path),
        mend="outstation-coordinator init DIR makes one",
    )


def _announcing(fleet: Fleet, listen: Listen, url: str, clock: Clock, parts: Parts) -> Supervisor:
    port = int(url.rpartition(":")[2])
    announcer = Announcer(fleet.fleet_id, host=listen.host, port=port)
    return Supervisor([announcer], clock=clock, entropy=parts.entropy)
