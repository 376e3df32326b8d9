"""avahi beside our own looking and announcing, in a network and with files that only they have.

Argument: a folder. Started by ``unshare --net --mount``. Prints what each saw as one JSON line.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from agent.services.discovery import look
from agent.services.mdns import announced
from coordinator.services.announce import Announcer
from shared.ids import FleetId
from shared.model.candidate import Sighting

T = TypeVar("T")
LOOPBACK = "127.0.0.1"
LISTEN_S = 1.5
FOUND_S = 20
"""For who announces, probes first, or says goodbye, on a busy machine."""
FLEET, NEIGHBOUR = bytes(range(16)), bytes(16)
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={folder}/bus</listen>
  <policy context="default">
    <allow user="*"/><allow own="*"/>
    <allow send_type="method_call"/><allow send_type="signal"/>
    <allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
"""
DAEMON = """[server]
host-name=gateway
use-ipv4=yes
use-ipv6=no
allow-interfaces=lo
[publish]
publish-workstation=no
publish-hinfo=no
publish-aaaa-on-ipv4=no
"""
SERVICE = """<?xml version="1.0" standalone='no'?>
<!DOCTYPE service-group SYSTEM "avahi-service.dtd">
<service-group>
  <name>{name}</name>
  <service><type>{kind}</type><port>{port}</port>{texts}</service>
</service-group>
"""
STATIC = {
    "relay": ("_shelly._tcp", 8080, {"app": "Plus1PM", "ver": "1.4.4", "id": "relay-0007"}),
    "centre": ("_outstation._tcp", 8443, {"fleet": FLEET.hex()[:16]}),
    "next-door": ("_outstation._tcp", 8444, {"fleet": NEIGHBOUR.hex()[:16]}),
}


def lay_out(folder: Path) -> None:
    """What avahi announces by itself stands where it looks for it, in this namespace alone."""
    services = folder / "services"
    services.mkdir()
    for name, (kind, port, told) in STATIC.items():
        texts = "".join(f"<txt-record>{key}={text}</txt-record>" for key, text in told.items())
        text = SERVICE.format(name=name, kind=kind, port=port, texts=texts)
        (services / f"{name}.service").write_text(text)
    (folder / "avahi.conf").write_text(DAEMON)
    (folder / "bus.conf").write_text(BUS.format(folder=folder))
    Path("/run/avahi-daemon").mkdir(exist_ok=True)
    for command in (
        ("ip", "link", "set", "lo", "up", "multicast", "on"),
        ("ip", "route", "add", "224.0.0.0/4", "dev", "lo"),
        ("mount", "--bind", str(services), "/etc/avahi/services"),
        ("mount", "-t", "tmpfs", "none", "/run/avahi-daemon"),
    ):
        subprocess.run(command, check=True)


@asynccontextmanager
async def running(*command: str, until: bytes) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout is not None
    try:
        while until not in (line := await process.stdout.readline()):
            assert line, f"{command[0]} ended before it was there"
        yield
    finally:
        process.terminate()
        await process.communicate()


async def sighted() -> list[Sighting]:
    """What we hear of relays."""
    return await announced(["_shelly._tcp.local."], listen_s=LISTEN_S, interfaces=[LOOPBACK])


async def coordinators() -> list[str]:
    """Our fleet's, as an agent finds them."""
    found = await look(FLEET, look_s=LISTEN_S, interfaces=[LOOPBACK])
    return sorted(str(one) for one in found)


async def browsed() -> list[str]:
    """What avahi-browse shows of coordinators: name, address, port and texts of each, resolved."""
    process = await asyncio.create_subprocess_exec(
        *("avahi-browse", "--resolve", "--parsable", "--terminate", "_outstation._tcp"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    rows = [line.split(";") for line in out.decode().splitlines() if line.startswith("=")]
    return sorted(" ".join((row[3], row[7], row[8], row[9].strip('"'))) for row in rows)


async def until(
    count: int, look: Callable[[], Awaitable[list[T]]], *, fewer: bool = False
) -> list[T]:
    """Look again until as many are there; return the newest, which the test compares exactly."""
    found: list[T] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(FOUND_S):
            while len(found := await look()) != count:
                if len(found) > count and not fewer:
                    break
    return found


async def main(folder: Path) -> None:
    lay_out(folder)
    os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={folder}/bus"
    bus = ("dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork", "--print-address")
    daemon = ("avahi-daemon", "-f", str(folder / "avahi.conf"), "--no-drop-root", "--no-chroot")
    seen: dict[str, object] = {}
    up = b'"next-door" (/etc/avahi/services/next-door.service) successfully established'
    # The others are announced within the same second, before or after it.
    async with (
        running(*bus, until=b"unix:path"),
        running(*daemon, "--no-rlimits", until=up),
    ):
        found = await until(1, sighted)
        seen["sightings"] = [
            [one.name, one.place, one.model, one.firmware, one.serial] for one in found
        ]
        seen["coordinators"] = await until(1, coordinators)
        announcer = asyncio.create_task(Announcer(FleetId(FLEET), host=LOOPBACK, port=9443).run())
        seen["with_ours"] = await until(2, coordinators)
        seen["browsed"] = await until(3, browsed)
        announcer.cancel()
        await asyncio.gather(announcer, return_exceptions=True)
        # A goodbye leaves a record a second to live (RFC 6762, 10.1), not 75 minutes.
        seen["after"] = await until(2, browsed, fewer=True)
    print(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
