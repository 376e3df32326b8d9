"""How people write a rollout: what it means, and each mistake with its place and its mend."""

import tomllib
from pathlib import Path

import pytest
from msgspec.structs import replace

from coordinator.contract.job_spec import parse_submission
from coordinator.contract.rollout_check import check_rollout
from coordinator.core.preview import Prospect, look_ahead
from coordinator.core.rollout_policy import (
    ErrorAction,
    Gate,
    Policy,
    Progress,
    Ramp,
    Stage,
    Stragglers,
)
from coordinator.transactions.rollouts_begin import read_policy, read_progress
from coordinator.transactions.rollouts_policy import choose_policy, to_policy
from coordinator.transactions.submit import draft_body
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.trust.starter import first_policy
from shared.wire.codec import pack

NOW = WallMs(1_795_000_000_000)
POLICY = first_policy(fleet=bytes(16), issued_ms=0, expires_ms=1 << 50)
PAGE = Path(__file__).parents[2] / "docs" / "rollouts.md"
READ = {"id": "look", "action": "device.read", "params": {"points": ["p"]}}
UNDO = {"steps": [{**READ, "id": "undo"}]}
DAY_MS = 86_400_000


def submission(**members: object):
    document = {"name": "look", "steps": [READ], "targets": {"selector": "site"}, **members}
    return parse_submission(document)


def stages(*percentages: float):
    return {"stages": [{"name": f"s{at}", "percentage": at} for at in percentages]}


@pytest.mark.parametrize(
    ("members", "where", "said"),
    [
        ({"rollout": stages(50, 10, 100)}, "rollout.stages[1].percentage", "no targets"),
        ({"rollout": stages(10, 50)}, "rollout.stages[1].percentage", "never get the job"),
        ({"rollout": stages(0, 100)}, "rollout.stages[0].percentage", "no targets"),
        ({"rollout": stages(10, 120)}, "rollout.stages[1].percentage", "not in 0 to 100"),
        (
            {"rollout": {"stages": [{"name": "a", "percentage": 5}, {"name": "a"}]}},
            "rollout.stages[1].name",
            "no name here",
        ),
        (
            {"rollout": {"stages": [{"name": "a", "stratify_by": ["m"] * 5}]}},
            "rollout.stages[0].stratify_by",
            "cannot be used",
        ),
        ({"rollout": {"maximum_per_minute": -1}}, "rollout.maximum_per_minute", "not in 0"),
        (
            {"rollout": {"exponential_rate": {"base_rate_per_minute": 0}}},
            "rollout.exponential_rate.base_rate_per_minute",
            "0 is not in 1",
        ),
        (
            {
                "rollout": {
                    "start": "2027-01-02T00:00:00Z",
                    "end": "2027-01-01T00:00:00Z",
                }
            },
            "rollout.end",
            "ends before it starts",
        ),
        ({"rollout": {"end_behavior": "cancel"}}, "rollout.end_behavior", "has no end"),
        (
            {"gate": {"success_percentage": 99, "error_percentage": 5}},
            "gate.success_percentage",
            "could never pass",
        ),
        ({"gate": {"confidence": 1}}, "gate.confidence", "not in 0 to 0.999"),
        ({"gate": {"stragglers": "drop"}}, "gate.stragglers", "without a reach_deadline"),
        ({"gate": {"reach_deadline": "3 days"}}, "gate.reach_deadline", "no span of time"),
        ({"gate": {"reach_deadline": "P"}}, "gate.reach_deadline", "no span of time"),
        (
            {"gate": {"reach_deadline": "P3D", "reach_deadline_s": 5}},
            "gate.reach_deadline",
            "not both",
        ),
        ({"gate": {"error_action": "rollback"}}, "gate.error_action", "how it is taken back"),
        (
            {"abort": {"criteria": [{"threshold_percentage": 0}]}},
            "abort.criteria[0].threshold_percentage",
            "not above 0",
        ),
        (
            {"abort": {"criteria": [{"threshold_percentage": 5, "action": "rollback"}]}},
            "abort.criteria[0].action",
            "how it is taken back",
        ),
        (
            {"deadlines": {"contact_within": "P2D", "complete_within": "P1D"}},
            "deadlines.complete_within",
            "over before",
        ),
        ({"deadlines": {"contact_within": "P999D"}}, "deadlines.contact_within", "is not in"),
        (
            {"rollout": {}, "schedule": {"interval_s": 60}},
            "rollout",
            "a standing job never ends",
        ),
        (
            {"gate": {}, "rule": {"condition": "battery < 20"}},
            "gate",
            "a standing job never ends",
        ),
    ],
)
def test_a_mistake_says_what_and_where(members, where, said):
    with pytest.raises(MistakeError) as caught:
        check_rollout(submission(**members))
    assert (caught.value.where, said in caught.value.what) == (where, True), caught.value


