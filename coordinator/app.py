"""The composition root: a coordinator that serves, put together from its parts.

The only place that names concrete classes. Leaves out reading the command line and printing
(`coordinator.commands`), and commands that serve nobody (`coordinator.errands`).
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from coordinator.api.context import Parts
from coordinator.api.listen import listening
from coordinator.app_parts import compose
from coordinator.core.ports import LivingStore
from coordinator.core.roles import EVERY_ROLE, Role, check_roles
from coordinator.keys.tls import server_context
from coordinator.listen import Listen
from coordinator.place import Place, existing, open_fleet
from coordinator.services.announce import Announcer
from coordinator.services.apart import Apart, Watching
from coordinator.services.bell import Bell
from coordinator.services.drain import Drain
from coordinator.services.events import Teller
from coordinator.services.hints import DOCUMENTS, Hints
from coordinator.services.shelf import News
from coordinator.services.upkeep import Recovery, Renewal, renew_if_due
from coordinator.store.url import name_of
from coordinator.transactions.fleet import Fleet
from shared.clock import Clock
from shared.runtime.clock import SystemClock
from shared.runtime.files import lock_directory
from shared.runtime.logs import Events
from shared.runtime.service import Service, Supervisor

_log = Events(__name__)


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
        store, fleet = await _opened(place, news, stack)
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


async def _opened(place: Place, news: Bell, stack: AsyncExitStack) -> tuple[LivingStore, Fleet]:
    """Open the database; a file of SQLite is for this process alone."""
    if place.postgres:
        # Replicas may share a directory of keys; what they share besides is the database's.
        return await stack.enter_async_context(open_fleet(place))
    stack.enter_context(lock_directory(existing(place).path))
    opened = await stack.enter_async_context(open_fleet(place))
    # Only now: a database that is refused is left alone, with all that lies beside it.
    stack.enter_context(news.hung_at(place.directory.bell))
    return opened


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


def _announcing(fleet: Fleet, listen: Listen, url: str, clock: Clock, parts: Parts) -> Supervisor:
    port = int(url.rpartition(":")[2])
    announcer = Announcer(fleet.fleet_id, host=listen.host, port=port)
    return Supervisor([announcer], clock=clock, entropy=parts.entropy)
