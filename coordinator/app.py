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
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from coordinator.api.context import Parts
from coordinator.api.listen import Listen, listening
from coordinator.contract.fleet import AdminFile, ClaimFile, TrustFile
from coordinator.core.access import make_token
from coordinator.core.client_certificates import Demand
from coordinator.core.papers import Papers
from coordinator.core.ports import LivingStore
from coordinator.keys.carrier import load_carrier_key
from coordinator.keys.directory import DataDirectory
from coordinator.keys.file_keys import find_signer
from coordinator.keys.tls import issue_nothing, issuer, server_context
from coordinator.services.announce import Announcer
from coordinator.services.apart import Apart
from coordinator.services.artifacts import Artifacts
from coordinator.services.artifacts_folder import ArtifactFolder
from coordinator.services.bell import Bell
from coordinator.services.carrier import Carrier
from coordinator.services.ceremony import FoundingRequest, check_founding, read_request
from coordinator.services.claims import ClaimWish, create_claim
from coordinator.services.dispatcher import Dispatcher
from coordinator.services.founding import (
    ONE_MACHINE,
    found_fleet,
    make_first_papers,
    make_online_keys,
    prepare_directory,
    write_admin_file,
)
from coordinator.services.intake import Desk, Intake
from coordinator.services.members import Members
from coordinator.services.metrics import Metrics
from coordinator.services.retention import Retention
from coordinator.services.rollups import Rollups
from coordinator.services.shelf import Documents, InForce, News, Shelf
from coordinator.services.triggers import Triggers
from coordinator.services.upkeep import Deadlines, Recovery, Renewal, renew_if_due
from coordinator.services.waiting import WaitingRoom
from coordinator.store.opening import open_store
from coordinator.store.url import name_of
from coordinator.transactions.fleet import Fleet, load_fleet
from coordinator.transactions.tokens import save_token
from shared.clock import Clock, WallMs
from shared.errors import MistakeError
from shared.ids import AgentId, FleetId
from shared.runtime.clock import SystemClock, SystemEntropy
from shared.runtime.files import lock_directory
from shared.runtime.logs import Events
from shared.runtime.service import Service, Supervisor
from shared.trust.root import DIRECTOR

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
) -> int:
    """Run a coordinator until cancelled; requests in work are then given time to end.

    Args:
        place: its files; no other process may serve them.
        listen: where.
        ready: called with the URL once requests are answered.
        clock: another one than the system's.
        apart: do what nobody waits for in a process of its own.

    Raises:
        MistakeError: not founded, in use, from a newer program, or the port is taken.
        WorldError: the store cannot be opened.
    """
    with lock_directory(_existing(place).path):
        async with open_fleet(place) as (store, fleet), AsyncExitStack() as stack:
            clock, bell = clock or SystemClock(), Bell()
            stack.enter_context(bell.hung_at(place.directory.bell))
            parts = _compose(place, store, fleet, clock, listen.certificates)
            await parts.artifacts.tidy()
            renew_if_due(place.directory, clock)
            context = server_context(place.directory, listen.certificates)
            supervisor = Supervisor(
                [
                    parts.deadlines,
                    Renewal(place.directory, context, clock),
                    Recovery(store),
                    *_background(place, store, parts, apart=apart),
                    parts.dispatcher,
                    parts.triggers,
                    News(parts.documents, store, bell, parts.work),
                ],
                clock=clock,
                entropy=parts.entropy,
            )
            await stack.enter_async_context(supervisor)
            url = await stack.enter_async_context(listening(parts, listen, context))
            if listen.announce:
                await stack.enter_async_context(_announcing(fleet, listen, url, clock, parts))
            for warning in parts.warnings:
                _log.event("warning", level=logging.WARNING, text=warning)
            _log.event("ready", url=url, fleet=fleet.fleet_id, version=parts.version)
            ready(url)
            await supervisor.wait()
    return 0


def _background(
    place: Place, store: LivingStore, parts: Parts, *, apart: bool
) -> Sequence[Service]:
    """Return what nobody waits for, or what starts a process for it."""
    if not apart:
        return (parts.rollups, Retention(store, parts.clock))
    url = place.postgres or f"sqlite:{place.database}"
    return (Apart(place.directory, url, parts.rollups),)


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


def _compose(place: Place, store: LivingStore, fleet: Fleet, clock: Clock, demand: Demand) -> Parts:
    metrics = Metrics()
    documents = Documents(fleet, partial(_seat, place))
    work, jobs = WaitingRoom[AgentId](), WaitingRoom[bytes]()
    metrics.watch("waiting_contacts", "Contacts held for work", lambda: len(work))
    desk = Desk(
        fleet=fleet.fleet_id,
        documents=documents,
        store=store,
        clock=clock,
        work=work,
        jobs=jobs,
        metrics=metrics,
        readings=Bell(),
    )
    rollups = Rollups(store, clock, desk.readings)
    metrics.watch("rollup_lag_seconds", "Wait of the oldest block for its rollup", rollups.lag_s)
    return Parts(
        documents=documents,
        ca_pem=place.directory.authority.read_text("ascii"),
        version=_version(),
        started_ms=clock.wall_ms(),
        one_machine=(ONE_MACHINE,) if place.directory.offline_keys() else (),
        store=store,
        clock=clock,
        entropy=SystemEntropy(),
        intake=Intake(desk),
        carrier=Carrier(desk, _carrier_key(place.directory)),
        artifacts=Artifacts(
            fleet=fleet.fleet_id,
            store=store,
            blobs=ArtifactFolder(place.directory.artifacts),
            clock=clock,
        ),
        members=Members(
            fleet=fleet.fleet_id,
            documents=documents,
            store=store,
            clock=clock,
            work=work,
            metrics=metrics,
            issue=issue_nothing if demand is Demand.OFF else issuer(place.directory),
        ),
        certificates=demand,
        deadlines=Deadlines(store, clock, jobs),
        rollups=rollups,
        dispatcher=Dispatcher(documents, store, clock, SystemEntropy(), (work, jobs)),
        triggers=Triggers(documents, store, clock, SystemEntropy(), (work, jobs)),
        work=work,
        jobs=jobs,
        metrics=metrics,
    )


def _seat(place: Place, fleet: Fleet) -> InForce:
    """Return the documents of a database and the key that signs under them."""
    where = name_of(place.postgres) if place.postgres else str(place.database)
    shelf = Shelf.load(fleet, where=where)
    keys, _ = shelf.root.keys_of(DIRECTOR)
    director = find_signer(place.directory.director_keys(), keys)
    if director is None:
        raise MistakeError(
            "holds no director's key of this fleet's root document",
            where=str(place.directory.keys),
            mend="put the key back, or make a new one with outstation-coordinator rotate director",
        )
    return InForce(fleet=fleet, shelf=shelf, director=director)


def _carrier_key(directory: DataDirectory) -> X25519PrivateKey | None:
    """Return the key that opens sticks; without its file the coordinator takes none in."""
    path = directory.carrier_key
    return load_carrier_key(path) if path.exists() else None


def _announcing(fleet: Fleet, listen: Listen, url: str, clock: Clock, parts: Parts) -> Supervisor:
    port = int(url.rpartition(":")[2])
    announcer = Announcer(fleet.fleet_id, host=listen.host, port=port)
    return Supervisor([announcer], clock=clock, entropy=parts.entropy)


def _version() -> str:
    try:
        return version("outstation")
    except PackageNotFoundError:
        return "0"  # runs from a checkout that is not installed
