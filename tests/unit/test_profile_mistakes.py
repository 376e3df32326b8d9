"""What a person gets wrong in a profile is one sentence with the line and the mend."""

import pytest

from shared import limits
from shared.errors import MistakeError
from shared.model.profile import parse_profile

GOOD = """profile = 1
name = "pump"
kind = "pump"
protocol = "modbus"
[limits]
max_gap = 8
[[point]]
name = "pressure"
at = { table = "input", address = 0, type = "int16" }
scale = "0.01"
[[point]]
name = "setpoint"
at = { table = "holding", address = 100, type = "uint16" }
writable = true
min = 0
max = 5000
[[point]]
name = "relay"
at = { table = "coil", address = 1 }
"""

MISTAKES = [
    # (what is changed, into what, the line that is named, a part of the sentence)
    ("profile = 1", "profile = 2", 1, "profile = 2 is not a whole number from 1 to 1"),
    ("profile = 1\n", "", 1, "profile is missing"),
    ('kind = "pump"\n', "", 1, "kind is missing"),
    ('name = "pump"', 'name = "Pump 1"', 2, "'Pump 1' is no name"),
    ('name = "pump"', "name = 5", 2, "name is a text"),
    ('"modbus"', '"modbuz"', 4, "did you mean 'modbus'?"),
    ('"modbus"', '"dnp3"', 4, "it is one of modbus"),
    ("max_gap = 8", "max_gap = true", 6, "max_gap = True is not a whole number"),
    ("max_gap = 8", "max_registers = 126", 6, "max_registers = 126 is not a whole number from 1"),
    ("max_gap = 8", "max_gaps = 8", 6, "did you mean 'max_gap'?"),
    ("[limits]\nmax_gap = 8", "limits = 8", 5, "limits is a table"),
    ("scale =", "scal =", 10, "unknown key 'scal'; did you mean 'scale'?"),
    ("scale =", "xyzzy =", 10, "known are name, at, scale"),
    ('"0.01"', '"0"', 10, "a scale of 0"),
    ('"0.01"', "nan", 10, "scale = NaN is not a number"),
    ('"0.01"', '"1/3"', 10, "scale = '1/3' is not a number"),
    ('"0.01"', "true", 10, "scale = True is not a number"),
    ('"0.01"', "[1]", 10, "scale = [1] is not a number"),
    ('"0.01"', '"1e400000000"', 10, "scale is beyond"),
    ('"0.01"', "0.0123456789012345678901", 10, "scale is beyond 20 digits"),
    ('scale = "0.01"', 'kind = "gage"', 10, "did you mean 'gauge'?"),
    ('scale = "0.01"', 'poll = "yes"', 10, "poll is true or false"),
    ('scale = "0.01"', 'unit = "much too long to be any unit"', 10, "a unit has at most 24"),
    ('scale = "0.01"', "writable = true", 10, "the input table cannot be written"),
    ('scale = "0.01"', 'verify = "read_back"', 10, "only a writable point is verified"),
    ("max = 5000", 'verify = "hope"', 16, "verify cannot be 'hope'"),
    ("max = 5000", 'verify = "none"', 16, "cannot be proven is not polled"),
    ("max = 5000", "min_write_interval_s = 604801", 16, "min_write_interval_s"),
    (
        'name = "setpoint"',
        'name = "pressure"',
        12,
        "'pressure' is the name of a point already, on line 7",
    ),
    ("address = 100", "address = 65536", 13, "address = 65536 is not a whole number"),
    ("address = 100", "address = -1", 13, "address = -1 is not a whole number"),
    ("address = 100", "adress = 100", 13, "unknown key 'adress'; did you mean 'address'?"),
    ('100, type = "uint16"', '65535, type = "uint32"', 13, "ends beyond the last address, 65535"),
    ('type = "uint16"', 'type = "uin16"', 13, "did you mean 'uint16'?"),
    (', type = "uint16"', "", 13, "type is missing"),
    ('"uint16" }', '"uint16", word_order = "big" }', 13, "uint16 is a single word"),
    ('"holding"', '"holdings"', 13, "did you mean 'holding'?"),
    ('at = { table = "coil", address = 1 }', "", 17, "at is missing"),
    ('at = { table = "coil", address = 1 }', "at = 7", 19, "at is a table"),
    ("address = 1 }", "address = 1 }\nscale = 2", 20, "a coil is 0 or 1 and has no scale"),
    ("address = 1 }", "address = 1 }\nmax = 1", 20, "a coil is 0 or 1 and has no max"),
    ("min = 0", "min = 5001", 15, "min 5001 is above max 5000"),
    ("max = 5000", "max = 65536", 16, "max = 65536 is out of reach: uint16 goes from 0 to 65535"),
    ("min = 0", "min = -1", 15, "min = -1 is out of reach"),
    (
        '{ table = "holding", address = 100, type = "uint16" }',
        '{ table = "input", address = 0, type = "uint16" }',
        14,
        "the input table cannot be written",
    ),
    ('scale = "0.01"', 'scale = "0.01', 10, "this is no TOML"),
    ("[[point]]", "[point]", 11, "this is no TOML"),
    ("min = 0", "min = 0\nmin = 1", 16, "this is no TOML: cannot overwrite a value"),
]


