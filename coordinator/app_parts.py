"""One coordinator's parts, put together: every concrete class that answers or works is named here.

Leaves out who opens and closes what they work with, and which of them run (`coordinator.app`).
"""

from functools import partial

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from coordinator.api.context import Parts
from coordinator.core.client_certificates import Demand
from coordinator.core.ports import LivingStore
from coordinator.core.roles import Role
from coordinator.keys.carrier import load_carrier_key
from coordinator.keys.directory import DataDirectory
from coordinator.keys.file_keys import find_signer
from coordinator.keys.tls import issue_nothing, issuer
from coordinator.services.artifacts import Artifacts
from coordinator.services.artifacts_folder import ArtifactFolder
from coordinator.services.bell import Bell
from coordinator.services.carrier import Carrier
from coordinator.services.dispatcher import Dispatcher
from coordinator.services.drain import Drain
from coordinator.services.events import Feed
from coordinator.services.founding import ONE_MACHINE
from coordinator.services.intake import Desk, Intake
from coordinator.services.members import Members
from coordinator.services.metrics import Metrics
from coordinator.services.noticing import NoticingStore
from coordinator.services.rollups import Rollups
from coordinator.services.shelf import Documents, InForce, Shelf
from coordinator.services.triggers import Triggers
from coordinator.services.upkeep import Deadlines, keep_up
from coordinator.services.waiting import WaitingRoom
from coordinator.transactions.fleet import Fleet
from shared.clock import Clock
from shared.errors import MistakeError
from shared.ids import AgentId
from shared.runtime.clock import SystemEntropy
from shared.trust.root import DIRECTOR
from shared.version import product_version


def compose(
    directory: DataDirectory,
    store: LivingStore,
    fleet: Fleet,
    clock: Clock,
    *,
    demand: Demand,
    roles: frozenset[Role],
    drain: Drain,
    where: str,
) -> Parts:
    """Put together what answers requests and works beside them; nothing runs yet.

    Args:
        directory: keys and artifacts.
        store: rows.
        fleet: what they are about.
        clock: whose time is meant.
        demand: what is asked of gateways in TLS.
        roles: what this process does.
        drain: whether it is about to stop.
        where: the database's name in sentences.

    Raises:
        MistakeError: keys and documents do not belong together.
    """
    documents = Documents(fleet, partial(_seat, directory, where))
    feed = Feed(store, jobs := WaitingRoom[bytes]())
    store = NoticingStore(store, feed.ring)
    desk = _desk(fleet, documents, store, clock, jobs)
    entropy = SystemEntropy()
    rollups, *upkeep = keep_up(store, clock, entropy, desk.readings)
    _watch(desk, feed, rollups)
    rooms = (desk.work, jobs)
    deadlines = Deadlines(store, clock, jobs)
    return Parts(
        documents=documents,
        ca_pem=directory.authority.read_text("ascii"),
        version=product_version(),
        roles=roles,
        drain=drain,
        started_ms=clock.wall_ms(),
        one_machine=(ONE_MACHINE,) if directory.offline_keys() else (),
        store=store,
        clock=clock,
        entropy=entropy,
        intake=Intake(desk),
        carrier=Carrier(desk, _carrier_key(directory)),
        artifacts=_artifacts(desk, directory),
        members=_members(desk, directory, demand),
        certificates=demand,
        deadlines=deadlines,
        rollups=rollups,
        upkeep=upkeep,
        dispatcher=Dispatcher(documents, store, clock, rooms),
        triggers=Triggers(
            documents, store, clock, rooms, entropy=entropy, submitted=deadlines.look_again
        ),
        feed=feed,
        work=desk.work,
        jobs=jobs,
        readings=desk.readings,
        metrics=desk.metrics,
    )


def _desk(
    fleet: Fleet,
    documents: Documents,
    store: NoticingStore,
    clock: Clock,
    jobs: WaitingRoom[bytes],
) -> Desk:
    """Return what all share that take gateways in; nobody waits at it yet."""
    return Desk(
        fleet=fleet.fleet_id,
        documents=documents,
        store=store,
        clock=clock,
        work=WaitingRoom[AgentId](),
        jobs=jobs,
        metrics=Metrics(),
        readings=Bell(),
    )


def _watch(desk: Desk, feed: Feed, rollups: Rollups) -> None:
    """Let the metrics tell who waits, who listens, and how late rollups are."""
    watch = desk.metrics.watch
    watch("waiting_contacts", "Contacts held for work", lambda: len(desk.work))
    watch("event_streams", "Listeners to events", lambda: len(feed))
    watch("waiting_requests", "Requests held for a job to change", lambda: len(desk.jobs))
    watch("rollup_lag_seconds", "Wait of the oldest block for its rollup", rollups.lag_s)


def _artifacts(desk: Desk, directory: DataDirectory) -> Artifacts:
    """Return who keeps files, in the coordinator's directory."""
    blobs = ArtifactFolder(directory.artifacts)
    return Artifacts(fleet=desk.fleet, store=desk.store, blobs=blobs, clock=desk.clock)


def _members(desk: Desk, directory: DataDirectory, demand: Demand) -> Members:
    """Return who lets gateways in, with the certificates that are asked of them."""
    return Members(
        fleet=desk.fleet,
        documents=desk.documents,
        store=desk.store,
        clock=desk.clock,
        work=desk.work,
        metrics=desk.metrics,
        issue=issue_nothing if demand is Demand.OFF else issuer(directory),
    )


def _seat(directory: DataDirectory, where: str, fleet: Fleet) -> InForce:
    """Return the documents of a database and the key that signs under them."""
    shelf = Shelf.load(fleet, where=where)
    keys, _ = shelf.root.keys_of(DIRECTOR)
    director = find_signer(directory.director_keys(), keys)
    if director is None:
        raise MistakeError(
            "holds no director's key of this fleet's root document",
            where=str(directory.keys),
            mend="put the key back, or make a new one with outstation-coordinator rotate director",
        )
    return InForce(fleet=fleet, shelf=shelf, director=director)


def _carrier_key(directory: DataDirectory) -> X25519PrivateKey | None:
    """Return the key that opens sticks; without its file the coordinator takes none in."""
    path = directory.carrier_key
    return load_carrier_key(path) if path.exists() else None
