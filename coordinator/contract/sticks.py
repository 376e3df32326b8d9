"""Sticks over REST: one parcel at a time up, a whole stick down."""

import msgspec

STICK_TYPE = "application/vnd.outstation.stick"
"""What a parcel is sent as and a stick is answered as."""
WORK_HEADER = "Outstation-Executions"
"""Of a stick: how many executions are on it; ``none-possible`` where no report ever came."""
FILES_HEADER = "Outstation-Files"
"""Of a stick: the files that work on it names, ``sha256:HEX=BYTES`` with commas between."""
SEAL_HEADER = "Outstation-Seal"
"""Of a stick: the X25519 key, in hex, to which more parcels for the same agent are sealed."""
NO_STORE = "none-possible"


class ParcelView(msgspec.Struct, frozen=True):
    """What one parcel brought."""

    agent: str
    blocks: int
    """Stored; not those that were here."""
    readings: int
    duplicates: int
    receipts: int
    """New ones."""
    refused: dict[str, int]
    """Blocks that were refused, by reason."""
