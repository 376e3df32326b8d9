"""What a stick brings: the frame around its parcels, and the documents inside, both ways."""

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.core.carrier import freed_by_return, read_parcel
from shared.errors import RefusedError
from shared.ids import KeyId
from shared.sync.body import Part, PartKind, encode_body
from shared.sync.piece import Piece, read_piece
from shared.sync.stick import END, Direction, StickDecoder, StickHeader, open_parcel, seal_parcel
from shared.trust.carried import (
    CARRIED_TYP,
    RETURN_TYP,
    Carried,
    Return,
    admit_return,
    claimed_carried,
    claimed_sender,
    open_carried,
)
from shared.trust.sealed import receiving_key, seal_to
from shared.wire.codec import pack
from shared.wire.messages import Announced, Receipt, SignedFloor
from tests.fuzz.sealing import sealed
from tests.unit.trust_world import FLEET, NAME, NOW, World, kid, make_report, signer

WORLD = World()
KEY: X25519PrivateKey = receiving_key(b"fuzz".ljust(32, b"."))
PUBLIC = KEY.public_key().public_bytes_raw()
HEADER = StickHeader(Direction.DOWN, FLEET, KeyId(kid("agent")))


def stick(data: bytes) -> None:
    """Read a stick in pieces; parcels that do not open are passed over."""
    decoder = StickDecoder()
    for start in range(0, len(data), 97):
        for parcel in decoder.feed(data[start : start + 97]):
            assert decoder.header is not None
            try:
                open_parcel(decoder.header, parcel, KEY)
            except RefusedError:
                continue
    decoder.finish()


def sticks() -> list[bytes]:
    """Return whole sticks of no, one and two parcels."""
    parcel = seal_parcel(HEADER, [Part(PartKind.BLOCK, b"b" * 90)], PUBLIC)
    return [HEADER.encode() + parcel * count + END for count in range(3)]


def parcel(body: bytes) -> None:
    """Open a parcel that somebody sealed to an agent: anybody can."""
    header = HEADER.encode()
    parts = open_parcel(HEADER, seal_to(PUBLIC, body, info=header), KEY)
    read_parcel(parts)


def parcels() -> list[bytes]:
    """Return the inside of parcels."""
    answer = Part(PartKind.RETURN, b"r" * 40)
    more = [Part(PartKind.ROOT, b"1"), answer, Part(PartKind.BUNDLE, b"2")]
    return [encode_body([answer]), encode_body(more)]


def piece(part: bytes) -> None:
    """Read a piece of a file, which nobody signs."""
    read = read_piece(part)
    assert read.encode() == part, "one way to write it"
    assert read.start + len(read.data) <= read.size


def pieces() -> list[bytes]:
    """Return a whole file, its beginning, and its end."""
    return [
        Piece(bytes(32), size, start, b"p" * 90).encode()
        for size, start in ((90, 0), (1 << 20, 0), (1 << 20, (1 << 20) - 90))
    ]


def carried(payload: bytes) -> None:
    """Open a carried report as the coordinator does."""
    data = sealed(CARRIED_TYP, Carried, payload, "agent")
    claimed_sender(data)
    open_carried(data, signer("agent").public_key)


def carried_seeds() -> list[bytes]:
    """Return a short carried report and a full one."""
    full = make_report(
        blocks=[Announced(n, bytes(16)) for n in range(1, 9)],
        receipts=[Receipt(1, bytes(16), "pump-1", 2, 1, 0, NOW, "done", {"a.setpoint": 1.5})],
        gone=[(3, 4)],
    )
    return [pack(Carried(1, make_report())), pack(Carried(7, full, 1, 2))]


def returned(payload: bytes) -> None:
    """Admit a return as an agent does, and see what it frees."""
    data = sealed(RETURN_TYP, Return, payload, "director")
    claimed_carried(data)
    answer = admit_return(data, WORLD.held())
    freed_by_return(
        answer, telemetry_epoch=b"T" * 16, jobs_epoch=b"J" * 16, sealed=9, rows=9, told=9
    )


def make_return(**changes: object) -> Return:
    """Return a return to the agent of these tests."""
    fields: dict[str, object] = {
        "agent": NAME,
        "agent_key": kid("agent"),
        "carried": bytes(32),
        "now_ms": NOW,
        "telemetry_epoch": b"T" * 16,
        "jobs_epoch": b"J" * 16,
        "restore_epoch": 0,
    }
    return Return(**(fields | changes))  # type: ignore[arg-type]  # fields by name


def return_seeds() -> list[bytes]:
    """Return a short return and a full one."""
    full = make_return(
        acked=[(1, 5)],
        nacked=[(6, 200)],
        receipts_to=3,
        schemas_wanted=[bytes(8)],
        wanted=[(7, 8)],
        floor=SignedFloor(1, 1, 1, 1, 0, 4, 9),
        safe_to=4,
    )
    return [pack(make_return()), pack(full)]
