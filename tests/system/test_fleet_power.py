"""What a power cut takes is written down: an estimate in the loss ledger; the sums still meet."""

import shutil
import sqlite3
from contextlib import closing

from shared.errors import Reason
from tests.system.fleet import Fleet
from tests.system.fleet_checks import settle
from tests.system.fleet_parts import RTU_PUMP

LOST_AT_LEAST = 10
POLL_S = 0.1
SYNC_POLLS = 10


async def test_readings_that_a_power_cut_took_are_in_the_loss_ledger(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("cut", RTU_PUMP, poll_interval_s=POLL_S)
    await fleet.delivered(site)
    before = await fleet.agent_view(site)
    site.link.black_hole(True)
    # The contact that is due now seals what there is and waits for its answer; nothing later does.
    await site.polled(2 * SYNC_POLLS)
    await site.polled(LOST_AT_LEAST)
    await site.kill()
    # Memory is empty after a power cut; what only stood there is gone.
    shutil.rmtree(site.runtime)
    site.link.black_hole(False)
    await site.start()
    await site.polled(3)
    await settle(fleet, site)

    tally = (await fleet.agent_view(site))["tally"]
    parts = ("suppressed", "delivered", "stored", "lost")
    assert tally["sampled"] == sum(tally[part] for part in parts), tally
    assert tally["stored"] == 0
    assert tally["delivered"] > before["tally"]["delivered"], "it went on by itself"
    assert tally["lost"] >= LOST_AT_LEAST * len(RTU_PUMP.polled)
    assert (await site.status())["tally"] == tally
    record = site.record("pump-1")
    gone = record.sampled() - tally["delivered"]
    polls = record.summary.polls(1)
    possible = (polls[-1] - polls[0]) / 1000 / POLL_S * len(RTU_PUMP.polled)
    # An estimate: the time without a trace at the configured pace, the agent's absence included.
    assert gone - len(RTU_PUMP.polled) <= tally["lost"] <= possible, (gone, tally, possible)
    with closing(sqlite3.connect(fleet.coordinator.data / "coordinator.db")) as db:
        rows = db.execute("SELECT reason, estimated, count FROM ledger").fetchall()
    assert [(reason, estimated) for reason, estimated, _ in rows] == [(Reason.UNCLEAN_STOP, 1)]
    assert sum(count for _, _, count in rows) == tally["lost"]
    counts = [value for value in await fleet.series(site, "pump-1") if value is not None]
    assert counts == sorted(set(counts)), "nothing twice"
