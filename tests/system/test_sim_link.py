"""The lossy link between a real client and a real server."""

import asyncio
import json
import socket
import struct
from contextlib import asynccontextmanager, suppress

import pytest

from firmware_sim.control import serve_control, tell
from firmware_sim.link import LinkProxy, _Way
from shared.errors import MistakeError, WorldError
from tests.sim_parts import HANG_S

TURNS = 60


class Echo:
    """A server that sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.connections = 0
        self.ended = 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while data := await reader.read(65_536):
                self.got += data
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.ended += 1
            writer.close()


@asynccontextmanager
async def echo_server():
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    try:
        yield echo, server.sockets[0].getsockname()[:2]
    finally:
        server.close()
        await until(lambda: echo.ended == echo.connections)


@asynccontextmanager
async def connected(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def until(condition):
    async with asyncio.timeout(HANG_S):
        while not condition():
            await asyncio.sleep(0)


async def turns():
    """Let everything that is ready happen: a round trip through the kernel, many times."""
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=ours)
    far_reader, far_writer = await asyncio.open_connection(sock=theirs)
    for _ in range(TURNS):
        writer.write(b"x")
        await far_reader.readexactly(1)
    for end in (writer, far_writer):
        end.close()
        await end.wait_closed()


async def back(reader, size):
    async with asyncio.timeout(HANG_S):
        return await reader.readexactly(size)


async def test_bytes_pass_both_ways_and_are_counted():
    async with (
        echo_server() as (_, target),
        LinkProxy(target=target) as link,
        connected(link.port) as (reader, writer),
    ):
        writer.write(b"hello")
        assert await back(reader, 5) == b"hello"
        assert (link.stats.bytes_up, link.stats.bytes_down) == (5, 5)
        assert (link.stats.connections, link.stats.open, link.stats.total_bytes) == (1, 1, 10)


async def test_a_large_transfer_arrives_unchanged_through_a_slow_thin_link():
    data = bytes(range(256)) * 2_000
    async with (
        echo_server() as (_, target),
        LinkProxy(target=target, delay_ms=2, rate_bps=400_000_000) as link,
        connected(link.port) as (reader, writer),
    ):
        send = asyncio.ensure_future(_send(writer, data))
        assert await back(reader, len(data)) == data
        await send


async def _send(writer, data):
    writer.write(data)
    await writer.drain()


async def test_the_end_of_one_direction_passes_and_the_other_goes_on():
    async with (
        echo_server() as (_, target),
        LinkProxy(target=target) as link,
        connected(link.port) as (reader, writer),
    ):
        writer.write(b"last words")
        writer.write_eof()
        async with asyncio.timeout(HANG_S):
            assert await reader.read() == b"last words"
        await until(lambda: link.stats.open == 0)


async def test_in_a_black_hole_nothing_arrives_and_nothing_is_closed():
    async with (
        echo_server() as (echo, target),
        LinkProxy(target=target) as link,
        connected(link.port) as (reader, writer),
    ):
        writer.write(b"before")
        assert await back(reader, 6) == b"before"
        link.black_hole(True)
        writer.write(b"lost")
        async with connected(link.port) as (late_reader, late_writer):
            late_writer.write(b"lost too")
            await turns()
            assert echo.got == b"before"
            assert (echo.connections, echo.ended) == (1, 0)
            assert not reader.at_eof()
            assert not late_reader.at_eof()
            assert link.is_black_hole
            link.black_hole(False)
            # Like a NAT that forgot them: the next thing they hear is a reset.
            for stale in (reader, late_reader):
                with pytest.raises(ConnectionResetError):
                    await back(stale, 1)
        assert link.stats.resets == 2
        await until(lambda: echo.ended == 1)
        assert echo.got == b"before"
        async with connected(link.port) as (fresh_reader, fresh_writer):
            fresh_writer.write(b"after")
            assert await back(fresh_reader, 5) == b"after"


async def test_kept_connections_go_on_after_a_black_hole():
    async with (
        echo_server() as (echo, target),
        LinkProxy(target=target, reset_stale=False) as link,
        connected(link.port) as (reader, writer),
    ):
        link.black_hole(True)
        writer.write(b"late")
        await turns()
        assert echo.got == b""
        link.black_hole(False)
        assert await back(reader, 4) == b"late"
        assert link.stats.resets == 0


@pytest.mark.parametrize("abruptly", [False, True])
async def test_a_hang_up_inside_a_black_hole_is_not_seen_on_the_other_side(abruptly):
    async with echo_server() as (echo, target), LinkProxy(target=target) as link:
        async with connected(link.port) as (reader, writer):
            writer.write(b"x")
            await back(reader, 1)
            link.black_hole(True)
            if abruptly:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                writer.transport.abort()
        await turns()
        assert echo.ended == 0
        link.black_hole(False)
        await until(lambda: echo.ended == 1)


async def test_switching_twice_is_switching_once():
    async with (
        echo_server() as (_, target),
        LinkProxy(target=target) as link,
        connected(link.port) as (reader, writer),
    ):
        link.black_hole(False)
        link.black_hole(False)
        writer.write(b"x")
        assert await back(reader, 1) == b"x"


async def test_a_reset_reaches_both_sides():
    async with (
        echo_server() as (echo, target),
        LinkProxy(target=target) as link,
        connected(link.port) as (reader, writer),
    ):
        writer.write(b"x")
        await back(reader, 1)
        assert link.reset_all() == 1
        with pytest.raises(ConnectionResetError):
            await back(reader, 1)
        await until(lambda: echo.ended == 1)
        assert link.stats.open == 0


async def test_a_connection_is_cut_in_the_middle_of_a_transfer():
    async with (
        echo_server() as (echo, target),
        LinkProxy(target=target, reset_after_bytes=1_000) as link,
        connected(link.port) as (reader, writer),
    ):
        writer.write(bytes(5_000))
        with pytest.raises(ConnectionResetError):
            await back(reader, 5_000)
        await until(lambda: link.stats.open == 0)
        assert len(echo.got) <= 1_000
        assert link.stats.total_bytes == 1_000
        assert link.stats.resets == 1


async def test_an_unreachable_target_is_a_reset():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = closed.getsockname()[:2]
    async with LinkProxy(target=nowhere) as link, connected(link.port) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await back(reader, 1)
        assert link.stats.unreachable == 1


async def test_new_connections_go_to_the_new_target():
    async with (
        echo_server() as (one, first),
        echo_server() as (two, second),
        LinkProxy(target=first) as link,
    ):
        async with connected(link.port) as (reader, writer):
            writer.write(b"1")
            await back(reader, 1)
            link.set_target(second)
            async with connected(link.port) as (late_reader, late_writer):
                late_writer.write(b"2")
                await back(late_reader, 1)
        assert (one.got, two.got) == (b"1", b"2")


async def test_a_stopped_link_drops_its_connections_and_may_be_stopped_again():
    async with echo_server() as (_, target):
        link = LinkProxy(target=target)
        await link.start()
        await link.start()
        async with connected(link.port) as (reader, writer):
            writer.write(b"x")
            await back(reader, 1)
            await link.stop()
            await link.stop()
            with pytest.raises(ConnectionResetError):
                await back(reader, 1)


async def test_a_delay_is_at_least_the_delay():
    async with (
        echo_server() as (_, target),
        LinkProxy(target=target, delay_ms=40) as link,
        connected(link.port) as (reader, writer),
    ):
        begun = asyncio.get_running_loop().time()
        writer.write(b"x")
        await back(reader, 1)
        assert asyncio.get_running_loop().time() - begun >= 0.08


def test_connections_share_the_rate_of_their_direction():
    way = _Way()
    assert way.arrival_s(1_000, 10.0, 8_000, 500) == 11.5
    assert way.arrival_s(1_000, 10.0, 8_000, 500) == 12.5  # behind the first
    assert way.arrival_s(1_000, 20.0, 8_000, 0) == 21.0  # the line was free again
    assert way.arrival_s(1_000, 21.0, None, 250) == 21.25


async def test_a_control_socket_takes_commands_and_explains_wrong_ones(tmp_path):
    from firmware_sim.commands.link import link_commands

    path = tmp_path / "ctl"
    async with (
        echo_server() as (_, target),
        LinkProxy(target=target) as link,
        serve_control(path, link_commands(link)),
    ):
        assert path.stat().st_mode & 0o077 == 0
        assert await tell(path, ["black-hole", "on"]) == "ok"
        assert link.is_black_hole
        assert await tell(path, ["black-hole", "off"]) == "ok"
        assert await tell(path, ["delay", "30"]) == "ok"
        assert await tell(path, ["rate", "9600"]) == "ok"
        assert await tell(path, ["reset-after", "0"]) == "ok"
        assert (link.delay_ms, link.rate_bps, link.reset_after_bytes) == (30, 9600, None)
        assert await tell(path, ["target", "127.0.0.1:9"]) == "ok"
        assert str(link.target) == "127.0.0.1:9"
        assert json.loads((await tell(path, ["stats"])).removeprefix("ok "))["open"] == 0
        for wrong in (["dance"], ["delay"], ["delay", "-1"], ["black-hole"], ["target", "x"]):
            assert (await tell(path, wrong)).startswith("error: ")
        with pytest.raises(WorldError, match="already answers"):
            async with serve_control(path, {}):
                pass
        with pytest.raises(MistakeError):
            await tell(path, [])
    assert not path.exists()


async def test_a_control_socket_replaces_what_a_dead_program_left_and_nothing_else(tmp_path):
    path, file = tmp_path / "ctl", tmp_path / "file"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    file.write_text("precious")
    async with serve_control(path, {"hello": lambda _: "you"}):
        assert await tell(path, ["hello"]) == 'ok "you"'
    with pytest.raises(MistakeError, match="no socket"):
        async with serve_control(file, {}):
            pass
    assert file.read_text() == "precious"
    with pytest.raises(WorldError, match="nobody"):
        await tell(path, ["hello"])
