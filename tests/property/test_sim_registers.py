"""Registers and counters: what goes in comes out, counters never fall, faults keep their text."""

import math

from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.faults import Fault, FaultKind, parse_fault
from firmware_sim.model import Kind, Point, Table, WordOrder
from firmware_sim.signals import Constant, CycleEnergy, LoadEnergy, Moment, Signal

NUMBERED = {FaultKind.SLOW, FaultKind.EXCEPTION, FaultKind.REBOOT_LOOP, FaultKind.POWER_CUT}
NUMBERED |= {FaultKind.SLOW_ERASE, FaultKind.WRONG_CLOCK}
times = st.floats(1.6e9, 2.0e9)
seeds = st.integers(0, 2**64 - 1)


def point(kind: Kind, scale: int = 0) -> Point:
    low, high = kind.bounds
    return Point(
        name="x", table=Table.HOLDING, address=0, kind=kind, scale=scale, signal=Constant(),
        low=low, high=high,
    )  # fmt: skip


@given(
    st.sampled_from([k for k in Kind if k is not Kind.FLOAT32]),
    st.sampled_from(list(WordOrder)),
    st.integers(-9, 9),
    st.data(),
)
def test_every_raw_value_survives_its_registers(kind, order, scale, data):
    raw = data.draw(st.integers(*map(int, kind.bounds)))
    at = point(kind, scale)
    words = raw.to_bytes(2 * kind.registers, signed=raw < 0)
    registers = tuple(int.from_bytes(words[i : i + 2]) for i in range(0, len(words), 2))
    if order is WordOrder.LITTLE:
        registers = registers[::-1]
    assert at.encode(at.decode(registers, order), order) == registers


@given(st.sampled_from(list(WordOrder)), st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_every_float_survives_its_registers(order, value):
    at = point(Kind.FLOAT32)
    back = at.decode(at.encode(value, order), order)
    assert math.copysign(1, back) == math.copysign(1, value)
    assert back == value


@given(st.sampled_from(list(Kind)), st.integers(-9, 9), st.floats(allow_nan=False))
def test_what_does_not_fit_shows_the_nearest_that_does(kind, scale, value):
    if kind is Kind.FLOAT32:
        scale = 0
    if math.isinf(value):
        value = math.copysign(1e300, value)
    at = point(kind, scale)
    words = at.encode(value, WordOrder.BIG)
    assert len(words) == kind.registers
    assert all(0 <= word <= 0xFFFF for word in words)


@given(seeds, times, st.lists(st.floats(0, 5_000), max_size=20))
def test_energy_counters_never_fall(seed, start_s, steps):
    counters: tuple[Signal, ...] = (CycleEnergy(run_w=2200, idle_w=0), LoadEnergy(mean=4000))
    shown = [0.0, 0.0]
    t_s = start_s
    for step in steps:
        t_s += step
        for index, counter in enumerate(counters):
            value = counter.at(Moment(t_s=t_s, seed=seed))
            # A millionth of a watt-hour: the last digits of a double of this size.
            assert value >= shown[index] - 1e-6
            shown[index] = value


@given(
    st.builds(
        lambda kind, amount, **options: Fault(
            kind=kind, amount=amount if kind in NUMBERED else 0, **options
        ),
        kind=st.sampled_from(FaultKind),
        amount=st.integers(1, 255),
        probability=st.integers(0, 100).map(lambda p: p / 100),
        after_s=st.integers(0, 1000).map(float),
        for_s=st.one_of(st.just(math.inf), st.integers(0, 1000).map(float)),
        unit=st.one_of(st.none(), st.integers(1, 247)),
    )
)
def test_a_fault_survives_its_text(fault):
    assert parse_fault(str(fault)) == fault
