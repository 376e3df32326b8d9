"""Sticks over REST: one parcel at a time up, a whole stick down."""

import msgspec

STICK_TYPE = "application/vnd.outstation.stick"
"""What a parcel is sent as and a stick is answered as."""
WORK_HEADER = "Outstation-Executions"
"""Of a stick: how many executions are on it; ``none-possible`` where no report ever came."""
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
