"""What the MQTT driver promises beyond what every driver does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.buses.factory import open_bus
from agent.buses.mqtt import MqttBus
from agent.core import mqtt
from agent.core.device import DeviceSettings
from agent.core.ports import BusSettings, Driver, Urgency
from agent.drivers.registry import make_driver
from firmware_sim.bench import Bench
from firmware_sim.device import Device
from firmware_sim.faults import TEXT_FAULTS
from firmware_sim.models import find_model
from firmware_sim.mqtt.packets import Kind, encode
from firmware_sim.mqtt.plug import Plug
from firmware_sim.mqtt.ports import Broker, serve_mqtt
from shared import limits
from shared.errors import MistakeError, Reason, WorldError
from shared.ids import DeviceId
from shared.model.profile import parse_profile
from shared.model.reading import Quality
from tests.contract.patience import HASTY_MS, waited_for
from tests.driver_rigs import shipped

HEAD = 'profile = 1\nname = "p"\nkind = "k"\nprotocol = "mqtt"\n'
SENSOR = f"""{HEAD}
[mqtt]
wait_ms = 50
[[point]]
name = "moisture"
at = {{ topic = "farm/{{device}}/soil-{{address}}", pointer = "/moisture" }}
[[point]]
name = "plain"
at = {{ topic = "farm/{{device}}/plain-{{address}}" }}
"""


@asynccontextmanager
async def site(**options: Any) -> AsyncIterator[Broker]:
    plug = Plug(Bench(Device(find_model("relay")), can=TEXT_FAULTS), name="shed")
    async with serve_mqtt(plug, **options) as broker:
        yield broker


@asynccontextmanager
async def bus_to(broker: Broker, *, query: str = "", timeout_ms: int = 2_000):
    url = f"mqtt://{broker.address}/shed{query}"
    bus = open_bus(BusSettings(name="b", url=url, response_timeout_ms=timeout_ms, retries=0))
    waited_for(bus, mqtt.Pong().unit)  # the broker answers; a device may say nothing
    try:
        yield bus
    finally:
        await bus.close()


def driver_on(bus, *, text: str = "", address: int = 0) -> Driver:
    profile = parse_profile(text, source="p.toml") if text else shipped("tasmota-plug")
    settings = DeviceSettings(id=DeviceId("d"), bus="b", address=address, profile=profile)
    return make_driver(settings, bus)


async def published(broker: Broker, topic: str, payload: bytes, *, retained: bool = False) -> None:
    """What another client of the broker says."""
    reader, writer = await asyncio.open_connection(*broker.address)
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + b"\0\1" + payload
    writer.write(b"\x10\x0d\0\4MQTT\4\2\0\0\0\1x")
    writer.write(encode(Kind.PUBLISH, body, 2 | retained))
    assert len(await reader.readexactly(8)) == 8, "the greeting's answer, and that it was taken"
    writer.close()
    await writer.wait_closed()


async def quality(driver: Driver, point: str) -> tuple[object, Quality]:
    (reading,) = await driver.read([point], urgency=Urgency.POLL)
    return reading.value, reading.quality


async def test_devices_by_address_share_one_connection_and_hear_their_own():
    async with site() as broker, bus_to(broker, timeout_ms=500) as bus:
        one, two = (driver_on(bus, text=SENSOR, address=number) for number in (1, 2))
        await one.read(["moisture"], urgency=Urgency.POLL)
        await published(broker, "farm/shed/soil-1", b'{"moisture": 11.5}')
        await published(broker, "farm/shed/plain-2", b" 22 ")
        assert await quality(one, "moisture") == (11.5, Quality.GOOD)
        assert await quality(two, "plain") == (22, Quality.GOOD)
        assert bus.counters.reconnects == 0


async def test_a_kept_word_that_nobody_vouches_for_is_uncertain_until_it_is_said_again():
    async with site() as broker, bus_to(broker, timeout_ms=500) as bus:
        await published(broker, "farm/shed/soil-1", b'{"moisture": 11.5}', retained=True)
        driver = driver_on(bus, text=SENSOR, address=1)
        assert await quality(driver, "moisture") == (11.5, Quality.UNCERTAIN)
        await published(broker, "farm/shed/soil-1", b'{"moisture": 12}')
        assert await quality(driver, "moisture") == (12, Quality.GOOD)


async def test_a_word_that_is_too_old_is_stale():
    async with site() as broker, bus_to(broker, timeout_ms=500) as bus:
        driver = driver_on(bus, text=SENSOR, address=1)
        await driver.read(["moisture"], urgency=Urgency.POLL)
        await published(broker, "farm/shed/soil-1", b'{"moisture": 12}')
        assert await quality(driver, "moisture") == (12, Quality.GOOD)
        assert isinstance(bus, MqttBus)
        (heard,) = bus.post.messages.values()
        older = heard.__class__(heard.payload, heard.retained, heard.at_s - 3_601)
        bus.post.messages["farm/shed/soil-1"] = older
        assert await quality(driver, "moisture") == (12, Quality.STALE)


async def test_a_last_will_makes_all_points_silent_and_refuses_commands():
    async with site() as broker, bus_to(broker) as bus:
        driver = driver_on(bus)
        assert (await quality(driver, "power"))[1] is Quality.GOOD
        await published(broker, "tele/shed/LWT", b"Offline")
        readings = await driver.read(["power", "output"], urgency=Urgency.POLL)
        assert {one.reason for one in readings} == {Reason.DEVICE_SILENT}
        with pytest.raises(WorldError, match="not there, says its broker"):
            await driver.write({"output": 1})
        assert broker.plug.bench.requests == 0, "no command left"


async def test_after_a_command_only_a_new_message_counts():
    async with site() as broker, bus_to(broker, timeout_ms=100) as bus:
        driver = driver_on(bus)
        assert await quality(driver, "output") == (0, Quality.GOOD)
        broker.plug.bench.add_faults("exception")
        await driver.write({"output": 1})
        (reading,) = await driver.read(["output"], urgency=Urgency.COMMAND)
        assert reading.reason is Reason.DEVICE_SILENT, "the plug said nothing since"


async def test_a_message_too_large_to_be_read_is_passed_over_and_the_next_is_read():
    async with site() as broker, bus_to(broker, timeout_ms=500) as bus:
        driver = driver_on(bus, text=SENSOR, address=1)
        await driver.read(["moisture"], urgency=Urgency.POLL)
        await published(broker, "farm/shed/soil-1", b"x" * 16_380)
        await published(broker, "farm/shed/soil-1", b'{"moisture": 12}')
        assert await quality(driver, "moisture") == (12, Quality.GOOD)
        assert bus.counters.reconnects == 0
        assert limits.MQTT_PACKET_BYTES <= 16_384


@pytest.mark.parametrize(
    ("word", "sentence"), [("admin:shut", "does not accept name"), ("admin", "NAME:PASSWORD")]
)
async def test_who_is_not_let_in_gets_the_brokers_word(tmp_path: Path, word: str, sentence: str):
    secret = tmp_path / "secret"
    secret.write_text(word)
    secret.chmod(0o600)
    async with site(user="admin", password="opens") as broker:
        with pytest.raises((WorldError, MistakeError), match=sentence):
            async with bus_to(broker, query=f"?secret={secret}") as bus:
                await driver_on(bus).write({"output": 1})


async def test_a_port_where_nobody_speaks_mqtt_says_so(monkeypatch: pytest.MonkeyPatch):
    settle = MqttBus._settle

    async def hastily(self: MqttBus, *asked: Any) -> object:
        """Connect with all patience, and wait for no answer."""
        monkeypatch.setattr(limits, "BUS_CONNECT_MS", HASTY_MS)
        return await settle(self, *asked)

    monkeypatch.setattr(MqttBus, "_settle", hastily)
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bus = open_bus(BusSettings(name="b", url=f"mqtt://127.0.0.1:{port}/shed"))
    try:
        with pytest.raises(WorldError, match="speaks no MQTT"):
            await driver_on(bus).write({"output": 1})
    finally:
        await bus.close()
        for writer in writers:
            writer.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mqtt://", "names no host"),
        ("mqtt://h/a?secret=", "secret in the URL says nothing"),
        ("mqtt://h/a?ca=x", "unknown option 'ca'"),
        ("mqtts://h/a?ca=/nowhere.pem", "cannot be used"),
        ("mqtt://h/+/a", "is no part of a topic"),
        ("mqtt://user:pw@h/a", "has parts that no port has"),
    ],
)
def test_a_url_that_is_none_gets_one_sentence(url: str, sentence: str):
    with pytest.raises(MistakeError, match=sentence):
        open_bus(BusSettings(name="b", url=url))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[[point]]\nname = "a"\nat = { topic = "a/#" }', "'a/#' is no topic"),
        ('[[point]]\nname = "a"\nat = { topic = "a/{id}" }', "a brace that is no slot"),
        ('[[point]]\nname = "a"\nat = { topic = "a", pointer = "x" }', "begins with a slash"),
        ('[[point]]\nname = "a"\nat = { topic = "a", write = "b" }', "has no commands"),
        ('[[point]]\nname = "a"\nat = { topic = "a" }\nwritable = true', "no command writes it"),
        ('[mqtt]\nonline = "x"\n[[point]]\nname = "a"\nat = { topic = "a" }', "go together"),
        ('[command.b]\ntopic = "b"\npayload = "on"', "a payload has a {value}"),
    ],
)
def test_a_profile_that_is_none_gets_one_sentence(text: str, sentence: str):
    with pytest.raises(MistakeError, match=sentence):
        parse_profile(f"{HEAD}{text}\n", source="p.toml")


async def test_a_url_without_a_device_is_refused_where_topics_name_it():
    async with site() as broker:
        bus = open_bus(BusSettings(name="b", url=f"mqtt://{broker.address}"))
        with pytest.raises(MistakeError, match="name the device, the bus' URL does not"):
            driver_on(bus)
        await bus.close()
