"""What the bytes of an SMP device's settings mean, and which make a value."""

import pytest

from agent.drivers.smp.values import encoded
from shared.errors import MistakeError
from shared.model.point import Point
from shared.model.profile import parse_profile


def setting(kind: str, **keys: float | str) -> Point:
    more = "".join(f"{key} = {value!r}\n" for key, value in keys.items())
    text = f"""
profile = 1
name = "node"
kind = "node"
protocol = "smp"
[[point]]
name = "limit"
at = {{ setting = "sensor/limit", type = "{kind}" }}
writable = true
{more}"""
    [point] = parse_profile(text, source="node.toml").points
    return point


@pytest.mark.parametrize(
    ("of", "value", "sentence"),
    [
        (setting("int32", max=5), 6, "6 is outside its limits, at most 5"),
        (setting("int32", min=5), 4, "4 is outside its limits, at least 5"),
        (setting("int32", min=-5, max=5), 6, "6 is outside its limits, -5 to 5"),
    ],
)
def test_a_value_beyond_its_limits_is_refused_with_those_it_has(of: Point, value, sentence):
    with pytest.raises(MistakeError, match=f"{sentence}$"):
        encoded(of, value)
