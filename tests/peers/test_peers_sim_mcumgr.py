"""mcumgr-toolkit, a client in Rust, takes the simulated sensor node through one update."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.sim_parts import HANG_S, sim_process
from tests.smp_parts import KEY, image

PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"
SESSION = Path(__file__).with_name("mcumgr_session.py")
pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="mcumgr-toolkit is not installed (make peers)"
)


@pytest.mark.parametrize("line", ["udp", "serial"])
async def test_a_client_in_another_language_updates_the_device(tmp_path, line):
    first, new, key = tmp_path / "first", tmp_path / "new", tmp_path / "key.pem"
    first.write_bytes(image("1.0.0"))
    new.write_bytes(image("2.0.0", size=30_000))
    key.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    port = ("--udp", "127.0.0.1:0") if line == "udp" else ("--serial", str(tmp_path / "node"))
    options = ("device", "sensor-node", "--image", str(first), "--key", str(key))
    async with sim_process(*options, *port) as (_, where):
        process = await asyncio.create_subprocess_exec(
            *(PYTHON, SESSION, where, new), stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(HANG_S):
            out, _ = await process.communicate()
    assert process.returncode == 0
    assert json.loads(out) == {
        "echo": "hello",
        "before": [["1.0.0", True, True, False]],
        "sensors": 1,
        "slots": [0, 1],
        "file": True,
        "tested": [["1.0.0", True, True, False], ["2.0.0", False, False, True]],
        "confirmed": [["2.0.0", True, True, False], ["1.0.0", False, False, False]],
        "erased": [["2.0.0", True, True, False]],
    }
