"""Answers of SDI-12 sensors that no sensor makes on purpose."""

import pytest

from agent.core.ports import Urgency
from agent.drivers.line.sdi12 import Measure
from shared.errors import Reason, RefusedError, WorldError
from tests.simulation.loop import World, simulate
from tests.unit.test_bus_timing import Far, MemoryLine


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


def sensor(calls_s: tuple[float, ...], data: bytes) -> Far:
    """A sensor that needs a second, and when it calls."""

    def answers(heard: bytes) -> list[tuple[float, bytes]]:
        if heard == b"0M!":
            return [(0.01, b"00011\r\n"), *((call_s, b"0\r\n") for call_s in calls_s)]
        return [(0.05, data)] if heard == b"0D0!" else []

    return Far(answers)


@pytest.mark.parametrize(
    ("calls_s", "asked_s"), [((0.5,), 0.5), ((), 1.51), ((1.53,), 1.51)], ids=str
)
def test_a_sensor_is_asked_when_it_calls_or_its_time_is_over(
    calls_s: tuple[float, ...], asked_s: float
):
    async def scenario(_: World) -> None:
        far = sensor(calls_s, b"0+21.5\r\n")
        line = MemoryLine(far)
        measure = Measure(0, "M", wait_ms=5_000, crc=False)
        assert await line.exchange(measure.frame, measure, urgency=Urgency.POLL) == ["+21.5"]
        assert [text for _, text in far.sent] == [b"0M!", b"0D0!"]
        assert far.sent[1][0] == pytest.approx(asked_s, abs=0.02)
        await line.close()

    simulate(scenario, seed=1)


def test_a_sensor_that_does_not_call_and_has_no_data_is_silent():
    async def scenario(world: World) -> None:
        line = MemoryLine(sensor((), b""))
        measure = Measure(0, "M", wait_ms=5_000, crc=False)
        with pytest.raises(WorldError) as caught:
            await line.exchange(measure.frame, measure, urgency=Urgency.POLL)
        assert caught.value.reason in {Reason.DEVICE_SILENT, Reason.DEVICE_BAD_FRAME}
        assert world.loop.time() == pytest.approx(2.5, abs=0.05)
        await line.close()

    simulate(scenario, seed=1)
