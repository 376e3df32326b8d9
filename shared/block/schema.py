"""The channel list that gives a block's columns their meaning, and its bytes.

A schema travels once, as a part of its own; blocks carry only its hash. Owns the canonical
bytes, so that the same channels always have the same hash. Leaves out how a contact asks for a
schema that is unknown (`shared.sync`).
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import SchemaHash, is_name
from shared.model.reading import Channel
from shared.wire.codec import pack, unpack


@dataclass(frozen=True)
class Schema:
    """An ordered list of channels; a block's channel indices point into it."""

    channels: tuple[Channel, ...]

    @cached_property
    def hash(self) -> SchemaHash:
        """Return the first 8 bytes of sha256 over the canonical bytes."""
        return SchemaHash(hashlib.sha256(self.encode()).digest()[:8])

    def encode(self) -> bytes:
        """Return the canonical bytes: a msgpack array of ``[device, point, unit, kind]``."""
        return pack(self.channels)

    @staticmethod
    def decode(data: bytes) -> "Schema":
        """Return the schema that `data` stands for.

        Raises:
            RefusedError: too long, not canonical, a bad name, or a channel named twice.
        """
        try:
            channels = unpack(data, tuple[Channel, ...], bound=limits.SCHEMA_BYTES)
        except RefusedError as error:
            raise RefusedError(Reason.SCHEMA_MALFORMED, str(error)) from None
        if len(channels) > limits.CHANNELS:
            raise RefusedError(Reason.SCHEMA_MALFORMED, f"{len(channels)} channels")
        for channel in channels:
            if not (is_name(channel.device) and is_name(channel.point)):
                raise RefusedError(Reason.SCHEMA_MALFORMED, f"not a name: {channel!r}"[:200])
            if len(channel.unit) > limits.UNIT_CHARS:
                raise RefusedError(Reason.SCHEMA_MALFORMED, "unit too long")
        if len({(channel.device, channel.point) for channel in channels}) != len(channels):
            raise RefusedError(Reason.SCHEMA_MALFORMED, "a channel is listed twice")
        return Schema(channels)
