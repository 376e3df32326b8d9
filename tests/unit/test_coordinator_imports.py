"""What every command of the coordinator's administrator would wait for, also on a small board."""

import subprocess
import sys

SERVING = {"aiohttp", "coordinator.api", "coordinator.app", "prometheus_client", "zeroconf"}


def test_only_who_serves_waits_for_what_serves():
    script = "import sys, coordinator.__main__; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    loaded = set(shown.stdout.decode().split())
    assert "coordinator.commands.run" in loaded
    assert not loaded & SERVING
