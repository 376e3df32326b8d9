"""A program over the coordinator's real store, to be recorded: it says what it acknowledged.

Several agents' contacts commit at once, as in a fleet, while a reader looks on.
"""

import asyncio
import os
import random
import sqlite3
import sys
from functools import partial
from pathlib import Path
from typing import Any

from coordinator.core.intake import Incoming, block_digest
from coordinator.store.sqlite import SqliteStore
from coordinator.transactions.blocks import store_blocks
from shared.block.codec import check
from shared.clock import WallMs
from shared.errors import WorldError
from shared.ids import AgentId
from shared.model.reading import schema_ref
from tests.power.recording import be_faulty, careless, say
from tests.readings_office import NOW, SCHEMA, add_agent, block, group, report, rows

NAME = "coordinator.db"
AGENTS = ("one", "two", "three")
ROWS = 40


async def contact(store: SqliteStore, agent: str, first: int, chance: random.Random) -> None:
    """Take in some blocks of one agent; what is said here, its agent has forgotten."""
    blocks = [
        block(
            seq,
            group(
                [NOW + seq * ROWS + row for row in range(ROWS)],
                [chance.random() for _ in range(ROWS)],
            ),
        )
        for seq in range(first, first + chance.randrange(1, 4))
    ]
    body = partial(
        store_blocks,
        AgentId(agent),
        report(blocks, agent=agent),
        [Incoming(data, block_digest(data), check(data)) for data in blocks],
        [(schema_ref(SCHEMA.hash), SCHEMA.encode())],
        now_ms=WallMs(NOW),
    )
    stored = await store.run(body, durable=True)
    acked = [
        [seq, block_digest(data).hex()]
        for seq, data in enumerate(blocks, first)
        if any(low <= seq <= high for low, high in stored.acked)
    ]
    assert len(acked) == len(blocks)
    say(agent=agent, acked=acked)


async def main(folder: Path, turns: int, seed: int) -> None:
    """Let contacts come for some turns, then stop without a word."""
    careless()
    be_faulty()
    chance = random.Random(seed)
    store = await SqliteStore.open(folder / NAME)
    for agent in AGENTS:
        await add_agent(store, agent)
    for turn in range(turns):
        await asyncio.gather(
            *(contact(store, agent, turn * 4 + 1, chance) for agent in AGENTS),
            rows(store, "SELECT count(*) FROM block"),
        )
    os._exit(0)


async def check_files(folder: Path, said: list[dict[str, Any]]) -> list[str]:
    """Open the file as the coordinator would; return each promise that does not hold."""
    try:
        async with await SqliteStore.open(folder / NAME) as store:
            found, verdict = await store._writer.read(_look)
    except WorldError as error:
        return [f"the file is of no use: {error.reason.text}"]
    broken = [] if verdict == "ok" else [f"the file is damaged: {verdict}"]
    return broken + [
        f"acknowledged block {seq} of {one['agent']} is gone"
        for one in said
        for seq, digest in one["acked"]
        if found.get((one["agent"], seq)) != digest
    ]


def _look(db: sqlite3.Connection) -> tuple[dict[tuple[object, object], str], str]:
    blocks = db.execute("SELECT agent_id, seq, digest, data FROM block").fetchall()
    verdict: str = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    intact = {
        (agent, seq): digest.hex()
        for agent, seq, digest, data in blocks
        if block_digest(data) == digest
    }
    return intact, verdict


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
