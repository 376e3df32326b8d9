"""`background`: rollups and retention, in a process of their own; `run` starts it."""

import argparse
import asyncio
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from coordinator.commands import options as of
from coordinator.place import Place, open_fleet
from coordinator.services.bell import Bell
from coordinator.services.upkeep import Recovery, keep_up
from shared import limits
from shared.runtime.clock import SystemClock, SystemEntropy
from shared.runtime.logs import configure_logging
from shared.runtime.memory import collect_rarely
from shared.runtime.service import Service, Supervisor, run_until_signal

_RINGS = 4_096
"""Read at a time: they count as one."""


def add(commands: of.Commands) -> None:
    """Add `background`."""
    background = commands.add_parser(
        "background",
        help="rollups and retention; run starts it, with the database's URL on its input",
    )
    background.add_argument("--data", type=Path, required=True, metavar="DIR", help="made by init")
    background.set_defaults(command=_background)


def _background(options: argparse.Namespace) -> int:
    configure_logging(human=False)
    options.database = sys.stdin.readline().strip()
    place = of.place(options)
    collect_rarely()
    return run_until_signal(lambda: work(place))


async def work(place: Place) -> int:
    """Work until standard input ends: whoever started this has gone."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(initializer=_stand_back))
    async with open_fleet(place) as (store, _):
        clock, entropy, bell = SystemClock(), SystemEntropy(), Bell()
        services: list[Service] = [
            *keep_up(store, clock, entropy, bell)[1:],
            Recovery(store),
        ]
        async with Supervisor(services, clock=clock, entropy=entropy):
            await _end_of_input(bell)
    return 0


async def _end_of_input(bell: Bell) -> None:
    """Read input to its end; whatever comes is a ring."""
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        while await reader.read(_RINGS):
            bell.ring()
    finally:
        transport.close()


def _stand_back() -> None:
    """Let contacts go first where both want a core; transactions, which they wait for, do not."""
    thread = threading.get_native_id()
    # From where the process stands: whoever started it may have put all of it further back.
    stands = os.getpriority(os.PRIO_PROCESS, thread)
    os.setpriority(os.PRIO_PROCESS, thread, stands + limits.BACKGROUND_NICE)
