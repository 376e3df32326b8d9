"""What the tests of a fleet assert: one sentence for a mistake, and the account that must balance.

Owns the assertions that several of them share. The fleet itself stands in `fleet`.
"""

import asyncio
from collections.abc import Sequence

from firmware_sim.demo.processes import Outcome
from tests.system import warm
from tests.system.fleet import Fleet
from tests.system.fleet_parts import PATIENCE_S, Gateway


async def ends(argv: list[str]) -> Outcome:
    """Run a program that is expected to end by itself; one that does not has begun to work."""
    async with asyncio.timeout(PATIENCE_S):
        return await warm.outcome(argv)


def check_sentence(outcome: Outcome, status: int, *words: str) -> None:
    """Assert that a program ended with `status` and exactly one sentence, with these words."""
    assert outcome.status == status, outcome
    assert outcome.err.count("\n") == 1, outcome.err
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in outcome.err, outcome.err


async def settle(fleet: Fleet, gateway: Gateway) -> None:
    """Let a gateway send everything and stop it: nothing moves any more."""
    await fleet.caught_up(gateway)
    await gateway.stop()


async def check_account(fleet: Fleet, gateway: Gateway) -> None:
    """Assert of a settled gateway: nothing lost without a word, nothing twice.

    Each kill -9 may cost each device the one poll that was between its answer and the journal.
    """
    view = await fleet.agent_view(gateway)
    tally = view["tally"]
    parts = ("suppressed", "delivered", "stored", "lost")
    assert tally["sampled"] == sum(tally[part] for part in parts), tally
    assert view["balanced"], tally
    assert tally["stored"] == 0, tally
    assert tally["lost"] == 0, tally
    for place in gateway.site.devices:
        record = gateway.record(place.id)
        check_series(await fleet.series(gateway, place.id), record.polls(), gateway.kills)
    served = sum(gateway.record(place.id).sampled() for place in gateway.site.devices)
    in_flight = gateway.kills * sum(len(place.polled) for place in gateway.site.devices)
    assert tally["delivered"] >= served - in_flight, (tally, served)


def check_series(series: Sequence[float | None], polls: int, kills: int) -> None:
    """Assert that a device's poll counter arrived in order, without repeats, nearly complete."""
    counts = [value for value in series if value is not None]
    assert counts == sorted(set(counts)), "a poll arrived twice or out of order"
    missing = sorted(set(range(1, polls + 1)) - set(counts))
    assert len(missing) <= kills, f"{len(missing)} of {polls} polls are missing: {missing[:20]}"
    assert not counts or counts[-1] <= polls, "a poll that the device never answered"
