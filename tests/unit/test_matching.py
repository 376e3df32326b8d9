"""Which profile fits a device that was found."""

import pytest

from coordinator.cli.profiles import differences
from shared import limits
from shared.errors import MistakeError
from shared.model.identity import Expected
from shared.model.profile import Profile, parse_profile

BARE = """profile = 1
name = "pump"
kind = "pump"
protocol = "modbus"
{match}
[[point]]
name = "flow"
at = {{ table = "input", address = 0, type = "int16" }}
"""
TOLD = {"vendor": "Acme AG", "model": "P-100", "firmware": "2.1", "name": ""}


def profile(match: str = "") -> Profile:
    return parse_profile(BARE.format(match=match), source="p")


@pytest.mark.parametrize(
    ("rules", "fit"),
    [
        ('[match]\nvendor = "acme*"', 1),
        ('[match]\nvendor = "acme*"\nmodel = ["X-1", "P-*"]', 2),
        ('[match]\nvendor = "acme"', 0),
        ('[match]\nvendor = "acme*"\nmodel = "X-*"', 0),
        ('[match]\nmodel = "*-1*"', 1),
        ('[match]\nname = "shelly*"', 0),
        ('[match]\nvendor = "A.*"', 0),
        ('[identity]\nmodel = "P-100"', 1),
        ('[identity]\nmodel = "P-100"\n[match]\nmodel = "X"', 0),
        ("", 0),
    ],
)
def test_all_rules_have_to_hold_and_more_of_them_fit_better(rules, fit):
    one = profile(rules)
    assert one.match.fit(TOLD, one.identity) == fit


def test_rules_are_part_of_what_a_profile_means():
    assert profile().content_hash != profile('[match]\nmodel = "P-*"').content_hash
    assert profile('[match]\nmodel = "P-*"').match.fit(TOLD, Expected()) == 1


@pytest.mark.parametrize(
    ("rules", "part"),
    [
        ("[match]\nmodel = 5", "model is a text"),
        ('[match]\nmodel = ""', "model is a text"),
        (f'[match]\nmodel = "{"*x" * (limits.MATCH_STARS + 1)}"', "stars"),
        ('[match]\nmodl = "x"', "did you mean 'model'?"),
    ],
)
def test_a_rule_that_is_none_is_one_sentence(rules, part):
    with pytest.raises(MistakeError) as told:
        profile(rules)
    assert str(told.value).startswith("p line 6: ")
    assert part in str(told.value)


def test_a_comparison_names_what_means_something_else():
    one, two = profile(), profile('[match]\nmodel = "P"')
    changed = BARE.format(match="").replace("int16", "uint16").replace('"flow"', '"speed"')
    three = parse_profile(changed, source="p")
    four = parse_profile(BARE.format(match="").replace("int16", "uint16"), source="p")
    assert list(differences(one, one)) == []
    assert [line.split(":")[0] for line in differences(one, two)] == ["match"]
    assert list(differences(one, three)) == ["point flow: only before", "point speed: only after"]
    assert [line[:14] for line in differences(one, four)] == ["point flow: at"]
