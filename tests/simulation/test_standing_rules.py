"""Rules about the agent itself, on virtual time: no reading says that one of its facts changed."""

import asyncio
from pathlib import Path

from shared import limits
from shared.model.job import Step
from shared.model.plan import Alarm, Rule
from tests.simulation.shop import Shop, play
from tests.simulation.test_standing import DAY, HOUR, stand

LOOK_S = limits.PRECONDITION_MS // 1000
LOW = Alarm("the battery is low")


def test_a_rule_about_the_agent_alone_rings_each_time_that_it_comes_true(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        shop.known["battery"] = 80
        await stand(shop, 1, pumps="", steps=[], rule=Rule("battery < 20", alarm=LOW))
        await asyncio.sleep(DAY)
        for times in (1, 2):
            shop.known["battery"] = 15
            await asyncio.sleep(LOOK_S + 1)
            assert shop.rung == times
            await asyncio.sleep(DAY)
            shop.known["battery"] = 80
            await asyncio.sleep(DAY)
        assert await shop.tales() == [("SUCCEEDED", "", 2, "the battery is low")]

    play(tmp_path, scenario)


def test_a_rule_about_the_agent_works_on_its_devices(tmp_path: Path):
    close = Step("close", "device.write", {"setpoint": 0})

    async def scenario(shop: Shop) -> None:
        shop.known["link.silent_s"] = 0
        await stand(shop, 1, pumps="", steps=[close], rule=Rule("link.silent_s > 86400"))
        await asyncio.sleep(HOUR)
        assert await shop.tales() == []
        shop.known["link.silent_s"] = 90_000
        await asyncio.sleep(LOOK_S + 1)
        assert [pump.written for pump in shop.pumps.values()] == [[("setpoint", 0)]] * 2

    play(tmp_path, scenario)


def test_a_rule_whose_reset_is_about_the_agent_is_armed_again(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        shop.known["site.locked"] = False
        rule = Rule("device.level > 3", reset="site.locked", min_interval_s=1, alarm=Alarm("high"))
        await stand(shop, 1, steps=[], rule=rule)
        shop.poll("pump-1", level=4)
        await asyncio.sleep(HOUR)
        # Somebody was there, and no pump says anything meanwhile.
        shop.known["site.locked"] = True
        await asyncio.sleep(LOOK_S + 1)
        shop.known["site.locked"] = False
        shop.poll("pump-1", level=5)
        await asyncio.sleep(1)
        assert shop.rung == 2

    play(tmp_path, scenario)


def test_a_fact_of_the_agent_is_looked_at_beside_readings_and_has_to_last(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        shop.known["battery"] = 80
        rule = Rule("battery < 20 and devices.pump-2.flow > 1", for_s=HOUR, alarm=LOW)
        await stand(shop, 1, steps=[], pumps="", rule=rule)
        await stand(shop, 2, steps=[], rule=Rule("device.flow > 99", alarm=Alarm("flood")))
        shop.poll("pump-2", flow=5)
        for battery, hours in ((15, 0.4), (80, 0.2), (15, 0.9)):
            shop.known["battery"] = battery
            for _ in range(int(hours * HOUR / 60)):
                # Another rule has its readings all the time.
                shop.poll("pump-1", flow=5)
                await asyncio.sleep(60)
        assert shop.rung == 0
        await asyncio.sleep(HOUR)
        assert shop.rung == 1

    play(tmp_path, scenario)


def test_only_rules_about_the_agent_wake_it_and_they_do_so_together(tmp_path: Path):
    def turns(folder: str, *rules: Rule) -> int:
        async def scenario(shop: Shop) -> int:
            for number, rule in enumerate(rules, start=1):
                await stand(shop, number, steps=[], rule=rule)
                shop.poll("pump-1", flow=1)
                await asyncio.sleep(LOOK_S / 3)
            await asyncio.sleep(HOUR)
            before = shop.world.loop.turns
            await asyncio.sleep(DAY)
            return shop.world.loop.turns - before

        (tmp_path / folder).mkdir()
        return int(play(tmp_path / folder, scenario))

    flood = Rule("device.flow > 99", alarm=Alarm("flood"))
    low = Rule("battery < 20", alarm=LOW)
    quiet, one = turns("quiet", flood), turns("one", flood, low)
    looks = DAY / LOOK_S
    assert quiet < 100, "once an hour"
    assert looks <= one - quiet <= 3 * looks
    assert turns("three", flood, low, low, low) <= one + looks / 10
