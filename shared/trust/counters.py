"""Counters that must never go back, and the two-slot file that keeps a second copy of them.

The agent keeps them in its database and in this file; the higher copy wins, and when neither is
left the agent is *unattested*: it has no counters, rather than counters that begin at zero. Pure:
bytes in, bytes and their place out; the agent writes and syncs them.

A slot is ``generation(8) length(2) payload sha256(32)``, padded to a sector. A write always goes
over the older slot, so a power cut spoils at most the copy that was outdated anyway. The hash finds
damage, not malice: who can write the disk can put back an old file.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec

from shared import limits
from shared.clock import WallMs
from shared.errors import Reason, RefusedError
from shared.trust.root import Root
from shared.wire.codec import pack, unpack
from shared.wire.messages import SignedFloor

_HASH: Final = 32
_HEAD: Final = 10
_ROOM: Final = limits.COUNTER_SLOT_BYTES - _HEAD - _HASH
FILE_BYTES: Final = limits.COUNTER_STRIDE_BYTES + limits.COUNTER_SLOT_BYTES


class Counters(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """How far an agent has come; none of it ever goes back.

    Within an epoch: a higher one begins everything but `root_version` and `counter` anew.
    """

    epoch: int
    root_version: int
    catalog_version: int = 0
    policy_version: int = 0
    restore_epoch: int = 0
    bundle_seq: int = 0
    """Counted within `restore_epoch`."""
    counter: int = 0
    """No report above this was ever frozen."""
    floor_ms: int = 0
    """It is no earlier than this."""

    def under(self, root: Root) -> "Counters":
        """Return the counters after `root` was accepted.

        The one way back there is: a thief who counted up to the end of all numbers, or a clock
        that ran into the next century, is undone by a higher epoch.
        """
        version = max(self.root_version, root.version)
        if root.epoch <= self.epoch:
            return msgspec.structs.replace(self, root_version=version)
        return Counters(
            epoch=root.epoch,
            root_version=version,
            counter=self.counter,
            floor_ms=root.issued_ms,
        )

    def joined(self, other: "Counters") -> "Counters":
        """Return the higher of two copies, number by number."""
        low, high = sorted((self, other), key=lambda c: (c.epoch, c.restore_epoch, c.bundle_seq))
        joined = msgspec.structs.replace(
            high,
            root_version=max(low.root_version, high.root_version),
            counter=max(low.counter, high.counter),
        )
        if low.epoch < high.epoch:
            return joined
        return msgspec.structs.replace(
            joined,
            catalog_version=max(low.catalog_version, high.catalog_version),
            policy_version=max(low.policy_version, high.policy_version),
            floor_ms=max(low.floor_ms, high.floor_ms),
        )


def newest(copies: Iterable[Counters | None]) -> Counters | None:
    """Return what the readable copies say together; None is UNATTESTED."""
    found: Counters | None = None
    for copy in copies:
        if copy is not None:
            found = copy if found is None else found.joined(copy)
    return found


def recovered(told: SignedFloor, *, root: Root, now_ms: WallMs) -> Counters:
    """Return the counters of an agent that lost them, as its coordinator signed them.

    Raises:
        RefusedError: WRONG_EPOCH or WRONG_ROOT_VERSION: the roots up to that one come first.
    """
    if told.epoch != root.epoch:
        raise RefusedError(Reason.WRONG_EPOCH, f"{told.epoch}, the root is of {root.epoch}")
    if told.root_version > root.version:
        raise RefusedError(Reason.WRONG_ROOT_VERSION, f"{told.root_version}")
    return Counters(
        epoch=told.epoch,
        root_version=root.version,
        catalog_version=told.catalog_version,
        policy_version=told.policy_version,
        restore_epoch=told.restore_epoch,
        bundle_seq=told.bundle_seq,
        counter=told.counter,
        floor_ms=now_ms,
    )


@dataclass(frozen=True, slots=True)
class Slots:
    """What a counters' file holds."""

    generation: int
    """Of the newer readable slot; 0 when there is none."""
    counters: Counters | None
    """None: neither slot is readable."""
    newer: int
    """Which slot that is, 0 or 1."""


def read_slots(file: bytes) -> Slots:
    """Return the highest valid copy in a file, whatever else is in it; nothing is raised."""
    best = Slots(0, None, 1)
    for index in (0, 1):
        start = index * limits.COUNTER_STRIDE_BYTES
        found = decode_slot(file[start : start + limits.COUNTER_SLOT_BYTES])
        if found is not None and found[0] > best.generation:
            best = Slots(found[0], found[1], index)
    return best


def next_write(slots: Slots, counters: Counters) -> tuple[int, bytes]:
    """Return (offset, bytes) of the write that keeps `counters`: over the older slot, always."""
    offset = (1 - slots.newer) * limits.COUNTER_STRIDE_BYTES
    return offset, encode_slot(slots.generation + 1, counters)


def encode_slot(generation: int, counters: Counters) -> bytes:
    """Return the sector that keeps `counters`."""
    payload = pack(counters)
    assert generation >= 1, "generations begin at 1"
    assert len(payload) <= _ROOM, "counters outgrew their slot"
    body = generation.to_bytes(8) + len(payload).to_bytes(2) + payload
    return (body + sha256(body).digest()).ljust(limits.COUNTER_SLOT_BYTES, b"\x00")


def decode_slot(data: bytes) -> tuple[int, Counters] | None:
    """Return (generation, counters) of a slot, None when it is torn, empty or foreign."""
    size = int.from_bytes(data[8:_HEAD])
    end = _HEAD + size
    if size > _ROOM or len(data) < end + _HASH:
        return None
    if sha256(data[:end]).digest() != data[end : end + _HASH]:
        return None
    try:
        counters = unpack(data[_HEAD:end], Counters, bound=_ROOM)
    except RefusedError:
        return None
    return int.from_bytes(data[:8]), counters
