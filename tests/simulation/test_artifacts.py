"""Files on their way to a shelf: peers that lie, stall or break off, power cuts, little room."""

import asyncio
import contextlib
import io
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest

from agent.core.artifacts import Shut, Span, Wanted
from agent.core.progress import Progress
from agent.core.uplink import Delivered, LinkFailed
from agent.services.artifacts import Artifacts
from agent.services.contact_http import HttpLink
from agent.services.endpoint import parse_url
from agent.services.http_answer import Head
from agent.services.http_connection import Take
from agent.store.artifacts import Shelf
from shared import limits
from shared.errors import Reason, RefusedError, WorldError
from tests.agent_parts import Fixed, HandClock
from tests.sim_parts import HANG_S
from tests.simulation.loop import World, simulate

DATA = random.Random(3).randbytes(300_000)
WANTED = Wanted(sha256(DATA).digest(), len(DATA))
ETAG = WANTED.digest.hex()
HERE = b"h" * 16
LATER = b"l" * 16


@dataclass
class Peer:
    """An HTTP server that answers what a test wants; None is the truth."""

    answers: list[Callable[[int, int], bytes] | None] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)
    port: int = 0
    stalls: int = 0
    """Answers of a test's own that are followed by silence, not by the end."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                text = head.decode().split("Range: bytes=")[1].split("\r\n")[0]
                start, end = int(text.split("-")[0]), int(text.split("-")[1]) + 1
                self.asked.append((start, end))
                said = self.answers.pop(0) if self.answers else None
                if said is None:
                    writer.write(part(start, end))
                    await writer.drain()
                    continue
                writer.write(said(start, end))
                await writer.drain()
                if self.stalls:
                    self.stalls -= 1
                    await reader.read()
                break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def part(start: int, end: int, data: bytes = DATA, **changes: str) -> bytes:
    fields = {
        "Content-Length": str(end - start),
        "Content-Range": f"bytes {start}-{end - 1}/{len(DATA)}",
        "ETag": f'"{ETAG}"',
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = ["HTTP/1.1 206 Partial Content", *(f"{n}: {v}" for n, v in fields.items() if v)]
    return "\r\n".join([*lines, "", ""]).encode() + data[start:end]


@dataclass
class OpenGate:
    """A line that is free, or not."""

    shut: Shut | None = None
    cost: int = 0

    def allowed(self) -> int | Shut:
        return self.shut or limits.PIECE_BYTES

    async def charge(self, end: Delivered | LinkFailed) -> None:
        self.cost += end.up + end.down


@dataclass
class Direct:
    """A peer on the loopback interface, over the agent's own HTTP client."""

    link: HttpLink

    async def get(self, wanted: Wanted, span: Span, take: Take) -> Delivered | LinkFailed:
        return await self.link.get(f"/{wanted.digest.hex()}", span.header, take)

    async def close(self) -> None:
        link, self.link = self.link, self.link.beside()
        await link.close()


@dataclass
class Box:
    """A gateway's shelf and what fetches for it."""

    folder: Path
    peer: Peer
    gate: OpenGate
    clock: HandClock
    artifacts: Artifacts

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "artifacts").iterdir())

    async def obtain(self, wanted: Wanted = WANTED) -> Path:
        return await self.artifacts.obtain(wanted.digest, wanted.size)


@asynccontextmanager
async def opened(folder: Path, *answers: Callable[[int, int], bytes] | None) -> AsyncIterator[Box]:
    peer, gate, clock = Peer(list(answers)), OpenGate(), HandClock()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    link = HttpLink(parse_url(f"http://127.0.0.1:{peer.port}", where=""), ca_pem="", where="")

    async def nothing() -> dict[bytes, int]:
        return {}

    artifacts = Artifacts(
        Shelf(folder, HERE),
        Direct(link),
        gate,
        needed=nothing,
        clock=clock,
        # No wait between tries: what is tested is that there is another one.
        entropy=Fixed(0.0),
    )
    task = asyncio.create_task(artifacts.run())
    try:
        yield Box(folder, peer, gate, clock, artifacts)
    finally:
        task.cancel()
        await asyncio.wait((task,))
        server.close()
        await server.wait_closed()


