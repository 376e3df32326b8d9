"""mbpoll (libmodbus, in C) as the master of simulated devices."""

import asyncio
import re
import shutil

import pytest

from tests.sim_parts import HANG_S, sim_process

pytestmark = pytest.mark.skipif(
    shutil.which("mbpoll") is None, reason="mbpoll is not installed (apt-get install mbpoll)"
)


async def mbpoll(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *("mbpoll", "-0", "-1", "-o", "5", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(HANG_S):
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


def values(out: str) -> dict[int, float]:
    rows = re.findall(r"^\[(\d+)\]:\s+(-?[\d.]+)", out, re.MULTILINE)
    return {int(address): float(value) for address, value in rows}


@pytest.fixture(params=["tcp", "rtu"])
async def line(request, tmp_path):
    """Arguments that lead mbpoll to a pump at unit 1 and a meter at unit 2."""
    if request.param == "tcp":
        async with sim_process("device", "pump@1", "meter@2", "--tcp", "127.0.0.1:0") as (_, where):
            yield ("-p", where.rpartition(":")[2], "127.0.0.1")
    else:
        path = str(tmp_path / "bus")
        async with sim_process("device", "pump@1", "meter@2", "--serial", path):
            yield ("-m", "rtu", "-P", "none", path)


async def test_mbpoll_reads_measurements_settings_and_floats(line):
    *options, where = line
    inputs = values(await mbpoll("-t", "3", "-r", "0", "-c", "12", *options, where))
    assert sorted(inputs) == list(range(12))
    assert inputs[11] == 1
    counted = values(await mbpoll("-t", "3:int", "-B", "-r", "10", *options, where))
    assert counted == {10: 2}
    assert values(await mbpoll("-t", "4", "-r", "100", "-c", "2", *options, where)) == {
        100: 3500,
        101: 5,
    }
    floats = values(
        await mbpoll("-a", "2", "-t", "3:float", "-B", "-r", "0", "-c", "8", *options, where)
    )
    assert 220 < floats[0] < 240
    assert 49.9 < floats[14] < 50.1


async def test_mbpoll_writes_one_register_several_and_a_float(line):
    *options, where = line
    await mbpoll("-t", "4", "-r", "100", *options, where, "4200")
    await mbpoll("-t", "4", "-r", "100", *options, where, "4100", "9")
    assert values(await mbpoll("-t", "4", "-r", "100", "-c", "2", *options, where)) == {
        100: 4100,
        101: 9,
    }
    float_at = ("-a", "2", "-t", "4:float", "-B", "-r", "102")
    await mbpoll(*float_at, *options, where, "5000.5")
    assert values(await mbpoll(*float_at, *options, where)) == {102: 5000.5}


async def test_mbpoll_is_told_what_it_may_not_do(line):
    *options, where = line
    for arguments in (("-r", "100", *options, where, "6000"), ("-r", "7", *options, where, "1")):
        with pytest.raises(AssertionError, match=r"(?i)illegal data"):
            await mbpoll("-t", "4", *arguments)


async def test_mbpoll_is_told_what_it_talks_to(tmp_path):
    path = str(tmp_path / "bus")
    async with sim_process("device", "pump", "--serial", path):
        out = await mbpoll("-u", "-m", "rtu", "-P", "none", path)
    assert "SIM-PUMP" in out
    assert "Status: On" in out


async def test_mbpoll_sees_the_faults_as_what_they_are(tmp_path):
    path = str(tmp_path / "bus")
    for fault, complaint in (
        ("silence", "timed out"),
        ("bad-crc", "CRC"),
        ("exception=4", "(?i)device or server failure|slave device"),
    ):
        async with sim_process("device", "pump", "--serial", path, "--fault", fault):
            with pytest.raises(AssertionError, match=complaint):
                await mbpoll("-m", "rtu", "-P", "none", "-t", "3", "-o", "0.3", path)
