"""The agent's SMP driver against a Zephyr server on UDP, in a network that only both of them have.

Arguments: the server's program, a folder for its files. Prints what it saw as one JSON line.
"""

import asyncio
import json
import sys

from agent.buses.factory import open_bus
from agent.core.ports import BusSettings
from agent.drivers.smp.driver import SmpDriver
from shared.errors import WorldError
from shared.ids import DeviceId
from tests.smp_site import profile


async def main(program: str, folder: str) -> None:
    server = await asyncio.create_subprocess_exec(
        program, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert server.stdout is not None
    bus = open_bus(BusSettings(name="b", url="udp://127.0.0.1:1337", response_timeout_ms=3_000))
    driver = SmpDriver(DeviceId("zephyr"), bus, unit=0, profile=profile())
    try:
        while b"smp_udp: Started" not in (line := await server.stdout.readline()):
            assert line, "the server ended before it was there"
        seen: dict[str, object] = {"echo": await driver.client.echo("x" * 1_000)}
        seen["buffers"] = await driver.client.buffers()
        try:
            await driver.firmware.slots()
        except WorldError as error:
            seen["slots"] = error.detail
    finally:
        await bus.close()
        server.kill()
        await server.wait()
    print(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
