"""Whatever is written as a condition: it is refused with a place, or it can always be evaluated."""

from hypothesis import given
from hypothesis import strategies as st

from shared import limits
from shared.errors import MistakeError
from shared.model.condition import Kind, Vocabulary
from shared.model.condition_text import parse_condition

KNOWN = Vocabulary(
    names={"n": Kind.NUMBER, "m": Kind.NUMBER, "t": Kind.TEXT, "b": Kind.TRUTH},
    families={"d.": Kind.ANY},
)
NAMES = ("n", "m", "t", "b", "d.x", "d.y")
PIECES = [
    *(
        *NAMES,
        "unknown",
        "0",
        "1",
        "2.5",
        "1e308",
        "9007199254740991",
        "'a'",
        '""',
        "true",
        "false",
    ),
    *(
        "and",
        "or",
        "not",
        "in",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "+",
        "-",
        "*",
        "/",
        "(",
        ")",
        ",",
    ),
    *("abs", "min", "max"),
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64),
    st.floats(),
    st.text(max_size=5),
)
FACTS = st.dictionaries(st.sampled_from(NAMES), VALUES)
NUMBERS = st.integers(-1000, 1000)


@st.composite
def sound(draw, depth=3):
    """A condition that the grammar and the kinds allow."""
    if depth == 0:
        return draw(st.sampled_from(["b", "true", "false", "d.x", "not b"]))
    inner = sound(depth=depth - 1)
    number = st.sampled_from(
        ["n", "m", "d.y", "3", "-0.5", "n / m", "abs(n - m)", "max(n, 2, d.x)"]
    )
    return draw(
        st.one_of(
            st.builds("({}) and ({})".format, inner, inner),
            st.builds("({}) or not ({})".format, inner, inner),
            st.builds("{} {} {}".format, number, st.sampled_from(["<", ">=", "==", "!="]), number),
            st.builds("t in ('{}', 'a')".format, st.sampled_from("abc")),
        )
    )


@given(st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join), FACTS)
def test_no_sequence_of_words_raises_anything_but_a_mistake_with_its_column(text, facts):
    condition, sentence = None, "column"
    try:
        condition = parse_condition(text, KNOWN)
    except MistakeError as error:
        sentence = error.what
    assert "column" in sentence
    assert condition is None or condition.evaluate(facts.get) in {True, False, None}


@given(st.text(max_size=60), FACTS)
def test_no_text_raises_anything_but_a_mistake(text, facts):
    try:
        condition = parse_condition(text, KNOWN)
    except MistakeError:
        return
    assert condition.evaluate(facts.get) in {True, False, None}


@given(sound(), FACTS)
def test_every_sound_condition_has_an_answer_whatever_the_facts_are(text, facts):
    assert len(text) <= limits.CONDITION_CHARS
    condition = parse_condition(text, KNOWN)
    answer = condition.evaluate(facts.get)
    assert answer in {True, False, None}
    assert condition.names <= set(NAMES)
    opposite = parse_condition(f"not ({text})", KNOWN).evaluate(facts.get)
    assert opposite == (None if answer is None else not answer)


@given(sound(), FACTS, st.sets(st.sampled_from(NAMES)))
def test_what_is_settled_stays_settled_when_more_becomes_known(text, facts, hidden):
    condition = parse_condition(text, KNOWN)
    before = condition.evaluate({n: v for n, v in facts.items() if n not in hidden}.get)
    assert before is None or condition.evaluate(facts.get) is before


@given(NUMBERS, NUMBERS, NUMBERS)
def test_arithmetic_is_that_of_numbers(a, b, c):
    facts = {"n": a, "m": b, "d.x": c}
    assert parse_condition(f"n + m * d.x == {a + b * c}", KNOWN).evaluate(facts.get)
    assert parse_condition(f"n - m - d.x == {a - b - c}", KNOWN).evaluate(facts.get)
    less = parse_condition("n < m", KNOWN).evaluate(facts.get)
    assert less is (a < b)
