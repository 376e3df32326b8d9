"""What a command does to a coordinator's files and is then done: found, let in, hand out.

Leaves out reading the command line and printing (`coordinator.commands`), and serving
(`coordinator.app`): nothing here waits until that is imported.
"""

import base64
from collections.abc import Sequence
from functools import partial

from coordinator.contract.fleet import AdminFile, ClaimFile, TrustFile
from coordinator.core.access import make_token
from coordinator.core.papers import Papers
from coordinator.place import Place, open_fleet, whole_or_nothing
from coordinator.services.ceremony import FoundingRequest, check_founding, read_request
from coordinator.services.claims import ClaimWish, create_claim
from coordinator.services.founding import (
    found_fleet,
    make_first_papers,
    make_online_keys,
    prepare_directory,
    write_admin_file,
)
from coordinator.store.opening import open_store
from coordinator.transactions.fleet import load_fleet
from coordinator.transactions.tokens import save_token
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import FleetId
from shared.runtime.clock import SystemClock, SystemEntropy


async def found(place: Place, *, hosts: Sequence[str], url: str) -> AdminFile:
    """Make a new fleet in an empty directory; return how its admin gets in.

    Raises:
        MistakeError: the directory is in use, or a host is none.
        WorldError, OSError: the disk did not obey.
    """
    await _require_empty(place)
    prepare_directory(place.directory)
    with whole_or_nothing(place.directory.path):
        request = _request(place, hosts=hosts, url=url)
        papers = make_first_papers(place.directory, request, now_ms=SystemClock().wall_ms())
        return await _found(place, papers, request)


def begin_ceremony(place: Place, *, hosts: Sequence[str], url: str) -> FoundingRequest:
    """Make what a coordinator itself needs in an empty directory; its fleet is founded elsewhere.

    Raises:
        MistakeError: the directory is in use, or a host is none.
        OSError: the disk did not obey.
    """
    prepare_directory(place.directory)
    with whole_or_nothing(place.directory.path):
        return _request(place, hosts=hosts, url=url)


def _request(place: Place, *, hosts: Sequence[str], url: str) -> FoundingRequest:
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


async def _require_empty(place: Place) -> None:
    """Refuse a database that holds a fleet, before keys for another one are made.

    Raises:
        MistakeError: it holds one, or it cannot be opened.
        WorldError: its server does not answer.
    """
    if not place.postgres and not place.database.exists():
        return
    async with open_store(place.database, place.postgres) as store:
        if await store.read(load_fleet) is not None:
            raise MistakeError(
                "this database holds a fleet already; one database is one fleet",
                where="--database" if place.postgres else str(place.database),
                mend="name an empty database, or the directory that holds this fleet's keys",
            )
