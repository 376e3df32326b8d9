"""What is wrong with a job is said when it is submitted, with the place and the mend."""

from typing import Any

import pytest

from shared import limits
from shared.errors import MistakeError
from shared.model.job import JobSpec, Step
from shared.model.plan import Alarm, Batch, Dependency, PostCheck, Rule
from shared.model.schedule import Schedule, Window
from shared.model.spec_check import check_spec, conditions_of

READ = Step("look", "device.read", {"points": ["setpoint"]})
WRITE = Step("apply", "device.write", {"setpoint": 4200}, when="look.setpoint < 4200")
UNDO = Step("undo", "device.write", {"setpoint": 100})
JOB = "0192f1c4-0000-7000-8000-000000000000"


def spec(**changes: Any) -> JobSpec:
    return JobSpec(**{"name": "raise", "steps": [READ, WRITE], **changes})


def step(**changes: Any) -> list[Step]:
    return [Step(**{"id": "x", "action": "device.write", "params": {"a": 1}, **changes})]


def test_a_job_with_everything_passes() -> None:
    everything = spec(
        final_steps=[Step("note", "device.read", {"points": ["p"]}, when="not apply.ok")],
        post_check=PostCheck("device.setpoint == 4200 and apply.ok", soak_s=600),
        compensation=[UNDO],
        preconditions=["battery > 40", "not link.metered or job.bytes < 65536"],
        window=Window("0 2 * * SUN-THU", 7200),
        batch=Batch(max_parallel=2, tolerate_ppm=100_000, canary=1),
        timeout_s=3600,
        priority=0,
        conflict_key="setpoint",
        after=Dependency(JOB),
    )
    check_spec(everything)
    assert sorted(conditions_of(everything)) == [
        *("finally[0].when", "post_check.condition", "preconditions[0]", "preconditions[1]"),
        "steps[1].when",
    ]
    assert [one.id for one in everything.every_step] == ["look", "apply", "note", "undo"]


def test_standing_jobs_pass() -> None:
    check_spec(spec(schedule=Schedule(cron="0 2 * * *")))
    rule = Rule("device.level > 3 or devices.tank.level > 2", reset="device.level < 2.5")
    check_spec(spec(rule=rule))
    alarm = Rule("device.level > 3", for_s=30, alarm=Alarm("the tank runs over"))
    check_spec(spec(steps=[], rule=alarm))
    assert spec(rule=rule).is_standing
    assert not spec().is_standing


@pytest.mark.parametrize(
    ("job", "where", "what"),
    [
        (spec(steps=[WRITE]), "steps[0].when", "there is no 'look.setpoint'"),
        (spec(steps=[WRITE, READ]), "steps[0].when", "there is no 'look.setpoint'"),
        (spec(steps=step(when="battery >")), "steps[0].when", "a value is missing"),
        (spec(steps=step(id="device")), "steps[0].id", "what conditions call something else"),
        (spec(steps=step(id="true")), "steps[0].id", "what conditions call something else"),
        (spec(final_steps=step(id="look")), "finally[0].id", "unusable or repeated"),
        (spec(compensation=step(action="no")), "compensation[0].action", "no action 'no'"),
        (spec(steps=step() * 33), "steps", "at most 32"),
        (spec(steps=step(retries=11)), "steps[0].retries", "11 is not in 0 to 10"),
        (spec(steps=step(timeout_s=0)), "steps[0].timeout_s", "0 is not in 1 to"),
        (spec(steps=step(for_s=-1)), "steps[0].for_s", "-1 is not in"),
        (
            spec(steps=step(action="device.read", params={"points": ["a"]}, for_s=5)),
            "steps[0].for_s",
            "only device.write can be put back",
        ),
        (spec(steps=step(on_failure="ignore")), "steps[0].on_failure", "leads nowhere"),
        (spec(steps=step(on_failure="goto:x")), "steps[0].on_failure", "or back"),
        (
            spec(steps=[READ, *step(on_failure="goto:look")]),
            "steps[1].on_failure",
            "a job goes forward only",
        ),
        (spec(steps=step(on_failure="goto:")), "steps[0].on_failure", "leads nowhere"),
        (spec(preconditions=["batery > 3"]), "preconditions[0]", "did you mean 'battery'"),
        (spec(preconditions=["look.ok"]), "preconditions[0]", "there is no 'look.ok'"),
        (spec(preconditions=["true"] * 17), "preconditions", "at most 16"),
        (spec(post_check=PostCheck("apply")), "post_check.condition", "there is no 'apply'"),
        (spec(post_check=PostCheck("true", within_s=0)), "post_check.within_s", "0 is not"),
        (spec(post_check=PostCheck("true", soak_s=-1)), "post_check.soak_s", "-1 is not"),
        (spec(post_check=PostCheck("true", every_s=0)), "post_check.every_s", "0 is not"),
        (spec(window=Window("0 2 * *", 60)), "window.cron", "no cron expression"),
        (spec(schedule=Schedule()), "schedule", "exactly one of"),
        (
            spec(schedule=Schedule(interval_s=60), rule=Rule("true")),
            "rule",
            "a schedule or a rule, not both",
        ),
        (spec(schedule=Schedule(interval_s=60), delay_s=5), "delay_s", "its own times"),
        (spec(schedule=Schedule(interval_s=60), after=Dependency(JOB)), "after", "no other"),
        (spec(rule=Rule("device.level >")), "rule.condition", "a value is missing"),
        (spec(rule=Rule("true", reset="x")), "rule.reset", "there is no 'x'"),
        (spec(rule=Rule("true", for_s=-1)), "rule.for_s", "-1 is not"),
        (spec(rule=Rule("true", min_interval_s=0)), "rule.min_interval_s", "0 is not"),
        (spec(rule=Rule("true", max_per_day=0)), "rule.max_per_day", "0 is not"),
        (spec(rule=Rule("true", alarm=Alarm(""))), "rule.alarm.text", "1 to 200 characters"),
        (spec(steps=[], rule=Rule("true")), "steps", "a job has 1 to"),
        (spec(after=Dependency("yesterday")), "after.job", "'yesterday' is not"),
        (spec(after=Dependency(JOB, "HAPPY")), "after.outcome", "no job ends as 'HAPPY'"),
        (spec(batch=Batch(max_parallel=33)), "batch.max_parallel", "33 is not"),
        (spec(batch=Batch(tolerate_ppm=1_000_001)), "batch.tolerate", "1000001 is not"),
        (spec(batch=Batch(canary=-1)), "batch.canary", "-1 is not"),
        (spec(timeout_s=-1), "timeout_s", "-1 is not"),
        (spec(priority=limits.PRIORITIES), "priority", "4 is not in 0 to 3"),
        (spec(conflict_key="Two Words"), "conflict_key", "is no name"),
    ],
)
def test_a_mistake_is_found_at_its_place(job: JobSpec, where: str, what: str) -> None:
    with pytest.raises(MistakeError) as caught:
        check_spec(job)
    assert caught.value.where == where
    assert what in caught.value.what
