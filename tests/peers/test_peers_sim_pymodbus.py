"""pymodbus' clients as masters of simulated devices."""

import pytest

pytest.importorskip("pymodbus", reason="pymodbus is not installed")
pytest.importorskip("serial", reason="pyserial is not installed")

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusIOException

from firmware_sim.clock import SystemTicks
from firmware_sim.device import Device
from firmware_sim.ledger import Ledger, LedgerSummary
from firmware_sim.models import find_model
from firmware_sim.ports import serve_pty, serve_tcp
from firmware_sim.station import Line, Station

PATIENCE_S = 10


def station(line: Line, lines: list[bytes]) -> Station:
    devices = [Device(find_model("pump"), unit=1), Device(find_model("meter"), unit=2)]
    return Station(line, devices, ledger=Ledger(lines.append, SystemTicks()))


@pytest.fixture
def lines() -> list[bytes]:
    return []


@pytest.fixture(params=list(Line), ids=lambda line: line.value)
async def bench(request, tmp_path, lines):
    """A connected pymodbus client and the station it talks to."""
    client: AsyncModbusTcpClient | AsyncModbusSerialClient
    served = station(request.param, lines)
    if request.param is Line.TCP:
        async with serve_tcp(served) as server:
            client = AsyncModbusTcpClient(
                "127.0.0.1", port=server.port, timeout=PATIENCE_S, retries=0
            )
            assert await client.connect()
            yield client, served
            client.close()
    else:
        async with serve_pty(served, tmp_path / "bus") as port:
            client = AsyncModbusSerialClient(
                str(port.path), baudrate=115_200, timeout=PATIENCE_S, retries=0
            )
            assert await client.connect()
            yield client, served
            client.close()


async def test_pymodbus_reads_and_writes_and_the_ledger_agrees(bench, lines):
    client, _ = bench
    for expected in (1, 2, 3):
        answer = await client.read_input_registers(0, count=12, device_id=1)
        assert answer.registers[10:] == [0, expected]
    assert not (await client.write_register(100, 4200, device_id=1)).isError()
    assert not (await client.write_registers(100, [4300, 7], device_id=1)).isError()
    answer = await client.read_holding_registers(100, count=2, device_id=1)
    assert answer.registers == [4300, 7]
    answer = await client.read_input_registers(0, count=2, device_id=2)
    volts = client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32)
    assert 220 < volts < 240
    summary = LedgerSummary()
    summary.feed(b"".join(lines))
    assert summary.reads(1, "poll_count") == 3
    assert [write.values for write in summary.writes] == [(4200,), (4300, 7)]


async def test_pymodbus_writes_and_reads_in_one_request(bench):
    client, _ = bench
    answer = await client.readwrite_registers(
        read_address=100, read_count=2, write_address=101, values=[9], device_id=1
    )
    assert answer.registers == [3500, 9]


async def test_pymodbus_is_refused_with_the_right_exceptions(bench):
    client, _ = bench
    refused = [
        (await client.write_register(100, 6000, device_id=1)).exception_code,
        (await client.write_register(7, 1, device_id=1)).exception_code,
        (await client.read_coils(0, count=1, device_id=1)).exception_code,
        (await client.read_holding_registers(65_530, count=10, device_id=1)).exception_code,
    ]
    assert refused == [3, 2, 1, 2]


async def test_pymodbus_identifies_the_device(bench):
    client, _ = bench
    answer = await client.read_device_information(read_code=1, object_id=0, device_id=2)
    assert answer.information == {0: b"Outstation", 1: b"SIM-METER", 2: b"1.0"}


async def test_pymodbus_sees_an_exception_that_was_asked_for(bench):
    client, served = bench
    served.add_faults("exception=6")
    answer = await client.read_input_registers(0, count=1, device_id=1)
    assert answer.exception_code == 6


async def test_pymodbus_gives_up_on_silence_and_a_bad_crc_and_comes_back(tmp_path, lines):
    served = station(Line.SERIAL, lines)
    async with serve_pty(served, tmp_path / "bus") as port:
        for fault in ("silence", "bad-crc"):
            served.add_faults(fault)
            hasty = AsyncModbusSerialClient(str(port.path), timeout=0.2, retries=0)
            assert await hasty.connect()
            with pytest.raises(ModbusIOException):
                await hasty.read_input_registers(10, count=2, device_id=1)
            hasty.close()
            served.clear_faults()
        patient = AsyncModbusSerialClient(str(port.path), timeout=PATIENCE_S, retries=0)
        assert await patient.connect()
        answer = await patient.read_input_registers(10, count=2, device_id=1)
        assert answer.registers == [0, 1]
        patient.close()
