"""`outstation-sim` as a stranger runs it: real processes, signals, exit codes, sentences."""

import json
import os
import signal
import subprocess
import sys

import pytest

from firmware_sim.ledger import LedgerSummary
from tests.sim_parts import (
    HANG_S,
    ROOT,
    read_pdu,
    rtu_master,
    sim_process,
    tcp_master,
    write_pdu,
)


def sim(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "firmware_sim", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=HANG_S, check=False,
    )  # fmt: skip


def port_of(where: str) -> int:
    return int(where.rpartition(":")[2])


def summary_of(path) -> LedgerSummary:
    summary = LedgerSummary()
    summary.feed(path.read_bytes())
    assert summary.unreadable == 0
    return summary


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_device_says_ready_serves_and_stops_when_told(tmp_path, number):
    ledger = tmp_path / "ledger"
    arguments = ("--tcp", "127.0.0.1:0", "--ledger", str(ledger), "--set", "setpoint=1000")
    async with sim_process("device", "pump", *arguments) as (process, where):
        async with tcp_master(port_of(where)) as master:
            assert await master.registers(100, 1, 3) == (1000,)
            await master.ask(write_pdu(100, 1500))
        process.send_signal(number)
        assert await process.wait() == 0
    summary = summary_of(ledger)
    assert summary.reads(1, "setpoint") == 1
    assert [write.values for write in summary.writes] == [(1500,)]


async def test_kill_9_keeps_the_ledger_and_the_next_device_takes_the_name(tmp_path):
    path, ledger = tmp_path / "bus", tmp_path / "ledger"
    arguments = ("--serial", str(path), "--ledger", str(ledger))
    for run in (1, 2):
        async with sim_process("device", "pump@1", "meter@2", *arguments) as (process, where):
            assert where == str(path)
            async with rtu_master(path) as master:
                for count in range(1, 6):
                    assert (await master.registers(10, 2))[1] == count
                await master.registers(0, 2, unit=2)
            process.kill()
            await process.wait()
        assert os.path.lexists(path)
        summary = summary_of(ledger)
        assert summary.reads(1, "poll_count") == 5 * run
        assert summary.reads(2, "voltage_l1") == run


async def test_faults_are_switched_while_it_runs(tmp_path):
    control = tmp_path / "ctl"
    arguments = ("--tcp", "127.0.0.1:0", "--control", str(control))
    async with (
        sim_process("device", "pump", *arguments) as (_, where),
        tcp_master(port_of(where)) as master,
    ):
        assert sim("tell", str(control), "fault", "exception=6").returncode == 0
        assert await master.ask(read_pdu(0, 1)) == b"\x84\x06"
        assert sim("tell", str(control), "clear").returncode == 0
        assert sim("tell", str(control), "set", "pressure=2.5").returncode == 0
        assert await master.registers(0, 1) == (2500,)
        shown = json.loads(sim("tell", str(control), "show").stdout)
        assert shown["1"]["pressure"] == 2.5
        assert json.loads(sim("tell", str(control), "stats").stdout)["requests"] == 2
        wrong = sim("tell", str(control), "fault", "silence:p=7")
        assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


