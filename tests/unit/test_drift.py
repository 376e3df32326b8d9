"""Devices beside what is wished of them: since when they differ, who mended them."""

from functools import partial

import pytest

from coordinator.core.rollup import DAY_MS
from coordinator.services.retention import Retention
from coordinator.transactions.devices import view_device
from coordinator.transactions.receipts import reconcile_receipts
from coordinator.transactions.retention import count_excess
from coordinator.transactions.wishes import Counting, Found, count, lines_of, list_drift, read_some
from shared import limits
from shared.clock import WallMs
from shared.model.job import TaskState
from shared.model.selector import parse_selector
from shared.wire.messages import Receipt
from tests.stores import ask, tell
from tests.unit.test_coordinator_transactions import AGENT, NOW, issued, store, submitted
from tests.unit.test_events import VirtualClock

__all__ = ["store"]

CHECK = {"id": "check", "action": "device.validate", "params": {"level": 5}}
PUT_BACK = {"id": "put", "action": "device.restore_config", "params": {"saved": "synced"}}
SYNC = {"id": "ask", "action": "device.sync"}
UPDATE = {
    "id": "fw",
    "action": "device.update_firmware",
    "params": {"artifact": "sha256:" + "0" * 64, "size": 9, "version": "2.0.0"},
}
"""An update to an image that the fleet has."""
SETTING = {
    "id": "set",
    "action": "agent.configure",
    "params": {"uplink.sync_interval_s": 60, "confirm_within_s": 9},
}
GOOD = {"check._drifted": 0, "check._drift": "", "check.level": 5}
BAD = {"check._drifted": 1, "check._drift": "level", "check.level": 7, "check.level.desired": 5}


class Fleet:
    """One agent that tells of one device, receipt by receipt."""

    def __init__(self, store) -> None:
        self.store, self.number = store, 0

    async def job(self, *steps, name="check", **changes):
        """Submit and sign a job; return its id and its execution's."""
        job = (await submitted(self.store, name=name, steps=list(steps), **changes)).job
        (grant,) = (await issued(self.store, NOW + 1 + self.number)).grants
        return job, grant.execution

    async def tell(
        self, execution, result, *, at_ms=NOW, now_ms=None, device="inv", state=TaskState.DONE
    ):
        self.number += 1
        now_ms = WallMs(now_ms or at_ms)
        receipt = Receipt(self.number, execution, device, state, 1, 0, at_ms, result=result)
        body = partial(reconcile_receipts, AGENT, b"J" * 16, [receipt], now_ms=now_ms, oldest=1)
        await self.store.run(body, durable=False)

    async def known(self, *, missed=False, selector=None, agent="", after=("", "", ""), size=9):
        body = partial(list_drift, selector, agent=agent, missed=missed, after=after, size=size)
        return (await self.store.read(body))[0]

    async def device(self):
        return await self.store.read(partial(view_device, AGENT, "inv"))

    async def events(self):
        rows = await ask(
            self.store, "SELECT type FROM event WHERE type LIKE 'drift.%' ORDER BY number"
        )
        return [row[0] for row in rows]


async def has_image(fleet) -> None:
    await tell(
        fleet.store,
        "INSERT INTO artifact (digest, size, kind, name, version, labels, created_ms, created_by,"
        " completed_ms) VALUES ($1, 9, 'firmware', 'fw', '2.0.0', '{}', 1, 'me', 1) RETURNING size",
        bytes(32),
    )


@pytest.fixture
def fleet(store):
    return Fleet(store)


async def test_a_device_that_differs_is_listed_with_what_and_since_when(fleet):
    job, execution = await fleet.job(CHECK)
    await fleet.tell(execution, GOOD, at_ms=NOW)
    (view,) = await fleet.known()
    assert (view.wish, view.missed, view.since) == ("check/check", {}, None)
    assert await fleet.known(missed=True) == []
    await fleet.tell(execution, BAD, at_ms=NOW + 1000)
    await fleet.tell(execution, BAD, at_ms=NOW + 2000)
    (view,) = await fleet.known(missed=True)
    assert (view.device, view.missed) == ("inv", {"level": 7})
    assert (view.since.timestamp(), view.observed_at.timestamp()) == (1001, 1002)
    assert view.job.replace("-", "") == job.hex()
    assert await fleet.events() == ["drift.began"], "once, not with every word"


