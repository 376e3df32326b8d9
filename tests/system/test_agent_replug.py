"""Devices that vanish and come back before the whole agent: the same name, another port."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.ports import serve_pty, serve_tcp
from firmware_sim.station import Line, Station
from tests.sim_parts import pump
from tests.system.test_agent_process import ENDS_S, run, running, status

CONFIG = """\
[agent]
data_dir = "data"
runtime_dir = "run"
[[bus]]
name = "line"
url = "{url}"
response_timeout_ms = 5000
[[device]]
id = "pump-1"
bus = "line"
address = 1
profile = "pump.toml"
poll_interval_s = 0.1
"""
PROFILE = """\
profile = 1
name = "pump"
kind = "pump"
protocol = "modbus"
[[point]]
name = "flow"
at = { table = "input", address = 0, type = "uint16" }
"""


class Plug:
    """One device, in and out of a port; a serial one gets another pty each time, as by-id does."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder, self._kind = folder, kind
        self._stack = AsyncExitStack()
        self._number, self._port = 0, 0
        self.name = folder / "by-id"

    @property
    def url(self) -> str:
        if self._kind == "tcp":
            return f"tcp://127.0.0.1:{self._port}"
        return f"serial://{self.name}?baud=115200"

    async def plug_in(self) -> None:
        if self._kind == "tcp":
            served = serve_tcp(Station(Line.TCP, [pump(1)]), port=self._port)
            self._port = (await self._stack.enter_async_context(served)).port
            return
        self._number += 1
        path = self._folder / f"ttyUSB{self._number}"
        await self._stack.enter_async_context(serve_pty(Station(Line.SERIAL, [pump(1)]), path))
        self.name.symlink_to(path)

    async def pull_out(self) -> None:
        self.name.unlink(missing_ok=True)
        await self._stack.aclose()


@asynccontextmanager
async def plug(folder: Path, kind: str) -> AsyncIterator[Plug]:
    one = Plug(folder, kind)
    await one.plug_in()
    try:
        yield one
    finally:
        await one.pull_out()


async def seen(config: Path, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the status of the device once it is so."""
    async with asyncio.timeout(ENDS_S):
        while True:
            whole: Any = await status(config)
            (device,) = whole["devices"]
            if holds(device):
                return dict(device)


@pytest.mark.parametrize("kind", ["pty", "tcp"])
async def test_a_device_that_is_pulled_out_is_told_with_since_when_and_is_back_by_itself(
    tmp_path: Path, kind: str
) -> None:
    config = tmp_path / "agent.toml"
    (tmp_path / "pump.toml").write_text(PROFILE)
    async with plug(tmp_path, kind) as cable:
        config.write_text(CONFIG.format(url=cable.url))
        async with running(config) as agent:
            well = await seen(config, lambda one: one["polls"] > 2 and not one["failed"])
            assert well["silent_s"] is None
            assert well["problem"] == ""
            await cable.pull_out()
            gone = await seen(config, lambda one: one["failed"] > 2 and one["silent_s"] >= 1)
            assert gone["problem"] == "bus_down"
            shown, _, _ = await run("status", "--config", str(config))
            assert "bus line      DOWN" in shown
            assert "bus_down, for " in shown
            await cable.plug_in()
            back = await seen(config, lambda one: not one["failed"])
            assert back["silent_s"] is None
            assert back["polls"] > gone["polls"]
            assert await agent.end() == 0
        assert not [one for one in agent.events if one.get("level") == "error"], agent.events
