"""A profile is refused or understood, and its arithmetic is exact."""

import tomllib
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from shared import limits
from shared.errors import MistakeError
from shared.model.linear import Linear
from shared.model.profile import parse_profile
from shared.model.registers import REGISTER_TYPES, RegisterAddress
from shared.model.toml_text import TomlText, scan_lines
from tests.unit.test_profile import PUMP

coefficients = st.decimals(
    allow_nan=False, allow_infinity=False, places=6, min_value=-(10**6), max_value=10**6
)
scales = coefficients.filter(bool)
counts = st.integers(-(1 << 63), (1 << 64) - 1)
addresses = st.builds(
    RegisterAddress,
    st.just("holding"),
    st.just(0),
    st.sampled_from(REGISTER_TYPES),
    st.sampled_from(["big", "little"]),
)


@given(scales, coefficients, counts)
def test_a_value_is_the_double_nearest_to_the_exact_one(scale: Decimal, offset: Decimal, raw: int):
    value = Linear.of(scale, offset).value(raw)
    exact = Fraction(scale) * raw + Fraction(offset)
    assert value == (int(exact) if isinstance(value, int) else float(exact))


@given(scales, coefficients, counts)
def test_the_way_back_from_a_value_is_its_count(scale: Decimal, offset: Decimal, raw: int):
    linear = Linear.of(scale, offset)
    value = linear.value(raw)
    if not linear.loses(raw):
        top, bottom = linear.raw(value)
        assert top == raw * bottom


@given(scales, coefficients, st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_float_is_scaled_exactly_too(scale: Decimal, offset: Decimal, raw: float):
    exact = Fraction(scale) * Fraction(raw) + Fraction(offset)
    assert Linear.of(scale, offset).value(raw) == float(exact)


@given(addresses, st.data())
def test_registers_and_counts_are_two_forms_of_one_thing(at: RegisterAddress, data: st.DataObject):
    words = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=at.count, max_size=at.count))
    raw = at.decode(words)
    if raw == raw:  # a float that is no number has many forms  # noqa: PLR0124
        assert at.encode(raw) == words


keys = st.sampled_from(["profile", "name", "kind", "point", "limits", "at", "scale", "min", "x"])
texts = st.text(st.characters(codec="utf-8"), max_size=12)
scalars = st.one_of(
    st.integers(),
    st.booleans(),
    st.floats(),
    texts,
    st.sampled_from(["modbus", "input", "int16", "0.01", "1e999999", "-1e-999999", "sNaN"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=6,
)


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(letter):08X}" for letter in value) + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
    return str(value)


def mistake_of(action: Callable[[], object]) -> MistakeError | None:
    try:
        action()
    except MistakeError as mistake:
        return mistake
    return None


@given(st.data())
def test_any_value_anywhere_is_understood_or_refused_with_a_line(data: st.DataObject):
    lines = PUMP.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    key = lines[number].partition(" = ")[0]
    lines[number] = f"{key or 'x'} = {toml(data.draw(values))}"
    mistake = mistake_of(lambda: parse_profile("\n".join(lines), source="f"))
    assert mistake is None or mistake.where.startswith("f line ")


@given(st.text(max_size=200))
@example('a = """')
@example("[" * 2_000)
@example("a." * 3_000 + "b = 1")
@example("x = 0000-00-00")
@example("x = 1e99999999999999999999")
def test_any_text_is_understood_or_refused(text: str):
    scan_lines(text)
    if mistake_of(lambda: TomlText(text, source="f", bound=limits.PROFILE_BYTES)) is None:
        tomllib.loads(text)
