"""`outstation-sim device sensor-node` as a stranger runs it: real sockets, terminals, processes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest

from firmware_sim.commands.image import factory_key
from firmware_sim.smp.console import Decoder
from firmware_sim.smp.node import Medium
from firmware_sim.smp.os_group import Buffers
from firmware_sim.smp.packet import Malformed
from firmware_sim.smp.ports import serve_console, serve_udp
from tests.sim_parts import HANG_S, ROOT, sim_process
from tests.smp_parts import HEAD, READ, WRITE, Bench, lines_of, request, response


def sim(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "firmware_sim", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=HANG_S, check=False,
    )  # fmt: skip


class Master(asyncio.DatagramProtocol):
    """Asks over UDP, or over an open terminal; answers are taken by their sequence number."""

    def __init__(self) -> None:
        self.seq = 0
        self.send: Callable[[bytes], None] = lambda _: None
        self.answers: dict[int, bytes] = {}
        self.malformed = 0
        self._more = asyncio.Event()

    def hear_damage(self) -> None:
        self.malformed += 1
        self._more.set()

    async def damage(self) -> None:
        """Wait for an answer that is damaged."""
        async with asyncio.timeout(HANG_S):
            while not self.malformed:
                self._more.clear()
                await self._more.wait()

    def datagram_received(self, data: bytes, addr) -> None:
        self.answers[HEAD.unpack_from(data)[4]] = data
        self._more.set()

    def ask_later(self, op: int, group: int, command: int, values=None) -> int:
        self.seq = self.seq + 1 & 0xFF
        self.send(request(op, group, command, values, seq=self.seq))
        return self.seq

    async def answer(self, seq: int) -> dict:
        async with asyncio.timeout(HANG_S):
            while seq not in self.answers:
                self._more.clear()
                await self._more.wait()
        return response(self.answers.pop(seq))

    async def ask(self, op: int, group: int, command: int, values=None) -> dict:
        return await self.answer(self.ask_later(op, group, command, values))

    async def patiently(self, op: int, group: int, command: int, values=None) -> dict:
        """Ask again until somebody is there: a device that boots answers nothing."""
        for _ in range(200):
            seq = self.ask_later(op, group, command, values)
            try:
                async with asyncio.timeout(0.1):
                    return await self.answer(seq)
            except TimeoutError:
                continue
        raise AssertionError("nobody answers")

    async def upload(self, data: bytes, *, piece: int = 600) -> dict:
        answer: dict = {"off": 0}
        while answer["off"] < len(data):
            at = answer["off"]
            first = {"len": len(data)} if at == 0 else {}
            values = {"off": at, "data": data[at : at + piece]} | first
            answer = await self.ask(WRITE, 1, 1, values)
        return answer


@asynccontextmanager
async def udp_master(where: str):
    host, _, port = where.rpartition(":")
    loop = asyncio.get_running_loop()
    transport, master = await loop.create_datagram_endpoint(Master, remote_addr=(host, int(port)))
    master.send = transport.sendto
    try:
        yield master
    finally:
        transport.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def console_master(path):
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    master, decoder = Master(), Decoder(4_096)

    def take() -> None:
        for item in decoder.feed(os.read(fd, 4096)):
            if isinstance(item, Malformed):
                master.hear_damage()
            else:
                master.datagram_received(item, None)

    def send(packet: bytes) -> None:
        lines = lines_of(packet)
        assert os.write(fd, lines) == len(lines)

    master.send = send
    loop = asyncio.get_running_loop()
    loop.add_reader(fd, take)
    try:
        yield master
    finally:
        loop.remove_reader(fd)
        os.close(fd)


@pytest.fixture(params=["udp", "serial", "paced"])
async def line(request, tmp_path):
    """A master of a node's real process, and its ledger."""
    ledger = tmp_path / "ledger"
    options = ("device", "sensor-node", "--ledger", str(ledger))
    if request.param == "udp":
        async with (
            sim_process(*options, "--udp", "127.0.0.1:0") as (_, where),
            udp_master(where) as master,
        ):
            yield master, ledger
        return
    path = tmp_path / "node"
    baud = ("--baud", "921600") if request.param == "paced" else ()
    async with sim_process(*options, "--serial", str(path), *baud), console_master(path) as master:
        yield master, ledger


