"""Mutual TLS where an operator wants it: who shows which certificate, and whether that is enough.

A certificate says only what the signature inside says again: it keeps strangers off the door. TLS
asks for one and checks that it is the fleet's; whether there is one, whose it is and whether it is
over is judged here, in words that an agent understands: enrolment, words and people need none.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from shared.clock import WallMs
from shared.errors import Reason, RefusedError


class Demand(Enum):
    """What is asked of gateways."""

    OFF = "off"
    OPTIONAL = "optional"
    """Certificates are given and, where shown, must be the agent's own."""
    REQUIRED = "required"
    """No contact without one."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a connection's certificate says."""

    name: str
    ends_ms: int


def check_shown(demand: Demand, shown: Shown | None, agent: str, now_ms: WallMs) -> None:
    """Check that what a connection showed is enough for a contact of this agent.

    Raises:
        RefusedError: CERTIFICATE_NEEDED: none, another agent's, or one that is over.
    """
    if demand is Demand.OFF:
        return
    if shown is None:
        if demand is Demand.REQUIRED:
            raise RefusedError(Reason.CERTIFICATE_NEEDED, "this connection showed none")
        return
    if shown.name != agent:
        raise RefusedError(Reason.CERTIFICATE_NEEDED, "the one shown is another agent's")
    if now_ms >= shown.ends_ms:
        ended = datetime.fromtimestamp(shown.ends_ms / 1000, UTC)
        raise RefusedError(Reason.CERTIFICATE_NEEDED, f"the one shown ended {ended:%Y-%m-%d}")
