"""One agent that goes wrong: the same signed contact, from many connections at once, without end.

``python -m tests.bench.contacts_flood URL BODY SECONDS CONNECTIONS`` prints how many were answered
and how many turned away. A process of its own, so that it takes nothing from who measures.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from firmware_sim.fleet.line import Address, Line


async def flood(url: str, body: bytes, seconds: float, connections: int) -> dict[str, int]:
    """Send it again and again; return the number of answers by status."""
    line = Line(Address.parse(url, ca_pem=""), keep=True, wait_s=30.0)
    until_s = time.monotonic() + seconds
    answers: dict[str, int] = {}

    async def go() -> None:
        while time.monotonic() < until_s:
            answer = await line.post("/v1/sync", body)
            answers[str(answer.status)] = answers.get(str(answer.status), 0) + 1

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(go())
    line.close()
    return answers


def main() -> int:
    """Run from a command line."""
    url, body, seconds, connections = sys.argv[1:]
    found = asyncio.run(flood(url, Path(body).read_bytes(), float(seconds), int(connections)))
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