async def test_how_far_a_file_has_come_is_known_while_it_comes(tmp_path):
    seen = []

    def look(start: int, end: int) -> bytes:
        seen.append((box.artifacts.waiting, box.artifacts.coming))
        return part(start, end)

    async with opened(tmp_path, look, look) as box:
        assert box.artifacts.coming is None
        await box.obtain()
        assert seen[0] == (1, Progress(0, len(DATA)))
        assert seen[1] == (1, Progress(box.peer.asked[1][0], len(DATA)))
        assert box.peer.asked[1][0] > 0
        async with asyncio.timeout(HANG_S):
            while box.artifacts.waiting:
                await asyncio.sleep(0)
        assert box.artifacts.coming is None, "it is here"


async def test_a_file_comes_in_pieces_and_is_counted(tmp_path):
    async with opened(tmp_path) as box:
        path = await box.obtain()
        assert path.read_bytes() == DATA
        assert box.files == [ETAG]
        assert len(box.peer.asked) > 1
        assert box.gate.cost > len(DATA)
        assert await box.obtain() == path, "it is not fetched again"
        assert box.peer.asked[-1][1] == len(DATA)


async def test_what_came_before_a_break_is_not_asked_for_again(tmp_path):
    def broken(start: int, end: int) -> bytes:
        return part(start, end)[: -(end - start) // 2]

    async with opened(tmp_path, broken, None, broken) as box:
        assert (await box.obtain()).read_bytes() == DATA
        spans = box.peer.asked
        assert spans[1][0] > spans[0][0]
        assert sum(end - start for start, end in spans) < len(DATA) + 2 * 65_536 * 4


async def test_what_came_of_a_piece_that_did_not_end_in_time_is_counted(tmp_path, monkeypatch):
    def stalled(start: int, end: int) -> bytes:
        return part(start, end)[: -(end - start) // 2]

    monkeypatch.setattr(limits, "PIECE_MOST_S", 0.3)
    async with opened(tmp_path, stalled) as box:
        box.peer.stalls = 1
        await box.obtain()
        assert box.peer.asked[1][0] > box.peer.asked[0][0], "it came so far"
        assert box.gate.cost > len(DATA)


LIES: dict[str, Callable[[int, int], bytes]] = {
    "another range": lambda s, e: part(s + 1, e),
    "another file": lambda s, e: part(s, e, ETag='"0123"'),
    "another size": lambda s, e: part(s, e, Content_Range=f"bytes {s}-{e - 1}/5"),
    "no range": lambda s, e: part(s, e, Content_Range=""),
    "a coding": lambda s, e: part(s, e, Content_Encoding="gzip"),
    "chunks": lambda s, e: part(s, e, Transfer_Encoding="chunked"),
    "nothing": lambda _s, _e: b"",
    "no http": lambda _s, _e: b"hello\r\n\r\n",
    "an error": lambda _s, _e: b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("lie", LIES)
async def test_nothing_of_a_lie_is_kept_and_the_truth_is_taken_after_it(tmp_path, lie):
    async with opened(tmp_path, LIES[lie], LIES[lie]) as box:
        assert (await box.obtain()).read_bytes() == DATA
        assert box.peer.asked[0][0] == box.peer.asked[1][0] == box.peer.asked[2][0] == 0


async def test_who_waits_is_told_once_nothing_came_again_and_again(tmp_path):
    async with opened(tmp_path, *[LIES["another file"]] * 20) as box:
        with pytest.raises(WorldError, match="it answers with another file") as told:
            await box.obtain()
        assert told.value.reason is Reason.ARTIFACT_NOT_HERE
        assert box.files == []


async def test_a_longer_answer_is_taken_only_as_far_as_it_was_asked_for(tmp_path):
    def longer(start: int, end: int) -> bytes:
        said = part(start, end, Content_Length=str(end - start + 5))
        return said + b"extra"

    async with opened(tmp_path, longer) as box:
        assert (await box.obtain()).read_bytes() == DATA


async def test_altered_bytes_are_never_seen_and_one_sentence_says_so(tmp_path):
    altered = DATA[:-1] + bytes([DATA[-1] ^ 1])
    lies = [lambda s, e: part(s, e, altered, Connection="close")] * 9
    async with opened(tmp_path, *lies) as box:
        with pytest.raises(RefusedError, match="nothing of it was kept") as told:
            await box.obtain()
        assert told.value.reason is Reason.ARTIFACT_ALTERED
        assert box.files == []


@dataclass
class Altered:
    """A coordinator's disk that changed a byte; each request takes two seconds."""

    asked: list[float] = field(default_factory=list)
    """When the file was asked for from its beginning."""

    async def get(self, wanted: Wanted, span: Span, take: Take) -> Delivered | LinkFailed:
        await asyncio.sleep(2)
        if span.start == 0:
            self.asked.append(asyncio.get_running_loop().time())
        size = span.end - span.start
        fields = {"content-range": f"bytes {span.start}-{span.end - 1}/{wanted.size}"}
        fields["content-length"] = str(size)
        head = Head(status=206, reason="", fields=fields, version=1)
        take(head, io.BytesIO(bytes(size)))
        return Delivered(body=b"", up=300, down=size)

    async def close(self) -> None:
        pass


def test_a_file_that_comes_altered_costs_less_and_less(tmp_path):
    async def scenario(world: World) -> None:
        async def needed() -> dict[bytes, int]:
            return {WANTED.digest: WANTED.size}

        source, gate = Altered(), OpenGate()
        artifacts = Artifacts(
            Shelf(tmp_path, HERE),
            source,
            gate,
            needed=needed,
            clock=world.clock,
            entropy=Fixed(1.0),
        )
        task = asyncio.create_task(artifacts.run())
        await asyncio.sleep(3 * 86_400)
        waits = [later - at for at, later in pairwise(source.asked)]
        assert waits == sorted(waits)
        assert waits[0] < 90, "a line that lies once costs a minute"
        assert len(waits) < 14
        assert gate.cost < 15 * 1.01 * len(DATA)
        with pytest.raises(RefusedError, match="asked for again in") as told:
            await artifacts.obtain(WANTED.digest, WANTED.size)
        assert told.value.reason is Reason.ARTIFACT_ALTERED
        task.cancel()
        await asyncio.wait((task,))

    simulate(scenario, seed=1)


async def test_wrong_bytes_of_a_stick_cost_a_download_and_no_attempt(tmp_path):
    async with opened(tmp_path) as box:
        shelf = Shelf(tmp_path, HERE)
        shelf.make_room(WANTED, [])
        with contextlib.closing(shelf.open_part(WANTED)) as stick:
            assert stick.write(b"?" * 1000)
        assert (await box.obtain()).read_bytes() == DATA
        assert box.artifacts.pulled == 2 * len(DATA) - 1000


async def test_a_file_that_rots_on_the_shelf_is_fetched_again(tmp_path):
    async with opened(tmp_path) as box:
        path = await box.obtain()
        path.write_bytes(DATA[:-1] + b"?")
        assert (await box.obtain()).read_bytes() == DATA


async def test_a_shut_line_is_told_to_who_waits_unless_it_opens_soon(tmp_path):
    async with opened(tmp_path) as box:
        box.gate.shut = Shut("the line is closed at this hour", 60_000)
        with pytest.raises(WorldError, match="closed at this hour"):
            await box.obtain()
        assert box.peer.asked == []
        box.gate.shut = Shut("a contact is at work", passing=True)
        waiting = asyncio.create_task(box.obtain())
        box.artifacts.wake()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
        box.gate.shut = None
        box.artifacts.wake()
        assert (await waiting).read_bytes() == DATA


async def test_a_file_that_does_not_fit_is_told_and_what_is_needed_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SHELF_BYTES", len(DATA) + 10)
    shelf = Shelf(tmp_path, HERE)
    other = Wanted(sha256(b"x" * 100).digest(), 100)
    kept = shelf.open_part(other)
    kept.write(b"x" * 100)
    kept.close()
    shelf.finish(other)
    with pytest.raises(WorldError) as told:
        shelf.make_room(WANTED, [other.digest])
    assert told.value.reason is Reason.STORE_QUOTA
    assert shelf.find(other) is not None
    shelf.make_room(WANTED, [])
    assert shelf.find(other) is None


async def test_a_full_disk_is_told_and_costs_what_no_job_needs_first(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SHELF_FREE_BYTES", 1 << 60)
    with pytest.raises(WorldError) as told:
        Shelf(tmp_path, HERE).make_room(WANTED, [])
    assert told.value.reason is Reason.STORE_FULL


@pytest.mark.parametrize("written", [1, 262_143, 262_144, 262_145, 300_000])
def test_after_a_power_cut_only_what_was_surely_synced_counts(tmp_path, written):
    taken = Shelf(tmp_path, HERE).open_part(WANTED)
    taken.write(DATA[:written])
    taken.close()
    assert Shelf(tmp_path, HERE).held(WANTED) == written, "the same boot: kill -9 loses nothing"
    later = Shelf(tmp_path, LATER)
    sure = 262_144 if written > 262_144 else 0
    assert later.held(WANTED) == sure
    rest = later.open_part(WANTED)
    rest.write(DATA[sure:])
    rest.close()
    assert later.finish(WANTED).read_bytes() == DATA