def lines_in(ledger) -> list[dict]:
    return [json.loads(line) for line in ledger.read_text().splitlines()]


async def test_an_update_goes_through_on_every_kind_of_line(line, tmp_path):
    master, ledger = line
    made = sim("image", str(tmp_path / "new"), "--version", "2.0.1", "--size-kb", "8")
    assert (made.returncode, made.stderr) == (0, "")
    assert (
        f'[firmware] key = "{factory_key().public_key().public_bytes_raw().hex()}"' in made.stdout
    )
    data = (tmp_path / "new").read_bytes()
    assert await master.upload(data) == {"off": len(data)}
    [_, new] = (await master.ask(READ, 1, 0))["images"]
    await master.ask(WRITE, 1, 0, {"hash": new["hash"]})
    await master.ask(WRITE, 0, 5)
    while (rows := (await master.patiently(READ, 1, 0))["images"])[0]["version"] != "2.0.1":
        pass
    assert [row["version"] for row in rows] == ["2.0.1", "1.0.0"]
    written = sum(row["size"] for row in lines_in(ledger) if row.get("smp") == [1, 1])
    assert written == len(data)


async def test_requests_in_flight_are_answered_in_turn():
    bench = Bench()
    async with serve_udp(bench.node) as port, udp_master(str(port.address)) as master:
        asked = [master.ask_later(WRITE, 0, 0, {"d": str(n)}) for n in range(4)]
        assert [await master.answer(seq) for seq in asked] == [{"r": str(n)} for n in range(4)]


async def test_requests_that_find_no_buffer_are_lost():
    bench = Bench(buffers=Buffers(count=2), faults=["slow=400"])
    async with serve_udp(bench.node) as port, udp_master(str(port.address)) as master:
        asked = [master.ask_later(WRITE, 0, 0, {"d": str(n)}) for n in range(4)]
        assert [await master.answer(seq) for seq in asked[:2]] == [{"r": "0"}, {"r": "1"}]
        assert bench.node.overrun == 2
        assert [row["event"] for row in bench.ledger() if "event" in row][1:] == ["overrun"] * 2


async def test_a_datagram_over_the_buffer_is_dropped():
    bench = Bench()
    async with serve_udp(bench.node) as port, udp_master(str(port.address)) as master:
        master.ask_later(WRITE, 0, 0, {"d": "x" * 1_100})
        assert await master.ask(WRITE, 0, 0, {"d": "x"}) == {"r": "x"}
        assert bench.node.malformed == 1


async def test_chatter_on_a_console_hides_no_answer_and_a_bad_crc_does(tmp_path):
    bench = Bench(medium=Medium.SERIAL, faults=["noise"])
    async with (
        serve_console(bench.node, tmp_path / "node"),
        console_master(tmp_path / "node") as master,
    ):
        assert await master.ask(WRITE, 0, 0, {"d": "x" * 200}) == {"r": "x" * 200}
        bench.node.clear_faults()
        bench.node.add_faults("bad-crc")
        master.ask_later(WRITE, 0, 0, {"d": "lost"})
        await master.damage()
        bench.node.clear_faults()
        assert await master.ask(WRITE, 0, 0, {"d": "x"}) == {"r": "x"}


