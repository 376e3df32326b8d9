"""What the bytes of an SMP device's settings mean, and which make a value."""

import struct

import pytest

from agent.drivers.smp.values import encoded
from agent.drivers.smp.values import setting as reading_of
from shared.errors import MistakeError, Reason
from shared.model.point import Point
from shared.model.profile import parse_profile
from shared.model.reading import Quality


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


def test_a_limit_that_a_float_can_only_come_near_is_within_itself():
    of = setting("float32", min=-0.1, max=0.1)
    for limit in (-0.1, 0.1):
        read = reading_of(of, encoded(of, limit))
        assert abs(read.value or 0) > 0.1
        assert read.quality is Quality.GOOD
    beyond = reading_of(of, struct.pack("<f", 0.100001))
    assert (beyond.quality, beyond.reason) == (Quality.BAD_RANGE, Reason.VALUE_OUT_OF_RANGE)
    for low, high in ((-1e20, -1e19), (1e19, 1e20)):
        unreachable = setting("float32", scale="1e-20", min=low, max=high)
        assert reading_of(unreachable, struct.pack("<f", 0.0)).quality is Quality.BAD_RANGE
