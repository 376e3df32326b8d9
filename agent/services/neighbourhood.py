"""The gateways of a site, asked about files and taken from: what `agent.services.artifacts` needs.

Owns who is asked and how often, who broke their word, and how bytes of a neighbour are unsealed.
Nobody is asked while no file is wanted. Whom to take from is decided in `agent.core.neighbours`;
the other side of the LAN, and how gateways find each other, is `agent.services.sharing`'s.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Protocol, cast

import msgspec

from agent.core.artifacts import Span, Wanted
from agent.core.neighbours import Advice, Await, Grown, Pull, Says, TakeFrom, advise, grown
from agent.core.uplink import Delivered, Fault, LinkFailed
from agent.services.contact_http import HttpLink
from agent.services.endpoint import Endpoint
from agent.services.http_answer import Head, HttpError, read_body
from agent.services.http_connection import Take
from shared import limits
from shared.clock import Clock, Entropy, MonoMs
from shared.errors import RefusedError
from shared.model.artifact import artifact_text
from shared.runtime.logs import Events
from shared.trust.shared_file import NONCE_BYTES, TAG_BYTES, FileKey, records, sealed_bytes

PATH = "/v1/shared/"
SCHEME = "Outstation-Shared"
SALT = "outstation-salt"
STATE = "state"
_UNKNOWN_MS = 2_000
"""A neighbour that knows nothing of a file is asked again after this."""
_STATE_BYTES = 512
_log = Events(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody says that a gateway of this site listens."""

    address: str
    port: int


class Finder(Protocol):
    """Knows where neighbours listen, once there is something to share."""

    def want(self, wanted: Sequence[Wanted]) -> None:
        """Note which files are on their way here."""

    @property
    def places(self) -> Sequence[Place]:
        """Return where they are, this gateway left out, bounded."""

    def settled_in_ms(self, now_ms: MonoMs) -> int:
        """Return for how long some may still be unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Household:
    """Which gateways share: those of one site of one fleet."""

    fleet: bytes
    site: str
    id: str
    """Of this gateway, drawn at its start."""
    metered: bool

    def key(self, wanted: Wanted) -> FileKey:
        """Return what whoever has an order with this file knows."""
        return FileKey.derive(self.fleet, self.site, digest=wanted.digest, size=wanted.size)

    def signs(self, says: Says) -> Says:
        """Return what this gateway says, with who says it."""
        return msgspec.structs.replace(says, id=self.id, metered=self.metered)


@dataclass(slots=True)
class _File:
    """What is known of one file's whereabouts."""

    since_ms: MonoMs
    heard_ms: MonoMs
    mine: Grown
    says: dict[str, tuple[Says, Place]] = field(default_factory=dict)
    seen: dict[str, Grown] = field(default_factory=dict)
    givers: set[Place] = field(default_factory=set)
    """Whose bytes are in this gateway's copy."""
    alone: bool = False
    """What neighbours gave was something else: it is asked for at the coordinator."""


