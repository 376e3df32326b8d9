"""A damaged stick's file, both ways: what is whole before the damage is taken in, and told."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.services.stick_file import read_pieces
from coordinator.cli.carrier import _parcels
from shared.errors import MistakeError, RefusedError
from shared.sync.stick import END, HEADER_BYTES, Direction, StickHeader, seal_parcel
from tests.unit.test_stick import HEADER, PARCELS, PUBLIC

DOWN = StickHeader(Direction.DOWN, HEADER.fleet, HEADER.receiver)


def _brought(path: Path) -> Iterator[bytes]:
    pieces = read_pieces(path)
    assert next(pieces) == DOWN.encode()
    yield from pieces


SIDES = pytest.mark.parametrize(("header", "parcels"), [(HEADER, _parcels), (DOWN, _brought)])
Reader = Callable[[Path], Iterator[bytes]]


def taken(parcels: Iterator[bytes]) -> tuple[int, str]:
    count = 0
    try:
        for _ in parcels:
            count += 1
    except RefusedError as error:
        return count, error.detail
    return count, ""


@SIDES
@pytest.mark.parametrize("whole", range(5))
def test_a_damaged_length_costs_what_follows_it(
    header: StickHeader, parcels: Reader, whole: int, tmp_path: Path
):
    sealed = [seal_parcel(header, parts, PUBLIC) for parts in PARCELS]
    data = bytearray(header.encode() + b"".join(sealed) + END)
    data[HEADER_BYTES + sum(map(len, sealed[:whole]))] ^= 0x80
    (path := tmp_path / "stick").write_bytes(data)
    count, told = taken(parcels(path))
    assert count == whole
    assert "a parcel is over its bound" in told


@SIDES
def test_a_stick_whose_rest_is_zeros_is_not_whole(
    header: StickHeader, parcels: Reader, tmp_path: Path
):
    sealed = [seal_parcel(header, parts, PUBLIC) for parts in PARCELS]
    (path := tmp_path / "stick").write_bytes(header.encode() + b"".join(sealed[:2]) + bytes(600))
    count, told = taken(parcels(path))
    assert count == 2
    assert "something follows its end" in told


@SIDES
def test_what_is_no_stick_is_none(header: StickHeader, parcels: Reader, tmp_path: Path):
    (path := tmp_path / "stick").write_bytes(b"PK" + header.encode() + bytes(600))
    with pytest.raises(MistakeError, match="is no stick"):
        list(parcels(path))
