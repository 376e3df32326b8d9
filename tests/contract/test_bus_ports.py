"""What a bus has to say of its own port: a serial line that is shared or pulled, a network peer."""

import asyncio
import os
from pathlib import Path

import pytest
import serial

from agent.buses.factory import open_bus
from agent.core.ports import BusSettings, Urgency
from shared.errors import Reason, WorldError
from tests.contract.test_bus import ask, bus_on, refused
from tests.contract.wires import TcpWire, plugged


async def test_two_masters_on_one_port_are_refused(tmp_path: Path):
    async with (
        plugged("serial", tmp_path) as wire,
        bus_on(wire) as first,
        bus_on(wire) as second,
        asyncio.TaskGroup() as group,
    ):
        asked = group.create_task(ask(first, b"ping"))
        await wire.heard(4)
        with pytest.raises(WorldError, match="is in use by another program"):
            await ask(second, b"ping")
        with pytest.raises(serial.SerialException):
            serial.Serial(str(tmp_path / "port"), exclusive=True)
        wire.say(b"pong\n")
        assert await asked == b"pong"
        await first.close()
        free = group.create_task(ask(second, b"ping", Urgency.COMMAND))
        await wire.heard(4)
        wire.say(b"pong\n")
        assert await free == b"pong"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("{}/absent", "/absent does not exist; is the adapter plugged in?"),
        ("{}", "is not a serial port"),
        ("/dev/null", "/dev/null is not a serial port"),
    ],
)
async def test_a_port_that_cannot_be_opened_says_why(tmp_path: Path, path: str, sentence: str):
    bus = open_bus(BusSettings(name="b", url=f"serial://{path.format(tmp_path)}?baud=9600"))
    with pytest.raises(WorldError) as caught:
        await ask(bus, b"ping")
    assert caught.value.reason is Reason.BUS_DOWN
    assert sentence in caught.value.detail
    assert bus.counters.last_error == caught.value.detail
    await bus.close()


async def test_a_pulled_adapter_is_named_as_such(tmp_path: Path):
    async with (
        plugged("serial", tmp_path) as wire,
        bus_on(wire) as bus,
        asyncio.TaskGroup() as group,
    ):
        asked = group.create_task(refused(bus, b"ping"))
        await wire.heard(4)
        wire.pull()
        await asked
        assert bus.counters.last_error == f"serial://{tmp_path}/port: was unplugged"


async def test_a_frame_larger_than_the_port_takes_at_once_arrives_whole(tmp_path: Path):
    async with (
        plugged("serial", tmp_path) as wire,
        bus_on(wire) as bus,
        asyncio.TaskGroup() as group,
    ):
        long = os.urandom(50_000)
        asked = group.create_task(ask(bus, long))
        assert await wire.heard(len(long)) == long
        wire.say(b"ok\n")
        assert await asked == b"ok"


# --- network ports only -------------------------------------------------------------------------
async def test_a_refused_connection_says_where():
    wire = TcpWire("tcp")
    await wire.put_back()
    url = wire.url
    await wire.close()
    bus = open_bus(BusSettings(name="b", url=url))
    with pytest.raises(WorldError, match=f"{url[6:]} refuses connections; nothing listens"):
        await ask(bus, b"ping")
    await bus.close()


async def test_a_peer_that_hangs_up_between_exchanges_is_called_again(tmp_path: Path):
    async with plugged("tcp", tmp_path) as wire, bus_on(wire) as bus, asyncio.TaskGroup() as group:
        assert isinstance(wire, TcpWire)
        for number in (1, 2):
            asked = group.create_task(ask(bus, b"ping"))
            await wire.heard(4)
            wire.say(b"pong\n")
            assert await asked == b"pong"
            assert wire.connections == number
            wire.hang_up()
            while bus.counters.up:
                await asyncio.sleep(0)


async def test_a_stream_that_lost_its_framing_is_made_anew_a_line_is_kept(tmp_path: Path):
    for kind, connections in (("tcp", 2), ("rtu+tcp", 1)):
        async with (
            plugged(kind, tmp_path) as wire,
            bus_on(wire, retries=1) as bus,
            asyncio.TaskGroup() as group,
        ):
            asked = group.create_task(ask(bus, b"ping"))
            await wire.heard(4)
            wire.say(b"?")
            await wire.heard(4)
            wire.say(b"pong\n")
            assert await asked == b"pong"
            assert isinstance(wire, TcpWire)
            assert wire.connections == connections
