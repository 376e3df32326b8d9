"""A rollout said again is the same rollout, whatever was asked of it."""

import msgspec
import pytest
from msgspec.structs import replace

from coordinator.contract.common import to_time
from coordinator.contract.job_spec import JobSubmission, parse_submission
from coordinator.transactions.rollouts_again import say
from coordinator.transactions.rollouts_begin import read_policy
from coordinator.transactions.rollouts_policy import choose_policy, to_policy
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.wire.codec import pack

NOW = WallMs(1_800_000_000_000)
DIGEST = bytes(range(32))
STEP = {"id": "look", "action": "device.read", "params": {"points": ["p"]}}
UNDO = {"compensation": {"steps": [STEP]}}
ALL: dict[str, object] = {
    "rollout": {
        "stages": [
            {"name": "canary", "percentage": 1, "min_targets": 3, "stratify_by": ["model"]},
            {"name": "some", "percentage": 30, "success_action": "pause"},
            {"name": "fleet"},
        ],
        "maximum_per_minute": 600,
        "exponential_rate": {"base_rate_per_minute": 20},
        "max_concurrent_per_site": 1,
        "max_concurrent_percentage": 25,
        "target_selection": "continuous",
        "seed": "spring",
        "start": to_time(NOW + 60_000).isoformat(),
        "end": to_time(NOW + 600_000).isoformat(),
        "end_behavior": "cancel",
    },
    "gate": {
        "success_percentage": 90,
        "error_percentage": 4,
        "confidence": 0.8,
        "min_executed": 9,
        "error_action": "rollback",
        "soak_minutes": 60,
        "reach_deadline": "P3D",
        "stragglers": "carry_forward",
    },
    "abort": {"criteria": [{"failure_type": "LOST", "threshold_percentage": 20}]},
    "deadlines": {"contact_within": "P30D", "complete_within": "P45D"},
}


def submission(**said: object) -> JobSubmission:
    document = {"name": "look", "targets": {"agents": ["pump"]}, "steps": [STEP], **UNDO, **said}
    return parse_submission(document)


@pytest.mark.parametrize(
    "said",
    [
        ALL,
        {"deadlines": ALL["deadlines"]},
        {"rollout": {"maximum_per_minute": 9}},
        {"gate": {}, "rollout": {"stages": [{"name": "all"}]}},
        {"abort": ALL["abort"]},
    ],
    ids=["everything", "deadlines", "rate", "gate", "abort"],
)
def test_what_was_asked_of_a_rollout_is_asked_again(said: dict[str, object]) -> None:
    policy = to_policy(submission(**said), DIGEST)
    assert policy is not None
    words = say(policy, digest=DIGEST.hex(), now_ms=NOW)
    again = replace(
        submission(),
        rollout=words.rollout,
        gate=words.gate,
        abort=words.abort,
        deadlines=words.deadlines,
    )
    assert to_policy(again, DIGEST) == policy


def test_a_time_that_has_passed_and_a_seed_that_nobody_gave_are_left_out() -> None:
    policy = to_policy(submission(**ALL), DIGEST)
    assert policy is not None
    words = say(policy, digest="spring", now_ms=WallMs(NOW + 300_000)).rollout
    assert words is not None
    assert (words.start, words.end, words.seed) == (None, to_time(NOW + 600_000), "")


@pytest.mark.parametrize(
    "stage",
    [
        {"stratify_by": ["x" * (limits.TEXT_BYTES + 1)]},
        {"stratify_by": ["x" * limits.TEXT_BYTES] * 4},
        {"stratify_by": ["x" * 4_000] * 3 + ["x" * 1_000]},
        {"percentage": -0.0, "min_targets": 1},
    ],
    ids=["text", "long", "beside-a-limit", "zero"],
)
def test_a_rollout_that_could_not_be_read_when_its_turn_comes_is_refused(
    stage: dict[str, object],
) -> None:
    stages = [{"name": "first", "percentage": 1, **stage}, {"name": "all"}]
    said = submission(rollout={"stages": stages})
    with pytest.raises(MistakeError, match="cannot be kept") as told:
        choose_policy(said, digest=DIGEST, guarded=False)
    assert told.value.where == "rollout"


def test_a_rollout_that_was_kept_before_limits_were_has_none() -> None:
    policy = to_policy(submission(**ALL), DIGEST)
    kept = msgspec.to_builtins(policy)
    assert read_policy(pack(kept[:-1])) == policy
