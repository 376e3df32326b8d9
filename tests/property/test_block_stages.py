"""What is written to a stage piece by piece comes out again, whatever the pieces are."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.block.adaptive import AdaptiveReader, AdaptiveWriter
from shared.block.plain import PlainReader, PlainWriter
from shared.block.stage import NUMBER_BITS, ROLES, Reader, Writer
from shared.errors import RefusedError

STAGES: dict[str, tuple[Callable[[], Writer], Callable[[bytes], Reader]]] = {
    "none": (
        lambda: PlainWriter(compress=False),
        lambda data: PlainReader(data, compressed=False),
    ),
    "zlib": (lambda: PlainWriter(compress=True), lambda data: PlainReader(data, compressed=True)),
    "adaptive": (AdaptiveWriter, AdaptiveReader),
}
roles = st.integers(0, ROLES - 1)
residual = st.one_of(
    st.just(0),
    st.integers(-2, 2),
    st.integers(-40, 40),
    st.integers(-(2 ** (NUMBER_BITS - 2)), 2 ** (NUMBER_BITS - 2)),
)
number = st.one_of(st.integers(0, 20), st.integers(0, 2**NUMBER_BITS - 2))
pieces = st.lists(
    st.one_of(
        st.tuples(st.just("flag"), roles, st.booleans()),
        st.tuples(st.just("number"), roles, number),
        st.tuples(
            st.just("residuals"), st.integers(0, NUMBER_BITS), st.lists(residual, max_size=60)
        ),
    ),
    max_size=12,
)


def write(writer, pieces):
    for kind, how, what in pieces:
        if kind == "flag":
            writer.flag(how, value=what)
        elif kind == "number":
            writer.number(how, what)
        else:
            writer.residuals(what, how)
    return writer.finish()


def read(reader, pieces):
    return [
        reader.residuals(len(what), how) if kind == "residuals" else getattr(reader, kind)(how)
        for kind, how, what in pieces
    ]


def read_all(new_reader, data, pieces):
    reader = new_reader(data)
    read(reader, pieces)
    reader.finish()


@pytest.mark.parametrize("stage", STAGES)
@given(pieces=pieces)
def test_pieces_come_out_as_they_went_in(stage, pieces):
    new_writer, new_reader = STAGES[stage]
    reader = new_reader(write(new_writer(), pieces))
    assert read(reader, pieces) == [what for _, _, what in pieces]
    reader.finish()


@pytest.mark.parametrize("stage", STAGES)
@given(pieces=pieces, junk=st.binary(min_size=8, max_size=20))
def test_bytes_that_nobody_reads_are_refused(stage, pieces, junk):
    new_writer, new_reader = STAGES[stage]
    with pytest.raises(RefusedError):
        read_all(new_reader, write(new_writer(), pieces) + junk, pieces)


@pytest.mark.parametrize("stage", STAGES)
@given(data=st.binary(max_size=60), pieces=pieces)
def test_noise_is_read_as_something_or_refused(stage, data, pieces):
    _, new_reader = STAGES[stage]
    with contextlib.suppress(RefusedError):
        read(new_reader(data), pieces)
