"""Programs that tests/system/test_runtime_*.py start as processes of their own and kill.

Each prints one word a line on standard output, unbuffered, as soon as it is true.
"""

import asyncio
import itertools
import os
import resource
import sqlite3
import sys
from pathlib import Path

from shared.errors import WorldError
from shared.runtime.db import Database
from shared.runtime.files import lock_directory
from shared.runtime.migrations import Migration, MigrationSet
from shared.runtime.service import run_until_signal

SCHEMA = MigrationSet(
    (
        Migration(
            version=1,
            name="pairs",
            sql="""
CREATE TABLE debit (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL) STRICT;
CREATE TABLE credit (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL, pad BLOB NOT NULL) STRICT;
""",
        ),
    )
)
WRITERS = 8


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def book(key: int, size: int = 300):
    """Return a transaction that is only ever seen whole: one row in each of two tables."""

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO debit VALUES (?, ?)", (key, -key))
        connection.execute("INSERT INTO credit VALUES (?, ?, ?)", (key, key, os.urandom(size)))

    return work


async def write_for_ever(path: Path, first: int) -> None:
    """Acknowledge each key after its commit; half are not durable: a kill spares those."""
    numbers = itertools.count(first)
    async with Database.open(path, schema=SCHEMA, exclusive=True, quick_check=True) as db:
        say("ready")

        async def writer() -> None:
            for key in numbers:
                await db.transact(book(key), durable=key % 2 == 0)
                say("ack", key)

        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(writer())


async def fail_with_the_disk(path: Path) -> None:
    """Let the kernel refuse to grow the log in mid-commit, then mend it and go on."""
    async with Database.open(path, schema=SCHEMA, exclusive=True) as db:
        key = 0
        for key in range(50):
            await db.transact(book(key), durable=True)
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        grown = Path(f"{path}-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (grown + 10_000, unlimited[1]))
        outcomes = await asyncio.gather(
            *(db.transact(book(1000 + number, 3000), durable=True) for number in range(40)),
            return_exceptions=True,
        )
        say("failed", *{one.reason.text for one in outcomes if isinstance(one, WorldError)})
        say("failure", db.failure.reason.text if db.failure else None)
        try:
            await db.transact(book(5000), durable=True)
        except WorldError as error:
            say("later", error.reason.text)
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        await db.reopen()
        await db.transact(book(6000), durable=True)
        kept = await db.read(
            lambda c: [row[0] for row in c.execute("SELECT id FROM debit JOIN credit USING (id)")]
        )
        acknowledged = [n + 1000 for n, one in enumerate(outcomes) if one is None]
        say("kept", kept == [*range(50), *acknowledged, 6000])


async def open_and_fail(path: Path, *, forget: bool) -> None:
    """Raise while a database is open; `forget` leaves even the closing out."""
    opening = Database.open(path, schema=SCHEMA, exclusive=True)
    if forget:
        db = await opening
        await db.transact(book(1), durable=True)
        raise ZeroDivisionError
    async with opening as db:
        await db.transact(book(1), durable=True)
        raise ZeroDivisionError


async def wait_for_a_signal(*, stubborn: bool) -> int:
    """Say what cleaning up was done; a stubborn program's never ends."""
    say("ready")
    try:
        await asyncio.Event().wait()
    finally:
        say("cleaning")
        if stubborn:
            await asyncio.Event().wait()
    return 3


def main(name: str, path: Path, *rest: str) -> int:
    match name:
        case "write":
            asyncio.run(write_for_ever(path, int(rest[0])))
        case "full":
            asyncio.run(fail_with_the_disk(path))
        case "raise" | "forget":
            asyncio.run(open_and_fail(path, forget=name == "forget"))
        case "lock":
            with lock_directory(path):
                say("ready")
                sys.stdin.read()
        case "signal" | "stubborn":
            return run_until_signal(lambda: wait_for_a_signal(stubborn=name == "stubborn"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
