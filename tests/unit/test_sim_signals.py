"""Signals are believable and depend on time and seed alone."""

import statistics
from itertools import pairwise

import pytest

from firmware_sim.clock import SimTime
from firmware_sim.models import shipped_models
from firmware_sim.signals import (
    Battery,
    Cycle,
    CycleEnergy,
    Daily,
    Load,
    LoadEnergy,
    Moisture,
    Moment,
    Running,
    make_signal,
)
from shared.errors import MistakeError
from tests.sim_parts import HandTicks

T0_S = 1_760_000_000.0
HOUR_S = 3600.0


def series(signal, *, seconds, step_s, seed=1, setting=0.0):
    return [
        signal.at(Moment(t_s=T0_S + i * step_s, seed=seed, salt=5, setting=setting))
        for i in range(int(seconds / step_s))
    ]


@pytest.mark.parametrize("model", shipped_models(), ids=lambda model: model.name)
def test_every_shipped_signal_repeats_for_its_seed_and_fits_its_register(model):
    for point in model.points:
        if point.is_poll_count:
            continue
        one = series(point.signal, seconds=86_400, step_s=997, setting=3500.0)
        assert one == series(point.signal, seconds=86_400, step_s=997, setting=3500.0)
        # A sensor's noise may cross its zero by a few counts; the register then shows zero.
        assert min(one) >= point.low - 0.05
        assert max(one) <= point.high


def test_another_seed_is_another_day():
    signal = Daily(mean=20, swing=5, noise=0.5)
    assert series(signal, seconds=HOUR_S, step_s=60) != series(
        signal, seconds=HOUR_S, step_s=60, seed=2
    )


def test_a_temperature_is_warm_in_the_afternoon_and_cold_before_dawn():
    signal = Daily(mean=20, swing=6, noise=0.3, peak_hour=15)
    days = series(signal, seconds=30 * 86_400, step_s=HOUR_S)
    start = int(T0_S // HOUR_S) % 24
    by_hour = [
        statistics.mean(days[i] for i in range(len(days)) if (start + i) % 24 == h)
        for h in range(24)
    ]
    assert by_hour.index(max(by_hour)) in {14, 15, 16}
    assert by_hour.index(min(by_hour)) in {2, 3, 4}
    assert 9 < max(by_hour) - min(by_hour) < 15


def test_noise_differs_from_second_to_second_but_stays_small():
    values = series(Daily(mean=20, swing=0, noise=0.4), seconds=300, step_s=1)
    assert len(set(values)) > 250
    assert max(values) - min(values) <= 0.8


def test_a_pump_starts_and_stops_and_runs_as_long_as_it_should():
    states = series(Running(), seconds=12_000, step_s=0.5)
    starts = sum(a < b for a, b in pairwise(states))
    assert starts == pytest.approx(100, abs=1)
    assert sum(states) * 0.5 == pytest.approx(100 * 75, rel=0.03)


def test_pressure_current_and_the_running_flag_of_one_device_agree():
    states = series(Running(), seconds=2_000, step_s=1)
    pressure = series(Cycle(on=3.5, off=0.4, noise=0.02), seconds=2_000, step_s=1)
    on = [p for p, s in zip(pressure, states, strict=True) if s]
    off = [p for p, s in zip(pressure, states, strict=True) if not s]
    assert statistics.median(on) == pytest.approx(3.5, abs=0.05)
    assert statistics.median(off) == pytest.approx(0.4, abs=0.05)


def test_the_pump_counts_energy_only_while_it_runs():
    states = series(Running(), seconds=1_000, step_s=1)
    energy = series(CycleEnergy(run_w=3600), seconds=1_000, step_s=1)
    grown = [after - before for before, after in pairwise(energy)]
    for before, after, more in zip(states, states[1:], grown, strict=False):
        if before == after:
            assert more == pytest.approx(1.0 if before else 0.0, abs=1e-3)


def test_the_meter_counts_the_integral_of_its_power():
    power = series(Load(mean=4000), seconds=86_400, step_s=60)
    energy = series(LoadEnergy(mean=4000), seconds=86_400, step_s=60)
    assert energy[-1] - energy[0] == pytest.approx(sum(power[:-1]) * 60 / 3600, rel=0.01)


def test_a_battery_floats_by_day_and_sags_by_night():
    values = series(Battery(empty=11.9, full=13.6, noise=0), seconds=86_400, step_s=600)
    assert max(values) == pytest.approx(13.6)
    assert 11.8 < min(values) < 12.3


def test_soil_dries_for_days_and_soaks_within_hours():
    values = series(Moisture(dry=0.1, wet=0.35), seconds=30 * 86_400, step_s=HOUR_S)
    falls = sum(b < a for a, b in pairwise(values))
    assert falls > 0.85 * len(values)
    assert max(values) - min(values) > 0.05
    assert min(values) >= 0.1


def test_simulated_time_ignores_a_step_of_the_wall_clock_and_obeys_its_speed():
    ticks = HandTicks()
    time = SimTime(ticks, speed=60.0)
    start_s = time.now_s()
    ticks.advance(1_000)
    ticks.wall -= 3_600_000
    assert time.now_s() - start_s == pytest.approx(60.0)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"kind": "square"},
        {"kind": "daily", "mean": 1},
        {"kind": "daily", "mean": 1, "swing": 1, "colour": 1},
        {"kind": "daily", "mean": "warm", "swing": 1},
        {"kind": "daily", "mean": float("nan"), "swing": 1},
        {"kind": "running", "cycle_s": 10, "run_s": 10},
        {"kind": "running", "cycle_s": 0},
        {"kind": "cycle", "on": 1, "lag_s": -1},
    ],
)
def test_a_signal_that_cannot_be_is_refused_with_its_place(spec):
    with pytest.raises(MistakeError, match="point x"):
        make_signal(spec, where="point x")
