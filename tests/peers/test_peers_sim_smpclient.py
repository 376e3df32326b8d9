"""smpclient drives the simulated sensor node, with images that MCUboot's imgtool signed."""

import asyncio
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.peers.foundry import BIN, Foundry, imgtool
from tests.sim_parts import HANG_S, sim_process

SHELL = Path(__file__).with_name("smpclient_shell.py")
pytestmark = pytest.mark.skipif(
    not (BIN / "imgtool").exists(), reason="smpclient and imgtool are not installed (make peers)"
)


class Client:
    """smpclient in its own process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def said(self) -> dict:
        assert self._process.stdout is not None
        async with asyncio.timeout(HANG_S):
            line = await self._process.stdout.readline()
        assert line, "smpclient ended"
        return json.loads(line)

    async def do(self, what: str, **more) -> dict:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what} | more).encode() + b"\n")
        return await self.said()

    async def images(self) -> list[tuple[str, list[str]]]:
        """Version and flags of each; asked again while the device boots."""
        for _ in range(20):
            answer = await self.do("list", wait_s=1.0)
            if "images" in answer:
                return [(row["version"], row["flags"]) for row in answer["images"]]
        raise AssertionError("the device does not answer")

    async def hash_of(self, version: str) -> str:
        rows = (await self.do("list"))["images"]
        return next(row["hash"] for row in rows if row["version"] == version)


@asynccontextmanager
async def smpclient(where: str):
    process = await asyncio.create_subprocess_exec(
        *(BIN / "python", SHELL, where),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        client = Client(process)
        assert await client.said() == {}
        yield client
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
def foundry(tmp_path):
    return Foundry(tmp_path)


@pytest.fixture(params=["udp", "serial"])
def line(request, tmp_path):
    """Options of the node, and where smpclient finds it; its UDP port is always 1337."""
    if request.param == "udp":
        number = os.getpid()
        host = f"127.{64 + number // 62_500 % 128}.{1 + number // 250 % 250}.{1 + number % 250}"
        return ("--udp", f"{host}:1337"), host
    return ("--serial", str(tmp_path / "node")), str(tmp_path / "node")


@asynccontextmanager
async def node(line, foundry: Foundry, *more: str):
    options = ("--image", str(foundry.first), "--key", str(foundry.key("ours")))
    opened, where = line
    device = sim_process("device", "sensor-node", *opened, *options, *more)
    async with device, smpclient(where) as client:
        yield client


RUNNING = ["bootable", "confirmed", "active"]
ON_TRIAL = ["bootable", "active"]


async def test_the_client_library_knows_the_device(line, foundry):
    async with node(line, foundry) as client:
        assert await client.do("echo", d="hello") == {"r": "hello"}
        assert (await client.do("parameters"))["buf_count"] == 4
        assert await client.do("info") == {"output": "Zephyr"}
        assert (await client.do("sensors"))["fields"]["poll_count"] == 1
        assert await client.images() == [("1.0.0", RUNNING)]
        assert await client.do("files", name="/lfs/log", path=str(foundry.first)) == {
            "len": foundry.first.stat().st_size,
            "same": True,
        }


async def test_an_upload_is_cut_resumed_tested_reverted_and_confirmed(line, foundry):
    new = foundry.image("2.0.1+5")
    size = new.stat().st_size
    async with node(line, foundry) as client:
        cut = (await client.do("upload", path=str(new), stop_at=20_000))["offsets"][-1]
        assert 20_000 <= cut < size
        resumed = (await client.do("upload", path=str(new)))["offsets"]
        assert (resumed[0], resumed[-1]) == (cut, size)
        assert await client.images() == [("1.0.0", RUNNING), ("2.0.1.5", ["bootable"])]

        digest = await client.hash_of("2.0.1.5")
        await client.do("test", hash=digest)
        assert await client.do("reset") == {}
        while (await client.images())[0][0] == "1.0.0":
            pass
        assert await client.images() == [
            ("2.0.1.5", ON_TRIAL),
            ("1.0.0", ["bootable", "confirmed"]),
        ]

        await client.do("reset")
        while (await client.images())[0][0] != "1.0.0":
            pass
        await client.do("test", hash=digest)
        await client.do("reset")
        while (await client.images())[0][0] == "1.0.0":
            pass
        await client.do("confirm")
        assert await client.images() == [("2.0.1.5", RUNNING), ("1.0.0", ["bootable"])]
        assert await client.do("erase") == {}
        assert await client.images() == [("2.0.1.5", RUNNING)]


@pytest.mark.parametrize("bad", ["wrong key", "truncated", "altered"])
async def test_an_image_that_is_not_ours_never_runs(foundry, tmp_path, bad):
    path = foundry.image("2.0.0", key="theirs" if bad == "wrong key" else "ours")
    data = path.read_bytes()
    if bad == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif bad == "altered":
        path.write_bytes(data.replace(b"firmware", b"FIRMWARE"))
    assert imgtool("verify", "--key", foundry.key("ours"), foundry.first).returncode == 0
    assert imgtool("verify", "--key", foundry.key("ours"), path).returncode != 0
    ledger = tmp_path / "ledger"
    where = str(tmp_path / "node")
    async with node((("--serial", where), where), foundry, "--ledger", str(ledger)) as client:
        assert (await client.do("upload", path=str(path)))["offsets"][-1] == len(path.read_bytes())
        rows = await client.images()
        digest = await client.hash_of("2.0.0") if len(rows) == 2 else "00" * 32
        tested = await client.do("test", hash=digest)
        assert ("refused" in tested) == (bad == "truncated")
        await client.do("reset")
        while ledger.read_text().count('"boot"') < 2:
            await client.do("list", wait_s=1.0)
        assert await client.images() == [("1.0.0", RUNNING)]


async def test_a_downgrade_is_refused_by_a_device_that_allows_none(foundry, tmp_path):
    where, ledger = str(tmp_path / "node"), tmp_path / "ledger"
    options = ("--no-downgrade", "--ledger", str(ledger))
    async with node((("--serial", where), where), foundry, *options) as client:
        await client.do("upload", path=str(foundry.image("0.9.0")))
        await client.do("test", hash=await client.hash_of("0.9.0"))
        await client.do("reset")
        while ledger.read_text().count('"boot"') < 2:
            await client.do("list", wait_s=1.0)
        assert await client.images() == [("1.0.0", RUNNING)]
        assert "older version" in ledger.read_text()


async def test_firmware_that_fails_its_self_check_takes_itself_back(foundry, tmp_path):
    where, ledger = str(tmp_path / "node"), tmp_path / "ledger"
    bad = foundry.image("2.0.0", body=b"outstation-sim: self-check=fails\n")
    async with node((("--serial", where), where), foundry, "--ledger", str(ledger)) as client:
        await client.do("upload", path=str(bad))
        await client.do("test", hash=await client.hash_of("2.0.0"))
        await client.do("reset")
        while '"revert"' not in ledger.read_text():
            await client.do("list", wait_s=1.0)
        assert await client.images() == [("1.0.0", RUNNING), ("2.0.0", ["bootable"])]


async def test_a_brown_out_in_an_upload_costs_the_upload_only(foundry, tmp_path):
    where, new = str(tmp_path / "node"), foundry.image("2.0.0")
    options = ("--fault", "power-cut=60", "--flash", str(tmp_path / "flash"))
    async with node((("--serial", where), where), foundry, *options) as client:
        assert await client.do("upload", path=str(new)) == {"silent": True}
        assert (await client.images())[0] == ("1.0.0", RUNNING)
        assert (await client.do("upload", path=str(new)))["offsets"][-1] == new.stat().st_size
        assert (await client.images())[1] == ("2.0.0", ["bootable"])