@pytest.mark.parametrize(
    ("member", "value", "where"),
    [
        ("rollout", {"stages": [{"name": "a", "percent": 5}]}, "rollout.stages[0].percent"),
        ("gate", {"error_action": "explode"}, "gate.error_action"),
        ("gate", {"of": "all"}, "gate.of"),
        ("abort", {"criteria": [{"threshold_percentage": "x"}]}, "abort.criteria[0].threshold_"),
    ],
)
def test_a_word_that_is_none_is_refused_at_its_place(member, value, where):
    with pytest.raises(MistakeError) as caught:
        submission(**{member: value})
    assert caught.value.where.startswith(where)


def test_the_pages_example_is_good_and_means_what_it_says():
    text = PAGE.read_text()
    document = tomllib.loads(text.split("```toml\n")[1].split("```")[0])
    policy = to_policy(submission(**document), b"digest")
    assert policy is not None
    assert policy.stages == (Stage("canary", 1, 3, ("model", "link")), Stage("fleet", 100))
    assert policy.gate == Gate(
        soak_ms=3_600_000, reach_ms=3 * DAY_MS, stragglers=Stragglers.CARRY_FORWARD
    )
    assert policy.ramp == Ramp(20, 2.0, 20)
    assert (policy.contact_ms, policy.complete_ms) == (30 * DAY_MS, 45 * DAY_MS)
    assert (policy.abort[0].action, policy.cancels_at_end) == (ErrorAction.CANCEL, False)
    assert read_policy(pack(policy)) == policy


def test_a_job_that_asks_for_nothing_has_no_rollout():
    assert to_policy(submission(), b"") is None
    assert draft_body(submission(), POLICY, NOW).rollout is None


def test_several_stages_have_a_gate_although_none_is_written():
    assert to_policy(submission(rollout=stages(10, 100)), b"") == Policy(
        stages=(Stage("s10", 10), Stage("s100", 100)), gate=Gate(), seed=b"".hex()
    )
    only = to_policy(submission(rollout={}), b"")
    assert only is not None
    assert only.gate is None


def test_people_agree_to_a_list_that_nobody_joins():
    body = submission(rollout={"target_selection": "continuous"})
    assert choose_policy(body, digest=b"", guarded=False) is not None
    with pytest.raises(MistakeError, match="nobody joins that"):
        choose_policy(body, digest=b"", guarded=True)


def test_a_preview_waits_for_who_usually_calls_and_not_for_the_dead():
    policy = Policy(
        stages=(Stage("canary", 10), Stage("fleet")), gate=Gate(soak_ms=60_000, min_executed=1)
    )

    def prospect(stage, last_ms, interval_ms, *, metered=False):
        return Prospect(stage=stage, last_ms=last_ms, interval_ms=interval_ms, metered=metered)

    usual = prospect(0, NOW - 1000, 600_000, metered=True)
    fleet = [prospect(1, NOW - 1000, 3_600_000) for _ in range(9)]
    canary, rest = look_ahead(policy, [usual, *fleet], job_bytes=100, now_ms=NOW)
    assert (canary.done_after_ms, rest.done_after_ms) == (660_000, 660_000 + 3_600_000)
    assert (canary.metered, canary.metered_bytes, rest.metered_bytes) == (1, 500, 0)
    dead = [prospect(1, NOW - DAY_MS, 60_000), prospect(1, None, None)]
    _, rest = look_ahead(policy, [usual, *fleet, *dead], job_bytes=100, now_ms=NOW)
    assert (rest.expected, rest.silent, rest.never, rest.done_after_ms) == (9, 1, 1, None)


def test_a_progress_of_every_length_fits_its_bound():
    longest = replace(
        Progress(),
        why="x" * 1000,
        recent=tuple((NOW + at, 1_000_000) for at in range(62)),
        accepted=(1_000_000,) * limits.ROLLOUT_STAGES,
    )
    assert read_progress(pack(longest)) == longest
