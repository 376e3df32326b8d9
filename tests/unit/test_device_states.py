"""Who does not answer, and how firmware comes along, as gateways say it of single devices."""

from functools import partial

import msgspec
import pytest

from coordinator.core.intake import check_report
from coordinator.core.ports import execute
from coordinator.transactions.device_states import devices_said, images_of
from coordinator.transactions.device_words import reach_of
from coordinator.transactions.devices import list_devices, note_facts, view_device
from shared import limits
from shared.clock import ClockState
from shared.errors import RefusedError
from shared.model.job import Targets
from shared.model.selector import Selector, parse_selector
from shared.wire.messages import DeviceWord, Receipt
from tests.golden.wire.vectors import FLEET, REPORT
from tests.unit.test_coordinator_transactions import AGENT, NOW, store

__all__ = ["store"]

HOUR_MS = 3_600_000
DEAD = DeviceWord("dead", 7200)


async def told(store, *words, clock=ClockState.SYNCED, ago_ms=0):
    """Take in a report that was made some time ago."""
    report = msgspec.structs.replace(
        REPORT, devices=list(words), wall_ms=NOW - ago_ms, clock_state=clock
    )
    await store.run(partial(devices_said, AGENT, report, NOW), durable=False)


async def knows(store, *devices, model="P-110"):
    def body():
        for device in devices:
            words = ("k", "p", "v", model, "1.0")
            yield from execute("device_facts_save", AGENT, device, "{}", 0, NOW, *words, NOW)

    await store.run(body, durable=False)


async def listed(store, size=9, **options):
    """Return the names of listed devices, page by page."""
    named, after, more = [], ("", ""), True
    while more:
        body = partial(list_devices, "", after=after, size=size, **{"drifted": False, **options})
        views, more = await store.read(body)
        named += [view.device for view in views]
        after = (AGENT, named[-1]) if named else after
    return named


async def since_ms(store, device="dead"):
    view = await store.read(partial(view_device, AGENT, device))
    return round(view.silent_since.timestamp() * 1000) if view.silent_since else None


async def test_a_silent_device_is_shown_until_its_gateway_says_that_it_is_back(store):
    await knows(store, "dead", "well")
    await told(store, DEAD)
    assert await since_ms(store) == NOW - 2 * HOUR_MS
    assert await since_ms(store, "well") is None
    silence = msgspec.structs.replace(REPORT, devices=None)
    await store.run(partial(devices_said, AGENT, silence, NOW), durable=False)
    assert await since_ms(store) is not None, "a report that says nothing changes nothing"
    await told(store)
    assert await since_ms(store) is None


@pytest.mark.parametrize(("clock", "late"), [(ClockState.SYNCED, 1), (ClockState.UNSYNCED, 0)])
async def test_a_report_that_comes_late_tells_when_it_was_by_a_clock_that_is_right(
    store, clock, late
):
    await told(store, DEAD, clock=clock, ago_ms=24 * HOUR_MS)
    assert await since_ms(store) == NOW - 2 * HOUR_MS - late * 24 * HOUR_MS


async def test_a_restart_of_the_gateway_shortens_no_silence(store):
    await told(store, DEAD)
    await told(store, DeviceWord("dead", 60, unheard=True))
    assert await since_ms(store) == NOW - 2 * HOUR_MS
    await told(store, DeviceWord("dead", 60))
    assert await since_ms(store) == NOW - 60_000, "it answered meanwhile"


@pytest.mark.parametrize("size", [1, 2, 9])
async def test_who_never_answered_is_listed_where_it_would_stand(store, size):
    await knows(store, "alive", "new")
    await told(store, DEAD, DeviceWord("new", 60))
    assert await listed(store, size) == ["alive", "dead", "new"]
    assert await listed(store, size, silent=True) == ["dead", "new"]
    assert await listed(store, size, drifted=True) == []
    assert await listed(store, size, wanted=parse_selector("model=P-110")) == ["alive", "new"]
    assert await listed(store, size, limit=Selector(())) == ["alive", "dead", "new"]
    assert await listed(store, size, limit=parse_selector("site=elsewhere")) == []
    view = await store.read(partial(view_device, AGENT, "dead"))
    assert (view.observed_at, view.model, view.facts) == (None, "", {})
    assert await store.read(partial(view_device, AGENT, "nobody")) is None


async def test_who_was_let_go_is_listed_no_more(store):
    await told(store, DEAD, DeviceWord("lost", 60))
    receipt = Receipt(1, b"e" * 16, "", 2, 1, 0, NOW, "", {"release._let_go": "dead"})
    await store.run(partial(note_facts, AGENT, receipt, NOW), durable=False)
    assert await listed(store) == ["lost"]


async def test_a_preview_counts_the_devices_that_do_not_answer(store):
    await knows(store, "dead", "well")
    await knows(store, "meter", model="M")
    await told(store, DEAD, DeviceWord("meter", 60), DeviceWord("stranger", 60))
    reach = await store.read(partial(reach_of, Targets(device_selector="model=P-110"), [AGENT]))
    assert (reach.devices, reach.silent, reach.unasked) == (2, 1, 0)


async def test_firmware_is_shown_by_device(store):
    await told(store, DEAD, DeviceWord("pump", image_permille=250))
    shown = await store.read(partial(images_of, AGENT))
    assert [(one.device, one.permille) for one in shown] == [("pump", 250)]
    view = await store.read(partial(view_device, AGENT, "pump"))
    assert (view.firmware_permille, view.silent_since) == (250, None)


@pytest.mark.parametrize(
    "words",
    [
        [DeviceWord(f"d{number}", 1) for number in range(4 * limits.DEVICES_PER_REPORT + 1)],
        [DEAD, DEAD],
        [DeviceWord("No Name", 1)],
        [DeviceWord("dead", -2)],
        [DeviceWord("dead", image_permille=1001)],
    ],
)
def test_words_of_devices_that_are_none_are_refused(words):
    check_report(msgspec.structs.replace(REPORT, devices=[DEAD]), fleet=FLEET)
    with pytest.raises(RefusedError, match="device"):
        check_report(msgspec.structs.replace(REPORT, devices=words), fleet=FLEET)
