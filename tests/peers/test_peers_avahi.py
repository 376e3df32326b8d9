"""avahi announces what we look for, and finds what we announce."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.peers.avahi_session import FLEET
from tests.sim_parts import HANG_S, ROOT

SESSION = Path(__file__).with_name("avahi_session.py")
pytestmark = [
    pytest.mark.skipif(
        not all(map(shutil.which, ("avahi-daemon", "avahi-browse", "dbus-daemon"))),
        reason="avahi is not installed (apt-get install avahi-daemon avahi-utils dbus)",
    ),
    pytest.mark.skipif(os.getuid() != 0, reason="a network and files of its own need root"),
]


async def test_avahi_and_our_own_looking_and_announcing_find_each_other(tmp_path: Path):
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--net", "--mount", sys.executable, str(SESSION), str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    async with asyncio.timeout(2 * HANG_S):
        out, said = await process.communicate()
    if process.returncode and b"unshare" in said:
        pytest.skip(f"no network of its own here: {said.decode().strip()}")
    assert process.returncode == 0, said.decode()
    seen = json.loads(out)
    relay = ["relay._shelly._tcp", "127.0.0.1:8080", "Plus1PM", "1.4.4", "relay-0007"]
    assert seen["sightings"] == [relay]
    assert seen["coordinators"] == ["127.0.0.1:8443"], "the neighbours' is left out"
    assert seen["with_ours"] == ["127.0.0.1:8443", "127.0.0.1:9443"]
    digits = FLEET.hex()[:16]
    ours = f"outstation-{digits[:8]}-9443 127.0.0.1 9443 fleet={digits}"
    assert ours in [one.replace("\\045", "-") for one in seen["browsed"]]
    assert len(seen["browsed"]) == 3
    assert len(seen["after"]) == 2, "a goodbye was heard"
