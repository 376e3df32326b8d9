"""A coordinator comes back from yesterday's backup: everything comes again, nobody is blamed."""

from pathlib import Path

from tests.system import warm
from tests.system.fleet import Fleet, set_pumps
from tests.system.fleet_checks import check_account, settle
from tests.system.fleet_parts import ASK_S, RTU_PUMP, TCP_PUMP, Gateway, until

CONTACTS = 20
LATER_S = 5
"""A job that the copy knows as delivered, and that ends after it."""


async def test_a_restored_coordinator_gets_every_block_again_and_quarantines_nobody(
    fleet: Fleet, tmp_path: Path
) -> None:
    await fleet.start_coordinator()
    north = await fleet.add_gateway("north", RTU_PUMP)
    south = await fleet.add_gateway("south", TCP_PUMP)
    both = (north, south)
    for gateway in both:
        await fleet.delivered(gateway, at_least=20)
    late = await fleet.submit(set_pumps(1700, selector="site=south", delay_s=LATER_S))

    async def held() -> bool | None:
        (one,) = (await fleet.admin.get(f"/v1/executions?job={late}"))["items"]
        return one["state"] not in {"QUEUED", "SIGNED"} or None

    await until("the later job to be held there", held, look_s=ASK_S)
    await run(fleet, "backup", tmp_path / "copy.db")
    for gateway in both:
        await contacts(fleet, gateway, CONTACTS)
    (done,) = await fleet.admin.finished(await fleet.submit(set_pumps(1500, selector="site=north")))
    assert done["state"] == "SUCCEEDED"
    (done,) = await fleet.admin.finished(late)
    assert done["state"] == "SUCCEEDED"
    before = {one.site.name: (await fleet.agent_view(one))["tally"]["delivered"] for one in both}

    await fleet.coordinator.stop()
    await run(fleet, "restore", tmp_path / "copy.db")
    for gateway in both:  # it is looked at before anybody tells it what it forgot
        gateway.link.black_hole(True)
    await fleet.coordinator.start()
    assert (await fleet.agent_view(north))["tally"]["delivered"] < before["north"]
    for gateway in both:
        gateway.link.black_hole(False)
    for gateway in both:
        await fleet.delivered(gateway, at_least=before[gateway.site.name])

        async def whole(gateway: Gateway = gateway) -> bool | None:
            return (await fleet.agent_view(gateway))["missing_blocks"] == [] or None

        await until("the gap to close", whole, look_s=ASK_S)
    (again,) = await fleet.admin.finished(late)
    assert (again["state"], again["tasks"]) == ("SUCCEEDED", done["tasks"]), "told once more"
    job = await fleet.submit(set_pumps(2500, selector="site in (north,south)"))
    assert [one["state"] for one in await fleet.admin.finished(job)] == ["SUCCEEDED"] * 2
    for gateway in both:
        await settle(fleet, gateway)
        view = await fleet.agent_view(gateway)
        assert (view["state"], view["gone_blocks"], view["refused_here"]) == ("ONLINE", [], {})
        assert view["refusals"] == {}, "the agent takes the lower numbers of a new epoch"
        await check_account(fleet, gateway)
    assert north.record("pump-1").setpoints() == [1500, 2500], "nothing was done twice"


async def run(fleet: Fleet, verb: str, file: Path) -> str:
    words = (verb, str(file), "--data", str(fleet.coordinator.data))
    return await warm.run(fleet.coordinator.command(*words))


async def contacts(fleet: Fleet, gateway: Gateway, more: int) -> None:
    goal = (await fleet.agent_view(gateway))["link"]["contacts"] + more

    async def had() -> bool | None:
        return (await fleet.agent_view(gateway))["link"]["contacts"] >= goal or None

    await until(f"{more} more contacts", had, look_s=ASK_S)
