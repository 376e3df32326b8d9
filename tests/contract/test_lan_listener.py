"""Listening on a LAN: at few addresses, at one port, for as long as it is open and no longer."""

import asyncio
import contextlib
import socket

import pytest

from agent.services.lan_listener import Listener

ADDRESSES = ["127.0.0.1", "127.0.0.2"]


class Answering:
    """Answers each line with itself, and counts who is served."""

    def __init__(self) -> None:
        self.served = 0
        self.failed = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.served += 1
        while True:
            writer.write(await reader.readuntil(b"\n"))
            await writer.drain()

    def fail(self) -> None:
        self.failed += 1

    def listener(self, most: int = 2) -> Listener:
        return Listener(self.serve, most=most, limit=64, failed=self.fail)


async def said(address: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(b"hello\n")
        return await reader.readline()
    finally:
        writer.close()


async def test_every_address_is_listened_to_at_the_port_that_is_told() -> None:
    listener = Answering().listener()
    port = listener.open(ADDRESSES)
    assert [await said(address, port) for address in ADDRESSES] == [b"hello\n"] * 2
    with pytest.raises(ConnectionRefusedError):
        await said("127.0.0.3", port)
    await listener.close()
    assert not listener.is_open
    with pytest.raises(ConnectionRefusedError):
        await said(ADDRESSES[0], port)


async def test_whoever_is_connected_when_it_closes_is_told_at_once() -> None:
    """Served, waiting to be served, or not even accepted: nobody is left to wait for nothing."""
    answering = Answering()
    listener = answering.listener(most=9)
    port = listener.open(ADDRESSES[:1])
    open_ones = [await asyncio.open_connection(ADDRESSES[0], port) for _ in range(2)]
    while answering.served < 2:
        await asyncio.sleep(0)
    late = socket.create_connection((ADDRESSES[0], port))
    await asyncio.sleep(0)
    await listener.close()
    with late:
        late.setblocking(True)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.to_thread(late.recv, 1) == b""
    for reader, writer in open_ones:
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()


async def test_no_more_than_so_many_are_served_at_a_time() -> None:
    answering = Answering()
    listener = answering.listener(most=1)
    port = listener.open(ADDRESSES[:1])
    _, first = await asyncio.open_connection(ADDRESSES[0], port)
    while not answering.served:
        await asyncio.sleep(0)
    with contextlib.suppress(ConnectionError):
        assert await said(ADDRESSES[0], port) == b""
    first.close()
    await first.wait_closed()
    while listener._tasks:
        await asyncio.sleep(0)
    assert await said(ADDRESSES[0], port) == b"hello\n"
    assert answering.served == 2
    await listener.close()


async def test_who_does_not_read_what_it_asked_for_is_not_waited_for() -> None:
    began = asyncio.Event()

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(1 << 24))
        began.set()
        await writer.drain()

    listener = Listener(pour, most=1, limit=64, failed=lambda: None)
    port = listener.open(ADDRESSES[:1])
    with socket.create_connection((ADDRESSES[0], port)):
        await began.wait()
        await listener.close()


async def test_where_nothing_can_be_accepted_it_says_so_and_does_not_try_for_ever() -> None:
    answering = Answering()
    listener = answering.listener()
    port = listener.open(ADDRESSES[:1])
    # As without descriptors: accepting fails with something that does not pass by itself.
    listener._sockets[0].shutdown(socket.SHUT_RDWR)
    while not answering.failed:
        await asyncio.sleep(0)
    await listener.close()
    assert answering.failed == 1
    with pytest.raises(ConnectionRefusedError):
        await said(ADDRESSES[0], port)


async def test_an_address_of_another_machine_is_none_to_listen_at() -> None:
    listener = Answering().listener()
    with pytest.raises(OSError, match="assign"):
        listener.open(["127.0.0.1", "192.0.2.77"])
    await listener.close()
    assert not listener.is_open
