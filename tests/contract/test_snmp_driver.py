"""What the SNMP driver promises beyond what every driver does."""

from pathlib import Path

import pytest

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.ports import BusSettings, Urgency
from agent.drivers.registry import make_driver
from agent.drivers.snmp.codec import GET, SnmpDecoder, encode
from firmware_sim.bench import Bench
from firmware_sim.device import Device
from firmware_sim.faults import TEXT_FAULTS
from firmware_sim.models import find_model
from firmware_sim.snmp.agent import Agent
from firmware_sim.snmp.ports import serve_snmp
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.model.profile import parse_profile
from shared.model.reading import Quality
from tests.driver_rigs import Rig, plugged_in, shipped

ABSENT = """
[[point]]
name = "absent"
at = { oid = "1.3.6.1.2.1.33.1.2.6.0" }
"""


def rig_of(agent: Agent, *, more: str = "") -> Rig:
    text = Path("agent/profiles/generic-ups.toml").read_text() if more else ""
    profile = parse_profile(text + more, source="p") if more else shipped("generic-ups")
    return Rig(
        profile=profile,
        told=agent.bench,
        serve=lambda port: serve_snmp(agent, port=port),
        url=lambda served: f"snmp://{served.address}",
    )


def bench() -> Bench:
    return Bench(Device(find_model("ups")), can=TEXT_FAULTS)


async def test_all_points_cost_one_request():
    async with plugged_in(rig_of(Agent(bench()))) as plugged:
        names = [point.name for point in plugged.rig.profile.points]
        readings = await plugged.driver.read(names, urgency=Urgency.POLL)
        assert {one.quality for one in readings} == {Quality.GOOD}
        assert plugged.rig.told.requests == 1


async def test_a_device_with_a_small_memory_is_asked_for_less_at_once_from_then_on():
    async with plugged_in(rig_of(Agent(bench(), size=160))) as plugged:
        names = [point.name for point in plugged.rig.profile.points]
        readings = await plugged.driver.read(names, urgency=Urgency.POLL)
        assert [one.point for one in readings] == names
        assert {one.quality for one in readings} == {Quality.GOOD}
        learning = plugged.rig.told.requests
        await plugged.driver.read(names, urgency=Urgency.POLL)
        assert plugged.rig.told.requests - learning < learning


async def test_an_object_the_device_does_not_have_takes_none_of_its_neighbours_with_it():
    async with plugged_in(rig_of(Agent(bench()), more=ABSENT)) as plugged:
        readings = await plugged.driver.read(["charge", "absent", "load"], urgency=Urgency.POLL)
        assert [one.reason for one in readings] == [None, Reason.POINT_UNKNOWN, None]


async def test_one_object_that_fails_takes_none_of_its_neighbours_with_it():
    async with plugged_in(rig_of(Agent(bench()))) as plugged:
        judge = plugged.rig.told.judge

        def once():
            verdict = judge()
            plugged.rig.told.clear_faults()
            return verdict

        plugged.rig.told.judge = once
        plugged.rig.told.add_faults("exception=5")
        readings = await plugged.driver.read(["charge", "load", "runtime"], urgency=Urgency.POLL)
        reasons = [one.reason for one in readings]
        assert reasons == [Reason.DEVICE_EXCEPTION, None, None]


async def test_a_write_is_one_request_that_takes_as_a_whole_or_not_at_all():
    async with plugged_in(rig_of(Agent(bench()))) as plugged:
        await plugged.driver.write({"low_battery_time": 9, "auto_restart": False})
        assert plugged.rig.told.requests == 1
        readings = await plugged.driver.read(
            ["low_battery_time", "auto_restart"], urgency=Urgency.COMMAND
        )
        assert [one.value for one in readings] == [9, 0]


async def test_a_community_that_may_only_read_is_told_so_by_name(tmp_path: Path):
    agent = Agent(bench(), write="private")
    async with plugged_in(rig_of(agent)) as plugged:
        with pytest.raises(WorldError) as caught:
            await plugged.driver.write({"low_battery_time": 9})
        assert caught.value.reason is Reason.DEVICE_EXCEPTION
        assert caught.value.detail == "low_battery_time: the device says noAccess"


async def test_a_wrong_community_is_met_with_silence_and_the_sentence_says_that_it_may_be(
    tmp_path: Path,
):
    async with plugged_in(
        rig_of(Agent(bench(), read="inside", write="inside")), timeout_ms=60
    ) as p:
        with pytest.raises(WorldError) as caught:
            await p.driver.identify()
        assert caught.value.reason is Reason.DEVICE_SILENT
        assert "a wrong community is met with silence too" in caught.value.detail


async def test_the_community_comes_from_a_file_that_others_may_not_read(tmp_path: Path):
    secret = tmp_path / "community"
    secret.write_text("inside\n")
    secret.chmod(0o600)
    agent = Agent(bench(), read="inside", write="inside")
    async with serve_snmp(agent) as served:
        url = f"snmp://{served.address}?secret={secret}"
        bus = open_bus(BusSettings(name="b", url=url, response_timeout_ms=2_000))
        device = DeviceSettings(
            id=DeviceId("ups"), bus="b", address=0, profile=shipped("generic-ups")
        )
        try:
            identity = await make_driver(device, bus).identify()
            assert identity is not None
            assert (identity.vendor, identity.model) == ("Outstation", "SIM-UPS")
            assert identity.more["object"] == "1.3.6.1.2.1.33.1"
            secret.chmod(0o644)
            with pytest.raises(MistakeError, match="others than the agent may read"):
                make_driver(device, bus)
        finally:
            await bus.close()


def test_an_answer_to_another_request_or_from_a_stranger_is_passed_over():
    oid = (1, 3, 6, 1, 2, 1, 1, 1, 0)
    answer, _ = Agent(bench()).answer(encode(GET, b"public", 7, [(oid, b"")]))
    heard = SnmpDecoder(number=7, community=b"public", repeatable=True).feed(answer)
    assert heard is not None
    assert heard.values[oid].text == "Outstation SIM-UPS 3.1"
    assert SnmpDecoder(number=8, community=b"public", repeatable=True).feed(answer) is None
    assert SnmpDecoder(number=7, community=b"other", repeatable=True).feed(answer) is None


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("snmp://", "names no host"),
        ("snmp://h/path", "names no host"),
        ("snmp://h?secret=", "names no file with the community"),
        ("snmp://h?comunity=x", "unknown option 'comunity'"),
        ("snmp://public@h", "has parts that no port has"),
    ],
)
def test_a_url_that_is_none_gets_one_sentence(url: str, sentence: str):
    with pytest.raises(MistakeError, match=sentence.replace("?", r"\?")):
        open_bus(BusSettings(name="b", url=url))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('at = { oid = "1.3.6.x" }', "'1.3.6.x' is no OID"),
        ('at = { oid = ".1.3.6.1" }', "is no OID"),
        ('at = { oid = "1.3.6.1.4294967296" }', "is no OID"),
        ('at = { oid = "1.3.6.1.0", type = "int" }', "type"),
        ('at = { oid = "1.3.6.1.0", type = "counter32" }\nwritable = true', "cannot be written"),
    ],
)
def test_a_point_that_is_none_gets_one_sentence(line: str, sentence: str):
    head = 'profile = 1\nname = "p"\nkind = "k"\nprotocol = "snmp"\n[[point]]\nname = "a"\n'
    with pytest.raises(MistakeError, match=sentence):
        parse_profile(head + line + "\n", source="p.toml")
