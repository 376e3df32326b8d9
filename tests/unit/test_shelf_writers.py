"""A file on the shelf with several writers: downloads, sticks, threads that nobody waits for."""

import asyncio
import contextlib
import random
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.artifacts import Span, Wanted
from agent.services.artifacts_taker import Taker
from agent.services.http_answer import Head, HttpError
from agent.services.stick_shelf import StickShelf
from agent.store.artifacts import Part, Shelf
from shared.errors import RefusedError, WorldError
from shared.sync.piece import Piece

DATA = random.Random(9).randbytes(1_000)
WANTED = Wanted(sha256(DATA).digest(), len(DATA))
BOOT = b"b" * 16


@contextlib.contextmanager
def fresh_shelf() -> Iterator[Shelf]:
    with tempfile.TemporaryDirectory() as folder:
        yield Shelf(Path(folder), BOOT)


def piece(start: int, end: int) -> Piece:
    return Piece(WANTED.digest, WANTED.size, start, DATA[start:end])


def sticks(shelf: Shelf) -> StickShelf:
    async def needed() -> dict[bytes, int]:
        return {WANTED.digest: WANTED.size}

    return StickShelf(shelf, needed)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 200), st.booleans()), max_size=60))
def test_however_writers_take_turns_the_file_is_the_file(
    turns: list[tuple[int, int, bool]],
) -> None:
    with fresh_shelf() as shelf, ExitStack() as stack:
        writers: dict[int, Part] = {}
        for writer, size, drops in turns:
            if drops and not size % 50:
                with contextlib.suppress(RefusedError, WorldError):
                    shelf.finish(WANTED)  # too early: all of it goes, unless it is whole
                continue
            if writer not in writers:
                part = shelf.open_part(WANTED)
                writers[writer] = stack.enter_context(contextlib.closing(part))
            part = writers[writer]
            if not part.write(DATA[part.size : part.size + size]):
                del writers[writer]
            held = shelf.shown(WANTED)
            assert shelf.read(WANTED, 0, held) == DATA[:held]


class Interrupted:
    """An answer in whose middle something else happens to the file."""

    def __init__(self, data: bytes, meanwhile: StickShelf, brought: Piece) -> None:
        self._chunks = [data[:300], data[300:]]
        self._meanwhile, self._brought = meanwhile, brought

    def read1(self, _most: int) -> bytes:
        if len(self._chunks) == 1:
            asyncio.run(self._meanwhile.take(self._brought))
        return self._chunks.pop(0)


@pytest.mark.parametrize("end", [600, 1_000])
def test_a_stick_that_comes_in_the_middle_of_a_download_does_not_mix_with_it(
    tmp_path: Path, end: int
) -> None:
    shelf = Shelf(tmp_path, BOOT)
    span = Span(0, WANTED.size)
    taker = Taker(shelf, WANTED, span)
    fields = {"content-range": f"bytes 0-{WANTED.size - 1}/{WANTED.size}"}
    head = Head(status=206, reason="", fields=fields, version=1)
    stream = Interrupted(DATA, sticks(shelf), piece(0, end))
    with pytest.raises(HttpError, match="went on with this file meanwhile"):
        taker.take(head, stream)  # type: ignore[arg-type]  # all that is asked of a stream
    assert taker.got == 300
    assert shelf.shown(WANTED) == end
    assert asyncio.run(sticks(shelf).take(piece(500, 1_000))) is (end == 600)
    assert (shelf.find(WANTED) or Path()).read_bytes() == DATA


def test_who_comes_second_with_the_last_byte_is_given_the_whole_file(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, BOOT)
    with contextlib.closing(shelf.open_part(WANTED)) as part:
        assert part.write(DATA)
    first = shelf.finish(WANTED)
    assert shelf.finish(WANTED) == first
    assert first.read_bytes() == DATA


def test_what_is_begun_beside_a_whole_file_does_not_hide_it_from_neighbours(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path, BOOT)
    asyncio.run(sticks(shelf).take(piece(0, 1_000)))
    with contextlib.closing(shelf.open_part(WANTED)) as part:
        assert part.write(DATA[:100])
    assert shelf.find(WANTED) is not None
    assert shelf.read(WANTED, 0, WANTED.size) == DATA


def test_a_file_that_rots_is_nobodys_any_more(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, BOOT)
    asyncio.run(sticks(shelf).take(piece(0, 1_000)))
    shelf.note_given(WANTED, 700)
    whole = shelf.find(WANTED)
    assert whole is not None
    whole.write_bytes(bytes(1_000))
    assert shelf.find(WANTED) is None
    assert shelf.given(WANTED) == 0, "else the coordinator's next copy were the neighbours'"


def test_a_copy_that_becomes_whole_is_shown_all_the_while(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, shown = 0, []
    with fresh_shelf() as shelf:
        look = Path.stat

        def stat(path: Path, **how: bool) -> object:
            nonlocal looks
            looks += 1
            try:
                return look(path, **how)
            finally:
                if looks == 1:
                    shelf.finish(WANTED)

        with contextlib.closing(shelf.open_part(WANTED)) as part:
            assert part.write(DATA)
        monkeypatch.setattr(Path, "stat", stat)
        shown.append(shelf.shown(WANTED))
        shown.append(shelf.shown(WANTED))
    assert shown == [len(DATA)] * 2