def test_the_ready_line_also_goes_to_a_descriptor():
    read_fd, write_fd = os.pipe()
    command = (sys.executable, "-m", "firmware_sim", "device", "pump", "--tcp", "127.0.0.1:0")
    with os.fdopen(read_fd) as ready:
        process = subprocess.Popen(
            [*command, "--ready-fd", str(write_fd)],
            cwd=ROOT, pass_fds=[write_fd], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(write_fd)
        try:
            assert ready.read().startswith("ready 127.0.0.1:")
        finally:
            process.terminate()
            assert process.wait(HANG_S) == 0


async def test_a_recording_is_replayed(tmp_path):
    recording = tmp_path / "rec.csv"
    recording.write_text("unix_ms,p_bar\n0,1.5\n3600000,2.5\n")
    arguments = ("--tcp", "127.0.0.1:0", "--replay", str(recording), "--map", "pressure=p_bar")
    async with (
        sim_process("device", "pump", *arguments) as (_, where),
        tcp_master(port_of(where)) as master,
    ):
        assert await master.registers(0, 1) == (1500,)


async def test_the_same_seed_and_start_show_the_same(tmp_path):
    shown = []
    # A speed at which nothing moves while the two processes start.
    arguments = ("--seed", "42", "--start-ms", "1760000000000", "--speed", "0.000001")
    for _ in range(2):
        async with (
            sim_process("device", "soil", "--tcp", "127.0.0.1:0", *arguments) as (_, where),
            tcp_master(port_of(where)) as master,
        ):
            shown.append(await master.registers(0, 60))
    assert shown[0] == shown[1]


async def test_a_link_passes_connections_and_obeys(tmp_path):
    control = tmp_path / "ctl"
    async with sim_process("device", "pump", "--tcp", "127.0.0.1:0") as (_, device):
        arguments = ("--listen", "127.0.0.1:0", "--to", device, "--control", str(control))
        async with sim_process("link", *arguments) as (process, where):
            async with tcp_master(port_of(where)) as master:
                assert await master.registers(100, 1, 3) == (3500,)
                assert json.loads(sim("tell", str(control), "reset").stdout) == {"reset": 1}
                with pytest.raises((ConnectionError, EOFError)):
                    await master.registers(100, 1, 3)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0


async def test_a_taken_port_is_the_worlds_fault(tmp_path):
    async with sim_process("device", "pump", "--tcp", "127.0.0.1:0") as (_, where):
        result = sim("device", "pump", "--tcp", where)
        assert (result.returncode, result.stderr.count("\n")) == (1, 1)
        assert "already taken" in result.stderr
    async with sim_process("device", "pump", "--serial", str(tmp_path / "bus")):
        result = sim("device", "pump", "--serial", str(tmp_path / "bus"))
        assert (result.returncode, result.stderr.count("\n")) == (1, 1)


TCP = ("--tcp", "127.0.0.1:0")


@pytest.mark.parametrize(
    "arguments",
    [
        ("device", "toaster", *TCP),
        ("device", "./none.toml", *TCP),
        ("device", "pump", "--tcp", "somewhere"),
        ("device", "pump", "--tcp", "127.0.0.1:99999"),
        ("device", "pump", "--serial", "/etc/passwd"),
        ("device", "pump", "--serial", "/no/such/folder/bus"),
        ("device", "pump@x", *TCP),
        ("device", "pump@0", *TCP),
        ("device", "pump@1", "meter@1", *TCP),
        ("device", "pump", "meter", "--unit", "3", *TCP),
        ("device", "pump", "--unit", "248", *TCP),
        ("device", "pump", "--unit", "5", "--unit", "5", *TCP),
        ("device", "pump", "--count", "0", *TCP),
        ("device", "pump", "--count", "248", *TCP),
        ("device", "pump", "--fault", "gremlins", *TCP),
        ("device", "pump", "--fault", "bad-crc", *TCP),
        ("device", "pump", "--set", "setpoint=9999", *TCP),
        ("device", "pump", "--set", "setpoint", *TCP),
        ("device", "pump", "--replay", "/none.csv", *TCP),
        ("device", "pump", "--map", "a=b", *TCP),
        ("device", "pump", "--ledger", "/no/such/folder/ledger", *TCP),
        ("device", "pump", "--speed", "0", *TCP),
        ("device", "pump", "--speed", "nan", *TCP),
        ("device", "pump", "--baud", "9600", *TCP),
        ("device", "pump", "--ready-fd", "77", *TCP),
        ("link", "--listen", "127.0.0.1:0", "--to", "x"),
        ("link", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--rate-bps", "0"),
        ("models", "toaster"),
    ],
    ids=" ".join,
)
def test_a_mistake_gets_one_sentence_and_exit_code_2(arguments):
    result = sim(*arguments)
    assert result.returncode == 2, result.stderr
    complaint = result.stderr.splitlines()[-1]
    assert complaint.startswith("outstation-sim: ")
    assert "Traceback" not in result.stderr


def test_help_and_models_explain_themselves():
    assert "examples:" in sim("device", "--help").stdout
    assert "black-hole" in sim("link", "--help").stdout
    assert {model["name"] for model in json.loads(sim("models", "--json").stdout)} == {
        *("meter", "pump", "soil", "inverter"),
        *("relay", "tank", "ups", "weather"),
    }
    assert sim("device", "pump").returncode == 2  # neither --serial nor --tcp


def test_several_slaves_take_consecutive_units():
    from firmware_sim.commands.device import DeviceOrder, _placed
    from shared.errors import MistakeError

    def units(*models, **options):
        order = DeviceOrder(models=models, serial=None, tcp=None, columns={}, **options)
        return [(model.name, unit) for model, unit in _placed(order)]

    assert units("pump", count=3) == [("pump", 1), ("pump", 2), ("pump", 3)]
    assert units("pump", units=[7], count=2) == [("pump", 7), ("pump", 8)]
    assert units("pump", units=[7, 3]) == [("pump", 7), ("pump", 3)]
    assert units("pump@5", "meter", "soil@2") == [("pump", 5), ("meter", 6), ("soil", 2)]
    with pytest.raises(MistakeError):
        units("pump@240", count=9)