async def test_who_wrote_to_a_device_before_it_was_as_wished_has_mended_it(fleet):
    _, execution = await fleet.job(CHECK)
    await fleet.tell(execution, BAD, at_ms=NOW)
    put, putting = await fleet.job(PUT_BACK, name="put")
    await fleet.tell(putting, {"put.level": 5}, at_ms=NOW + 1000)
    assert len(await fleet.known(missed=True)) == 1, "nobody has looked yet"
    await fleet.tell(execution, GOOD, at_ms=NOW + 2000)
    (view,) = await fleet.known()
    assert (view.since, view.mended_at.timestamp()) == (None, 1002)
    assert view.mended_by.replace("-", "") == put.hex()
    assert await fleet.events() == ["drift.began", "drift.ended"]


async def test_a_job_that_writes_and_looks_has_mended_it_itself(fleet):
    both, execution = await fleet.job(CHECK, PUT_BACK, {**CHECK, "id": "again"})
    again = {name.replace("check", "again"): value for name, value in BAD.items()}
    await fleet.tell(execution, again, at_ms=NOW)
    await fleet.tell(execution, {n.replace("check", "again"): v for n, v in GOOD.items()})
    (view,) = await fleet.known()
    assert view.mended_by.replace("-", "") == both.hex()


async def test_nobody_is_named_where_only_reads_were_done_meanwhile(fleet):
    _, execution = await fleet.job(CHECK)
    await fleet.tell(execution, BAD, at_ms=NOW)
    await fleet.tell(execution, GOOD, at_ms=NOW + 1000)
    (view,) = await fleet.known()
    assert (view.mended_by, view.mended_at is None) == ("", False)


async def test_a_word_that_comes_late_changes_nothing_that_a_newer_one_said(fleet):
    _, execution = await fleet.job(CHECK)
    await fleet.tell(execution, GOOD, at_ms=NOW + 2000)
    await fleet.tell(execution, BAD, at_ms=NOW + 1000)
    (view,) = await fleet.known()
    assert view.missed == {}
    assert await fleet.events() == []


async def test_a_word_of_a_clock_that_is_years_ahead_is_newer_than_nothing(fleet):
    _, execution = await fleet.job(CHECK)
    years = NOW + 20 * 365 * DAY_MS
    await fleet.tell(execution, GOOD, at_ms=years, now_ms=NOW)
    await fleet.tell(execution, BAD, at_ms=NOW + 1000)
    (view,) = await fleet.known()
    assert view.missed == {"level": 7}


async def test_firmware_is_known_as_last_told_though_a_clock_was_years_ahead(fleet):
    await has_image(fleet)
    years = NOW + 20 * 365 * DAY_MS
    _, asking = await fleet.job(SYNC)
    told = {"ask._profile_hash": "0011", "ask._identity": True, "ask._firmware": "1.0.0"}
    await fleet.tell(asking, told, at_ms=years, now_ms=NOW)
    _, updating = await fleet.job(UPDATE)
    await fleet.tell(updating, {"fw._before": "1.0.0", "fw._version": "2.0.0"}, at_ms=NOW + 1)
    assert (await fleet.device()).firmware == "2.0.0"
    await fleet.tell(asking, told, at_ms=years, now_ms=NOW + 2)
    await fleet.tell(asking, {**told, "ask._firmware": "3.0.0"}, at_ms=NOW + 2)
    assert (await fleet.device()).firmware == "3.0.0"


async def test_another_wish_begins_the_time_anew_and_a_rule_that_does_not_hold_counts(fleet):
    _, execution = await fleet.job(CHECK)
    await fleet.tell(execution, BAD, at_ms=NOW)
    _, other = await fleet.job({**CHECK, "params": {"level": 6}})
    await fleet.tell(other, {**GOOD, "check._rule.1": False}, at_ms=NOW + 5000)
    (view,) = await fleet.known(missed=True)
    assert (view.missed, view.since.timestamp()) == ({"rule 1": False}, 1005)


