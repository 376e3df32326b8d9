"""All that is wrong with a profile is told at once, each on its own line."""

import json
from pathlib import Path

import pytest

from agent.__main__ import main
from shared import limits
from shared.errors import MistakeError
from shared.model.profile import parse_profile
from shared.model.profile_check import check_profile
from tests.unit.test_profile_mistakes import GOOD, MISTAKES

MANY = """profile = 1
name = "Pump"
protocol = "modbus"
[limits]
max_gap = true
foo = 1
[[point]]
name = "a"
at = { table = "input", address = 0, type = "int16" }
scal = 1
kind = "gage"
writable = true
[[point]]
name = "b"
at = { table = "holding", address = 5, type = "int32" }
[[point]]
name = "c"
at = { table = "holding", address = 6, type = "int16" }
scale = 0
writable = true
[[point]]
name = "d"
at = { table = "holdin", address = 60, type = "int16" }
[[call]]
name = "go"
point = "d"
[[call]]
name = "on"
point = "zz"
"""


def test_each_mistake_is_told_once_on_its_own_line():
    told = [str(one) for one in check_profile(MANY, source="p").mistakes]
    assert [text.split(":")[0] for text in told] == [
        *("p line 1", "p line 2", "p line 5", "p line 6", "p line 10", "p line 11"),
        *("p line 12", "p line 18", "p line 19", "p line 23", "p line 29"),
    ]
    assert "kind is missing" in told[0]
    assert "a scale of 0" in told[8]
    assert "'zz' is no writable point" in told[-1]


def test_what_names_a_point_that_could_not_be_read_is_not_blamed():
    told = [str(one) for one in check_profile(MANY, source="p").mistakes]
    assert not any("'d' is no" in text for text in told)


def test_a_good_profile_is_the_one_that_an_agent_reads():
    checked = check_profile(GOOD, source="p")
    assert checked.mistakes == ()
    assert checked.profile == parse_profile(GOOD, source="p")


@pytest.mark.parametrize(("old", "new", "line", "part"), MISTAKES)
def test_the_mistake_at_which_an_agent_stops_is_among_them(old, new, line, part):
    text = GOOD.replace(old, new, 1)
    with pytest.raises(MistakeError) as first:
        parse_profile(text, source="p")
    checked = check_profile(text, source="p")
    assert checked.profile is None
    assert str(first.value) in {str(one) for one in checked.mistakes}


def test_no_end_of_mistakes_is_told_to_a_bound():
    points = "".join(f'[[point]]\nname = "p{n}"\nat = 5\n' for n in range(200))
    head = 'profile = 1\nname = "x"\nkind = "x"\nprotocol = "modbus"\n'
    assert len(check_profile(head + points, source="p").mistakes) == limits.PROFILE_MISTAKES


def test_the_command_tells_all_and_says_so_to_scripts(tmp_path: Path, capsys):
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(GOOD)
    bad.write_text(MANY)
    assert main(["profile", "check", str(good)]) == 0
    assert "pump, 3 points" in capsys.readouterr().out
    assert main(["profile", "check", str(good), str(bad)]) == 2
    told = capsys.readouterr()
    assert told.err.count("line") == 11
    assert main(["profile", "check", "--json", str(bad)]) == 2
    one = json.loads(capsys.readouterr().out)["profiles"][0]
    assert len(one["mistakes"]) == 11
    assert one["mistakes"][0]["where"] == f"{bad} line 1"


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path, capsys):
    assert main(["profile", "check", str(tmp_path / "no.toml")]) == 2
    assert "cannot be read (No such file or directory)" in capsys.readouterr().err
