"""Jobs that are for devices of a model: which gateways get them, and what a preview says."""

from functools import partial

import pytest

from coordinator.core.ports import execute
from coordinator.core.targeting import Reach, check_targets, resolve
from coordinator.transactions.device_words import agents_with, reach_of
from coordinator.transactions.devices import list_devices
from coordinator.transactions.dispatch_joiners import joiners
from coordinator.transactions.submit import preview
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.model.job import Targets, TaskState
from shared.model.selector import parse_selector
from tests.stores import tell
from tests.unit.test_coordinator_transactions import AGENT, NOW, drafted, store
from tests.unit.test_drift import SYNC, UPDATE, Fleet, has_image
from tests.unit.test_rollout_endings import fleet as rolling

__all__ = ["rolling", "store"]

LABELS = {"a-1": {"site": "north"}, "a-2": {"site": "south"}, "a-3": {"site": "south"}}


def chosen(having, **fields):
    targets = Targets(**fields)
    return resolve(targets, check_targets(targets), LABELS, having)


def test_a_selector_of_gateways_is_cut_to_those_that_have_such_devices():
    south = {"selector": "site=south", "device_selector": "model=P-110"}
    assert chosen({"a-1", "a-3"}, **south) == ["a-3"]
    assert chosen(None, **south) == ["a-2", "a-3"]
    assert chosen({"a-1"}, agents=["a-2"], device_selector="model=P") == ["a-2"]
    assert chosen({"a-1", "a-3"}, device_selector="model=P-110") == ["a-1", "a-3"]
    with pytest.raises(MistakeError, match="no device there is known to be model=P-110") as told:
        chosen({"a-1"}, **south)
    assert told.value.where == "targets.device_selector"
    assert "device.sync" in told.value.mend


def test_a_label_of_the_local_file_alone_is_no_target():
    with pytest.raises(MistakeError, match="no target"):
        check_targets(Targets(device_selector="room=3"))


@pytest.fixture
async def fleet(store):
    """One agent with a pump of old firmware, a newer one, and a meter."""
    here = Fleet(store)
    _, execution = await here.job(SYNC)
    for number, (device, model, firmware) in enumerate(
        (("inv", "P-110", "1.0.0"), ("new", "P-110", "2.0.0"), ("meter", "Big Meter", ""))
    ):
        said = {"_profile_hash": "00", "_profile": "p", "_kind": "k", "_model": model}
        told = {f"ask.{name}": text for name, text in said.items()}
        told["ask._firmware"] = firmware
        await here.tell(execution, told, device=device, at_ms=NOW + number)
    return here


@pytest.mark.parametrize(
    ("selector", "devices"),
    [
        ("model=P-110", 2),
        ("model=P-110,firmware<2", 1),
        ('model="Big Meter"', 1),
        ("model=P-120", 0),
        ("vendor=Acme", 0),
        ("model=P-110,room=3", 2),
        ("", 3),
    ],
)
async def test_what_devices_said_last_is_what_a_preview_counts(
    fleet, monkeypatch, selector, devices
):
    monkeypatch.setattr(limits, "DEVICE_WORDS_READ", 2)
    targets = Targets(device_selector=selector)
    reach = await fleet.store.read(partial(reach_of, targets, [AGENT, "stranger"]))
    assert reach == Reach(devices, unasked=1)
    having = await fleet.store.read(partial(agents_with, targets))
    assert having == (None if not selector else {AGENT} if devices else set())


async def test_devices_that_say_the_same_are_told_apart_by_their_ids(fleet):
    twin = await tell(
        fleet.store,
        "INSERT INTO device_facts (agent_id, device, facts, drifted, at_ms, kind, profile, model,"
        " firmware) SELECT agent_id, 'twin', facts, drifted, at_ms, kind, profile, model, firmware"
        " FROM device_facts WHERE device = 'inv' RETURNING device",
    )
    assert twin == [("twin",)]
    for selector, devices in {"id=inv": 1, "id=twin": 1, "id!=new,model=P-110": 2}.items():
        targets = Targets(device_selector=selector)
        reach = await fleet.store.read(partial(reach_of, targets, [AGENT]))
        assert reach.devices == devices, selector


async def test_a_job_without_any_selector_of_gateways_goes_where_such_devices_are(fleet):
    job = drafted(targets={"device_selector": "model=P-110,firmware<2.0"})
    assert await fleet.store.read(partial(preview, job)) == [AGENT]
    with pytest.raises(MistakeError, match="is known to be"):
        await fleet.store.read(partial(preview, drafted(targets={"device_selector": "model=X"})))


async def test_a_device_that_was_updated_is_no_target_of_the_next_one(fleet):
    await has_image(fleet)
    _, execution = await fleet.job(UPDATE)
    wanted = partial(reach_of, Targets(device_selector="model=P-110,firmware<2.0"), [AGENT])
    told = {"fw._before": "1.0.0", "fw._sent": 9}
    await fleet.tell(execution, told, state=TaskState.FAILED, at_ms=NOW + 5)
    assert (await fleet.store.read(wanted)).devices == 1
    await fleet.tell(execution, {**told, "fw._version": "2.0.0"}, at_ms=NOW + 4, device="other")
    await fleet.tell(execution, {**told, "fw._version": "2.0.0"}, at_ms=NOW - 1)
    assert (await fleet.store.read(wanted)).devices == 1, "an older word"
    await fleet.tell(execution, {**told, "fw._version": "2.0.0"}, at_ms=NOW + 6)
    assert (await fleet.store.read(wanted)).devices == 0


@pytest.mark.parametrize("size", [1, 2, 9])
async def test_a_list_of_devices_goes_on_behind_those_that_do_not_match(fleet, monkeypatch, size):
    monkeypatch.setattr(limits, "PAGE_ITEMS", 2)
    named, after = [], ("", "")
    more = True
    while more:
        body = partial(
            list_devices,
            "",
            drifted=False,
            after=after,
            size=size,
            wanted=parse_selector("model=P-110"),
        )
        views, more = await fleet.store.read(body)
        named += [view.device for view in views]
        after = (AGENT, named[-1])
    assert named == ["inv", "new"]


async def test_a_gateway_joins_a_rollout_when_such_a_device_is_known_there(rolling):
    await knows(rolling, "a00", "a01")
    await rolling.submit(
        rollout={"target_selection": "continuous", "maximum_per_minute": 20},
        targets={"selector": "site", "device_selector": "model=P-110"},
    )
    assert sorted(await rolling.states()) == ["a00", "a01"]
    await knows(rolling, "a07")
    rolling.now += 60_000
    found = await rolling.store.read(partial(joiners, rolling.job, WallMs(rolling.now)))
    assert found == ["a07"]


async def knows(rolling, *agents):
    """Let gateways be known to have a pump of a model."""

    def body():
        for agent in agents:
            words = ("k", "p", "v", "P-110", "1.0")
            yield from execute("device_facts_save", agent, "inv", "{}", 0, NOW, *words, NOW)

    await rolling.store.run(body, durable=False)
