"""Offers this gateway's files to the others of its site: a small HTTP server on the LAN.

Owns the socket, who may ask, how fast it goes, and that nothing of it exists while there is no file
to share: no port, no announcement, no wake-up. Whoever asks proves that an order told it the file's
hash, and only with that hash can the answer be read (`shared.trust.shared_file`). How gateways find
each other is a `Beacon`'s (`agent.services.site_mdns`); asking is `agent.services.neighbourhood`'s.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from agent.core.artifacts import Span, Wanted
from agent.core.neighbours import Says
from agent.services.lan import Network, is_near
from agent.services.lan_listener import Listener
from agent.services.neighbourhood import (
    PATH,
    SALT,
    SCHEME,
    STATE,
    Household,
    Place,
    length_of,
)
from agent.store.artifacts import Shelf
from shared import limits
from shared.clock import Clock, Entropy, MonoMs
from shared.errors import OutstationError, Reason, RefusedError, WorldError
from shared.runtime.logs import Events
from shared.trust.shared_file import NONCE_BYTES, FileKey, Seal

_HEAD = re.compile(rb"GET ([!-~]{1,100}) HTTP/1\.1\r\n((?:[!-9;-~]+:[ -~]*\r\n)*)\r\n")
"""One way to read each line: with two, a stranger's 400 lines would be tried in 2**400 ways."""
_PROOF = re.compile(SCHEME + r" ([0-9a-f]{32}) ([0-9a-f]{64})")
_SPAN = re.compile(r"bytes=([0-9]{1,15})-([0-9]{1,15})")
_BURST_S = 0.25
_READ_RECORDS = 16
"""Records read and sealed in one go, in a thread."""
_log = Events(__name__)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request of a neighbour, not judged yet."""

    name: str
    nonce: bytes
    proof: bytes
    span: Span | None
    """The bytes wanted; None: how far the file is."""

    @property
    def wish(self) -> str:
        """Return what its proof covers."""
        return STATE if self.span is None else f"bytes={self.span.start}-{self.span.end - 1}"


def read_ask(head: bytes) -> Ask:
    """Return what a request's head asks for.

    Raises:
        RefusedError: BAD_SHAPE: it is no request of a gateway.
    """
    found = _HEAD.fullmatch(head)
    if not found:
        raise RefusedError(Reason.BAD_SHAPE, "no request of a gateway")
    lines = (line.partition(b":") for line in found[2].split(b"\r\n") if line)
    fields = {name.decode().lower(): text.decode().strip() for name, _, text in lines}
    path, proof = found[1].decode(), _PROOF.fullmatch(fields.get("authorization", ""))
    if not path.startswith(PATH) or not proof:
        raise RefusedError(Reason.BAD_SHAPE, "no request of a gateway")
    span = None
    if "range" in fields:
        asked = _SPAN.fullmatch(fields["range"])
        if not asked or int(asked[2]) < int(asked[1]):
            raise RefusedError(Reason.BAD_SHAPE, "one range of bytes")
        span = Span(int(asked[1]), int(asked[2]) + 1)
    nonce, shown = bytes.fromhex(proof[1]), bytes.fromhex(proof[2])
    assert len(nonce) == NONCE_BYTES, "the pattern counts them"
    return Ask(path.removeprefix(PATH), nonce, shown, span)


class Beacon(Protocol):
    """Tells the others of the site where this gateway listens, and hears where they do."""

    @property
    def places(self) -> Sequence[Place]:
        """Return where the others are."""

    async def light(
        self, networks: Sequence[Network], port: int, found: Callable[[], None]
    ) -> None:
        """Announce and listen there until `douse`; `found` is called for each other gateway.

        Raises:
            OutstationError: there is no network, or what it takes is not installed.
        """

    async def douse(self) -> None:
        """Stop; harmless when it is out."""


class Sharing:
    """The service that offers files, and a `Finder` for whoever wants some."""

    name = "sharing"

    def __init__(
        self,
        household: Household,
        shelf: Shelf,
        beacon: Beacon,
        *,
        networks: Callable[[], Sequence[Network]],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """Wire it up; `networks` returns where to listen, and may block."""
        self._household, self._shelf, self._beacon = household, shelf, beacon
        self._networks, self._clock, self._entropy = networks, clock, entropy
        self._changed = asyncio.Event()
        self._wanted: tuple[Wanted, ...] = ()
        self._offered: Mapping[str, tuple[FileKey, Wanted]] = {}
        self._listener = Listener(
            self._serve,
            most=limits.SHARE_CONNECTIONS,
            limit=limits.SHARE_REQUEST_BYTES,
            failed=self._closed,
        )
        self._at: tuple[Network, ...] = ()
        self._open_ms: MonoMs | None = None
        self._failed = False
        self._due_s = 0.0
        self.given = 0
        """Bytes that neighbours took since the start."""
        self.says: Callable[[Wanted], Awaitable[Says]] | None = None
        """What to tell of a file; set by whoever fetches."""
        self.found: Callable[[], None] = lambda: None
        """Called for each neighbour that turns up."""

    # --- for whoever fetches --------------------------------------------------------------------
    @property
    def places(self) -> Sequence[Place]:
        """Return where neighbours listen."""
        return () if self._open_ms is None else self._beacon.places

    def settled_in_ms(self, now_ms: MonoMs) -> int:
        """Return for how long neighbours may still be unknown."""
        if self._failed:
            return 0
        if self._open_ms is None:
            return limits.SHARE_SETTLE_MS
        return max(0, self._open_ms - now_ms)

    def want(self, wanted: Sequence[Wanted]) -> None:
        """Note which files are on their way here: what there is of them is offered."""
        fresh = tuple(one for one in wanted if one.size >= limits.SHARE_LEAST_BYTES)
        if fresh != self._wanted:
            self._wanted = fresh
            self._changed.set()

    # --- the service ----------------------------------------------------------------------------
    async def run(self) -> None:
        """Offer what there is until cancelled."""
        try:
            while True:
                self._changed.clear()
                wait_ms = await self._refresh()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if wait_ms is None else wait_ms / 1000):
                        await self._changed.wait()
        finally:
            await self._shut()

    async def _refresh(self) -> int | None:
        """Bring what is offered, and whether anything is, up to date; return when to look again."""
        now_ms = self._clock.wall_ms()
        lately = await asyncio.to_thread(self._shelf.lately, now_ms - limits.SHARE_OFFER_MS)
        # A clock that was set back would have them offered until it is there again.
        until_ms = now_ms + limits.SHARE_OFFER_MS
        kept = {
            one: at
            for one, at in lately.items()
            if one.size >= limits.SHARE_LEAST_BYTES and at < until_ms
        }
        files = dict.fromkeys([*self._wanted, *kept])
        keyed = [(self._household.key(one), one) for one in files]
        self._offered = {key.name: (key, one) for key, one in keyed}
        if not self._offered:
            await self._shut()
            return None
        await self._stand()
        if self._failed or self._wanted:
            return limits.SHARE_STAND_MS
        left_ms = min(kept.values()) + limits.SHARE_OFFER_MS - now_ms
        return max(1_000, min(left_ms, limits.SHARE_STAND_MS))

    async def _stand(self) -> None:
        """Be open where this machine stands now: leases of addresses end, cables are plugged in."""
        try:
            at = tuple(await asyncio.to_thread(self._networks))
            if self._listener.is_open and at == self._at:
                return
            await self._shut()
            await self._open(at)
        except (OSError, OutstationError) as error:
            # Nobody to share with: files come as they always did.
            if not self._failed:
                _log.event("sharing_unavailable", cause=str(error))
            self._failed = True
            await self._shut()

    async def _open(self, at: tuple[Network, ...]) -> None:
        if not at:
            raise WorldError(Reason.STEP_FAILED, "this machine has no address on a LAN")
        port = self._listener.open([str(network.ip) for network in at])
        await self._beacon.light(at, port, self.found)
        self._at = at
        jitter_ms = round(limits.SHARE_JITTER_MS * self._entropy.fraction())
        settle_ms = limits.SHARE_SETTLE_MS + jitter_ms
        self._open_ms = MonoMs(self._clock.mono_ms() + settle_ms)
        self._failed = False
        _log.event("sharing", port=port, files=len(self._offered))

    async def _shut(self) -> None:
        was_open, self._open_ms = self._listener.is_open, None
        await self._listener.close()
        if was_open:
            await self._beacon.douse()

    def _closed(self) -> None:
        self._at = ()
        self._changed.set()

    # --- one connection -------------------------------------------------------------------------
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        while peer and is_near(peer[0]):
            if not await self._answer(reader, writer):
                writer.close()
                # It counts among the connections meanwhile: who guesses has few tries.
                await asyncio.sleep(limits.SHARE_REFUSED_S)
                return

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; tell whether another one may follow."""
        granted = True
        async with asyncio.timeout(limits.SHARE_REQUEST_S):
            head = await reader.readuntil(b"\r\n\r\n")
        try:
            ask = read_ask(head)
            key, wanted = self._offered.get(ask.name, (None, None))
            if key is None or wanted is None:
                raise RefusedError(Reason.ARTIFACT_UNKNOWN)
            key.check(ask.nonce, ask.wish, ask.proof)
            await self._give(ask, key, wanted, writer)
        except OutstationError:
            # Alike for everything: it tells nobody which files there are.
            writer.write(_REFUSAL)
            granted = False
        async with asyncio.timeout(limits.SHARE_REQUEST_S):
            await writer.drain()
        return granted

    async def _give(
        self, ask: Ask, key: FileKey, wanted: Wanted, writer: asyncio.StreamWriter
    ) -> None:
        salt = self._entropy.token(NONCE_BYTES)
        seal = key.seal(ask.nonce, salt, ask.wish)
        if ask.span is None:
            assert self.says is not None, "whoever fetches says it"
            state = seal.put(msgspec.json.encode(self._household.signs(await self.says(wanted))))
            writer.write(_head("200 OK", len(state), salt) + state)
            return
        span = ask.span
        held = await asyncio.to_thread(self._shelf.shown, wanted)
        if span.end > held or span.end - span.start > limits.PIECE_BYTES:
            raise RefusedError(Reason.ARTIFACT_NOT_HERE)
        where = f"Content-Range: bytes {span.start}-{span.end - 1}/{wanted.size}\r\n"
        writer.write(_head("206 Partial Content", length_of(span), salt, where))
        step = limits.SHARE_RECORD_BYTES * _READ_RECORDS
        for start in range(span.start, span.end, step):
            size = min(step, span.end - start)
            sealed = await asyncio.to_thread(self._sealed, seal, wanted, start, size)
            await self._pace(len(sealed))
            writer.write(sealed)
            async with asyncio.timeout(limits.SHARE_REQUEST_S):
                await writer.drain()
            self.given += size

    def _sealed(self, seal: Seal, wanted: Wanted, start: int, size: int) -> bytes:
        data = self._shelf.read(wanted, start, size)
        if len(data) != size:
            raise OSError("the file is gone")
        step = limits.SHARE_RECORD_BYTES
        return b"".join(seal.put(data[at : at + step]) for at in range(0, size, step))

    async def _pace(self, size: int) -> None:
        """Wait until so many more bytes may go: all connections share one rate."""
        now_s = asyncio.get_running_loop().time()
        self._due_s = max(now_s, self._due_s) + size / limits.SHARE_BYTES_PER_S
        if self._due_s - now_s > _BURST_S:
            await asyncio.sleep(self._due_s - now_s - _BURST_S)


_REFUSAL = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def _head(status: str, length: int, salt: bytes, more: str = "") -> bytes:
    text = f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{SALT}: {salt.hex()}\r\n{more}\r\n"
    return text.encode("ascii")
