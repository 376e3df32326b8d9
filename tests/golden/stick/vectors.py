"""Sticks of both ways. Seals are made with new randomness each time: these bytes are only read.

``python -m tests.golden.stick.vectors`` writes them anew, before the first release only.
"""

import json
from pathlib import Path

from shared.ids import KeyId, key_id
from shared.sync.body import Part, PartKind
from shared.sync.stick import END, Direction, StickHeader, seal_parcel
from shared.trust.carried import CARRIED_TYP, RETURN_TYP, Carried, Return
from shared.trust.envelope import seal
from shared.trust.sealed import receiving_key, receiving_public
from shared.wire.codec import pack
from tests.golden.wire.vectors import FLEET, NOW, REPORT, signer

FILE = Path(__file__).with_name("v1.json")
FLEET_KEY = receiving_key(b"carrier".ljust(32, b"\x00"))
CARRIED = Carried(3, REPORT, 5, 1)
RETURN = Return(
    agent="north-1",
    agent_key=key_id(signer("agent").public_key),
    carried=b"c" * 32,
    now_ms=NOW,
    telemetry_epoch=b"t" * 16,
    jobs_epoch=b"j" * 16,
    restore_epoch=NOW // 1000,
    acked=[(8, 9)],
    nacked=[(7, 201)],
    receipts_to=6,
    ledger_to=1,
    wanted=[(1, 2)],
    safe_to=4,
)


def inside() -> dict[str, list[Part]]:
    """Return the parts of each stick's one parcel."""
    carried = seal(CARRIED_TYP, pack(CARRIED), [signer("agent")])
    answer = seal(RETURN_TYP, pack(RETURN), [signer("director")])
    return {
        "up": [Part(PartKind.CARRIED, carried), Part(PartKind.BLOCK, b"block")],
        "down": [Part(PartKind.RETURN, answer), Part(PartKind.BUNDLE, b"bundle")],
    }


def headers() -> dict[str, StickHeader]:
    """Return the header of each stick."""
    fleet = KeyId(key_id(FLEET_KEY.public_key().public_bytes_raw()))
    return {
        "up": StickHeader(Direction.UP, FLEET, fleet),
        "down": StickHeader(Direction.DOWN, FLEET, KeyId(key_id(signer("agent").public_key))),
    }


def sticks() -> dict[str, bytes]:
    """Return both sticks, sealed anew."""
    to = {
        "up": FLEET_KEY.public_key().public_bytes_raw(),
        "down": receiving_public(signer("agent").public_key),
    }
    parts = inside()
    return {
        way: header.encode() + seal_parcel(header, parts[way], to[way]) + END
        for way, header in headers().items()
    }


if __name__ == "__main__":
    FILE.write_text(
        json.dumps({way: data.hex() for way, data in sticks().items()}, indent=1) + "\n"
    )
