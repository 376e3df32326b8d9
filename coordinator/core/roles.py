"""What one process of a coordinator does: all of it, or some roles beside other processes."""

from collections.abc import Collection
from enum import Enum

from shared.errors import MistakeError


class Role(Enum):
    """A part of the work that can have processes of its own."""

    API = "api"
    """REST, for people and programs."""
    INGEST = "ingest"
    """Contacts of agents, what lets them in, files they fetch, sticks that are carried for them."""
    SCHEDULER = "scheduler"
    """What nobody asks for: rollouts, triggers, deadlines, rollups, what is kept how long."""


EVERY_ROLE = frozenset(Role)


def parse_roles(text: str) -> frozenset[Role]:
    """Return the roles in a list like ``api,ingest``.

    Raises:
        MistakeError: a word names none.
    """
    try:
        return frozenset(Role(word.strip()) for word in text.split(","))
    except ValueError:
        known = ", ".join(role.value for role in Role)
        raise MistakeError(
            f"{text!r} is no list of roles", where="--roles", mend=f"choose among {known}"
        ) from None


def check_roles(roles: Collection[Role], *, shared: bool) -> None:
    """Check that a database can have the processes that some roles leave out.

    Args:
        roles: of this process.
        shared: several processes can serve the database.

    Raises:
        MistakeError: only one can.
    """
    if set(roles) != EVERY_ROLE and not shared:
        raise MistakeError(
            "a SQLite file is served by one process, so that one does all",
            where="--roles",
            mend="leave --roles out, or move to PostgreSQL (docs/database.md)",
        )
