"""`outstation-agent profile test`: a profile held against a device that answers on a real port."""

import asyncio
import json
from pathlib import Path

import pytest

from agent.__main__ import main
from firmware_sim.clock import SystemTicks
from firmware_sim.ledger import Ledger, LedgerSummary
from firmware_sim.ports import serve_tcp
from firmware_sim.station import Line, Station
from tests.sim_parts import pump

PROFILE = """profile = 1
name = "pump"
kind = "pump"
protocol = "modbus"
[identity]
model = "pump"
[[point]]
name = "pressure"
at = { table = "input", address = 0, type = "int16" }
scale = "0.01"
unit = "bar"
[[point]]
name = "setpoint"
at = { table = "holding", address = 100, type = "uint16" }
writable = true
max = 5000
"""
PATIENCE_MS = 5_000
"""A device that answers does so by then on any machine."""
SOON_MS = 100
"""For a device that never answers."""


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "pump.toml"
    path.write_text(PROFILE)
    return path


async def try_on(port: int, profile: Path, *more: str, timeout_ms: int = PATIENCE_MS) -> int:
    place = ["--url", f"tcp://127.0.0.1:{port}", "--address", "1", "--timeout", str(timeout_ms)]
    return await asyncio.to_thread(main, ["profile", "test", str(profile), *place, *more])


async def test_a_profile_that_fits_gives_every_value(profile, capsys):
    async with serve_tcp(Station(Line.TCP, [pump(1)])) as server:
        assert await try_on(server.port, profile) == 0
        shown = capsys.readouterr().out
        assert "vendor: Outstation" in shown
        assert "2 points read: all as the profile says" in shown
        assert await try_on(server.port, profile, "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert [(one["point"], one["value"]) for one in told["points"]][1] == ("setpoint", 3500)
        assert told["wrong"] == 0


async def test_every_point_that_is_not_there_is_named(profile, capsys):
    far = '[[point]]\nname = "far"\nat = { table = "discrete", address = 900 }\n'
    profile.write_text(
        PROFILE.replace("max = 5000", "max = 100").replace('"pump"\n[[', '"X-1"\n[[') + far
    )
    async with serve_tcp(Station(Line.TCP, [pump(1)])) as server:
        assert await try_on(server.port, profile, "--json") == 1
        told = json.loads(capsys.readouterr().out)
        wrong = {one["point"]: one["wrong"] for one in told["points"] if one["wrong"]}
        assert wrong == {"setpoint": "outside its limits, at most 100", "far": "device_exception"}
        assert told["drift"] == {"model": "X-1"}
        assert told["wrong"] == 3
        assert await try_on(server.port, profile) == 1
        assert "3 WRONG" in capsys.readouterr().out


async def test_nothing_is_written_to_the_device(profile):
    lines: list[bytes] = []
    ledger = Ledger(lines.append, SystemTicks())
    async with serve_tcp(Station(Line.TCP, [pump(1)], ledger=ledger)) as server:
        assert await try_on(server.port, profile) == 0
    told = LedgerSummary()
    told.feed(b"".join(lines))
    assert told.requests > 2
    assert told.writes == []


async def test_nobody_there_is_one_sentence(profile, capsys):
    station = Station(Line.TCP, [pump(1)], faults=["silence"])
    async with serve_tcp(station) as server:
        assert await try_on(server.port, profile, timeout_ms=SOON_MS) == 1
    assert "nobody answers there" in capsys.readouterr().err


def test_a_modbus_device_needs_an_address(profile, capsys):
    assert main(["profile", "test", str(profile), "--url", "tcp://127.0.0.1:1"]) == 2
    assert "--address: a Modbus device has an address" in capsys.readouterr().err
