"""Ports of SNMP agents and MQTT brokers in the agent's own configuration."""

import pytest

from agent.buses.mqtt import MQTT_PORT, MQTTS_PORT
from agent.buses.snmp import SNMP_PORT
from agent.config_devices import _USUAL_PORTS, buses_of
from shared.errors import MistakeError
from shared.model.toml_text import TomlText


def buses(*urls: str) -> dict[str, str]:
    text = "".join(f'[[bus]]\nname = "b{at}"\nurl = "{url}"\n' for at, url in enumerate(urls))
    root = TomlText(text, source="agent.toml", bound=10_000).root(("bus",))
    return {name: bus.url for name, bus in buses_of(root).items()}


def test_devices_behind_one_broker_have_a_bus_each():
    assert len(buses("mqtt://broker/shed", "mqtt://broker:1883/barn", "snmp://broker")) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mqtt://broker/shed", "mqtt://BROKER:1883/shed/"),
        ("snmp://ups", "snmp://ups:161"),
        ("snmp://ups", "udp://ups:161"),
    ],
)
def test_two_names_of_one_place_are_noticed(one: str, other: str):
    with pytest.raises(MistakeError, match="is already the port of bus 'b0'"):
        buses(one, other)


def test_a_port_that_is_left_out_is_the_usual_one_of_its_bus():
    usual = (_USUAL_PORTS["snmp"], _USUAL_PORTS["mqtt"], _USUAL_PORTS["mqtts"])
    assert usual == (SNMP_PORT, MQTT_PORT, MQTTS_PORT)
