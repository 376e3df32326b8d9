"""What an agent keeps in memory all year because it was imported once."""

import subprocess
import sys

import pytest

OTHER_PROGRAMS = {"aiohttp", "coordinator", "cyclopts", "firmware_sim", "prometheus_client", "rich"}
HEAVY_PARTS = {
    "cryptography.hazmat.primitives.ciphers",  # every cipher that there is
    "cryptography.hazmat.primitives.serialization",  # RSA, ECDSA and OpenSSH: 1 MB
    "difflib",  # only a mistake needs it
    "email",  # http.client reads headers as mails: 1.1 MB
    "http",
    "ifaddr",  # zeroconf's
    "importlib.resources",  # reads packages out of archives: 0.9 MB
    "pymodbus.client",
    "pymodbus.server",
    "secrets",
    "shutil",
    "tempfile",
    "zeroconf",
    "zipfile",
}


@pytest.mark.parametrize("module", ["agent.app", "agent.drivers.modbus.driver"])
def test_a_running_agent_loads_none_of_what_it_does_not_use(module):
    script = f"import sys, agent.__main__, {module}; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    loaded = set(shown.stdout.decode().split())
    assert "asyncio" in loaded
    assert not loaded & (OTHER_PROGRAMS | HEAVY_PARTS)
