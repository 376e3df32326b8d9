"""The file on a stick: what is whole is read, whatever happened to the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import KeyId
from shared.sync.body import Part, PartKind
from shared.sync.stick import (
    END,
    HEADER_BYTES,
    Direction,
    StickDecoder,
    StickHeader,
    open_parcel,
    seal_parcel,
)
from shared.trust.envelope import KeySigner
from shared.trust.sealed import open_sealed, receiving_key, receiving_public, seal_to

SEED = b"s" * 32
KEY = receiving_key(SEED)
PUBLIC = KEY.public_key().public_bytes_raw()
HEADER = StickHeader(Direction.UP, b"f" * 16, KeyId(b"r" * 8))
PARCELS = [[Part(PartKind.BLOCK, bytes([n]) * n)] for n in range(1, 6)]
SEALED = [seal_parcel(HEADER, parts, PUBLIC) for parts in PARCELS]
STICK = HEADER.encode() + b"".join(SEALED) + END


def read(data: bytes, *, piece: int = 1 << 20) -> tuple[list[list[Part]], bool]:
    """Return the parcels that can be opened, and whether the stick was whole."""
    decoder = StickDecoder()
    found: list[list[Part]] = []
    try:
        for at in range(0, len(data), piece):
            for sealed in decoder.feed(data[at : at + piece]):
                assert decoder.header is not None
                try:
                    found.append(open_parcel(decoder.header, sealed, KEY))
                except RefusedError:
                    continue
        decoder.finish()
    except RefusedError:
        return found, False
    return found, True


@given(st.integers(1, len(STICK)))
def test_a_stick_is_read_in_pieces_of_any_size(piece: int) -> None:
    assert read(STICK, piece=piece) == (PARCELS, True)


@given(st.integers(0, len(STICK) - 1))
def test_a_stick_that_was_cut_off_brings_its_whole_parcels_and_says_so(length: int) -> None:
    found, whole = read(STICK[:length])
    assert not whole
    assert found == PARCELS[: len(found)]
    ends = [HEADER_BYTES + sum(map(len, SEALED[: n + 1])) for n in range(len(SEALED))]
    assert len(found) == sum(end <= length for end in ends)


@given(st.permutations(SEALED), st.integers(0, 5))
def test_parcels_stand_for_themselves(parcels: list[bytes], dropped: int) -> None:
    kept = parcels[dropped:] + parcels[-1:]
    found, whole = read(HEADER.encode() + b"".join(kept) + END)
    assert whole
    assert len(found) == len(kept)


@given(st.integers(0, len(STICK) - 1), st.integers(1, 255))
def test_no_altered_byte_makes_another_parcel(at: int, change: int) -> None:
    altered = STICK[:at] + bytes([STICK[at] ^ change]) + STICK[at + 1 :]
    found, _ = read(altered)
    assert all(parts in PARCELS for parts in found)


def test_a_parcel_opens_only_under_its_own_header() -> None:
    for other in (
        StickHeader(Direction.DOWN, HEADER.fleet, HEADER.receiver),
        StickHeader(Direction.UP, b"g" * 16, HEADER.receiver),
        StickHeader(Direction.UP, HEADER.fleet, KeyId(b"q" * 8)),
    ):
        with pytest.raises(RefusedError) as refused:
            open_parcel(other, SEALED[0][4:], KEY)
        assert refused.value.reason is Reason.SEAL_BROKEN


def test_a_parcel_over_its_bound_is_refused_before_it_is_read() -> None:
    decoder = StickDecoder()
    with pytest.raises(RefusedError, match="over its bound"):
        decoder.feed(HEADER.encode() + (limits.PARCEL_BYTES + 1).to_bytes(4))


@given(st.integers(0, 4), st.integers(1, len(STICK)))
def test_what_is_whole_before_a_damaged_length_is_taken_in(whole: int, piece: int) -> None:
    at = HEADER_BYTES + sum(map(len, SEALED[:whole]))
    damaged = STICK[:at] + b"\x80" + STICK[at + 1 :]
    assert read(damaged, piece=piece) == (PARCELS[:whole], False)


@given(st.integers(0, 4), st.integers(1, len(STICK)))
def test_zeros_in_the_place_of_parcels_are_no_end(whole: int, piece: int) -> None:
    kept = HEADER.encode() + b"".join(SEALED[:whole])
    assert read(kept + bytes(len(STICK) - len(kept)), piece=piece) == (PARCELS[:whole], False)
    assert read(kept + END, piece=piece) == (PARCELS[:whole], True)


@pytest.mark.parametrize("data", [b"PK\x03\x04" + bytes(60), b"OSTICK\x02" + bytes(60)])
def test_what_is_no_stick_is_told_at_once(data: bytes) -> None:
    with pytest.raises(RefusedError) as refused:
        StickDecoder().feed(data)
    assert refused.value.reason is Reason.STICK_MALFORMED


@given(st.binary(min_size=32, max_size=32))
def test_who_can_sign_can_open_what_is_sealed_to_the_signing_key(seed: bytes) -> None:
    public = receiving_public(KeySigner(seed).public_key)
    assert public == receiving_key(seed).public_key().public_bytes_raw()
    sealed = seal_to(public, b"secret", info=b"here")
    assert open_sealed(receiving_key(seed), sealed, info=b"here") == b"secret"
    with pytest.raises(RefusedError):
        open_sealed(KEY, sealed, info=b"here")


def test_a_key_that_is_no_point_is_refused() -> None:
    for public in (bytes(32), b"\x01" + bytes(31), b"\xff" * 32, b"short"):
        with pytest.raises(RefusedError):
            receiving_public(public)
