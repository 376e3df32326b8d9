"""The codec's bench reads any CSV, says what it cannot read, and proves what it claims."""

import argparse

import pytest

from shared.errors import MistakeError
from tests.bench import codec

ODD = """unix_ms,a,b,c,d
1636635600000,1,1.5,,9223372036854775808
1636635600000,2,1e5,-0.0,-9223372036854775808
1636635500000,,nan,1.7976931348623157e308,5
1736635500000,7,inf,0.12345678901234567,0
1736635500001.0,8,5e-324

1736635500002,9,-1e-7,3,4
"""


def measure(path, *arguments):
    parser = argparse.ArgumentParser()
    codec.add_arguments(parser)
    return codec.run(parser.parse_args(["--csv", str(path), *arguments]))


@pytest.mark.parametrize("rows", ["1", "4", "300"])
@pytest.mark.parametrize("stage", ["none", "zlib", "adaptive"])
def test_gaps_duplicates_disorder_exponents_and_large_integers_survive(tmp_path, rows, stage):
    file = tmp_path / "odd.csv"
    file.write_text(ODD)
    result = measure(file, "--rows", rows, "--stage", stage)
    assert result["lossless"] is True
    assert result["readings"] == 20


def test_columns_keep_the_type_their_cells_have(tmp_path):
    file = tmp_path / "odd.csv"
    file.write_text(ODD)
    table = codec.read_csv(file)
    assert table.columns[0] == [1, 2, None, 7, 8, 9]
    assert [type(value) for value in table.columns[2][:1]] == [type(None)]
    assert {type(value) for value in table.columns[2][1:4]} == {float}
    assert table.columns[3][:2] == [2**63, -(2**63)]


@pytest.mark.parametrize("text", ["unix_ms,a\n1,x\n", "", "unix_ms,a\nnever,1\n", "unix_ms\n1\n"])
def test_a_file_without_numbers_is_a_mistake_with_a_place(tmp_path, text):
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(MistakeError, match=r"bad\.csv"):
        measure(file)


def test_a_piece_that_no_block_can_hold_is_cut(tmp_path):
    file = tmp_path / "tall.csv"
    file.write_text("unix_ms,a\n" + "".join(f"{row},{row}\n" for row in range(40_000)))
    result = measure(file, "--rows", "40000")
    assert result["blocks"] == 2
    assert result["readings"] == 40_000
