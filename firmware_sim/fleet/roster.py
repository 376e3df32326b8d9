"""The file that a simulated fleet is kept in between two runs, and how its gateways are let in.

A line of JSON about the fleet, then one for each gateway. Written anew as a whole when a run ends:
a fleet that was killed has forgotten its last contacts, and its coordinator takes it for machines
that were set back to an old image. Leaves out contacts.
"""

import asyncio
import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from firmware_sim.fleet.gateway import Seat
from firmware_sim.fleet.line import Address, Line
from shared import limits
from shared.errors import MistakeError
from shared.trust.documents import ENROLL_TYP
from shared.trust.envelope import KeySigner, seal
from shared.trust.root import Root, open_root
from shared.wire.codec import pack, unpack
from shared.wire.messages import EnrollAnswer, EnrollRequest

_ENROLLING = 32
"""Gateways that are let in at once."""
_ENROL_S = 60.0
_BOOTED_MS = 30 * 86_400_000
"""How long a gateway has been running when it enrols."""
_BACKLOG_MS = 86_400_000
"""How old its first readings are."""


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """What a roster says of the fleet as a whole."""

    outstation_fleet: int = 1
    url: str
    fleet: str
    """Hex of the fleet id."""
    ca_pem: str
    root: str
    """base64 of the root document's envelope."""
    seed: str
    channels: int
    rows: int
    step_ms: int


@dataclass(slots=True)
class Roster:
    """A fleet at rest."""

    heading: Heading
    seats: list[Seat]

    @property
    def root(self) -> Root:
        """Return the root document that the fleet trusts."""
        return open_root(base64.b64decode(self.heading.root), trusted=None)

    def save(self, path: Path) -> None:
        """Write the roster in the place of the one before.

        Raises:
            OSError: the disk did not obey.
        """
        fresh = path.with_name(f"{path.name}.new")
        with fresh.open("wb") as file:
            for line in self._lines():
                file.write(line + b"\n")
        fresh.replace(path)

    def _lines(self) -> Iterator[bytes]:
        encoder = msgspec.json.Encoder()
        yield encoder.encode(self.heading)
        yield from map(encoder.encode, self.seats)

    @classmethod
    def load(cls, path: Path) -> "Roster":
        """Return a roster that was saved.

        Raises:
            MistakeError: there is none, or it is something else.
        """
        decoder = msgspec.json.Decoder(Seat)
        try:
            with path.open("rb") as file:
                heading = msgspec.json.decode(file.readline(limits.REST_BODY_BYTES), type=Heading)
                seats = [decoder.decode(line) for line in file]
        except FileNotFoundError:
            mend = "--claim FILE lets a new fleet in"
            raise MistakeError("there is no fleet", where=str(path), mend=mend) from None
        except (OSError, msgspec.MsgspecError) as error:
            raise MistakeError(f"is no roster ({_why(error)})", where=str(path)) from None
        return cls(heading, seats)


class ClaimLetter(msgspec.Struct, frozen=True):
    """What a fleet needs of a claim file (docs/protocol.md)."""

    url: str
    fleet: str
    secret: str
    ca_pem: str
    root: str


def read_claim(path: Path) -> ClaimLetter:
    """Return the claim in a file.

    Raises:
        MistakeError: it is none.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=ClaimLetter)
    except (OSError, msgspec.MsgspecError) as error:
        raise MistakeError(f"is no claim file ({_why(error)})", where=str(path)) from None


def _why(error: OSError | msgspec.MsgspecError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def new_seat(number: int, name: str, now_ms: int) -> Seat:
    """Return a gateway as it is when it was just let in."""
    return Seat(number=number, name=name, began_ms=now_ms - _BOOTED_MS, row_ms=now_ms - _BACKLOG_MS)


def enrol_request(signer: KeySigner, number: int, secret: bytes) -> EnrollRequest:
    """Return how gateway `number` of a simulated fleet asks to be let in."""
    labels = {"fleet": "simulated", "ring": str(number % 10)}
    return EnrollRequest(secret, signer.public_key, f"sim-{number:06}", labels)


async def enrol(
    roster: Roster, signers: Sequence[tuple[int, KeySigner]], claim: ClaimLetter, *, now_ms: int
) -> None:
    """Let gateways in by a claim, several at once; they join the roster.

    Raises:
        MistakeError: the coordinator does not take them.
        ConnectionError: it cannot be reached.
    """
    address = Address.parse(roster.heading.url, ca_pem=roster.heading.ca_pem)
    line, waiting = Line(address, keep=True, wait_s=_ENROL_S), iter(signers)
    secret = bytes.fromhex(claim.secret)

    async def let_in() -> None:
        for number, signer in waiting:
            request = enrol_request(signer, number, secret)
            answer = await line.post("/v1/enroll", seal(ENROLL_TYP, pack(request), [signer]))
            if answer.status != 200:
                raise MistakeError(
                    f"gateway {number} was not let in: {answer.body[:200]!r}", where="--claim"
                )
            said = unpack(answer.body, EnrollAnswer, bound=limits.BODY_BYTES_DOWN)
            roster.seats.append(new_seat(number, said.agent, now_ms))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(_ENROLLING):
                group.create_task(let_in())
    except* (MistakeError, ConnectionError) as errors:
        raise errors.exceptions[0] from None
    finally:
        line.close()
        roster.seats.sort(key=lambda seat: seat.number)
