"""A simulated fleet that is let in without a wire: the claim's own transaction, many to a commit.

Leaves out contacts; nobody has made one yet.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from itertools import islice

from coordinator.errands import make_claim
from coordinator.place import Place, open_fleet
from coordinator.services.claims import ClaimWish
from coordinator.transactions.enroll import enroll
from firmware_sim.fleet.gateway import Fleet, Seat
from firmware_sim.fleet.readings import BlockPool, Shape
from firmware_sim.fleet.roster import Heading, Roster, enrol_request, new_seat
from shared import limits
from shared.clock import WallMs
from shared.runtime.clock import SystemClock
from shared.wire.messages import EnrollRequest

_TO_A_COMMIT = 500
_AT_ONCE = 8
"""On PostgreSQL: each takes a place of the same claim, and whoever waits holds up the others."""
_HOUR_MS = 3_600_000


async def let_in(place: Place, agents: int, shape: Shape) -> Roster:
    """Return a fleet of so many agents that `place` knows from now on."""
    now_ms = SystemClock().wall_ms()
    roster: Roster | None = None
    for first in range(1, agents + 1, limits.CLAIM_COUNT):
        count = min(limits.CLAIM_COUNT, agents + 1 - first)
        wish = ClaimWish(site="sim", count=count, expires_ms=WallMs(now_ms + _HOUR_MS), url="unix:")
        letter = await make_claim(place, wish)
        if roster is None:
            heading = Heading(
                url=letter.url,
                fleet=letter.fleet,
                ca_pem=letter.ca_pem,
                root=letter.root,
                seed=letter.fleet,
                channels=shape.channels,
                rows=shape.rows,
                step_ms=shape.step_ms,
            )
            roster = Roster(heading, [])
        numbers = range(first, first + count)
        roster.seats += await _enter(place, roster, numbers, bytes.fromhex(letter.secret), now_ms)
    assert roster is not None, "there is at least one agent"
    return roster


def fleet_of(roster: Roster) -> Fleet:
    """Return what the gateways of a roster have in common."""
    heading = roster.heading
    shape = Shape(channels=heading.channels, rows=heading.rows, step_ms=heading.step_ms)
    pool = BlockPool(shape, seed=0, templates=1)
    return Fleet(fleet=roster.root.fleet, root=roster.root, seed=heading.seed, pool=pool)


async def _enter(
    place: Place, roster: Roster, numbers: range, secret: bytes, now_ms: WallMs
) -> list[Seat]:
    fleet = fleet_of(roster)
    seats: list[Seat] = []
    requests = (enrol_request(fleet.signer(one), one, secret) for one in numbers)
    async with open_fleet(place) as (store, _):
        for batch in _batches(requests, _AT_ONCE if place.postgres else _TO_A_COMMIT):
            bodies = [partial(enroll, one, now_ms=now_ms) for one in batch]
            entered = await asyncio.gather(*(store.run(body, durable=False) for body in bodies))
            for number, one in zip(numbers[len(seats) :], entered, strict=False):
                assert one.agent is not None, "a claim lets in at once"
                seats.append(new_seat(number, one.agent, now_ms))
    return seats


def _batches(items: Iterator[EnrollRequest], size: int) -> Iterator[list[EnrollRequest]]:
    while batch := list(islice(items, size)):
        yield batch
