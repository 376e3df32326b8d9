"""Every mutant there is, by what it takes a check out of."""

from tests.mutants.mutant import Mutant
from tests.mutants.tables.access import ACCESS
from tests.mutants.tables.actions import ACTIONS
from tests.mutants.tables.approvals import APPROVALS
from tests.mutants.tables.artifacts import ARTIFACTS
from tests.mutants.tables.automation import AUTOMATION
from tests.mutants.tables.calling_off import CALLING_OFF
from tests.mutants.tables.commands import COMMANDS
from tests.mutants.tables.coordinator import COORDINATOR
from tests.mutants.tables.copies import COPIES
from tests.mutants.tables.crowding import CROWDING
from tests.mutants.tables.devices import DEVICES
from tests.mutants.tables.discovery import DISCOVERY
from tests.mutants.tables.documents import DOCUMENTS
from tests.mutants.tables.engine import ENGINE
from tests.mutants.tables.envelope import ENVELOPE
from tests.mutants.tables.events import EVENTS
from tests.mutants.tables.firings import FIRINGS
from tests.mutants.tables.firmware import FIRMWARE
from tests.mutants.tables.history import HISTORY
from tests.mutants.tables.known import KNOWN
from tests.mutants.tables.link import LINK
from tests.mutants.tables.lost import LOST
from tests.mutants.tables.membership import MEMBERSHIP
from tests.mutants.tables.orders import ORDERS
from tests.mutants.tables.papers import PAPERS
from tests.mutants.tables.readings import READINGS
from tests.mutants.tables.replicas import REPLICAS
from tests.mutants.tables.rollouts import ROLLOUTS
from tests.mutants.tables.selection import SELECTION
from tests.mutants.tables.standing import STANDING
from tests.mutants.tables.sticks import STICKS
from tests.mutants.tables.unreadable import UNREADABLE
from tests.mutants.tables.updates import UPDATES
from tests.mutants.tables.worlds import WORLDS

MUTANTS: tuple[Mutant, ...] = (
    *ENVELOPE,
    *DOCUMENTS,
    *ORDERS,
    *APPROVALS,
    *STANDING,
    *COORDINATOR,
    *CROWDING,
    *CALLING_OFF,
    *AUTOMATION,
    *STICKS,
    *ACCESS,
    *COMMANDS,
    *MEMBERSHIP,
    *READINGS,
    *PAPERS,
    *LINK,
    *HISTORY,
    *ACTIONS,
    *FIRMWARE,
    *DEVICES,
    *UPDATES,
    *ENGINE,
    *SELECTION,
    *FIRINGS,
    *DISCOVERY,
    *ROLLOUTS,
    *ARTIFACTS,
    *COPIES,
    *KNOWN,
    *REPLICAS,
    *EVENTS,
    *LOST,
    *UNREADABLE,
    *WORLDS,
)
