"""Where files may be offered, and where neighbours may be: on a LAN, nowhere else."""

import pytest

from agent.services.lan import Network, choose, is_near, lan_networks, nearest

ETHERNET = ("eth0", Network("192.168.1.10/24"))
BRIDGE = ("docker0", Network("172.17.0.1/16"))
MODEM = ("wwan0", Network("10.64.3.2/30"))
PUBLIC = ("eth1", Network("8.8.4.4/24"))
LOOPBACK = ("lo", Network("127.0.0.1/8"))
EVERY = (LOOPBACK, ETHERNET, BRIDGE, MODEM, PUBLIC)


def chosen(*allowed: str) -> list[str]:
    found = choose(EVERY, allowed, is_lan=lambda name: name in {"eth0", "eth1", "docker0"})
    return [str(one.ip) for one in found]


def test_files_are_offered_on_lans_and_not_to_the_internet_or_over_a_modem():
    assert chosen() == ["192.168.1.10", "172.17.0.1"]


def test_a_person_names_interfaces_or_addresses():
    assert chosen("eth0") == ["192.168.1.10"]
    assert chosen("172.17.0.1", "wwan0") == ["172.17.0.1", "10.64.3.2"]
    assert chosen("lo") == ["127.0.0.1"]
    assert chosen("192.168.1.11") == []


def test_even_a_person_cannot_offer_files_to_the_internet():
    assert chosen("eth1", "8.8.4.4") == []


def test_this_machine_knows_its_own_loopback_and_takes_it_for_no_lan():
    assert lan_networks(["lo"])[0].network.is_loopback
    assert not any(one.network.is_loopback for one in lan_networks(()))


@pytest.mark.parametrize("address", ["8.8.8.8", "100.64.0.1", "2a00:1450::1", "0.0.0.0", "", "x"])
def test_what_a_router_passes_on_is_not_near(address):
    assert not is_near(address)


def test_a_neighbour_is_reached_in_a_network_that_both_are_in():
    here = [ETHERNET[1], BRIDGE[1]]
    assert nearest(["10.0.0.5", "192.168.1.20"], here) == "192.168.1.20"
    assert nearest(["10.0.0.5"], here) == "10.0.0.5"
    assert nearest(["8.8.8.8", "fe80::1"], here) is None
    assert nearest([], here) is None
