"""Answers of SDI-12 sensors that no sensor makes on purpose."""

import pytest

from agent.drivers.line.sdi12 import Measure
from shared.errors import Reason, RefusedError


def test_a_long_answer_that_ends_badly_is_refused_at_once():
    measure = Measure(0, "R0", wait_ms=1_000, crc=False)
    with pytest.raises(RefusedError) as refused:
        measure.feed(b"0" + b"+1234567" * 60 + b"?\r\n")
    assert refused.value.reason is Reason.DEVICE_BAD_FRAME


@pytest.mark.parametrize(
    "value", ["+1", "-1234567", "+1.", "+.5", "-0.1234567", "+1234567.", "+123.4567"]
)
def test_a_value_is_written_in_any_way_that_the_standard_has(value: str):
    measure = Measure(0, "R0", wait_ms=1_000, crc=False)
    assert measure.feed(f"0{value}+2\r\n".encode()) == [value, "+2"]


@pytest.mark.parametrize("value", ["1", "+", "+12345678", "+.", "+1.2.3", "+1e5", "+ 1"])
def test_what_is_no_value_is_refused(value: str):
    measure = Measure(0, "R0", wait_ms=1_000, crc=False)
    with pytest.raises(RefusedError):
        measure.feed(f"0{value}\r\n".encode())