async def test_flash_survives_kill_9_in_the_middle_of_an_upload(tmp_path):
    flash, new = tmp_path / "flash", tmp_path / "new"
    sim("image", str(new), "--version", "2.0.0", "--size-kb", "8")
    options = ("device", "sensor-node", "--udp", "127.0.0.1:0", "--flash", str(flash))
    data = new.read_bytes()
    async with sim_process(*options) as (process, where), udp_master(where) as master:
        await master.ask(WRITE, 1, 1, {"off": 0, "data": data[:600], "len": len(data)})
        process.send_signal(signal.SIGKILL)
        await process.wait()
    async with sim_process(*options) as (process, where), udp_master(where) as master:
        assert len((await master.ask(READ, 1, 0))["images"]) == 1
        await master.upload(data)
        [_, row] = (await master.ask(READ, 1, 0))["images"]
        await master.ask(WRITE, 1, 0, {"hash": row["hash"], "confirm": True})
        process.send_signal(signal.SIGKILL)
        await process.wait()
    async with sim_process(*options) as (process, where), udp_master(where) as master:
        assert (await master.ask(READ, 1, 0))["images"][0]["version"] == "2.0.0"
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_faults_are_switched_while_it_runs(tmp_path):
    control, ledger = tmp_path / "ctl", tmp_path / "ledger"
    options = ("--udp", "127.0.0.1:0", "--control", str(control), "--ledger", str(ledger))
    node = sim_process("device", "sensor-node", *options)
    async with node as (_, where), udp_master(where) as master:
        assert json.loads(sim("tell", str(control), "fault", "reboot-loop=1").stdout)
        while Counter(row.get("cause") for row in lines_in(ledger))["fault"] < 2:
            await master.patiently(READ, 0, 6)
        assert sim("tell", str(control), "clear").stdout == "ok\n"
        shown = json.loads(sim("tell", str(control), "show").stdout)
        assert (shown["running"], shown["slots"]) == ("version 1.0.0", {"0": "1.0.0"})
        sim("tell", str(control), "set", "p1_vwc=0.3")
        answer = await master.patiently(READ, 2, 0, {"name": "sensors"})
        assert answer["fields"]["p1_vwc"] == 300
        assert json.loads(sim("tell", str(control), "stats").stdout)["requests"] >= 1


async def test_a_bootloader_that_wants_images_signed_as_a_whole_is_asked_for(tmp_path):
    whole = str(tmp_path / "whole")
    assert sim("image", whole, "--version", "2.0.0", "--size-kb", "8", "--pure").returncode == 0
    node = ("device", "sensor-node", "--udp", "127.0.0.1:0", "--image", whole)
    assert "no hash of the kind" in sim(*node).stderr
    async with sim_process(*node, "--pure") as (_, where), udp_master(where) as master:
        [row] = (await master.ask(READ, 1, 0))["images"]
        assert (row["version"], len(row["hash"])) == ("2.0.0", 64)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("device", "sensor-node", "--tcp", "127.0.0.1:0"), "speaks SMP"),
        (("device", "sensor-node", "pump", "--udp", "127.0.0.1:0"), "port for itself"),
        (("device", "pump", "--udp", "127.0.0.1:0"), "--udp is for SMP"),
        (("device", "pump", "--tcp", "127.0.0.1:0", "--fault", "brick"), "sensor node"),
        (("device", "sensor-node", "--udp", "127.0.0.1:0", "--slot-kb", "7"), "--slot-kb"),
        (("device", "sensor-node", "--udp", "127.0.0.1:0", "--buffer", "9"), "--buffer"),
        (("device", "sensor-node", "--udp", "127.0.0.1:0", "--image", "/none"), "cannot read"),
        (("device", "sensor-node", "--udp", "127.0.0.1:0", "--image", "/dev/null"), "no image"),
        (("device", "sensor-node", "--udp", "127.0.0.1:0", "--key", "/dev/null"), "no Ed25519"),
        (("device", "sensor-node", "--udp", "127.0.0.1:0", "--fault", "noise"), "serial line"),
        (("device", "sensor-node", "--udp", "127.0.0.1:0", "--flash", "/dev"), "flash file"),
        (("image", "/dev/null", "--version", "1.2"), "X.Y.Z"),
        (("image", "/dev/null", "--version", "1.2.3", "--behave", "well"), "--behave well"),
    ],
)
def test_a_mistake_gets_one_sentence(arguments, said):
    done = sim(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_flash_file_of_another_size_is_not_touched(tmp_path):
    (tmp_path / "flash").write_bytes(b"somebody's")
    options = ("--udp", "127.0.0.1:0", "--flash", str(tmp_path / "flash"))
    done = sim("device", "sensor-node", *options)
    assert (done.returncode, "holds 10 bytes" in done.stderr) == (2, True)
    assert (tmp_path / "flash").read_bytes() == b"somebody's"