@pytest.mark.parametrize(("before", "after", "line", "part"), MISTAKES)
def test_a_mistake_names_its_line(before: str, after: str, line: int, part: str):
    assert before in GOOD
    with pytest.raises(MistakeError) as caught:
        parse_profile(GOOD.replace(before, after, 1), source="pump.toml")
    assert part in str(caught.value)
    assert str(caught.value).startswith(f"pump.toml line {line}: ")


def test_the_profile_under_the_mistakes_is_good():
    assert len(parse_profile(GOOD, source="pump.toml").points) == 3


def test_overlapping_registers_are_refused_with_both_names():
    text = GOOD + '[[point]]\nname = "b"\nat = {table = "holding", address = 99, type = "int32"}\n'
    with pytest.raises(MistakeError, match="line 22: 'b' overlaps the registers of 'setpoint'"):
        parse_profile(text, source="pump.toml")


def test_the_same_registers_of_another_table_do_not_overlap():
    text = GOOD + '[[point]]\nname = "b"\nat = {table = "input", address = 99, type = "int32"}\n'
    assert len(parse_profile(text, source="x").points) == 4


def test_an_overlap_is_seen_whatever_the_order_of_the_text():
    wide = '[[point]]\nname = "a"\nat = {table = "input", address = 4, type = "int64"}\n'
    narrow = '[[point]]\nname = "b"\nat = {table = "input", address = 7, type = "int16"}\n'
    head = GOOD.partition("[limits]")[0]
    for text in (head + wide + narrow, head + narrow + wide):
        with pytest.raises(MistakeError, match="overlaps"):
            parse_profile(text, source="x")


def test_a_point_larger_than_one_request_is_refused():
    text = GOOD.replace("max_gap = 8", "max_registers = 1").replace("int16", "int32")
    with pytest.raises(MistakeError, match="line 9: int32 takes 2 registers, max_registers allows"):
        parse_profile(text, source="pump.toml")


def test_limits_are_checked_through_the_scale():
    text = GOOD.replace("max = 5000", "max = 655.36\nscale = 0.01").replace("min = 0\n", "")
    with pytest.raises(MistakeError, match=r"out of reach: uint16 goes from 0\.0 to 655\.35"):
        parse_profile(text, source="x")
    reachable = text.replace("655.36", "655.35")
    assert parse_profile(reachable, source="x").points[1].maximum == 655.35


def test_a_negative_scale_turns_the_range_around():
    text = GOOD.replace("min = 0\nmax = 5000", "min = -65535\nmax = 0\nscale = -1")
    assert parse_profile(text, source="x").points[1].minimum == -65_535


def test_a_profile_without_points_is_refused():
    with pytest.raises(MistakeError, match="add a \\[\\[point\\]\\]"):
        parse_profile(GOOD.partition("[[point]]")[0], source="x")


def test_too_many_points_and_too_long_texts_are_refused_before_work():
    row = '[[point]]\nname = "p{0}"\nat = {{ table = "input", address = {0}, type = "int16" }}\n'
    head = GOOD.partition("[limits]")[0]
    many = head + "".join(row.format(index) for index in range(limits.POINTS + 1))
    with pytest.raises(MistakeError, match="513 points, at most 512"):
        parse_profile(many, source="x")
    with pytest.raises(MistakeError, match="the file is longer than 262144 bytes"):
        parse_profile("#" * (limits.PROFILE_BYTES + 1), source="x")


def test_a_line_is_found_after_texts_that_look_like_toml():
    unit = 'unit = """\\\n[[point]]\\\n""" # and "quotes"\n'
    text = GOOD.replace('scale = "0.01"', unit + "scale = 0")
    with pytest.raises(MistakeError, match="line 13: a scale of 0"):
        parse_profile(text, source="x")
    with pytest.raises(MistakeError, match="line 11: a scale of 0"):
        parse_profile(text.replace(unit, "unit = '''''' # a unit's\n"), source="x")
