"""What only the HTTP driver promises: who asks, bounds, connections kept and given up."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent.buses.factory import open_bus
from agent.core.ports import BusSettings, Urgency
from agent.drivers.registry import make_driver
from shared.errors import MistakeError, Reason, WorldError
from shared.model.profile import parse_profile
from shared.model.reading import Quality
from tests.agent_parts import device
from tests.contract.patience import PATIENT_MS, given_up, heard_out
from tests.contract.wires import plugged
from tests.driver_rigs import shipped
from tests.http_site import http_site
from tests.unit.test_modbus_import import BUS

PASSWORD = "correct horse"
POLLED = ["output", "power", "voltage", "energy", "temperature"]


def secret(folder: Path, text: str = f"admin:{PASSWORD}\n", mode: int = 0o600) -> Path:
    path = folder / "relay.secret"
    path.write_text(text)
    path.chmod(mode)
    return path


def digest(folder: Path, text: str = f"admin:{PASSWORD}\n") -> str:
    return f"?auth=digest&secret={secret(folder, text)}"


# --- points -------------------------------------------------------------------------------------
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_poll_is_one_request_on_a_connection_that_stays(chunked: bool):
    async with http_site(chunked=chunked) as site:
        readings = []
        for _ in range(3):
            readings = await site.driver.read(POLLED, urgency=Urgency.POLL)
            assert all(one.quality is Quality.GOOD for one in readings)
        assert (site.relay.bench.requests, site.port.connections) == (3, 1)
        assert 200 < float(readings[2].value or 0) < 260


async def test_a_device_that_closes_after_each_answer_is_asked_on_new_connections():
    async with http_site(keeps=False) as site:
        for _ in range(3):
            await site.driver.write({"output": True})
        assert (site.relay.bench.requests, site.port.connections) == (3, 3)


async def test_the_device_does_what_is_written():
    async with http_site() as site:
        assert site.driver.expected({"output": True, "auto_off": 30}) == {
            "output": 1,
            "auto_off": 30,
        }
        await site.driver.write({"output": True, "auto_off": 30})
        readings = await site.driver.read(["output", "auto_off"], urgency=Urgency.COMMAND)
        assert [one.value for one in readings] == [1, 30]
        assert site.relay.bench.value("output") == 1


async def test_an_error_inside_of_a_good_answer_is_one():
    text = (Path(__file__).parents[2] / "agent/profiles/shelly-relay.toml").read_text()
    profile = parse_profile(text.replace('"Switch.Set"', '"Switch.Sit"'), source="relay.toml")
    async with http_site(profile=profile) as site:
        with pytest.raises(WorldError, match=r"says: No handler for Switch\.Sit") as found:
            await site.driver.write({"output": True})
        assert found.value.reason is Reason.DEVICE_EXCEPTION


async def test_what_the_device_says_of_itself_is_known():
    async with http_site() as site:
        identity = await site.driver.identify()
        assert identity is not None
        assert (identity.model, identity.firmware) == ("SIM-RELAY", "1.4.4")
        assert identity.more["mac"] == "020000000001"


# --- who asks -----------------------------------------------------------------------------------
async def test_a_device_with_a_password_is_told_who_asks_once(tmp_path: Path):
    async with http_site(password=PASSWORD, options=digest(tmp_path)) as site:
        for _ in range(3):
            (reading,) = await site.driver.read(["voltage"], urgency=Urgency.POLL)
            assert reading.quality is Quality.GOOD
        told = [json.loads(line).get("status") for line in site.ledger[1:]]
        assert told == [401, 200, 200, 200]


async def test_a_nonce_that_grew_old_costs_one_more_request_and_no_reading(tmp_path: Path):
    async with http_site(password=PASSWORD, options=digest(tmp_path)) as site:
        await site.driver.read(["voltage"], urgency=Urgency.POLL)
        site.relay.forget_nonces()
        await site.driver.write({"output": True})
        assert site.relay.bench.value("output") == 1


async def test_a_wrong_password_is_tried_once_for_each_request(tmp_path: Path):
    options = digest(tmp_path, "admin:wrong\n")
    async with http_site(password=PASSWORD, options=options) as site:
        with pytest.raises(WorldError, match="does not accept the secret by digest"):
            await site.driver.write({"output": True})
        before = site.relay.bench.requests
        with pytest.raises(WorldError, match="does not accept"):
            await site.driver.write({"output": True})
        assert site.relay.bench.requests == before + 1
        assert site.relay.bench.value("output") == 0


async def test_without_a_secret_the_mend_is_told():
    async with http_site(password=PASSWORD) as site:
        with pytest.raises(WorldError, match="give the port auth= and secret="):
            await site.driver.write({"output": True})


@pytest.mark.parametrize(
    ("text", "mode", "auth", "sentence"),
    [
        ("admin:x", 0o644, "digest", "others than the agent may read the secret"),
        ("token", 0o600, "basic", "holds no NAME:PASSWORD"),
        ("two words", 0o600, "bearer", "holds no token"),
        ("", 0o600, "bearer", "holds no secret"),
        ("a:b\nc:d", 0o600, "digest", "in one line of text"),
    ],
)
def test_a_file_that_is_no_secret_is_a_mistake(
    text: str, mode: int, auth: str, sentence: str, tmp_path: Path
):
    url = f"http://127.0.0.1?auth={auth}&secret={secret(tmp_path, text, mode)}"
    settings = replace(device("relay-1"), profile=shipped("shelly-relay"))
    with pytest.raises(MistakeError, match=sentence):
        make_driver(settings, open_bus(BusSettings(name="b", url=url)))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http:///status", "names no host"),
        ("http://relay?auth=digest", "auth and secret go together"),
        ("http://relay?secret=/x", "auth and secret go together"),
        ("http://relay?auth=ntlm&secret=/x", "auth cannot be 'ntlm'"),
        ("http://admin:x@relay", "has parts that no port has"),
        ("http://relay/a%20b c", "no path of a URL"),
    ],
)
def test_a_url_that_is_none_is_a_mistake(url: str, sentence: str):
    with pytest.raises(MistakeError, match=sentence):
        open_bus(BusSettings(name="b", url=url))


def test_http_is_spoken_over_its_own_port_only():
    settings = replace(device("relay-1"), profile=shipped("shelly-relay"))
    with pytest.raises(MistakeError, match="over http:// only"):
        make_driver(settings, BUS)


# --- answers nobody should take -------------------------------------------------------------------
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: "


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2/\r\nContent-Length: 0\r\n\r\n", 402),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", 401),
        (HEAD + b"70000\r\n\r\n", 401),
        (HEAD + b"2\r\n\r\n[[", 401),
        (HEAD + b"3\r\n\r\nNaN", 401),
        (HEAD + b"80\r\n\r\n" + b"[" * 40 + b"]" * 40, 401),
        (b"SSH-2.0-dropbear\r\n", 401),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9_000, 401),
        (b"HTTP/1.1 100 Go on\r\n\r\n" * 9, 401),
        (HEAD + b"10\r\n\r\n{", 401),
    ],
)
async def test_an_answer_that_is_none_gives_no_value(answer: bytes, reason: int, tmp_path: Path):
    async with plugged("tcp", tmp_path) as wire:
        url = wire.url.replace("tcp:", "http:")
        settings = BusSettings(name="b", url=url, response_timeout_ms=PATIENT_MS, retries=0)
        bus = open_bus(settings)
        known = replace(device("relay-1"), profile=shipped("shelly-relay"))
        driver = make_driver(known, bus)
        try:
            reading = asyncio.create_task(driver.read(["power"], urgency=Urgency.POLL))
            await wire.heard(len(b"GET /rpc/Switch.GetStatus?id=0 HTTP/1.1"))
            wire.say(answer)
            assert [one.reason for one in await heard_out(bus, reading)] == [Reason(reason)]
            framed = bus.counters.answers == 1
            assert bus.counters.up == framed, "what cannot be told apart is given up"
        finally:
            await bus.close()


async def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one():
    async with http_site(faults=("slow=300",), timeout_ms=PATIENT_MS) as site:
        asked = asyncio.create_task(site.driver.read(["auto_off"], urgency=Urgency.COMMAND))
        (late,) = await given_up(site.bus, asked, when=lambda: site.relay.bench.requests)
        assert late.reason is Reason.DEVICE_SILENT
        site.relay.bench.clear_faults()
        (reading,) = await site.driver.read(["voltage"], urgency=Urgency.COMMAND)
        assert reading.quality is Quality.GOOD
        assert site.port.connections == 2


async def test_a_write_without_an_answer_is_not_sent_again():
    async with http_site(faults=("lost-reply",), timeout_ms=PATIENT_MS, retries=3) as site:
        writing = asyncio.create_task(site.driver.write({"output": True}))
        with pytest.raises(WorldError) as caught:
            await given_up(site.bus, writing, when=lambda: site.relay.bench.requests)
        assert caught.value.reason is Reason.DEVICE_SILENT
        assert site.relay.bench.requests == 1
