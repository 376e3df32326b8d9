"""`doctor` at broken boxes: each thing that is wrong is one line with the place and the mend."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.__main__ import main
from agent.core.budget import BudgetSettings
from agent.core.doctor import Finding, Level, has_failed, render
from agent.core.ports import BusSettings
from agent.core.status import BudgetStatus, LinkStatus, Status
from agent.core.status_text import WIDTH
from agent.services.doctor import Box, examine, file_system
from agent.services.doctor_link import look_at_link
from agent.services.identity import Enrolment, save_enrolment
from firmware_sim.demo.layout import Place
from shared.runtime.clock import SystemClock
from tests.agent_parts import device
from tests.bench.outpost import open_centre
from tests.system import warm
from tests.system.fleet import open_fleet
from tests.system.fleet_parts import Gateway


def box(folder: Path, **changes: object) -> Box:
    """Return a box without devices."""
    (folder / "data").mkdir(exist_ok=True)
    fields: dict[str, Any] = {
        "data_dir": folder / "data",
        "runtime_dir": folder / "run",
        "buses": (),
        "devices": (),
        "budget": BudgetSettings(),
    }
    return Box(**(fields | changes))


async def found(one: Box) -> dict[str, Finding]:
    """Examine a box; return the newest finding of each kind."""
    findings = await asyncio.to_thread(lambda: list(examine(one)))
    return {finding.check: finding for finding in findings}


def look(enrolment: Enrolment) -> list[Finding]:
    return list(look_at_link(enrolment, now_s=SystemClock().wall_ms() / 1000))


def levels(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(one.check, one.level.value) for one in findings]


# --- the link -----------------------------------------------------------------------------------
async def test_each_step_to_a_coordinator_that_is_well_is_ok(tmp_path: Path):
    async with open_centre(tmp_path / "one") as centre:
        enrolment, _ = await centre.enrol(tmp_path / "agent", port=centre.port)
        steps = await asyncio.to_thread(look, enrolment)
    assert levels(steps) == [("name", "ok"), ("tcp", "ok"), ("tls", "ok"), ("certif.", "ok")]


async def test_another_fleets_coordinator_is_named_for_what_it_is(tmp_path: Path):
    async with open_centre(tmp_path / "one") as ours, open_centre(tmp_path / "two") as theirs:
        enrolment, _ = await ours.enrol(tmp_path / "agent", port=ours.port)
        lured = replace(enrolment, url=f"https://localhost:{theirs.port}")
        steps = await asyncio.to_thread(look, lured)
    assert levels(steps)[-1] == ("tls", "FAIL")
    assert "not the coordinator" in steps[-1].what


async def test_a_port_nobody_listens_on_ends_the_steps_at_tcp(tmp_path: Path):
    async with open_centre(tmp_path / "one") as centre:
        enrolment, _ = await centre.enrol(tmp_path / "agent", port=centre.port)
    steps = await asyncio.to_thread(look, enrolment)
    assert levels(steps) == [("name", "ok"), ("tcp", "FAIL")]
    assert "does not run there" in steps[-1].mend


async def test_a_server_that_speaks_no_tls_is_not_taken_for_a_bad_line(tmp_path: Path):
    async with open_centre(tmp_path / "one") as centre:
        enrolment, _ = await centre.enrol(tmp_path / "agent", port=centre.port)

    async def shout(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 printer ready\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        steps = await asyncio.to_thread(look, replace(enrolment, url=f"https://localhost:{port}"))
    assert levels(steps)[-1] == ("tls", "FAIL")
    assert "no TLS there" in steps[-1].what


async def test_a_name_without_an_address_is_the_first_thing_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with open_centre(tmp_path / "one") as centre:
        enrolment, _ = await centre.enrol(tmp_path / "agent", port=centre.port)

    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    (step,) = look(enrolment)
    assert (step.check, step.level) == ("name", Level.FAIL)
    assert "modem" in step.mend


# --- the box ------------------------------------------------------------------------------------
async def test_a_box_that_was_never_enrolled_is_told_how(tmp_path: Path):
    seen = await found(box(tmp_path))
    assert seen["agent"].level is Level.WARN
    assert seen["enrolled"].level is Level.FAIL
    assert "enroll --claim" in seen["enrolled"].mend
    assert seen["account"].level is Level.OK


async def test_an_enrolment_that_the_disk_spoilt_is_found(tmp_path: Path):
    async with open_centre(tmp_path / "one") as centre:
        enrolment, _ = await centre.enrol(tmp_path / "agent", port=centre.port)
    one = box(tmp_path)
    save_enrolment(one.data_dir, enrolment)
    seen = await found(one)
    assert "key" in seen["enrolled"].what, "its key is not there"
    (one.data_dir / "enrolment.json").write_text("{")
    assert (await found(one))["enrolled"].level is Level.FAIL


async def test_a_database_that_is_none_is_a_trouble_and_the_rest_is_looked_at(tmp_path: Path):
    one = box(tmp_path)
    (one.data_dir / "telemetry.db").write_bytes(b"no database" * 100)
    seen = await found(one)
    assert (seen["trouble"].level, seen["trouble"].where) == (Level.FAIL, "telemetry.db")
    assert "bytes" in seen


async def test_ports_that_are_not_there_or_no_ports_are_told_apart(tmp_path: Path):
    plain = tmp_path / "tty"
    plain.touch()
    gone = BusSettings(name="gone", url="serial:///dev/no-such-tty?baud=9600")
    wrong = BusSettings(name="wrong", url=f"serial://{plain}?baud=9600")
    pump = replace(device("pump-1"), bus="gone")
    one = box(tmp_path, buses=(gone, wrong), devices=(pump,))
    findings = await asyncio.to_thread(lambda: list(examine(one)))
    ports = [finding for finding in findings if finding.check == "port"]
    assert ["is not there" in ports[0].what, "no serial port" in ports[1].what] == [True, True]
    assert "by-id" in ports[0].mend
    assert not [one for one in findings if one.check == "device"], "nobody can be asked there"


async def test_a_converter_that_does_not_answer_is_found_by_asking(tmp_path: Path):
    with closing(socket.create_server(("127.0.0.1", 0))) as closed:
        port = closed.getsockname()[1]
    bus = BusSettings(name="line", url=f"tcp://127.0.0.1:{port}", response_timeout_ms=100)
    seen = await found(
        box(tmp_path, buses=(bus,), devices=(replace(device("pump-1"), bus="line"),))
    )
    assert (seen["port"].level, seen["port"].where) == (Level.FAIL, "bus line")


def test_a_configuration_that_is_wrong_is_the_one_finding(tmp_path: Path, capsys):
    config = tmp_path / "agent.toml"
    config.write_text("[uplink]\nmeterd = true\n")
    assert main(["doctor", "--json", "--config", str(config)]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["failed"] is True
    (finding,) = answer["findings"]
    assert finding["where"].endswith("line 2")
    assert "metered" in finding["mend"]
    assert main(["doctor", "--config", str(config)]) == 1
    assert "FAIL config" in capsys.readouterr().out


def test_the_place_of_the_journal_is_told_from_its_file_system(tmp_path: Path):
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/a / ext4 rw\ntmpfs /run tmpfs rw\n/dev/b /run/media\\040x vfat rw\n")
    kinds = [file_system(Path(p), mounts) for p in ("/home", "/run/x/y", "/run/media x/z", "/runs")]
    assert kinds == ["ext4", "tmpfs", "vfat", "ext4"]
    assert file_system(tmp_path, tmp_path / "none") == ""


def test_findings_fit_a_phone_and_say_where_and_the_mend():
    findings = [
        Finding(check="disk", level=Level.OK, what="900 MB free, 40 %", where="/data"),
        Finding(
            check="device",
            level=Level.FAIL,
            what="pump-1: device_silent",
            where="bus line",
            mend="power, address, baud and parity of the device; A and B of the line not swapped?",
        ),
    ]
    text = render(findings)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "at bus line" in text
    assert "-> power, address" in text
    assert "/data" not in text, "what is well takes one line"
    assert "\x1b" not in text
    assert "\x1b[31" in render(findings, colours=True)
    assert has_failed(findings)
    assert not has_failed(findings[:1])


def test_a_status_is_read_back_whole():
    status = Status(
        running=True,
        enrolled=True,
        link=LinkStatus(failures=3, fault="denied", detail="403 agent revoked"),
        budget=BudgetStatus(today=95, day_limit=100, rung="reserve"),
    )
    assert msgspec.json.decode(msgspec.json.encode(status), type=Status) == status


# --- a running agent ----------------------------------------------------------------------------
@pytest.mark.slow
async def test_a_running_agent_is_asked_instead_of_its_ports(tmp_path: Path):
    async with open_fleet(tmp_path) as fleet:
        await fleet.start_coordinator()
        places = [Place(f"pump-{n}", "pump", serial=False) for n in (1, 2)]
        gateway = await fleet.add_gateway("north", *places)
        await fleet.delivered(gateway, 1)
        status, failed, checks = await doctor(gateway)
        assert (status, failed) == (0, set())
        assert {"device", "tls", "contact", "account"} <= checks
        await gateway.devices["pump-2"].stop()
        await gateway.says(
            "a device that fails",
            lambda status: any(one["failed"] for one in status["devices"]) or None,
        )
        status, failed, _ = await doctor(gateway)
        assert status == 1
        assert failed <= {"device", "port"}
        live = gateway.live()
        assert live is not None
        assert live["budget"]["today"] > 0
        assert live["clock"]["state"]
        assert [bus["busy_permille"] > 0 for bus in live["buses"]] == [True, True]


async def doctor(gateway: Gateway) -> tuple[int, set[str], set[str]]:
    """Return the exit status, what failed, and what was looked at."""
    arguments = ("doctor", "--json", "--config", str(gateway.config))
    told = await warm.outcome(gateway.command(*arguments))
    findings = json.loads(told.out)["findings"]
    failed = {one["check"] for one in findings if one["level"] == "FAIL"}
    return told.status, failed, {one["check"] for one in findings}


def test_a_terminal_gets_colours_and_a_pipe_does_not(tmp_path: Path):
    config = tmp_path / "agent.toml"
    config.write_text('[agent]\ndata_dir = "data"\nruntime_dir = "run"\n')
    command = [sys.executable, "-m", "agent", "status", "--config", str(config)]
    screen, terminal = os.openpty()
    with os.fdopen(screen, "rb", 0) as shown, os.fdopen(terminal, "wb", 0) as tty:
        for term, coloured in (("xterm", True), ("dumb", False)):
            environment = {**os.environ, "TERM": term, "NO_COLOR": ""}
            subprocess.run(command, stdout=tty, env=environment, check=True, timeout=60)
            assert (b"\x1b[31;1m" in shown.read(65_536)) is coloured
    piped = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    assert b"\x1b" not in piped
    assert b"NOT RUNNING" in piped