class Neighbourhood:
    """The other gateways of the site."""

    def __init__(
        self, household: Household, finder: Finder, *, clock: Clock, entropy: Entropy
    ) -> None:
        self.household = household
        self._finder, self._clock, self._entropy = finder, clock, entropy
        self._files: dict[bytes, _File] = {}
        self._links: dict[Place, HttpLink] = {}
        self._quiet: dict[tuple[Place, bytes], MonoMs] = {}
        """Who is not asked about which file before when; an empty hash: about none."""

    @property
    def known(self) -> int:
        """Return how many neighbours there are."""
        return len(self._finder.places)

    def want(self, wants: Sequence[Wanted]) -> None:
        """Note what is on its way here; nothing is remembered of other files."""
        self._finder.want(wants)
        kept = {one.digest for one in wants}
        self._files = {digest: file for digest, file in self._files.items() if digest in kept}
        now_ms = self._clock.mono_ms()
        self._quiet = {one: until for one, until in self._quiet.items() if until > now_ms}

    async def advise(self, wanted: Wanted, mine: Says, *, afresh: bool = False) -> Advice:
        """Return what to do next about a file; `afresh`: by nothing that was said before."""
        file = self._known(wanted, held=mine.held)
        if file.alone or wanted.size < limits.SHARE_LEAST_BYTES:
            return Pull()
        if afresh or self._clock.mono_ms() - file.heard_ms >= limits.SHARE_LOOK_MS:
            await self._ask_all(wanted, file)
        now_ms = self._clock.mono_ms()
        file.mine = grown(file.mine, mine.held, now_ms)
        others = [
            says for says, place in file.says.values() if not self._is_quiet(place, b"", now_ms)
        ]
        advice = advise(
            self.household.signs(mine),
            wanted.size,
            others,
            self._stalled(file, now_ms),
            settled_in_ms=self._settled_in_ms(file, now_ms),
        )
        if isinstance(advice, Await):
            return Await(max(1, min(advice.wait_ms, limits.SHARE_LOOK_MS)))
        return advice

    async def get(
        self, giver: TakeFrom, wanted: Wanted, span: Span, take: Take
    ) -> Delivered | LinkFailed:
        """Take a part of a file from a neighbour; `take` gets it as it comes, unsealed."""
        file = self._files[wanted.digest]
        _, place = file.says[giver.id]
        file.givers.add(place)
        wish = f"bytes={span.start}-{span.end - 1}"
        seal_of, fields = self._request(wanted, wish)

        def unsealed(head: Head, stream: BinaryIO) -> None:
            salt = _salt(head)
            plain = {name: text for name, text in head.fields.items() if name != "content-length"}
            opened = _Opened(stream, seal_of(salt), span.end - span.start)
            take(replace(head, fields=plain), cast("BinaryIO", opened))

        path = f"{PATH}{self.household.key(wanted).name}"
        end: Delivered | LinkFailed
        try:
            async with asyncio.timeout(limits.SHARE_PIECE_S):
                end = await self._link(place).get(path, fields + span.header, unsealed)
        except TimeoutError:
            end = LinkFailed(fault=Fault.SILENT, detail="it only drips")
        if isinstance(end, LinkFailed):
            file.says.pop(giver.id, None)
            self._leave_alone(place, b"", limits.SHARE_STALL_MS)
        return end

    def altered(self, wanted: Wanted) -> None:
        """Note that a whole file was not what it is called, though neighbours had a part in it.

        They are left alone for a while, and this file is asked for at the coordinator.
        """
        file = self._known(wanted, held=0)
        file.alone = True
        for place in file.givers:
            self._leave_alone(place, b"", limits.SHARE_ASIDE_MS)
            _log.event(
                "neighbour_altered",
                artifact=artifact_text(wanted.digest),
                address=place.address,
                port=place.port,
            )
        file.givers.clear()

    async def close(self) -> None:
        """Let go of all connections; the next request opens others."""
        links, self._links = list(self._links.values()), {}
        for link in links:
            await link.close()

    def _known(self, wanted: Wanted, *, held: int) -> _File:
        if wanted.digest not in self._files:
            now_ms = self._clock.mono_ms()
            heard_ms = MonoMs(now_ms - limits.SHARE_LOOK_MS)
            self._files[wanted.digest] = _File(now_ms, heard_ms, Grown(held, now_ms))
        return self._files[wanted.digest]

    # --- who is asked ---------------------------------------------------------------------------
    async def _ask_all(self, wanted: Wanted, file: _File) -> None:
        now_ms = file.heard_ms = self._clock.mono_ms()
        places = [
            place
            for place in self._finder.places[: limits.SHARE_NEIGHBOURS]
            if not self._is_quiet(place, b"", now_ms)
        ]
        asked = [one for one in places if not self._is_quiet(one, wanted.digest, now_ms)]
        heard = await asyncio.gather(*(self._ask(one, wanted) for one in asked))
        file.says = {
            says.id: (says, place)
            for says, place in zip(heard, asked, strict=True)
            if says is not None and says.id != self.household.id
        }
        now_ms = self._clock.mono_ms()
        file.seen = {
            one: grown(file.seen.get(one), says.held, now_ms)
            for one, (says, _) in file.says.items()
        }

    async def _ask(self, place: Place, wanted: Wanted) -> Says | None:
        """Return what a neighbour says of a file; None: nothing that can be used."""
        seal_of, fields = self._request(wanted, STATE)
        told: list[Says] = []

        def read(head: Head, stream: BinaryIO) -> None:
            body = read_body(stream, head, _STATE_BYTES)
            try:
                told.append(msgspec.json.decode(seal_of(_salt(head)).take(body), type=Says))
            except (RefusedError, msgspec.DecodeError) as error:
                raise HttpError(f"what it says cannot be read ({error})") from None

        path = f"{PATH}{self.household.key(wanted).name}"
        try:
            async with asyncio.timeout(limits.SHARE_REQUEST_S):
                end = await self._link(place).get(path, fields, read)
        except TimeoutError:
            end = LinkFailed(fault=Fault.SILENT, detail="")
        if isinstance(end, LinkFailed) or not told:
            knows = not isinstance(end, LinkFailed) or end.fault is not Fault.REFUSED
            quiet_ms = limits.SHARE_STALL_MS if knows else _UNKNOWN_MS
            self._leave_alone(place, b"" if knows else wanted.digest, quiet_ms)
            return None
        return told[0]

    def _request(self, wanted: Wanted, wish: str) -> "tuple[_SealOf, str]":
        key, nonce = self.household.key(wanted), self._entropy.token(NONCE_BYTES)
        proof = key.prove(nonce, wish)
        fields = f"Authorization: {SCHEME} {nonce.hex()} {proof.hex()}\r\n"
        return _SealOf(key, nonce, wish), fields

    def _link(self, place: Place) -> HttpLink:
        if place not in self._links:
            # In clear: what is in it is sealed, and nobody is told more than the file's owner.
            where = Endpoint(place.address, place.port, "", tls=False)
            self._links[place] = HttpLink(where, ca_pem="", where="")
        return self._links[place]

    def _settled_in_ms(self, file: _File, now_ms: MonoMs) -> int:
        """Return for how long neighbours may be unknown, whatever becomes of who finds them."""
        until_ms = file.since_ms + limits.SHARE_SETTLE_MS + limits.SHARE_JITTER_MS
        return min(self._finder.settled_in_ms(now_ms), max(0, until_ms - now_ms))

    # --- who is not -----------------------------------------------------------------------------
    def _stalled(self, file: _File, now_ms: MonoMs) -> list[str]:
        """Return whose copies stand still; everybody, once this file was waited for too long."""
        if now_ms - file.mine.at_ms >= limits.SHARE_WAIT_MS:
            return list(file.says)
        return [
            one for one, seen in file.seen.items() if now_ms - seen.at_ms >= limits.SHARE_STALL_MS
        ]

    def _is_quiet(self, place: Place, digest: bytes, now_ms: MonoMs) -> bool:
        return self._quiet.get((place, digest), now_ms) > now_ms

    def _leave_alone(self, place: Place, digest: bytes, for_ms: int) -> None:
        until_ms = MonoMs(self._clock.mono_ms() + for_ms)
        before = self._quiet.get((place, digest), until_ms)
        self._quiet[(place, digest)] = max(before, until_ms)


