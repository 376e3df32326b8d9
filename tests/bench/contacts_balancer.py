"""A balancer of connections as a process of its own: ``python -m tests.bench.contacts_balancer``.

``PORT...`` are the replicas' on this host; the URL is printed once it listens. It carries bytes
and gives each connection to the next replica.
"""

import asyncio
import signal
import sys
from collections.abc import Sequence

from tests.system.replicas_world import Balancer


async def balance(ports: Sequence[int]) -> None:
    """Carry until terminated."""
    balancer, over = Balancer(), asyncio.Event()
    balancer.ports += ports
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with balancer.listening() as url:
        # What it carries here has no TLS.
        print(url.replace("https:", "http:"), flush=True)
        await over.wait()


if __name__ == "__main__":
    asyncio.run(balance([int(port) for port in sys.argv[1:]]))
