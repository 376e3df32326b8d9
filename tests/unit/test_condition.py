"""What conditions mean, and the sentence for whatever is wrong with one."""

import pytest

from shared import limits
from shared.errors import MistakeError
from shared.model.condition import Kind, Vocabulary
from shared.model.condition_text import parse_condition

KNOWN = Vocabulary(
    names={
        "battery": Kind.NUMBER,
        "link.metered": Kind.TRUTH,
        "site": Kind.TEXT,
        "disk.free_mb": Kind.NUMBER,
        "backup.ok": Kind.TRUTH,
    },
    families={"device.": Kind.ANY},
)
FACTS = {
    "battery": 55,
    "link.metered": False,
    "site": "north",
    "device.setpoint": 4200.0,
    "device.model": "INV-3",
    "device.on": True,
    "device.broken": float("nan"),
}


def holds(text, **facts):
    return parse_condition(text, KNOWN).evaluate({**FACTS, **facts}.get)


@pytest.mark.parametrize(
    "text",
    [
        "battery > 40",
        "battery>=55 and battery <= 55 and battery == 55",
        "battery != 54.5",
        "link.metered == false or battery < 0",
        "not link.metered",
        "not not device.on",
        "device.on and device.setpoint == 4200",
        "site in ('north', \"south\")",
        "site not in ('east')",
        "battery in (1, -2, 55)",
        "device.model == 'INV-3'",
        "2 + 3 * 4 == 14",
        "(2 + 3) * 4 == 20",
        "10 - 4 - 3 == 3",
        "8 / 4 / 2 == 1",
        "-battery == -55",
        "- -battery == 55",
        "abs(40 - battery) == 15",
        "min(battery, 3, 9) == 3 and max(1, 2) == 2",
        "true",
        "not false",
        "true or false and false",
        "(true or false) and true",
        "1e3 == 1000 and .5 == 0.5",
        # Kleene: what is settled is settled.
        "true or disk.free_mb > 3",
        "disk.free_mb > 3 or true",
        "not (false and disk.free_mb > 3)",
    ],
)
def test_a_condition_that_holds(text):
    assert holds(text) is True
    assert holds(f"not ({text})") is False


@pytest.mark.parametrize(
    "text",
    [
        "disk.free_mb > 200",
        "not (disk.free_mb > 200)",
        "disk.free_mb > 3 and true",
        "false or disk.free_mb > 3",
        "disk.free_mb in (1, 2)",
        "battery / 0 > 1",
        "battery / (battery - 55) > 1 or false",
        "1e300 * 1e300 > 1",
        "device.never_read",
        "device.broken == 1",
        # Kinds that only the facts can tell.
        "device.model > 3",
        "device.model == 3",
        "device.model + 1 > 0",
        "device.setpoint and true",
        "device.on < 3",
    ],
)
def test_a_condition_that_nothing_known_settles(text):
    assert holds(text) is None


def test_a_fact_of_another_kind_than_said_is_unknown():
    assert holds("battery > 40", battery="full") is None
    assert holds("battery > 40", battery=True) is None
    assert holds("not link.metered", **{"link.metered": 0}) is None


def test_long_integers_do_not_grow_without_bound():
    text = " * ".join(["battery"] * 60) + " > 0"
    assert holds(text, battery=2**64) is None


def test_a_condition_tells_which_facts_it_looks_at():
    condition = parse_condition("battery > 4 and device.model != 'x' or battery < 2", KNOWN)
    assert condition.names == {"battery", "device.model"}


@pytest.mark.parametrize(
    ("text", "what", "column"),
    [
        ("", "it is empty", 1),
        ("   ", "it is empty", 1),
        ("battery >", "a value is missing before 'the end'", 10),
        ("battery > > 3", "a value is missing before '>'", 11),
        ("battery 40", "nothing may follow before '40'", 9),
        ("(battery > 40", "')' is missing before 'the end'", 14),
        ("batery > 40", "there is no 'batery'; did you mean 'battery'?", 1),
        ("site.x > 40", "there is no 'site.x'", 1),
        ("abs > 40", "there is no 'abs'", 1),
        ("sin(battery) > 40", "there is no 'sin'", 1),
        ("battery", "true or false is needed here, this is a number", 1),
        ("battery and true", "true or false is needed here, this is a number", 1),
        ("true and site", "true or false is needed here, this is a text", 10),
        ("not battery", "true or false is needed here, this is a number", 5),
        ("site > 'a'", "a number is needed here, this is a text", 1),
        ("site == 3", "a text is needed here, this is a number", 9),
        ("battery == 'low'", "a number is needed here, this is a text", 12),
        ("battery in (1, 'low')", "a number is needed here, this is a text", 16),
        ("battery in (1, battery)", "a list after 'in' holds numbers and texts only", 16),
        ("battery in ()", "a value is missing before ')'", 13),
        ("site + 1 > 0", "a number is needed here, this is a text", 1),
        ("-site > 0", "a number is needed here, this is a text", 2),
        ("abs(1, 2) > 0", "abs takes 1 value, not 2", 1),
        ("min(1) > 0", "min takes 2 to 16 values, not 1", 1),
        ("1 < battery < 3", "comparisons cannot be chained: use 'and'", 13),
        ("battery = 3", "'=' is not understood", 9),
        ("battery > 3; true", "';' is not understood", 12),
        ("site == 'north", '"\'" is not understood', 9),
        ("battery > 1e400", "1e400 is beyond the range of numbers here", 11),
        ("battery > 99999999999999999999", "is beyond the range of numbers here", 11),
        ("battery > 3x", "'3' is not understood", 11),
        ("__import__('os')", "there is no '__import__'", 1),
        ("(" * 17 + "true" + ")" * 17, "it is nested too deeply", 17),
        ("1==" + "-" * 300 + "1", "it has more than 256 parts", 258),
        ("battery > 0 and " * 70 + "true", "it has more than 1000 characters", 1001),
    ],
)
def test_a_mistake_is_named_with_its_column(text, what, column):
    with pytest.raises(MistakeError) as caught:
        parse_condition(text, KNOWN, where="preconditions[2]")
    if len(text) > limits.CONDITION_CHARS:
        assert f"more than {limits.CONDITION_CHARS} characters" in caught.value.what
        return
    assert what in caught.value.what
    assert f"(column {column}," in caught.value.what
    assert caught.value.where == "preconditions[2]"


def test_the_longest_conditions_stay_within_their_bounds():
    deepest = "(" * (limits.CONDITION_DEPTH - 1) + "true" + ")" * (limits.CONDITION_DEPTH - 1)
    assert holds(deepest) is True
    longest = "+".join(["1"] * 126) + "==126"
    assert holds(longest) is True
