"""The simulator on a real socket and a real terminal, asked by masters that share no code."""

import asyncio
import os
from contextlib import AsyncExitStack, suppress

import pytest

from firmware_sim import ports
from firmware_sim.clock import SystemTicks
from firmware_sim.ledger import Ledger, LedgerSummary
from firmware_sim.ports import serve_pty, serve_tcp
from firmware_sim.station import Line, Station
from shared import limits
from shared.errors import MistakeError, Reason, WorldError
from tests.sim_parts import (
    HANG_S,
    mbap,
    pump,
    read_pdu,
    rtu,
    rtu_master,
    slow_crc,
    tcp_master,
    write_pdu,
)


def serial_station(*faults: str, units=(1,), **options) -> Station:
    return Station(Line.SERIAL, [pump(unit) for unit in units], faults=faults, **options)


def tcp_station(*faults: str, units=(1,), **options) -> Station:
    return Station(Line.TCP, [pump(unit) for unit in units], faults=faults, **options)


# --- TCP ----------------------------------------------------------------------------------------
async def test_a_master_reads_and_writes_over_tcp():
    async with serve_tcp(tcp_station()) as server, tcp_master(server.port) as master:
        assert await master.registers(100, 2, 3) == (3500, 5)
        assert await master.ask(write_pdu(100, 4200)) == write_pdu(100, 4200)
        assert await master.registers(100, 1, 3) == (4200,)
        assert [(await master.registers(10, 2))[1] for _ in range(3)] == [1, 2, 3]


async def test_requests_in_flight_are_answered_in_their_order():
    async with serve_tcp(tcp_station()) as server, tcp_master(server.port) as master:
        sent = [master.send(read_pdu(10, 2)) for _ in range(20)]
        got = [await master.receive() for _ in sent]
        assert [transaction for transaction, _, _ in got] == sent
        assert [pdu[-1] for _, _, pdu in got] == list(range(1, 21))


async def test_two_masters_see_the_same_device():
    async with (
        serve_tcp(tcp_station()) as server,
        tcp_master(server.port) as one,
        tcp_master(server.port) as two,
    ):
        await one.ask(write_pdu(100, 1000))
        assert await two.registers(100, 1, 3) == (1000,)


async def test_nonsense_ends_the_connection_and_the_next_one_works():
    station = tcp_station()
    async with serve_tcp(station) as server:
        async with tcp_master(server.port) as master:
            master.writer.write(b"GET / HTTP/1.1\r\n\r\n")
            async with asyncio.timeout(HANG_S):
                assert await master.reader.read() == b""
        assert station.malformed == 1
        async with tcp_master(server.port) as master:
            assert await master.registers(100, 1, 3) == (3500,)


async def test_a_silent_device_leaves_the_request_unanswered_and_the_line_usable():
    station = tcp_station("silence:unit=2", units=(1, 2))
    async with serve_tcp(station) as server, tcp_master(server.port) as master:
        master.send(write_pdu(100, 1), unit=2)
        assert await master.registers(100, 1, 3) == (3500,)  # the first answer is this one's
        station.clear_faults()
        assert await master.registers(100, 1, 3, unit=2) == (3500,)


async def test_garbage_comes_instead_of_the_answer():
    station = tcp_station("garbage")
    async with serve_tcp(station) as server, tcp_master(server.port) as master:
        master.send(read_pdu(0, 1))
        async with asyncio.timeout(HANG_S):
            noise = await master.reader.read(100)
        assert noise
        assert min(noise) >= 0x80


async def test_a_slow_device_answers_late():
    async with serve_tcp(tcp_station("slow=120")) as server, tcp_master(server.port) as master:
        begun = asyncio.get_running_loop().time()
        assert await master.registers(100, 1, 3) == (3500,)
        assert asyncio.get_running_loop().time() - begun >= 0.115


async def test_too_many_masters_are_turned_away_and_the_others_stay():
    async with serve_tcp(tcp_station()) as server:
        pairs = [
            await asyncio.open_connection("127.0.0.1", server.port)
            for _ in range(limits.SIM_CONNECTIONS)
        ]
        for _, writer in pairs:
            writer.write(mbap(1, 1, read_pdu(100, 1, 3)))
        async with asyncio.timeout(HANG_S):
            for reader, _ in pairs:
                assert (await reader.readexactly(11))[-2:] == (3500).to_bytes(2)
            reader, extra = await asyncio.open_connection("127.0.0.1", server.port)
            # Closed without a word, in one way or the other.
            with suppress(ConnectionResetError):
                assert await reader.read(1) == b""
        for _, writer in [*pairs, (reader, extra)]:
            writer.close()


