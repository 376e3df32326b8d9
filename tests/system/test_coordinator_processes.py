"""The coordinator as a process: its commands, its mistakes, and kill -9 at any moment."""

import asyncio
import base64
import contextlib
import json
import logging
import os
import random
import signal
import socket
import sqlite3
import ssl
import stat
import sys
from contextlib import asynccontextmanager
from hashlib import sha256

import aiohttp
import pytest

from coordinator.__main__ import main
from coordinator.keys.certificates import hosts_of, load_server
from coordinator.store.sqlite import SqliteStore
from shared.errors import MistakeError
from shared.model.job import ExecutionState
from shared.sync.body import CONTENT_TYPE
from shared.sync.outgoing import Frozen
from shared.sync.ranges import Ranges
from shared.wire.codec import unpack
from tests.system.coordinator_world import (
    HOST,
    SCHEMA,
    Gateway,
    body,
    client_of,
    found_in,
    serving,
    trust,
)
from tests.system.rest_client import Answered

COMMAND = (sys.executable, "-m", "coordinator")


async def run_command(*arguments):
    """Run one command to its end: status, what it printed, what it complained about."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def running(place, *options):
    """A coordinator in a process of its own; yields it and its URL."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "run", "--data", str(place.directory.path), "--listen", f"{HOST}:0", *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line.startswith("ready https://"), line
        yield process, line.split()[1]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


# --- commands -----------------------------------------------------------------------------------
async def test_init_makes_secrets_that_only_their_owner_reads(tmp_path):
    status, out, err = await run_command("init", tmp_path / "fleet", "--host", "gw.example")
    assert status == 0
    assert "gw.example" in out
    assert "root key included" in err, "one machine holds every key, and that is said"
    secret = {"keys", "keys/root.pem", "keys/director.pem", "keys/ca-key.pem", "keys/server.pem"}
    for name in ("admin.toml", "coordinator.db", *secret):
        mode = stat.S_IMODE((tmp_path / "fleet" / name).stat().st_mode)
        assert mode & 0o077 == 0, f"{name} is {mode:o}"
    assert hosts_of(load_server(tmp_path / "fleet" / "keys" / "server.pem")) == ["gw.example"]


async def test_init_never_touches_what_is_there(tmp_path):
    (tmp_path / "precious").write_text("x")
    status, out, err = await run_command("init", tmp_path)
    assert (status, out) == (2, "")
    assert "is not empty" in err
    assert [entry.name for entry in tmp_path.iterdir()] == ["precious"]


async def test_claims_and_tokens_are_made_while_it_runs(tmp_path):
    place = await found_in(tmp_path)
    file = tmp_path / "claim.json"
    async with running(place) as (process, url):
        status, out, _ = await run_command(
            "claim", "create", "--data", place.directory.path, "--site", "north",
            "--count", "3", "--expires", "12h", "--url", url, file,
        )  # fmt: skip
        assert status == 0, out
        claim = json.loads(file.read_text())
        assert claim["outstation_claim"] == 1
        assert claim["url"] == url
        assert claim["site"] == "north"
        assert len(bytes.fromhex(claim["fleet"])) == 16
        assert len(bytes.fromhex(claim["secret"])) == 32
        assert claim["ca_pem"].startswith("-----BEGIN CERTIFICATE-----")
        assert base64.b64decode(claim["root"])
        assert claim["expires"].endswith("Z")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        status, token, _ = await run_command(
            "token", "create", "--data", place.directory.path, "--name", "eyes",
            "--scope", "viewer",
        )  # fmt: skip
        async with client_of(place, url) as world:
            answered = await world.get("/v1/agents", token=token.strip())
        assert answered.status == 200
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


