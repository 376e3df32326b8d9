"""An agent without Modbus devices does not pay for Modbus."""

import subprocess
import sys
from dataclasses import replace

import pytest

from agent.buses.factory import open_bus
from agent.core.device import DeviceSettings
from agent.core.ports import BusSettings
from agent.drivers.registry import make_driver
from shared.errors import MistakeError
from shared.ids import DeviceId
from shared.model.profile import parse_profile
from tests.unit.test_profile import PUMP

DEVICE = DeviceSettings(
    id=DeviceId("pump-1"), bus="b", address=1, profile=parse_profile(PUMP, source="x")
)
BUS = open_bus(BusSettings(name="b", url="tcp://127.0.0.1"))


def test_pymodbus_is_imported_with_the_first_modbus_device_and_without_its_client():
    script = (
        "import sys; import agent.buses.factory, agent.drivers.registry; "
        "assert 'pymodbus' not in sys.modules; "
        "from tests.unit.test_modbus_import import *; make_driver(DEVICE, BUS); "
        "assert 'pymodbus.pdu' in sys.modules; "
        "assert not {'pymodbus.client', 'pymodbus.server', 'pymodbus.transport'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_protocol_nobody_speaks_is_refused_by_name():
    device = replace(DEVICE, profile=replace(DEVICE.profile, protocol="dnp3"))
    with pytest.raises(MistakeError, match="device pump-1: no driver speaks 'dnp3'; known are mod"):
        make_driver(device, BUS)


def test_without_pymodbus_the_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.startswith("agent.drivers.modbus.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.split(".")[0] == "pymodbus"]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("pymodbus", "pymodbus.framer", "pymodbus.pdu"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MistakeError, match=r'install it with pip install "outstation\[modbus\]"'):
        make_driver(DEVICE, BUS)