async def test_what_a_profile_expects_of_a_device_is_a_wish_of_its_own(fleet):
    _, execution = await fleet.job(SYNC)
    told = {"ask._profile_hash": "0011", "ask._identity": True, "ask._firmware": "1.2"}
    await fleet.tell(execution, {**told, "ask._drifted": 1, "ask._drift": "firmware"})
    (view,) = await fleet.known(missed=True)
    assert (view.wish, view.desired, view.missed) == ("identity", "0011", {"firmware": "1.2"})


async def test_firmware_that_could_not_be_brought_is_missed_until_it_runs(fleet):
    await has_image(fleet)
    _, execution = await fleet.job(UPDATE)
    before = {"fw._before": "1.0.0", "fw._sent": 9}
    await fleet.tell(execution, before, state=TaskState.FAILED)
    (view,) = await fleet.known(missed=True)
    assert (view.desired, view.missed) == ("2.0.0", {"firmware": "1.0.0"})
    await fleet.tell(execution, {**before, "fw._version": "2.0.0"}, at_ms=NOW + 1)
    assert (await fleet.known())[0].missed == {}


async def test_an_agent_has_a_bounded_number_of_comparisons(fleet, monkeypatch):
    monkeypatch.setattr(limits, "WISHES", 2)
    _, execution = await fleet.job(CHECK)
    for device in ("a", "b", "c", "a"):
        await fleet.tell(execution, BAD, device=device, at_ms=NOW + fleet.number)
    assert [view.device for view in await fleet.known()] == ["a", "b"]


async def test_groups_are_counted_by_label_and_what_a_selector_leaves_out_is_not(fleet):
    _, execution = await fleet.job(CHECK)
    for device, result in (("a", BAD), ("b", GOOD), ("c", BAD)):
        await fleet.tell(execution, result, device=device, at_ms=NOW + fleet.number)
    counted = {}
    for text in ("site=north", "site=south"):
        counting = Counting(parse_selector(text), "site")
        count(counting, await fleet.store.read(partial(read_some, "")))
        counted[text] = list(lines_of(counting.tallies))
        assert await fleet.store.read(partial(read_some, counting.after)) == Found()
        assert len(await fleet.known(selector=parse_selector(text))) == 3 * (text == "site=north")
    ((line,), nothing) = counted.values()
    assert (line.group, line.wish, line.devices, line.missing) == ("north", "check/check", 3, 2)
    assert line.oldest_since is not None
    assert line.oldest_since.timestamp() == 1000
    assert nothing == []
    (page,) = await fleet.known(agent=AGENT, after=(AGENT, "b", "check/check"))
    assert page.device == "c"


async def test_a_count_names_the_first_devices_that_miss_and_no_more(fleet, monkeypatch):
    monkeypatch.setattr(limits, "MISSING_NAMED", 2)
    _, execution = await fleet.job(CHECK)
    for device, result in (("a", BAD), ("b", GOOD), ("c", BAD), ("d", BAD)):
        await fleet.tell(execution, result, device=device, at_ms=NOW + fleet.number)
    counting = Counting(None, "site")
    count(counting, await fleet.store.read(partial(read_some, "")))
    (line,) = lines_of(counting.tallies)
    assert (line.devices, line.missing) == (4, 3)
    assert [(one.agent, one.device) for one in line.missing_devices] == [(AGENT, "a"), (AGENT, "c")]


async def test_comparisons_that_are_old_go(fleet):
    _, execution = await fleet.job(CHECK)
    await fleet.tell(execution, BAD)
    clock = VirtualClock()
    clock.now_ms = WallMs(NOW + 401 * DAY_MS)
    excess = await fleet.store.read(partial(count_excess, WallMs(clock.now_ms)))
    assert ("drift", 1) in [(one.setting, one.rows) for one in excess]
    await Retention(fleet.store, clock).round(pause_s=0)
    assert await fleet.known() == []


