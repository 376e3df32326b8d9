"""Links that vanish, break in mid-sentence, or never were: the site goes on, nothing is lost."""

from typing import Any

from tests.system.fleet import Fleet, set_pumps
from tests.system.fleet_checks import check_account, settle
from tests.system.fleet_parts import RTU_PUMP, TCP_PUMP, Gateway, seeded, until

POLLS = 50
"""Of each device in the outage."""
AT_ONCE = 5
"""Polls of each device within one contact: it hangs for ten seconds at least."""
RESETS = 3


async def test_a_black_hole_and_resets_in_mid_body_lose_and_double_nothing(
    fleet: Fleet,
) -> None:
    await fleet.start_coordinator()
    west = await fleet.add_gateway("west", RTU_PUMP, TCP_PUMP)
    await fleet.delivered(west, at_least=50)
    west.link.black_hole(True)
    job = await fleet.submit(set_pumps(2000, selector="site=west"))
    await go_on(west)
    west.link.black_hole(False)
    await break_contacts(west)
    west.link.reset_after_bytes = None
    (execution,) = await fleet.admin.finished(job)
    assert execution["state"] == "SUCCEEDED"
    assert [west.record(name).setpoints() for name in ("pump-1", "pump-2")] == [[2000], [2000]]
    await settle(fleet, west)
    await check_account(fleet, west)


async def go_on(gateway: Gateway) -> None:
    """See that all devices are polled, and all of it is kept, while one contact hears nothing."""
    before = served(gateway)
    # The first one may end all the same: its answer had come through when the hole began.
    in_one = await polled_in_one_contact(gateway) or await polled_in_one_contact(gateway)
    assert in_one, "polls waited until a contact was over"
    await gateway.polled(POLLS)
    more = served(gateway) - before
    await gateway.says(
        f"{more} readings to wait", lambda status: status["tally"]["stored"] >= more or None
    )


async def polled_in_one_contact(gateway: Gateway) -> bool:
    """Let all devices be polled while a contact hangs; tell whether it was the same all along."""

    def ended(status: dict[str, Any]) -> int | None:
        link = status["link"]
        return link["failures"] + link["contacts"] if link["next_in_s"] is None else None

    before = await gateway.says("a contact to hang", ended)
    await gateway.polled(AT_ONCE)
    return await gateway.says("a contact to hang", ended) == before


def served(gateway: Gateway) -> int:
    return sum(gateway.record(place.id).sampled() for place in gateway.site.devices)


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