CLAIM = "claim create --data DIR/data --site"
TOKEN = "token create --data DIR/data --name"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("run --data DIR/none", "no fleet was founded here"),
        ("claim create --data DIR/none --site n DIR/c", "no fleet was founded here"),
        ("token create --data DIR/none --name n", "no fleet was founded here"),
        ("run --data DIR/data --listen nowhere", "is not HOST:PORT"),
        ("run --data DIR/data --listen 127.0.0.1:99999", "is not HOST:PORT"),
        ("run --data DIR/data --listen 192.0.2.1:0", "cannot listen on 192.0.2.1"),
        ("run --data DIR/data --database oracle:x", "use sqlite:"),
        ("run --data DIR/data --database sqlite:/none/x.db", "no fleet was founded here"),
        (f"{CLAIM} North DIR/c", "cannot name a site"),
        (f"{CLAIM} n --count 0 DIR/c", "0 is not 1 to"),
        (f"{CLAIM} n --expires soon DIR/c", "is not a time up to a year"),
        (f"{CLAIM} n DIR/data/ca.pem", "exists already"),
        (f"{CLAIM} n DIR/none/c", "cannot be written; make its folder first"),
        ("trust --data DIR/data DIR/none/t", "cannot be written; make its folder first"),
        (f"{TOKEN} Bob", "cannot name a token"),
        ("init DIR/new --host b\u00e9", "neither a host name nor an address"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, capsys, own_logging, line, sentence):
    asyncio.run(found_in(tmp_path))
    assert main(line.replace("DIR", str(tmp_path)).split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    complaint = [one for one in said.err.splitlines() if not one.startswith("{")]
    assert len(complaint) == 1, said.err
    assert complaint[0].startswith("outstation-coordinator: ")
    assert sentence in complaint[0]


@pytest.fixture
def own_logging():
    """`run` sets logging up for its process; this one's is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


async def test_a_port_that_is_taken_is_one_sentence(tmp_path):
    place = await found_in(tmp_path)
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        status, _, err = await run_command(
            "run", "--data", place.directory.path, "--listen", f"{HOST}:{port}"
        )
    assert status == 2
    assert f"cannot listen on {HOST} port {port}" in err


async def test_two_coordinators_never_share_a_directory(tmp_path):
    place = await found_in(tmp_path)
    async with running(place) as (process, _):
        status, _, err = await run_command("run", "--data", place.directory.path)
        assert status == 2
        assert f"is already used by process {process.pid}" in err


async def test_a_database_from_a_newer_program_is_refused_untouched(tmp_path):
    place = await found_in(tmp_path)
    db = sqlite3.connect(place.database)
    db.execute("PRAGMA user_version = 999")
    db.close()
    status, _, err = await run_command("run", "--data", place.directory.path)
    assert status == 2
    assert "schema version 999" in err
    with pytest.raises(MistakeError):
        await SqliteStore.open(place.database)


async def test_a_key_that_others_can_read_is_refused(tmp_path):
    place = await found_in(tmp_path)
    place.directory.director_key.chmod(0o644)
    status, _, err = await run_command("run", "--data", place.directory.path)
    assert status == 2
    assert "chmod 600" in err


async def test_another_fleets_director_is_refused(tmp_path):
    place, other = await found_in(tmp_path / "a"), await found_in(tmp_path / "b")
    place.directory.director_key.write_bytes(other.directory.director_key.read_bytes())
    status, _, err = await run_command("run", "--data", place.directory.path)
    assert status == 2
    assert "holds no director's key" in err


async def test_a_held_contact_is_answered_when_it_is_told_to_stop(tmp_path):
    place = await found_in(tmp_path)
    async with running(place) as (process, url), client_of(place, url) as world:
        gateway = await world.gateway("pump")
        await gateway.contact()
        held = asyncio.create_task(gateway.contact(wait=55))
        while not (await world.read("/v1/agents/pump"))["link"]["waiting"]:
            assert not held.done()
        process.send_signal(signal.SIGTERM)
        reply, _ = await held
        assert reply.held_ms < 55_000
        assert await process.wait() == 0


# --- TLS ----------------------------------------------------------------------------------------
async def test_tls_is_1_3_with_the_fleets_own_certificate(tmp_path):
    place = await found_in(tmp_path)
    async with serving(place) as url:
        port = int(url.rpartition(":")[2])
        _, writer = await asyncio.open_connection(HOST, port, ssl=trust(place))
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert writer.get_extra_info("cipher")
        writer.close()
        await writer.wait_closed()
        old = trust(place)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(HOST, port, ssl=old)
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(HOST, port, ssl=ssl.create_default_context())


async def test_a_certificate_that_is_about_to_end_is_renewed_at_the_start(tmp_path):
    from coordinator.keys.certificates import issue_server, load_authority
    from shared.clock import WallMs

    place = await found_in(tmp_path)
    directory = place.directory
    authority = load_authority(directory.authority, directory.authority_key)
    old = issue_server(authority, directory.server, hosts=[HOST, "gw"], now_ms=WallMs(0))
    assert old.not_valid_after_utc.year == 1971
    async with serving(place) as url, client_of(place, url) as world:
        assert (await world.get("/livez", token="")).status == 200
    fresh = load_server(directory.server)
    assert fresh.not_valid_after_utc > old.not_valid_after_utc
    assert sorted(hosts_of(fresh)) == sorted([HOST, "gw"])


# --- kill -9 ------------------------------------------------------------------------------------
class Field:
    """A gateway that keeps sending, whatever happens to the coordinator."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.acked = Ranges()
        self.waiting: dict[int, bytes] = {}
        self.made = 0
        self.answers = 0
        self.receipts_to = 0
        self._frozen: Frozen | None = None
        self._sent = b""

    async def step(self) -> None:
        """One contact; the same report again until it is answered."""
        gateway = self.gateway
        if self._frozen is None:
            for _ in range(2):
                block = gateway.block(float(self.made), 0.5)
                self.made += 1
                self.waiting[self.made] = block
            chosen = dict(list(self.waiting.items())[:8])
            receipts = [
                gateway.receipt(n, b"x" * 16, ExecutionState.HELD)
                for n in range(self.receipts_to + 1, self.receipts_to + 4)
            ]
            schema = SCHEMA.encode()
            self._frozen = gateway.report(
                blocks=chosen, receipts=receipts, schemas=[sha256(schema).digest()]
            )
            self._sent = body(self._frozen, *chosen.values(), schemas=[schema])
        answered = await self.send(self._sent)
        reply, _ = gateway.answered_by(self._frozen, answered)
        self._frozen = None
        self.answers += 1
        self.receipts_to = reply.receipts_to
        for first, last in reply.acked:
            for seq in range(first, last + 1):
                self.acked = self.acked.add(seq)
                self.waiting.pop(seq, None)

    async def send(self, sent: bytes) -> Answered:
        client = self.gateway.client
        async with client.session.post(
            f"{client.url}/v1/sync", data=sent, headers={"Content-Type": CONTENT_TYPE}
        ) as response:
            return Answered(response.status, response.headers.copy(), await response.read())


def committed(path):
    """What the file itself says after a kill: numbers of the block table and of the ranges."""
    db = sqlite3.connect(path)
    try:
        stored = [seq for (seq,) in db.execute("SELECT seq FROM block ORDER BY seq")]
        row = db.execute("SELECT received, readings FROM telemetry_store").fetchone()
        receipts = [n for (n,) in db.execute("SELECT number FROM receipt ORDER BY number")]
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        db.close()
    ranges = Ranges(tuple(unpack(row[0], list[tuple[int, int]], bound=9_999))) if row else Ranges()
    return stored, ranges, (row[1] if row else 0), receipts


async def test_kill_9_keeps_every_acknowledged_block_and_acknowledges_no_other(tmp_path):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    place = await found_in(tmp_path)
    async with running(place) as (_, url), client_of(place, url) as world:
        field = Field(await world.gateway("pump"))
    for _ in range(6):
        async with running(place) as (process, url), client_of(place, url) as world:
            field.gateway.client = world
            work = asyncio.create_task(keep_going(field))
            goal = field.answers + choose.randrange(0, 12)
            while field.answers < goal:
                await asyncio.sleep(0)
            for _ in range(choose.randrange(0, 400)):
                await asyncio.sleep(0)
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
            await work
        stored, ranges, readings, receipts = committed(place.database)
        assert Ranges.of(stored) == ranges, "ranges and blocks are one transaction"
        assert readings == 2 * len(stored), "and so is the count"
        for first, last in field.acked:
            assert not ranges.missing(first, last).spans, "acknowledged and gone"
        assert receipts[: field.receipts_to] == list(range(1, field.receipts_to + 1))
    async with running(place) as (_, url), client_of(place, url) as world:
        field.gateway.client = world
        while field.waiting or field.answers == 0:
            await field.step()
        view = await world.read("/v1/agents/pump")
        assert view["tally"]["delivered"] == 2 * field.made
        assert view["blocks_received"] == field.made
        assert view["missing_blocks"] == []


async def keep_going(field: Field) -> None:
    """Contacts until the coordinator is gone."""
    with contextlib.suppress(aiohttp.ClientError, OSError):
        while True:
            await field.step()


async def test_a_killed_coordinator_never_signs_two_bundles_with_one_number(tmp_path):
    place = await found_in(tmp_path)
    seen = []
    async with running(place) as (_, url), client_of(place, url) as world:
        gateway = await world.gateway("pump")
    for _ in range(3):
        async with running(place) as (process, url), client_of(place, url) as world:
            gateway.client = world
            await world.submit("pump")
            seen.append((await gateway.ordered()).seq)
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
    assert seen == [1, 2, 3]
