"""Bytes written by any release are read by this one as they were meant."""

import json

import pytest

from shared.block import columns, series
from shared.block.codec import Stage, check, decode, encode
from shared.block.floats import Form
from tests.block_parts import bits, exact
from tests.golden.block import from_page
from tests.golden.block.vectors import BLOCKS, FILE

VECTORS = json.loads(FILE.read_text())


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("name", BLOCKS)
def test_frozen_bytes_mean_what_they_always_meant(name, stage):
    data = bytes.fromhex(VECTORS[name][stage.name])
    assert exact(decode(data)) == exact(BLOCKS[name])
    assert check(data).stage is stage


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("name", BLOCKS)
def test_the_page_alone_is_enough_to_read_them(name, stage):
    header, groups = from_page.read(bytes.fromhex(VECTORS[name][stage.name]))
    cells = [
        (channels, times, [list(map(bits, column)) for column in columns], qualities)
        for channels, times, columns, qualities in groups
    ]
    assert ([*header], cells) == exact(BLOCKS[name])


def test_every_vector_has_its_meaning():
    assert VECTORS.keys() == BLOCKS.keys()


def test_the_vectors_cover_every_form_and_shape(monkeypatch):
    forms, shapes = set(), set()

    class Spy(columns.Columns):
        def _get_layout(self, reader):
            layout = super()._get_layout(reader)
            forms.add(layout.form)
            return layout

    def predict(shape, *rest):
        shapes.add(shape)
        return honest(shape, *rest)

    honest = series._predict
    monkeypatch.setattr("shared.block.codec.Columns", Spy)
    monkeypatch.setattr(series, "_predict", predict)
    for stages in VECTORS.values():
        decode(bytes.fromhex(stages["ADAPTIVE"]))
    assert forms == set(Form)
    assert shapes == set(range(series.SHAPES)) - {series.LINE, series.PALETTE}


@pytest.mark.parametrize("name", BLOCKS)
def test_this_release_still_writes_them(name):
    for stage in Stage:
        assert len(encode(BLOCKS[name], stage=stage)) <= len(VECTORS[name][stage.name]) // 2
