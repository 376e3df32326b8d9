"""Standing jobs on virtual time: schedules and rules that run for months with nobody there."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.clock import ClockState, WallMs
from shared.ids import DeviceId
from shared.model.job import JobSpec, Step
from shared.model.plan import Alarm, Rule, Severity
from shared.model.schedule import Misfire, Overlap, Schedule, Unsynced
from shared.model.spec_check import check_spec
from tests.agent_parts import admitted, uid
from tests.simulation.loop import START_WALL_MS
from tests.simulation.shop import Shop, SlowAction, play

HOUR, DAY = 3600, 86_400
READ = Step("look", "device.read", {"points": ["flow"]})
PUMP = "pump-1"


async def stand(shop: Shop, number: int, *, pumps: str = "id=pump-1", **spec: Any) -> None:
    from shared.model.job import Targets

    steps = spec.pop("steps", [READ])
    job = JobSpec(name="a", steps=steps, targets=Targets(device_selector=pumps), **spec)
    check_spec(job)
    await shop.order(number, job)
    await asyncio.sleep(1)


async def cancel(shop: Shop, number: int, *, wake: bool = True) -> None:
    shop.seq += 1
    await shop.jobs.admit(
        replace(admitted(shop.seq), cancels=(uid(number),)), [], now=shop.calendar.now()
    )
    if wake:
        shop.executor.wake()
        shop.standing.wake()


# --- schedules ------------------------------------------------------------------------------------
def test_a_schedule_fires_at_each_of_its_times_and_tells_them_as_one(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await stand(shop, 1, schedule=Schedule(interval_s=600))
        assert await shop.executions() == {"HELD": 1}
        await asyncio.sleep(6_000)
        assert await shop.tales() == [("SUCCEEDED", "", 10, "")]
        assert await shop.executions() == {"HELD": 1}
        assert await shop.tasks() == {}

    play(tmp_path, scenario)


def test_firings_that_end_otherwise_are_told_apart(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        pump = shop.pumps[DeviceId(PUMP)]
        await stand(shop, 1, schedule=Schedule(interval_s=600))
        await asyncio.sleep(1_800)
        pump.silent = True
        await asyncio.sleep(1_200)
        pump.silent = False
        await asyncio.sleep(600)
        assert [tale[:3] for tale in await shop.tales()] == [
            ("SUCCEEDED", "", 3),
            ("FAILED", "device_silent", 2),
            ("SUCCEEDED", "", 1),
        ]

    play(tmp_path, scenario)


def test_a_restart_fires_nothing_twice_and_makes_up_what_the_policy_says(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await stand(shop, 1, schedule=Schedule(interval_s=600))
        await stand(shop, 2, schedule=Schedule(interval_s=600, misfire=Misfire.ALL, max_catchup=3))
        await stand(shop, 3, schedule=Schedule(interval_s=600, misfire=Misfire.SKIP))
        await asyncio.sleep(1_200)
        before = len(await shop.tales())
        assert before == 3
        await shop.close()
        # Ten nominal times pass while nobody is there.
        await asyncio.sleep(6_100)
        await shop.open()
        await asyncio.sleep(5)
        told = [tale[:3] for tale in await shop.tales()]
        assert sorted(told) == sorted(
            [
                *[("SUCCEEDED", "", 2)] * 3,
                *(("EXPIRED", "missed", 9), ("SUCCEEDED", "", 1)),
                *(("EXPIRED", "missed", 7), ("SUCCEEDED", "", 3)),
                ("EXPIRED", "missed", 10),
            ]
        )

    play(tmp_path, scenario)


def test_a_firing_that_still_works_lets_the_next_one_pass(tmp_path: Path):
    slow = SlowAction(seconds=1_000)
    step = Step("look", "device.read", {"points": ["flow"]}, timeout_s=5_000)

    def run(overlap: Overlap) -> list[tuple[str, str, int]]:
        async def scenario(shop: Shop) -> list[tuple[str, str, int]]:
            await stand(shop, 1, steps=[step], schedule=Schedule(interval_s=600, overlap=overlap))
            await asyncio.sleep(3_300)
            return [tale[:3] for tale in await shop.tales()]

        slow.begun.clear()
        folder = tmp_path / overlap
        folder.mkdir()
        return play(folder, scenario, slow=slow)

    skipped = run(Overlap.SKIP)
    assert ("CANCELED", "overlapped", 1) in skipped
    assert all(state != "FAILED" for state, _, _ in skipped)
    assert all(reason != "overlapped" for _, reason, _ in run(Overlap.ALLOW))
    queued = run(Overlap.QUEUE_ONE)
    assert sum(count for state, _, count in queued if state == "SUCCEEDED") == 2
    assert ("CANCELED", "overlapped", 1) in queued


def test_a_firing_may_push_out_the_one_before(tmp_path: Path):
    slow = SlowAction(seconds=400)
    steps = [Step(name, "device.read", {"points": ["flow"]}, timeout_s=900) for name in "abc"]

    async def scenario(shop: Shop) -> None:
        schedule = Schedule(interval_s=600, overlap=Overlap.CANCEL_RUNNING)
        await stand(shop, 1, steps=steps, schedule=schedule)
        await asyncio.sleep(2_500)
        tales = [tale[:2] for tale in await shop.tales()]
        assert ("CANCELED", "canceled") in tales
        assert ("SUCCEEDED", "") not in tales

    play(tmp_path, scenario, slow=slow)


def test_a_schedule_that_is_called_off_or_replaced_fires_no_more(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        every = Schedule(interval_s=600)
        await stand(shop, 1, schedule=every)
        await stand(shop, 2, schedule=every, conflict_key="nightly")
        await stand(shop, 3, schedule=every, conflict_key="nightly")
        await asyncio.sleep(1_200)
        await cancel(shop, 1)
        await asyncio.sleep(6_000)
        assert await shop.executions() == {"CANCELED": 1, "SUPERSEDED": 1, "HELD": 1}
        counts = [tale[2] for tale in await shop.tales()]
        assert sorted(counts) == [2, 12]

    play(tmp_path, scenario)


def test_a_schedule_ends(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        # As after any contact that brought them.
        now = shop.calendar.learn(shop.calendar.now().today_ms)
        await stand(shop, 1, schedule=Schedule(interval_s=600, end_ms=now + 3_000_000))
        await stand(shop, 2, schedule=Schedule(at_ms=shop.calendar.now().today_ms + 100_000))
        await asyncio.sleep(6_000)
        assert await shop.executions() == {"SUCCEEDED": 2}
        assert sorted(tale[2] for tale in await shop.tales()) == [1, 5]

    play(tmp_path, scenario)


def test_a_clock_that_steps_by_days_fires_each_time_at_most_once(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await stand(shop, 1, schedule=Schedule(cron="0 * * * *", zone="UTC"))
        for by_days in (1, -1, -1, 1):
            shop.world.clock.step(by_days * DAY * 1000, state=ClockState.SYNCED)
            await asyncio.sleep(3 * HOUR)

        def query(db: Any) -> list[int]:
            return [row[0] for row in db.execute("SELECT nominal_ms FROM fired ORDER BY number")]

        fired = await shop.file.read(query)
        assert len(fired) == len(set(fired))
        assert all(nominal % (HOUR * 1000) == 0 for nominal in fired)
        # It goes on after each step, in both directions.
        assert len(fired) >= 6

    play(tmp_path, scenario)


def test_a_box_without_time_does_what_each_schedule_says(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        for number, policy in enumerate(Unsynced, start=1):
            schedule = Schedule(interval_s=HOUR, unsynced=policy)
            await stand(shop, number, schedule=schedule)
        await shop.close()
        shop.world.clock.reboot(keeps_time=False)
        await shop.open()
        shop.calendar.raise_floor(START_WALL_MS)
        shop.standing.wake()
        await asyncio.sleep(5 * HOUR)
        counts = {}
        for number, policy in enumerate(Unsynced, start=1):

            def query(db: Any, number: int = number) -> int:
                return int(
                    db.execute(
                        "SELECT count(*) FROM fired WHERE execution = ?", (number,)
                    ).fetchone()[0]
                )

            counts[policy] = await shop.file.read(query)
        assert counts[Unsynced.SKIP] == 0
        assert counts[Unsynced.ELAPSED] in {4, 5}
        assert counts[Unsynced.HOLDOVER] in {4, 5}
        # The truth comes: nobody fires for the years between.
        shop.calendar.learn(WallMs(START_WALL_MS + 400 * DAY * 1000))
        await asyncio.sleep(10)
        assert all(tale[2] >= 1 for tale in await shop.tales())
        missed = [tale for tale in await shop.tales() if tale[1] == "missed"]
        assert missed
        assert len(await shop.tales()) < 12

    play(tmp_path, scenario)


def test_a_year_alone_leaves_a_short_complete_history(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await stand(shop, 1, schedule=Schedule(cron="0 */12 * * *"))
        await asyncio.sleep(365 * DAY)
        [(state, _, count, _)] = await shop.tales()
        assert state == "SUCCEEDED"
        assert abs(count - 2 * 365) <= 1

        def size(db: Any) -> tuple[int, int]:
            fired = db.execute("SELECT count(*) FROM fired").fetchone()[0]
            return fired, db.execute("SELECT count(*) FROM task").fetchone()[0]

        fired, tasks = await shop.file.read(size)
        assert fired <= 512
        assert tasks == 0

    play(tmp_path, scenario)


# --- rules ----------------------------------------------------------------------------------------
def test_a_rule_rings_once_and_again_after_its_reset(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        alarm = Alarm("it overflows", Severity.CRITICAL)
        rule = Rule("device.level > 3", reset="device.level < 2", min_interval_s=1, alarm=alarm)
        await stand(shop, 1, steps=[], rule=rule, pumps="id=pump-1")
        shop.poll(PUMP, level=1)
        await asyncio.sleep(5)
        for level in (4, 5, 2.5, 4, 1.5, 4):
            shop.poll(PUMP, level=level)
            await asyncio.sleep(5)
        assert await shop.tales() == [("SUCCEEDED", "", 2, "it overflows")]
        assert shop.rung == 2

    play(tmp_path, scenario)


def test_a_rule_waits_for_its_time_and_forgets_what_did_not_last(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        rule = Rule("device.level > 3", for_s=30, alarm=Alarm("high"))
        await stand(shop, 1, steps=[], rule=rule)
        shop.poll(PUMP, level=4)
        await asyncio.sleep(29)
        shop.poll(PUMP, level=2)
        await asyncio.sleep(29)
        assert shop.rung == 0
        shop.poll(PUMP, level=4)
        await asyncio.sleep(20)
        # A sensor that does not answer proves nothing.
        shop.poll(PUMP, level=None)
        await asyncio.sleep(20)
        assert shop.rung == 0
        shop.poll(PUMP, level=4)
        await asyncio.sleep(31)
        assert shop.rung == 1

    play(tmp_path, scenario)


def test_a_rule_orders_work_on_the_device_that_made_it_true(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        close = Step("close", "device.write", {"setpoint": 0}, when="device.setpoint > 0")
        await stand(shop, 1, steps=[close], rule=Rule("device.level > 3"), pumps="kind=pump")
        shop.poll("pump-2", level=4)
        await asyncio.sleep(5)
        assert shop.pumps[DeviceId("pump-2")].written == [("setpoint", 0)]
        assert shop.pumps[DeviceId("pump-1")].written == []
        assert await shop.tales() == [("SUCCEEDED", "", 1, "")]

    play(tmp_path, scenario)


def test_a_rule_looks_at_other_devices_too(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        rule = Rule("devices.pump-2.flow < 1 and device.level > 3", alarm=Alarm("dry"))
        await stand(shop, 1, steps=[], rule=rule)
        shop.poll("pump-2", flow=5)
        shop.poll(PUMP, level=4)
        await asyncio.sleep(2)
        assert shop.rung == 0
        shop.poll("pump-2", flow=0)
        await asyncio.sleep(2)
        assert shop.rung == 1

    play(tmp_path, scenario)


def test_what_fires_too_often_is_counted_and_held_back(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        rule = Rule("device.level > 3", min_interval_s=60, max_per_day=3, alarm=Alarm("high"))
        await stand(shop, 1, steps=[], rule=rule)
        for _ in range(40):
            shop.poll(PUMP, level=4)
            await asyncio.sleep(20)
            shop.poll(PUMP, level=1)
            await asyncio.sleep(20)
        assert shop.rung == 3
        tales = await shop.tales()
        assert sum(count for _, reason, count, _ in tales if not reason) == 3
        assert sum(count for _, reason, count, _ in tales if reason == "rate_limited") == 37

    play(tmp_path, scenario)


def test_a_restart_does_not_ring_again_for_what_it_rang_for(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        rule = Rule("device.level > 3", reset="device.level < 2", alarm=Alarm("high"))
        await stand(shop, 1, steps=[], rule=rule)
        shop.poll(PUMP, level=4)
        await asyncio.sleep(2)
        await shop.close()
        await shop.open()
        await asyncio.sleep(2)
        shop.poll(PUMP, level=4)
        await asyncio.sleep(200)
        assert shop.rung == 1
        shop.poll(PUMP, level=1)
        await asyncio.sleep(2)
        shop.poll(PUMP, level=4)
        await asyncio.sleep(2)
        assert shop.rung == 2

    play(tmp_path, scenario)


def test_nothing_to_do_wakes_nobody(tmp_path: Path):
    async def scenario(shop: Shop) -> None:
        await asyncio.sleep(60)
        turns = shop.world.loop.turns
        await asyncio.sleep(30 * DAY)
        assert shop.world.loop.turns - turns < 10

    play(tmp_path, scenario)
