"""Asks a port that belongs to nobody whether an SMP device echoes, and what it is."""

from typing import Final

from agent.core.ports import Bus, Urgency
from agent.drivers.smp.client import OS, Client
from agent.drivers.smp.packet import WRITE, Refusal, Request
from shared import limits
from shared.errors import WorldError
from shared.model.candidate import Sighting

_ECHO: Final = "outstation"


async def who_echoes(bus: Bus) -> Sighting | None:
    """Return the device at the other end of a port, None where nobody speaks SMP.

    One short request, as PROBE; only who echoes it is asked more.
    """
    client = Client(bus, unit=0)
    try:
        reply = await client.ask(Request(WRITE, OS, 0, {"d": _ECHO}), urgency=Urgency.PROBE)
    except WorldError:
        return None
    if isinstance(reply, Refusal) or reply.get("r") != _ECHO:
        return None
    model = version = ""
    try:
        model = await client.info("i")
        version = next((slot.version for slot in await client.slots() if slot.active), "")
    except WorldError:
        # Echo is the one command that every device has.
        pass
    return Sighting(
        way="smp",
        place=f"{bus.settings.name}/0",
        model=model[: limits.CANDIDATE_CHARS],
        firmware=version,
    )
