"""What a Modbus device says of itself, and what `device.sync` makes of it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.actions.hand import Hand
from agent.actions.sync import SyncAction
from agent.buses.factory import open_bus
from agent.core.loan import Owner
from agent.core.ports import BusSettings, Identity
from agent.core.queue import Problem
from agent.drivers.modbus.codec import RtuDecoder
from agent.drivers.modbus.identify import IdentifyQuery, Page
from agent.drivers.registry import make_driver
from agent.services.calendar import Calendar
from agent.store.devices import DeviceMemory
from agent.store.jobs_file import JobsFile
from firmware_sim.models import find_model
from firmware_sim.station import Line
from shared.errors import MistakeError, Reason, RefusedError, WorldError
from shared.model.identity import Expected
from shared.model.job import Step
from shared.model.profile import parse_profile
from tests.agent_parts import PUMP, PUMP_TEXT, Fixed, HandClock, device, uid
from tests.contract.patience import HASTY_MS, PATIENT_MS, waited_for
from tests.contract.slave import Slave, crc, serving
from tests.contract.test_modbus_simulator import site_on
from tests.contract.wires import plugged

BASIC = {0: b"Acme", 1: b"P-100", 2: b"2.1"}
ALL = {**BASIC, 3: b"https://acme.example", 5: b"Pump 100", 0x80: b"SN-0042", 0x81: b"\xff\x00"}
KINDS = {"serial": "rtu", "tcp": "tcp"}


@pytest.fixture(params=list(KINDS))
async def site(request, tmp_path: Path) -> AsyncIterator[tuple[Slave, Hand]]:
    """A pump that can say what it is, on a wire, and the hand that holds it."""
    file = await JobsFile(tmp_path, Fixed()).open()
    clock, kind = Calendar(HandClock()), request.param
    async with plugged(kind, tmp_path) as wire, serving(wire, KINDS[kind]) as slave:
        slave.cells |= {("input", 0): 7, ("holding", 0): 100, ("holding", 1): 15}
        bus = open_bus(
            BusSettings(name="line", url=wire.url, response_timeout_ms=PATIENT_MS, retries=0)
        )
        settings = device("pump-1")
        hand = Hand(
            driver=make_driver(settings, bus),
            settings=settings,
            memory=DeviceMemory(file, now=clock.now),
            owner=Owner(uid(1)),
            may_write=lambda *_: Problem(Reason.OUT_OF_BOUNDS, "nothing is written here"),
        )
        try:
            yield slave, hand
        finally:
            await bus.close()
            await file.close()


async def sync(hand: Hand):
    return await SyncAction().run(Step("s", "device.sync"), hand)


async def test_a_device_says_all_it_can_page_by_page(site):
    slave, hand = site
    slave.says, slave.page = ALL, 30
    told = await hand.identify()
    assert told == Identity(
        vendor="Acme",
        model="Pump 100",
        firmware="2.1",
        more={"product": "P-100", "url": "https://acme.example", "x80": "SN-0042", "x81": "?"},
    )
    assert slave.count(43) > 2


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("knows", [1, 2, 3])
async def test_who_knows_less_is_asked_for_less(site, knows: int, strict):
    slave, hand = site
    slave.says, slave.knows, slave.strict = ALL, knows, strict
    told = await hand.identify()
    assert (told.vendor, told.firmware) == ("Acme", "2.1")
    assert told.model == ("P-100" if knows == 1 else "Pump 100")
    assert ("x80" in told.more) is (knows == 3)
    assert slave.count(43) == (4 - knows if strict else 1)


async def test_a_device_without_the_function_is_asked_once_and_synced_by_its_points(site):
    slave, hand = site
    assert await hand.identify() is None
    assert slave.count(43) == 1
    outcome = await sync(hand)
    assert outcome.reason is None
    assert outcome.result["_identity"] is False
    assert outcome.result["flow"] == 7


RESET = """
[[point]]
name = "reset"
at = { table = "coil", address = 3 }
writable = true
verify = "none"
poll = false
"""


async def test_a_point_that_is_never_read_is_not_read_to_sync_a_device(site):
    slave, hand = site
    slave.cells[("coil", 3)] = 0
    head, _, points = PUMP_TEXT.partition("[[point]]")
    texts = (head + RESET + "[[point]]" + points, head + RESET)
    ends: list[Reason | None] = []
    for text in texts:
        settings = replace(hand.settings, profile=parse_profile(text, source="pump.toml"))
        driver = make_driver(settings, hand.driver._bus)
        outcome = await sync(replace(hand, settings=settings, driver=driver))
        assert "reset" not in outcome.result
        ends.append(outcome.reason)
    assert ends == [None, Reason.STEP_FAILED], "nothing else can be asked of the second one"
    assert slave.count(1) == 0


async def test_a_silent_device_is_no_device_without_words(site):
    slave, hand = site
    slave.mute = True
    waited_for(hand.driver._bus, hand.settings.address, ms=HASTY_MS)
    with pytest.raises(WorldError) as caught:
        await hand.identify()
    assert caught.value.reason is Reason.DEVICE_SILENT
    assert (await sync(hand)).reason is Reason.DEVICE_SILENT
    assert slave.count(43) == 1, "it was not asked again"


async def test_a_stream_that_does_not_move_on_ends(site):
    slave, hand = site
    slave.says = BASIC
    more = bytes([43, 14, 3, 0x83, 0xFF, 0, 1, 0, 4]) + b"Acme"
    tcp = slave.framing == "tcp"
    slave.spoil = lambda frame: slave.frame(frame[:2] + frame[6:7] if tcp else frame[:1], more)
    assert (await hand.identify()).vendor == "Acme"
    assert slave.count(43) == 1


async def test_sync_tells_what_differs_from_the_profile_and_writes_nothing(site):
    slave, hand = site
    slave.says = ALL
    expected = Expected(vendor=("Acme",), model=("Pump 100",), firmware=("2.2", "2.3"))
    settings = replace(hand.settings, profile=replace(PUMP, identity=expected))
    outcome = await sync(replace(hand, settings=settings))
    told = outcome.result
    assert outcome.reason is None, "drift is a finding, no failure"
    assert (told["_vendor"], told["_model"], told["_firmware"]) == ("Acme", "Pump 100", "2.1")
    assert (told["_drifted"], told["_drift"]) == (1, "firmware")
    assert told["_firmware.expected"] == "2.2 or 2.3"
    assert told["_told.x80"] == "SN-0042"
    assert slave.count(5, 6, 15, 16) == 0


# --- frames -------------------------------------------------------------------------------------
def rtu_of(pdu: bytes) -> bytes:
    return b"\x01" + pdu + crc(b"\x01" + pdu)


def answer(*objects: tuple[int, bytes], more: int = 0, following: int = 0) -> bytes:
    body = b"".join(bytes([number, len(data)]) + data for number, data in objects)
    return bytes([43, 14, 3, 0x83, more, following, len(objects)]) + body


@pytest.mark.parametrize("piece", [1, 2, 5, 300])
def test_an_answer_is_found_in_noise_and_in_any_pieces(piece: int):
    decoder = RtuDecoder(IdentifyQuery(code=3), 1)
    frame = b"\x00\x01\x2b" + rtu_of(answer((0, b"Acme"), (2, b"\x01\x2b\x0e\x03")))
    pages = [decoder.feed(frame[at : at + piece]) for at in range(0, len(frame), piece)]
    assert pages[:-1] == [None] * (len(pages) - 1)
    assert pages[-1] == Page({0: b"Acme", 2: b"\x01\x2b\x0e\x03"}, None, 3)


@pytest.mark.parametrize(
    "pdu",
    [
        b"\x2b",
        answer((0, b"Acme"))[:-1],
        answer((0, b"Acme")) + b"x",
        b"\x2b\x0d\x03\x83\0\0\0",
        answer((0, b"x" * 200), (1, b"x" * 200)),
    ],
)
def test_lengths_that_do_not_fit_together_are_no_answer(pdu: bytes):
    with pytest.raises(RefusedError) as caught:
        IdentifyQuery(code=3).decode(pdu)
    assert caught.value.reason is Reason.DEVICE_BAD_FRAME


# --- what the profile expects -------------------------------------------------------------------
TEXT = """
profile = 1
name = "pump"
kind = "pump"
protocol = "modbus"
{identity}
[[point]]
name = "flow"
at = {{ table = "input", address = 0, type = "uint16" }}
"""


def profile(identity: str):
    return parse_profile(TEXT.format(identity=identity), source="pump.toml")


def test_what_is_expected_is_part_of_a_profiles_hash():
    plain, named = profile(""), profile('[identity]\nvendor = "Acme"\nfirmware = ["1", "2"]')
    assert named.identity == Expected(vendor=("Acme",), firmware=("1", "2"))
    assert plain.content_hash == profile("[identity]").content_hash
    assert len({plain.content_hash, named.content_hash}) == 2


@pytest.mark.parametrize("value", ["1", '""', '["a", 2]', f'"{"x" * 101}"'])
def test_what_no_device_can_say_is_refused_at_its_line(value: str):
    with pytest.raises(MistakeError, match="line 7"):
        profile(f"[identity]\nmodel = {value}")


# --- against the product's simulator ------------------------------------------------------------
@pytest.mark.parametrize("line", Line)
async def test_a_simulated_device_is_who_its_model_says(line: Line, tmp_path: Path):
    model = find_model("pump")
    async with site_on(line, model, tmp_path) as simulated:
        told = await simulated.driver.identify()
        assert told == Identity(
            vendor=model.vendor,
            model=model.name,
            firmware=model.revision,
            more={
                "product": model.product,
                "product_name": model.about[:60].rstrip(),
                "x80": "SIM-001",
            },
        )
