"""Links that vanish, break in mid-sentence, or never were: the site goes on, nothing is lost."""

from firmware_sim.clock import SystemTicks
from shared.clock import MonoMs
from tests.system.fleet import Fleet, set_pumps
from tests.system.fleet_checks import check_account, settle
from tests.system.fleet_parts import RTU_PUMP, TCP_PUMP, Gateway, seeded, until

OUTAGE_MS = 10_000
RESETS = 3
POLL_S = 0.1


async def test_ten_seconds_in_a_black_hole_and_resets_in_mid_body_lose_and_double_nothing(
    fleet: Fleet,
) -> None:
    await fleet.start_coordinator()
    west = await fleet.add_gateway("west", RTU_PUMP, TCP_PUMP)
    await fleet.delivered(west, at_least=50)
    settled_ms = now_ms()
    await west.polled(10)
    began_ms = now_ms()
    west.link.black_hole(True)
    job = await fleet.submit(set_pumps(2000, selector="site=west"))
    await until("the outage to last", lambda: passed(began_ms, OUTAGE_MS))
    ended_ms = now_ms()
    stored = (await west.status())["tally"]["stored"]
    backlog = stored >= OUTAGE_MS / 1000 / POLL_S * len(RTU_PUMP.polled)
    assert backlog, f"both pumps went on for ten seconds, yet {stored} readings wait"

    west.link.black_hole(False)
    await break_contacts(west)
    west.link.reset_after_bytes = None
    (execution,) = await fleet.admin.finished(job)
    assert execution["state"] == "SUCCEEDED"
    assert [west.record(name).setpoints() for name in ("pump-1", "pump-2")] == [[2000], [2000]]
    await settle(fleet, west)
    await check_account(fleet, west)
    for name in ("pump-1", "pump-2"):
        record = west.record(name)
        before_s = record.longest_gap_s(MonoMs(settled_ms), MonoMs(began_ms))
        during_s = record.longest_gap_s(MonoMs(began_ms), MonoMs(ended_ms))
        # What a poll may wait is a matter of the machine; that it never waits for the link is ours:
        # one timed out contact alone takes many times this.
        assert during_s < before_s + 5 * POLL_S, f"{name} waited for the link"


async def break_contacts(gateway: Gateway) -> None:
    """Reset the gateway's contacts one after the other, each somewhere else within it."""
    chance = seeded("where contacts break")
    for _ in range(RESETS):
        before = gateway.link.stats.resets
        # A handshake takes about 2 kB; from there on the request or its answer is torn.
        gateway.link.reset_after_bytes = chance.randrange(1_500, 7_000)

        async def broken(goal: int = before + 1) -> bool | None:
            return True if gateway.link.stats.resets >= goal else None

        await until("a contact to break", broken)


async def test_an_agent_that_was_never_enrolled_collects_and_delivers_it_all_later(
    fleet: Fleet,
) -> None:
    lone = await fleet.add_gateway("lone", RTU_PUMP, enrol=False)
    await lone.polled(10)
    status = await lone.status()
    assert status["enrolled"] is False
    assert status["tally"]["stored"] > 0
    await lone.stop()
    kept = (await lone.status())["tally"]["stored"]
    assert kept == lone.record("pump-1").sampled()

    await fleet.start_coordinator()
    await lone.enrol(await fleet.claim(lone.folder / "claim.json", site="lone"))
    await lone.start()
    await fleet.delivered(lone, at_least=kept + 1)
    await settle(fleet, lone)
    await check_account(fleet, lone)
    assert (await fleet.series(lone, "pump-1"))[0] == 1, "the first poll of all arrived"


async def test_an_enrolled_agent_starts_and_collects_while_nobody_answers(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    far = await fleet.add_gateway("far", TCP_PUMP, start=False)
    await fleet.coordinator.stop()
    await far.start()
    await far.polled(3)
    await far.says("that nobody answers", lambda status: status["link"]["failures"] or None)
    status = await far.status()
    assert (status["running"], status["enrolled"]) == (True, True)
    assert status["link"]["fault"] == "unreachable"
    assert status["link"]["detail"]
    await fleet.coordinator.start()
    await fleet.delivered(far)
    await settle(fleet, far)
    await check_account(fleet, far)


def now_ms() -> int:
    return SystemTicks().mono_ms()


async def passed(since_ms: int, length_ms: int) -> bool | None:
    return True if now_ms() - since_ms >= length_ms else None
