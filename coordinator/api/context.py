"""What a handler works with: the parts of a running coordinator, and who asks."""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.core.access import Principal
from coordinator.core.audit import actor_at
from coordinator.core.client_certificates import Demand
from coordinator.core.ports import Store
from coordinator.core.roles import EVERY_ROLE, Role
from coordinator.services.artifacts import Artifacts
from coordinator.services.bell import Bell
from coordinator.services.carrier import Carrier
from coordinator.services.dispatcher import Dispatcher
from coordinator.services.drain import Drain
from coordinator.services.events import Feed
from coordinator.services.intake import Intake
from coordinator.services.members import Members
from coordinator.services.metrics import Metrics
from coordinator.services.rollups import Rollups
from coordinator.services.shelf import Documents
from coordinator.services.triggers import Triggers
from coordinator.services.upkeep import Deadlines
from coordinator.services.waiting import WaitingRoom
from coordinator.transactions.fleet import Fleet
from shared.clock import Clock, Entropy, WallMs
from shared.ids import AgentId
from shared.model.selector import Selector
from shared.runtime.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """One coordinator, composed by `coordinator.app`."""

    documents: Documents
    ca_pem: str
    version: str
    started_ms: WallMs
    one_machine: tuple[str, ...]
    """What is said of keys that belong elsewhere; empty when none lies here."""
    store: Store
    clock: Clock
    entropy: Entropy
    intake: Intake
    carrier: Carrier
    artifacts: Artifacts
    members: Members
    deadlines: Deadlines
    rollups: Rollups
    upkeep: Sequence[Service]
    """What nobody waits for, rollups among it."""
    dispatcher: Dispatcher
    triggers: Triggers
    feed: Feed
    work: WaitingRoom[AgentId]
    jobs: WaitingRoom[bytes]
    readings: Bell
    """Rung when blocks were committed, for whoever rolls them up."""
    metrics: Metrics
    certificates: Demand = Demand.OFF
    """What is asked of gateways in TLS."""
    roles: frozenset[Role] = EVERY_ROLE
    """What this process does."""
    drain: Drain

    @property
    def fleet(self) -> Fleet:
        """Return what this database is about, with the documents in force."""
        return self.documents.now.fleet

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what a thief would find easy, one sentence each."""
        return (*self.one_machine, *self.documents.warnings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as a handler sees it."""

    parts: Parts
    principal: Principal
    trace: str
    """Its ``traceparent``, empty when it had none or a malformed one."""
    body: bytes
    """As it came; empty where the route takes none."""
    source: str = ""
    """The address it came from."""
    path: str = ""
    """What it is about: a body alone does not say it."""

    @property
    def actor(self) -> str:
        """Return how the audit log names who asked, and from where."""
        return actor_at(f"token:{self.principal.token_id} {self.principal.name}", self.source)

    @property
    def limit(self) -> Selector | None:
        """Return which agents the caller may see and reach, None for all of them."""
        return self.principal.limit
