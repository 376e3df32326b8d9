"""The agent's SMP client against Zephyr's own servers and MCUboot, as smpclient carries them."""

import asyncio
import json
import os
import sys
import zlib
from pathlib import Path

import pytest

from agent.core.files import FileSeen
from agent.core.ports import Urgency
from agent.drivers.smp.client import FILES
from agent.drivers.smp.packet import WRITE, Refusal, Request
from shared import limits
from shared.errors import Reason, WorldError
from shared.model.mcuboot import read_image
from tests.peers.zephyr import EMULATED, NATIVE, SERVERS, UNPACKED, board, native, recovery_image
from tests.sim_parts import HANG_S, ROOT
from tests.smp_site import PROFILE

SESSION = Path(__file__).with_name("zephyr_udp_session.py")
pytestmark = UNPACKED


@NATIVE
@pytest.mark.parametrize(
    ("kind", "size"), [("serial", None), ("serial_buf256", 256), ("serial_buf2048", 2_048)]
)
async def test_zephyr_echoes_and_tells_its_buffers(kind: str, size: int | None, tmp_path: Path):
    async with native(kind, tmp_path) as driver:
        assert await driver.client.echo("outstation") == "outstation"
        found, count = await driver.client.buffers()
        assert count >= 1
        assert found >= limits.SMP_BUFFER_LEAST_BYTES
        assert size in {None, found}
        # A text that takes two lines of the console there and back: what its default has room for.
        text = "x" * 120
        assert await driver.client.echo(text) == text


@NATIVE
async def test_zephyr_that_tells_no_buffers_is_sent_little(tmp_path: Path):
    async with native("serial_noparams", tmp_path) as driver:
        assert await driver.client.buffers() == (limits.SMP_BUFFER_BYTES, 1)
        assert await driver.client.echo("outstation") == "outstation"


@NATIVE
async def test_zephyr_without_images_says_so_in_words(tmp_path: Path):
    async with native("serial", tmp_path) as driver:
        with pytest.raises(WorldError, match="the device says: not supported") as refused:
            await driver.firmware.slots()
        assert refused.value.reason is Reason.DEVICE_EXCEPTION
        identity = await driver.identify()
        assert identity is not None
        assert identity.firmware == ""


@NATIVE
async def test_zephyr_refuses_settings_it_has_not_in_words(tmp_path: Path):
    """These servers have the group and no setting in it."""
    async with native("serial", tmp_path) as driver:
        with pytest.raises(WorldError, match="the device says: no such group of settings"):
            await driver.client.set_setting("sensor/interval", b"\1\0\0\0")
        refused = await driver.client.setting("sensor/interval", Urgency.COMMAND)
        assert isinstance(refused, Refusal)
        fields = await driver.client.statistics("smp_svr_stats", Urgency.POLL)
        assert not isinstance(fields, Refusal)
        assert fields.keys() == {"ticks"}


@NATIVE
async def test_zephyr_tells_what_a_profile_asks_of_its_files(tmp_path: Path):
    points = """
[[point]]
name = "hash"
at = { file = "/lfs1/site.cfg", field = "crc32" }
[[point]]
name = "size"
at = { file = "/lfs1/site.cfg", field = "size" }
[[point]]
name = "gone"
at = { file = "/lfs1/gone", field = "size" }
[firmware]"""
    text = PROFILE.replace("[firmware]", points)
    content = bytes(range(60))
    async with native("serial", tmp_path, text=text) as driver:
        values = {"name": "/lfs1/site.cfg", "off": 0, "data": content, "len": len(content)}
        await driver.client.told(Request(WRITE, FILES, 0, values))
        names = ["hash", "size", "gone"]
        both = await driver.read(names, urgency=Urgency.POLL)
        alone = await driver.read(names[1:], urgency=Urgency.POLL)
        gone = await driver.client.file("/lfs1/gone", Urgency.POLL, checked=True)
    assert [one.value for one in both] == [zlib.crc32(content), len(content), None]
    assert [one.value for one in alone] == [len(content), None]
    assert isinstance(gone, Refusal)
    assert gone.text == "no such file"


@pytest.mark.slow
@NATIVE
async def test_a_file_goes_into_zephyr_and_out_and_on_behind_what_is_there(tmp_path: Path):
    content = bytes(range(256)) * 6
    name = "/lfs1/site.cfg"
    async with native("serial", tmp_path) as driver:
        files = driver.files
        assert await files.look("/lfs1/gone") is None
        assert await files.put(name, content) == len(content)
        assert await files.look(name) == FileSeen(len(content), zlib.crc32(content))
        assert await files.get(name, len(content)) == content
        assert await files.put(name, content) == 0
        assert await files.put(name, content + b"and more") == 8
        first = {"name": name, "off": 0, "data": content[:-101:-1], "len": len(content)}
        await driver.client.told(Request(WRITE, FILES, 0, first))
        assert await files.put(name, content[::-1]) == len(content) - 100
        assert await files.get(name, len(content)) == content[::-1]
        with pytest.raises(WorldError, match=f"at most {len(content) - 1} are taken"):
            await files.get(name, len(content) - 1)
        with pytest.raises(WorldError, match="the device says:"):
            await files.put("/nowhere/x", content)


@NATIVE
async def test_zephyr_answers_over_udp(tmp_path: Path):
    """In a network of its own: the server listens on all addresses, at the one usual port."""
    (server,) = SERVERS.glob("*native_sim_udp.exe")
    alone = ["unshare", "--net"] if os.getuid() == 0 else ["unshare", "--net", "--map-root-user"]
    process = await asyncio.create_subprocess_exec(
        *(*alone, "sh", "-c", 'ip link set lo up && exec "$@"', "sh"),
        *(sys.executable, str(SESSION), str(server), str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    async with asyncio.timeout(HANG_S):
        out, said = await process.communicate()
    if process.returncode and b"unshare" in said:
        pytest.skip(f"no network of its own here: {said.decode().strip()}")
    assert process.returncode == 0, said.decode()
    seen = json.loads(out)
    assert seen["echo"] == "x" * 1_000
    assert seen["buffers"] == [2_048, 2]
    assert "not supported" in seen["slots"]


@pytest.mark.slow
@EMULATED
async def test_mcuboot_takes_an_image_that_was_cut_on_its_way(tmp_path: Path):
    content = recovery_image()
    image = read_image(content)
    async with board(tmp_path) as (driver, bus):
        assert await driver.client.echo("outstation") == "outstation"
        assert await driver.client.buffers() == (2_048, 4)
        (running,) = await driver.firmware.slots()
        assert (running.slot, running.active, running.digest) == (0, True, image.digest)
        sending = asyncio.create_task(driver.firmware.upload(content, image=0, digest=image.digest))
        while bus.counters.answers < 6:
            assert not sending.done(), sending.exception()
            await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        sent = await driver.firmware.upload(content, image=0, digest=image.digest)
        assert sent < len(content), "it went on where the board was"
        held = {slot.slot: slot.digest for slot in await driver.firmware.slots()}
        assert held == {0: image.digest, 1: image.digest}
        # MCUboot in recovery has no trial: an update says so, and the board runs what it ran.
        with pytest.raises(WorldError, match="the device says: not supported"):
            await driver.firmware.test(image.digest)
