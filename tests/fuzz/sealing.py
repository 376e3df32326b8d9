"""Signs what an attacker who has a key would send: whatever is inside, the signature is right."""

import zlib

from shared import limits
from shared.trust.envelope import seal
from shared.wire.codec import unpack
from tests.unit.trust_world import signer

SIGNED_EVERY = 8


def sealed(typ: str, kind: type, payload: bytes, *names: str) -> bytes:
    """Return the envelope of a payload; most of those that are no `kind` are refused unsigned.

    Signing and verifying take ten times as long as reading, and such a payload is refused at the
    same place with a signature: one in `SIGNED_EVERY` shows it.
    """
    if zlib.crc32(payload) % SIGNED_EVERY:
        unpack(payload, kind, bound=limits.DOCUMENT_BYTES)
    return seal(typ, payload, [signer(name) for name in names])