async def test_a_taken_port_gets_one_sentence():
    async with serve_tcp(tcp_station()) as server:
        with pytest.raises(WorldError, match="taken") as caught:
            async with serve_tcp(tcp_station(), port=server.port):
                pass
        assert caught.value.reason is Reason.BUS_DOWN


async def test_a_host_that_is_not_ours_gets_one_sentence():
    with pytest.raises(MistakeError, match="no address of this machine"):
        async with serve_tcp(tcp_station(), host="203.0.113.1"):
            pass


async def test_a_ledger_that_cannot_be_written_stops_the_device():
    def full(line: bytes) -> None:
        if b'"start"' not in line:
            raise WorldError(Reason.STORE_FULL, "the disk is full")

    station = tcp_station(ledger=Ledger(full, SystemTicks()))
    stack = AsyncExitStack()
    server = await stack.enter_async_context(serve_tcp(station))
    async with tcp_master(server.port) as master:
        master.send(read_pdu(0, 1))
        async with asyncio.timeout(HANG_S):
            await asyncio.wait({server.failed})
    with pytest.raises(WorldError, match="disk is full"):
        await stack.aclose()


# --- RTU ----------------------------------------------------------------------------------------
async def test_a_master_reads_and_writes_over_a_terminal(tmp_path):
    async with (
        serve_pty(serial_station(units=(1, 9)), tmp_path / "bus"),
        rtu_master(tmp_path / "bus") as master,
    ):
        assert await master.registers(100, 2, 3) == (3500, 5)
        master.send(rtu(9, write_pdu(100, 4200)))
        assert await master.receive(8) == rtu(9, write_pdu(100, 4200))
        assert await master.registers(100, 1, 3, unit=9) == (4200,)
        assert await master.registers(100, 1, 3, unit=1) == (3500,)


async def test_a_request_that_comes_byte_by_byte_is_answered(tmp_path, monkeypatch):
    # The pause that a busy machine makes between two bytes is not the silence that ends a frame.
    monkeypatch.setattr(ports, "_SILENCE_FLOOR_S", 2 * HANG_S)
    async with (
        serve_pty(serial_station(), tmp_path / "bus"),
        rtu_master(tmp_path / "bus") as master,
    ):
        for byte in rtu(1, read_pdu(100, 1, 3)):
            master.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await master.answered_registers(1, 3) == (3500,)


async def test_after_noise_and_a_silence_the_line_works_again(tmp_path):
    """The master waits for the device to notice, as a real one does by its timeout."""
    noticed = asyncio.Event()
    station = serial_station(ledger=Ledger(lambda _: noticed.set(), SystemTicks()))
    async with serve_pty(station, tmp_path / "bus"), rtu_master(tmp_path / "bus") as master:
        noticed.clear()
        master.send(b"\x01\x03\x00")  # half a request, then silence
        async with asyncio.timeout(HANG_S):
            await noticed.wait()
        assert station.malformed == 1
        assert await master.registers(100, 1, 3) == (3500,)


async def test_an_unknown_function_is_refused_after_the_silence(tmp_path):
    async with (
        serve_pty(serial_station(), tmp_path / "bus"),
        rtu_master(tmp_path / "bus") as master,
    ):
        master.send(rtu(1, b"\x64\x01\x02\x03"))
        assert await master.receive(5) == rtu(1, b"\xe4\x01")


async def test_masters_may_come_and_go(tmp_path):
    async with serve_pty(serial_station(), tmp_path / "bus"):
        for count in range(1, 4):
            async with rtu_master(tmp_path / "bus") as master:
                assert (await master.registers(10, 2))[1] == count


async def test_a_bad_crc_is_bad_and_the_rest_of_the_frame_is_right(tmp_path):
    async with (
        serve_pty(serial_station("bad-crc"), tmp_path / "bus"),
        rtu_master(tmp_path / "bus") as master,
    ):
        master.send(rtu(1, read_pdu(100, 1, 3)))
        answer = await master.receive(7)
        assert answer[:-2] == bytes.fromhex("01 03 02 0DAC")
        assert answer[-2:] != slow_crc(answer[:-2])


