"""What a contact costs, without a stopwatch: bytes of TLS records over real sockets."""

import pytest

from shared.runtime.clock import SystemClock
from tests.bench.contact import BUDGET, both, contact_bytes
from tests.bench.day import PROFILES, Simulated, measure
from tests.bench.outpost import BenchClock, one_device, open_centre, open_outpost
from tests.bench.tap import Tap

LIMIT_BYTES = 1_550


async def test_a_resumed_contact_with_nothing_to_say_fits_into_its_bytes(tmp_path):
    async with open_centre(tmp_path / "coordinator") as centre, Tap(centre.port) as tap:
        clock = BenchClock(SystemClock().wall_ms())
        table = one_device((), 1000)
        async with open_outpost(tmp_path, centre, clock=clock, table=table, port=tap.port) as post:
            await contact_bytes(post, tap)
            post.link.forget_session()
            full, resumed = await both(post, tap)
    assert resumed <= LIMIT_BYTES
    assert full - resumed > 400, "a certificate and its signature"


async def test_what_the_agent_counts_is_what_the_wire_carries(tmp_path):
    async with open_centre(tmp_path / "coordinator") as centre, Tap(centre.port) as tap:
        clock = BenchClock(SystemClock().wall_ms())
        table = one_device((), 1000)
        async with open_outpost(tmp_path, centre, clock=clock, table=table, port=tap.port) as post:
            before = await tap.count()
            end = await post.contact.run(seal=True, wait_s=0, budget=BUDGET, keep=False)
            passed = (await tap.count()).since(before)
    assert passed.up == end.up, "our goodbye too"
    goodbye = 24
    # Theirs may still be on its way; Linux counts the end of the stream as a byte.
    assert -1 <= passed.down - end.down <= goodbye


@pytest.mark.slow
async def test_a_day_of_fifteen_channels_costs_twenty_kilobytes(tmp_path):
    profile = PROFILES["soil"]
    figures = await measure(tmp_path, profile, Simulated("soil", profile.channels))
    assert figures["readings"] == 15 * 288
    assert figures["wire_bytes"] <= profile.goal_bytes
    assert figures["payload_bytes"] < figures["wire_bytes"] / 5, "contacts cost more than readings"
