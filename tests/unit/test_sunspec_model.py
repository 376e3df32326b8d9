"""Definitions of SunSpec models: which registers their points are, and what is no definition."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from agent.core.sunspec import found_of, points_of
from agent.core.sunspec_model import SunSpecModel, sunspec_model
from agent.services.sunspec_files import read_files
from shared import limits
from shared.errors import MistakeError

HEAD = [{"name": "ID", "type": "uint16"}, {"name": "L", "type": "uint16"}]


def model(points: list[dict[str, Any]], **more: Any) -> SunSpecModel:
    group = {"name": "thing", "points": [*HEAD, *points], **more}
    return sunspec_model(json.dumps({"id": 64_900, "group": group}).encode(), source="model.json")


def found(defined: SunSpecModel, *words: int) -> dict[str, tuple[int, str, int]]:
    points = found_of(defined.points(words), 1000, words)
    return {one.name: (one.at.address, one.at.type, one.scale) for one in points}


def test_points_stand_behind_each_other_with_their_scale_factors():
    defined = model(
        [
            {"name": "Name", "type": "string", "size": 2},
            {"name": "W", "type": "int16", "sf": "W_SF", "units": "W"},
            {"name": "Wh", "type": "acc64", "units": "Wh"},
            {"name": "T", "type": "int16", "sf": -1, "units": "C"},
            {"name": "W_SF", "type": "sunssf"},
        ]
    )
    words = (0x4142, 0, 150, 0, 0, 1, 2, 215, 0xFFFE)
    assert found(defined, *words) == {
        "w": (1002, "int16", -2),
        "wh": (1003, "uint64", 0),
        "t": (1007, "int16", -1),
    }
    units = {one.name: one.unit for one in defined.points(words)}
    assert units == {"w": "W", "wh": "W.h", "t": "Cel"}


def test_a_group_repeats_as_often_as_a_point_says_and_one_within_it_as_well():
    inner = {"name": "Pt", "count": "NPt", "points": [{"name": "V", "type": "uint16", "sf": "SF"}]}
    outer = {
        "name": "Crv",
        "count": "NCrv",
        "points": [{"name": "St", "type": "enum16"}],
        "groups": [inner],
    }
    heads = [{"name": name, "type": "uint16"} for name in ("NCrv", "NPt")]
    defined = model([*heads, {"name": "SF", "type": "sunssf"}], groups=[outer])
    told = found(defined, 2, 2, 1, 7, 10, 11, 8, 20, 21, 99)
    assert {name: at for name, (at, _, _) in told.items()} == {
        "ncrv": 1000,
        "npt": 1001,
        "crv1_st": 1003,
        "crv1_pt1_v": 1004,
        "crv1_pt2_v": 1005,
        "crv2_st": 1006,
        "crv2_pt1_v": 1007,
        "crv2_pt2_v": 1008,
    }
    assert told["crv1_pt1_v"][2] == 1


def test_a_group_without_a_count_goes_on_to_the_end_of_the_model():
    rest = {"name": "string", "count": 0, "points": [{"name": "A", "type": "uint32"}]}
    told = found(model([], groups=[rest]), 0, 5, 0, 6, 0)
    assert told == {"string1_a": (1000, "uint32", 0), "string2_a": (1002, "uint32", 0)}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("int16", [0x8000]),
        ("int32", [0x8000, 0]),
        ("int64", [0x8000, 0, 0, 0]),
        ("uint32", [0xFFFF, 0xFFFF]),
        ("bitfield32", [0xFFFF, 0xFFFF]),
        ("enum16", [0xFFFF]),
        ("acc32", [0, 0]),
        ("acc64", [0] * 4),
        ("float32", list(struct.unpack(">2H", struct.pack(">f", float("nan"))))),
        ("float64", list(struct.unpack(">4H", struct.pack(">d", float("nan"))))),
    ],
)
def test_what_a_device_does_not_implement_is_no_point(kind, words):
    defined = model([{"name": "x", "type": kind}])
    assert found(defined, *words) == {}
    assert set(found(defined, *[1] * len(words))) == {"x"}


def test_a_point_whose_scale_factor_is_not_there_is_none():
    defined = model(
        [{"name": "W", "type": "int16", "sf": "W_SF"}, {"name": "W_SF", "type": "sunssf"}]
    )
    assert found(defined, 150) == {}
    assert found(defined, 150, 0x8000) == {}
    assert list(points_of(103, 0, [1])) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"[]", "no definition of a SunSpec model"),
        (b'{"id": 1}', "no definition of a SunSpec model"),
        (b'{"id": 1, "group": {"name": "x"}}', "begins with its points ID and L"),
        (
            json.dumps(
                {"id": 1, "group": {"name": "x", "points": [*HEAD, {"name": "p", "type": "int8"}]}}
            ).encode(),
            "point 'p' has no type and size of SunSpec: 'int8'",
        ),
        (
            json.dumps(
                {
                    "id": 1,
                    "group": {"name": "x", "points": [*HEAD, {"name": "p", "type": "string"}]},
                }
            ).encode(),
            "point 'p' has no type and size",
        ),
    ],
)
def test_what_is_no_definition_is_one_sentence(text, what):
    with pytest.raises(MistakeError, match=what):
        sunspec_model(text, source="model.json")


def test_groups_too_deep_are_refused_and_many_repeated_ones_end():
    group: dict[str, Any] = {"name": "g", "points": [{"name": "A", "type": "uint16"}]}
    for _ in range(limits.SUNSPEC_DEPTH):
        group = {"name": "g", "points": [], "groups": [group]}
    with pytest.raises(MistakeError, match="deep"):
        model([], groups=[group])
    empty = {"name": "e", "count": 0, "points": []}
    assert found(model([], groups=[empty]), *[1] * 100) == {}


def test_registers_are_read_as_spreadsheets_and_mbpoll_write_them(tmp_path: Path):
    file = tmp_path / "dump"
    for text in (
        "address,value\n40000,21365\n40001;0x6e53\n",
        "[40001]: \t21365\n[40002]: 28243\n",
    ):
        file.write_text(text)
        models, dump = read_files([file])
        assert models == []
        assert dump is not None
        assert dump._cells == {40_000: 0x5375, 40_001: 0x6E53}
    file.write_text("[1]: \t65535 (-1)\n# end\n\n")
    assert read_files([file])[1] is not None


def test_numbers_may_be_filled_up_with_zeros(tmp_path: Path):
    file = tmp_path / "dump.csv"
    file.write_text("00000,21365\n00001,28243\n00002,00001\n0x0003,00066\n")
    _, dump = read_files([file])
    assert dump is not None
    assert dump._cells == {0: 0x5375, 1: 0x6E53, 2: 1, 3: 66}


@pytest.mark.parametrize("line", ["40000", "40000,65536", "65537,1", "a,b", "40000,1,2"])
def test_a_line_that_is_no_register_is_told_with_its_number(line, tmp_path):
    file = tmp_path / "dump.csv"
    file.write_text(f"1,2\n{line}\n")
    with pytest.raises(MistakeError, match="is no address and register") as told:
        read_files([file])
    assert told.value.where == f"{file} line 2"


def test_two_devices_make_no_profile_and_a_file_that_is_not_there_is_told(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("1,2\n")
    with pytest.raises(MistakeError, match="one device make one profile"):
        read_files([tmp_path / "a.csv", tmp_path / "b.csv"])
    with pytest.raises(MistakeError, match="No such file"):
        read_files([tmp_path / "none.json"])