@dataclass(frozen=True, slots=True)
class _SealOf:
    """Opens the answer to one request, whatever its salt."""

    key: FileKey
    nonce: bytes
    wish: str

    def __call__(self, salt: bytes) -> "_Unseal":
        return self.key.seal(self.nonce, salt, self.wish)


class _Unseal(Protocol):
    def take(self, record: bytes) -> bytes:
        """Return what is in the next record."""


class _Opened:
    """The plain bytes of a sealed answer, read record by record."""

    def __init__(self, stream: BinaryIO, seal: _Unseal, size: int) -> None:
        self._stream, self._seal, self._sizes = stream, seal, records(size)
        self._left = b""

    def read1(self, most: int) -> bytes:
        """Return up to `most` bytes; nothing behind the end of what came whole.

        Raises:
            HttpError: a record was altered.
        """
        if not self._left and (size := next(self._sizes, 0)):
            record = self._stream.read(size + TAG_BYTES)
            if len(record) < size + TAG_BYTES:
                return b""
            try:
                self._left = self._seal.take(record)
            except RefusedError as error:
                raise HttpError(error.detail) from None
        data, self._left = self._left[:most], self._left[most:]
        return data


def _salt(head: Head) -> bytes:
    try:
        return bytes.fromhex(head.fields.get(SALT, ""))
    except ValueError:
        raise HttpError("its salt is none") from None


def length_of(span: Span) -> int:
    """Return the Content-Length of an answer with these bytes."""
    return sealed_bytes(span.end - span.start)