async def test_a_broadcast_is_obeyed_in_silence(tmp_path):
    async with (
        serve_pty(serial_station(units=(1, 2)), tmp_path / "bus"),
        rtu_master(tmp_path / "bus") as master,
    ):
        master.send(rtu(0, write_pdu(100, 4321)))
        assert await master.registers(100, 1, 3, unit=2) == (4321,)
        assert await master.registers(100, 1, 3, unit=1) == (4321,)


async def test_answers_take_the_time_of_the_line(tmp_path):
    async with (
        serve_pty(serial_station(), tmp_path / "bus", baud=19_200),
        rtu_master(tmp_path / "bus") as master,
    ):
        begun = asyncio.get_running_loop().time()
        words = await master.registers(0, 100)
        # 8 + 205 characters of 11 bits: a lower bound holds on any machine.
        assert asyncio.get_running_loop().time() - begun >= (8 + 205) * 11 / 19_200
        assert len(words) == 100


async def test_answers_nobody_reads_are_lost_as_on_a_real_line(tmp_path):
    station = serial_station()
    async with serve_pty(station, tmp_path / "bus") as port:
        writer = os.open(port.path, os.O_WRONLY | os.O_NOCTTY)
        try:
            async with asyncio.timeout(HANG_S):
                while port.overrun == 0:
                    os.write(writer, rtu(1, read_pdu(0, 125)))
                    await asyncio.sleep(0)
        finally:
            os.close(writer)
        assert station.requests > 1


async def test_the_name_disappears_with_the_device_and_only_its_own(tmp_path):
    path = tmp_path / "bus"
    async with serve_pty(serial_station(), path):
        assert path.is_symlink()
    assert not os.path.lexists(path)
    async with serve_pty(serial_station(), path):
        path.unlink()
        path.write_text("somebody else's")
    assert path.read_text() == "somebody else's"


async def test_a_name_that_is_something_else_is_left_alone(tmp_path):
    file, link, folder = tmp_path / "file", tmp_path / "link", tmp_path / "folder"
    file.write_text("precious")
    link.symlink_to(file)
    folder.mkdir()
    for path in (file, link, folder):
        with pytest.raises(MistakeError, match="exists"):
            async with serve_pty(serial_station(), path):
                pass
    assert link.readlink() == file
    assert file.read_text() == "precious"
    with pytest.raises(MistakeError, match="cannot create"):
        async with serve_pty(serial_station(), tmp_path / "none" / "bus"):
            pass


async def test_the_name_of_a_device_that_died_is_taken_over(tmp_path):
    path = tmp_path / "bus"
    path.symlink_to("/dev/pts/99999")
    async with serve_pty(serial_station(), path), rtu_master(path) as master:
        assert await master.registers(100, 1, 3) == (3500,)


async def test_the_name_of_a_device_that_lives_is_refused(tmp_path):
    path = tmp_path / "bus"
    async with serve_pty(serial_station(), path), rtu_master(path) as master:
        with pytest.raises(WorldError, match="already served"):
            async with serve_pty(serial_station(), path):
                pass
        assert await master.registers(100, 1, 3) == (3500,)


async def test_the_ledger_counts_what_the_master_got(tmp_path):
    lines: list[bytes] = []
    station = serial_station(
        "silence:p=0.3", "bad-crc:p=0.2", ledger=Ledger(lines.append, SystemTicks())
    )
    got = 0
    async with serve_pty(station, tmp_path / "bus"), rtu_master(tmp_path / "bus") as master:
        for _ in range(40):
            before = len(lines)
            master.send(rtu(1, read_pdu(10, 2)))
            async with asyncio.timeout(HANG_S):
                while len(lines) == before:
                    await asyncio.sleep(0)
            if b"silence" in lines[-1]:
                continue
            answer = await master.receive(9)
            if answer[-2:] == slow_crc(answer[:-2]):
                got += 1
                assert int.from_bytes(answer[3:7]) == got
    summary = LedgerSummary()
    summary.feed(b"".join(lines))
    assert 0 < got < 40
    assert summary.reads(1, "poll_count") == got
