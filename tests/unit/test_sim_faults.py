"""Faults: their grammar, their windows, their draw."""

import math

import pytest

from firmware_sim.faults import Fault, FaultKind, FaultPlan, parse_fault
from shared import limits
from shared.clock import MonoMs
from shared.errors import MistakeError

GOOD = [
    ("silence", Fault(kind=FaultKind.SILENCE)),
    ("slow=300", Fault(kind=FaultKind.SLOW, amount=300)),
    ("exception", Fault(kind=FaultKind.EXCEPTION, amount=4)),
    ("exception=6", Fault(kind=FaultKind.EXCEPTION, amount=6)),
    ("bad-crc:p=0.25", Fault(kind=FaultKind.BAD_CRC, probability=0.25)),
    ("lost-reply:unit=2", Fault(kind=FaultKind.LOST_REPLY, unit=2)),
    ("silence:after=10,for=5", Fault(kind=FaultKind.SILENCE, after_s=10, for_s=5)),
    ("garbage:p=0", Fault(kind=FaultKind.GARBAGE, probability=0)),
    ("reboot-loop=3", Fault(kind=FaultKind.REBOOT_LOOP, amount=3)),
    ("power-cut", Fault(kind=FaultKind.POWER_CUT, amount=1)),
    ("flash-full:for=5", Fault(kind=FaultKind.FLASH_FULL, for_s=5)),
]


@pytest.mark.parametrize(("text", "fault"), GOOD)
def test_a_fault_reads_as_it_is_written(text, fault):
    assert parse_fault(text) == fault
    assert parse_fault(str(fault)) == fault


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "thunder",
            "noise=2",
            "reboot-loop",
            "power-cut=0",
            "slow",
            "slow=",
            "slow=-1",
            "slow=0",
            "slow=x",
            "slow=9999999",
            "slow=²",
        ),
        *("silence=3", "exception=0", "exception=256", "silence:p=2", "silence:p=", "silence:p"),
        *("silence:x=1", "silence:after=-1", "silence:for=nan", "silence:for=inf"),
        *("silence:unit=0", "silence:unit=1.5", "silence:,"),
    ],
)
def test_a_fault_that_is_none_gets_one_sentence(text):
    with pytest.raises(MistakeError) as caught:
        parse_fault(text)
    assert "\n" not in str(caught.value)
    assert repr(text) in str(caught.value)


def kinds(plan, times, *, unit=1):
    return [plan.judge(unit, MonoMs(now_ms)).kind for now_ms in times]


def test_a_window_counts_from_the_moment_it_was_switched_on():
    plan = FaultPlan()
    plan.add(parse_fault("silence:after=10,for=5"), MonoMs(1_000))
    silence = FaultKind.SILENCE
    times = (1_000, 10_999, 11_000, 15_999, 16_000)
    assert kinds(plan, times) == [None, None, silence, silence, None]


def test_a_probability_is_kept_and_repeats_for_its_seed():
    def run(seed):
        plan = FaultPlan(seed=seed)
        plan.add(parse_fault("silence:p=0.1"), MonoMs(0))
        return kinds(plan, range(5_000))

    assert run(7) == run(7)
    assert run(7) != run(8)
    assert run(7).count(FaultKind.SILENCE) == pytest.approx(500, abs=100)


def test_delays_add_up_and_the_first_other_hit_counts():
    plan = FaultPlan()
    for text in ("slow=100", "exception=6", "silence", "slow=50"):
        plan.add(parse_fault(text), MonoMs(0))
    verdict = plan.judge(1, MonoMs(0))
    assert (verdict.kind, verdict.code, verdict.delay_ms) == (FaultKind.EXCEPTION, 6, 150)


def test_a_fault_of_one_unit_leaves_the_others_alone():
    plan = FaultPlan()
    plan.add(parse_fault("silence:unit=2"), MonoMs(0))
    assert kinds(plan, [0], unit=1) == [None]
    assert kinds(plan, [0], unit=2) == [FaultKind.SILENCE]


def test_clear_switches_everything_off():
    plan = FaultPlan()
    plan.add(parse_fault("silence"), MonoMs(0))
    plan.clear()
    assert plan.active == ()
    assert kinds(plan, [0]) == [None]


def test_garbage_is_new_each_time_and_never_a_modbus_tcp_header():
    plan = FaultPlan()
    plan.add(parse_fault("garbage"), MonoMs(0))
    noises = [plan.judge(1, MonoMs(0)).noise for _ in range(50)]
    assert all(noise and min(noise) >= 0x80 for noise in noises)
    assert len(set(noises)) > 40


def test_faults_at_once_are_bounded():
    plan = FaultPlan()
    for _ in range(limits.SIM_FAULTS):
        plan.add(Fault(kind=FaultKind.SILENCE), MonoMs(0))
    with pytest.raises(MistakeError):
        plan.add(Fault(kind=FaultKind.SILENCE), MonoMs(0))
    assert math.isinf(plan.active[0].for_s)
