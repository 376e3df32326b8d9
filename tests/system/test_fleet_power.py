"""What a power cut takes is written down: an estimate in the loss ledger; the sums still meet."""

import shutil

from tests.system.fleet import RTU_PUMP, Fleet, settle

LOST_AT_LEAST = 10


async def test_readings_that_a_power_cut_took_are_in_the_loss_ledger(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("cut", RTU_PUMP)
    await fleet.delivered(site)
    before = await fleet.agent_view(site)
    site.link.black_hole(True)
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
    served = site.record("pump-1").sampled()
    # An estimate: the interval since the last trace, at the pace of the configuration.
    assert abs(tally["sampled"] - served) <= served // 2, (tally, served)
    counts = [value for value in await fleet.series(site, "pump-1") if value is not None]
    assert counts == sorted(set(counts)), "nothing twice"
