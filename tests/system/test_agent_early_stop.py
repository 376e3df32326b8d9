"""A stop that comes while the program is still being loaded is a clean stop."""

import asyncio
import signal
import sys
from pathlib import Path

_LOADS_AND_IS_STOPPED = """
import os, signal, sys
from agent.__main__ import main

class Stopper:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Stopper())
sys.exit(main(["run", "--config", sys.argv[2]]))
"""


async def test_a_stop_during_loading_ends_with_status_0(tmp_path: Path):
    config = tmp_path / "agent.toml"
    config.write_text(f'[agent]\ndata_dir = "{tmp_path}/data"\nruntime_dir = "{tmp_path}/run"\n')
    for module in ("agent.app", "agent.config", "shared.runtime.service"):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _LOADS_AND_IS_STOPPED, module, str(config)
        )
        async with asyncio.timeout(30):
            assert await child.wait() == 0, (module, signal.Signals.SIGTERM)
        assert not (tmp_path / "data").exists(), "nothing was begun"
