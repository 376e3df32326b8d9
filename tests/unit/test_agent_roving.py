"""A link that looks elsewhere: only after long silence, only for who proves it, and home again."""

import pytest

from agent.core.uplink import Delivered, Fault, LinkFailed
from agent.services.discovery import Candidate
from agent.services.endpoint import parse_url
from agent.services.roving import LOOK_AGAIN_MS, SILENT_MS, RovingLink
from shared.clock import MonoMs
from tests.system.coordinator_world import HOST, Gateway, body, found_in, open_world, serving
from tests.system.fleet_parts import free_port


class Hours:
    """A clock whose hours pass when a test says so."""

    def __init__(self):
        self.at_ms = 1_000

    def mono_ms(self):
        return MonoMs(self.at_ms)


class Network:
    """What is announced, and how often it was asked for."""

    def __init__(self, *ports):
        self.ports, self.asked = list(ports), 0

    async def find(self):
        self.asked += 1
        return [Candidate(HOST, port) for port in self.ports]


@pytest.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as made:
        yield made


def link(world, port, network, clock):
    home = parse_url(f"https://{HOST}:{port}", where="enrolment")
    return RovingLink(
        home,
        ca_pem=world.place.directory.authority.read_text(),
        where="enrolment",
        find=network.find,
        clock=clock,
    )


async def meet(roving, gateway: Gateway):
    frozen = gateway.report()
    end = await roving.exchange(body(frozen), wait_s=0, keep=False)
    if isinstance(end, Delivered):
        gateway.counter, gateway.previous = frozen.counter, frozen.digest
    return end


async def test_nobody_is_looked_for_before_the_url_was_silent_for_long(world):
    network, clock = Network(int(world.url.rpartition(":")[2])), Hours()
    roving, gateway = link(world, free_port(), network, clock), await world.gateway("pump")
    for _ in range(3):
        end = await meet(roving, gateway)
        assert isinstance(end, LinkFailed)
        assert end.fault is Fault.UNREACHABLE
    clock.at_ms += SILENT_MS - 1
    assert isinstance(await meet(roving, gateway), LinkFailed)
    assert network.asked == 0
    clock.at_ms += 1
    assert isinstance(await meet(roving, gateway), Delivered)
    assert isinstance(await meet(roving, gateway), Delivered), "it stays while it answers"
    assert network.asked == 1
    await roving.close()


async def test_a_liar_is_left_after_one_exchange_and_the_next_one_is_tried(world, tmp_path):
    (tmp_path / "liar").mkdir()
    place = await found_in(tmp_path / "liar")
    async with serving(place) as url:
        network = Network(int(url.rpartition(":")[2]), int(world.url.rpartition(":")[2]))
        clock = Hours()
        roving, gateway = link(world, free_port(), network, clock), await world.gateway("pump")
        await meet(roving, gateway)
        clock.at_ms += SILENT_MS
        end = await meet(roving, gateway)
        assert isinstance(end, LinkFailed)
        assert end.fault is Fault.UNTRUSTED
        assert isinstance(await meet(roving, gateway), Delivered)
        await roving.close()


async def test_where_nobody_is_found_the_url_is_asked_on_and_the_network_rarely(world):
    network, clock = Network(), Hours()
    port = free_port()
    roving, gateway = link(world, port, network, clock), await world.gateway("pump")
    await meet(roving, gateway)
    clock.at_ms += SILENT_MS
    for _ in range(3):
        end = await meet(roving, gateway)
        assert isinstance(end, LinkFailed)
        assert str(port) in end.detail, "it is at home"
    assert network.asked == 1
    clock.at_ms += LOOK_AGAIN_MS
    await meet(roving, gateway)
    assert network.asked == 2
    await roving.close()