async def test_a_device_that_says_another_version_than_it_was_updated_to_is_missed(fleet):
    await has_image(fleet)
    _, updating = await fleet.job(UPDATE)
    await fleet.tell(updating, {"fw._before": "1.0.0", "fw._version": "2.0.0"})
    _, asking = await fleet.job(SYNC)
    runs = {"ask._identity": True, "ask._profile_hash": "0011", "ask._drifted": 0}
    for at, version in enumerate(("2.0", "of March", "1.0.0", "2.0.0"), 1):
        await fleet.tell(asking, {**runs, "ask._firmware": version}, at_ms=NOW + at)
        assert len(await fleet.known(missed=True)) == (version == "1.0.0"), "a text says nothing"
    told = {view.wish: view for view in await fleet.known()}
    assert (told["firmware"].missed, told["firmware"].desired) == ({}, "2.0.0")
    assert told["firmware"].mended_at.timestamp() * 1000 == NOW + 4
    assert await fleet.events() == ["drift.began", "drift.ended"]
    await fleet.tell(asking, {**runs, "ask._firmware": "1.0.0"}, at_ms=NOW + 9)
    (view,) = await fleet.known(missed=True)
    assert (view.wish, view.missed) == ("firmware", {"firmware": "1.0.0"})


async def test_the_version_of_a_device_that_nobody_updated_is_no_wish(fleet):
    _, asking = await fleet.job(SYNC)
    await fleet.tell(asking, {"ask._identity": True, "ask._firmware": "1.0.0", "ask._drifted": 0})
    assert await fleet.known() == []


async def test_an_agent_that_runs_under_other_settings_than_it_was_given_is_missed(fleet):
    look = {"id": "how", "action": "agent.health"}
    _, setting = await fleet.job(SETTING)
    _, asking = await fleet.job(look)
    await fleet.tell(asking, {"how._settings": "aaaa"}, device="@agent")
    assert await fleet.known() == [], "nobody wished anything"
    given = {"set._settings": "bbbb", "set.uplink.sync_interval_s": 60}
    await fleet.tell(setting, given, device="@agent", at_ms=NOW + 1)
    await fleet.tell(asking, {"how._settings": "bbbb"}, device="@agent", at_ms=NOW + 2)
    assert await fleet.known(missed=True) == []
    await fleet.tell(asking, {"how._settings": "aaaa"}, device="@agent", at_ms=NOW + 3)
    (view,) = await fleet.known(missed=True)
    assert (view.device, view.wish, view.desired) == ("@agent", "settings", "bbbb")
    assert view.missed == {"settings": "aaaa"}
    discovered = "SELECT type FROM event WHERE type = 'device.discovered'"
    assert await ask(fleet.store, discovered) == [], "an agent is no device that it found"
    again, setting = await fleet.job(SETTING)
    await fleet.tell(setting, given, device="@agent", at_ms=NOW + 4)
    (view,) = await fleet.known()
    assert (view.since, view.mended_by.replace("-", "")) == (None, again.hex())


async def test_settings_that_did_not_prove_themselves_are_missed_with_what_holds_instead(fleet):
    _, setting = await fleet.job(SETTING)
    told = {"set._settings": "aaaa", "set._wanted": "bbbb", "set.uplink.sync_interval_s": 15}
    await fleet.tell(setting, told, device="@agent", state=TaskState.FAILED)
    (view,) = await fleet.known(missed=True)
    assert (view.desired, view.missed) == ("bbbb", {"uplink.sync_interval_s": 15})


async def test_a_dry_run_has_mended_nothing(fleet):
    _, execution = await fleet.job(CHECK)
    await fleet.tell(execution, BAD, at_ms=NOW)
    _, dry = await fleet.job(PUT_BACK, name="put", dry_run=True)
    await fleet.tell(dry, {"put.level": 7, "put._dry_run": True}, at_ms=NOW + 1)
    await fleet.tell(execution, GOOD, at_ms=NOW + 2)
    assert (await fleet.known())[0].mended_by == ""
