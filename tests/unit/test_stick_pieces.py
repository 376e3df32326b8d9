"""Pieces of files on sticks: what is none is refused, and what comes goes where it belongs."""

import random
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.services.stick_shelf import StickShelf
from agent.store.artifacts import Shelf
from shared import limits
from shared.errors import RefusedError
from shared.sync.piece import Piece, read_piece

DATA = random.Random(2).randbytes(1000)
FIRST = Piece(sha256(DATA).digest(), 1000, 0, DATA[:600])
LAST = Piece(FIRST.digest, 1000, 600, DATA[600:])


def shelf_of(folder, needed=None):
    async def wanted():
        return {FIRST.digest: 1000} if needed is None else needed

    return StickShelf(Shelf(folder, b"b" * 16), wanted)


def test_a_piece_is_read_as_it_was_written():
    assert read_piece(LAST.encode()) == LAST


@pytest.mark.parametrize(
    "piece",
    [
        replace(FIRST, data=b""),
        replace(LAST, start=601),
        replace(LAST, size=999),
        replace(FIRST, size=limits.SHELF_BYTES + 1),
        Piece(FIRST.digest, 1 << 21, 0, bytes(limits.STICK_PIECE_BYTES + 1)),
    ],
)
def test_a_piece_that_lies_outside_of_its_file_is_refused(piece):
    with pytest.raises(RefusedError):
        read_piece(piece.encode())


@given(st.binary(max_size=80))
def test_no_bytes_upset_whoever_reads_a_piece(data):
    try:
        assert read_piece(data).encode() == data
    except RefusedError:
        return


async def test_a_file_is_whole_with_its_last_piece_and_once(tmp_path):
    shelf = shelf_of(tmp_path)
    told = [await shelf.take(piece) for piece in (FIRST, FIRST, LAST, LAST, FIRST)]
    assert told == [False, False, True, False, False]
    assert (tmp_path / "artifacts" / FIRST.digest.hex()).read_bytes() == DATA


async def test_what_no_order_names_is_not_taken(tmp_path):
    assert await shelf_of(tmp_path, {}).take(FIRST) is False
    assert await shelf_of(tmp_path, {FIRST.digest: 999}).take(FIRST) is False
    assert not (tmp_path / "artifacts").exists()


async def test_a_piece_behind_a_gap_and_a_file_that_is_another_are_refused(tmp_path):
    shelf = shelf_of(tmp_path)
    with pytest.raises(RefusedError, match="bytes before 600 are missing"):
        await shelf.take(LAST)
    await shelf.take(FIRST)
    with pytest.raises(RefusedError, match="nothing of it was kept"):
        await shelf.take(replace(LAST, data=bytes(400)))
    assert list((tmp_path / "artifacts").iterdir()) == []
