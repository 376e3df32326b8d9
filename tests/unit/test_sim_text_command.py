"""The command line of devices that answer in text: what they do, and sentences for mistakes."""

import json
import socket
import subprocess
import sys

import pytest

from firmware_sim.__main__ import main


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["pump", "--http", "127.0.0.1:0"], "a pump speaks no HTTP; a relay does"),
        (["pump", "--line", "--tcp", "127.0.0.1:0"], "a pump speaks no lines of text"),
        (["tank", "--line", "--udp", "127.0.0.1:0"], "--line needs a port"),
        (["tank", "--tcp", "127.0.0.1:0", "--password", "x"], "--password is for --http"),
        (["tank", "soil", "--line", "--tcp", "127.0.0.1:0"], "has a port for itself"),
        (["relay", "--http", "127.0.0.1:0", "--fault", "bad-crc"], "cannot have bad-crc"),
        (["pump", "--tcp", "127.0.0.1:0", "--fault", "cut"], "cut is a fault of"),
        (["sensor-node", "--http", "127.0.0.1:0"], "a sensor-node speaks SMP"),
    ],
)
def test_what_no_device_does_is_refused_in_a_sentence(words, sentence, capsys):
    assert main(["device", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_relay_answers_and_writes_its_ledger(tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    words = ["relay", "--http", "127.0.0.1:0", "--set", "output=1", "--ledger", str(ledger)]
    command = [sys.executable, "-m", "firmware_sim", "device", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        host, _, port = ready.removeprefix("ready ").strip().rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as link:
            link.sendall(b"GET /rpc/Switch.GetStatus?id=0 HTTP/1.1\r\nHost: a\r\n")
            link.sendall(b"Connection: close\r\n\r\n")
            answer = b"".join(iter(lambda: link.recv(4096), b""))
        process.terminate()
        assert process.wait(30) == 0
    status = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert status["output"] is True
    assert status["apower"] > 0
    noted = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert [one.get("ok") for one in noted] == [None, True]
