"""The coordinator's small decisions: tokens, targets, presence, series of readings."""

from dataclasses import replace

import pytest
from msgspec import structs

from coordinator.contract.common import to_time, to_wall_ms
from coordinator.contract.job_spec import from_spec, parse_submission, to_spec
from coordinator.core.access import KnownToken, Principal, judge_token, make_token, parse_token
from coordinator.core.job_class import choose_class
from coordinator.core.presence import GRACE_MS, is_silent, smooth_interval
from coordinator.core.retime import Sureness
from coordinator.core.series import ClockQuality, Collection, Piece, Question
from coordinator.core.targeting import check_targets, fold_labels, resolve
from shared.block.codec import encode
from shared.block.schema import Schema
from shared.clock import ClockState, MonoMs, WallMs
from shared.errors import MistakeError
from shared.ids import AgentId, BlockSeq, DeviceId
from shared.model.job import Targets
from shared.model.reading import Block, BootRef, Channel, EpochRef, Group, Quality, SchemaRef
from shared.runtime.logs import redact
from shared.trust.starter import first_policy

LABELS = fold_labels(
    [
        ("a-1", "site", "north"),
        ("a-1", "role", "pump"),
        ("a-2", "site", "south"),
        ("a-3", None, None),
    ]
)


# --- tokens -------------------------------------------------------------------------------------
def known(token, **changes):
    fields = {"name": "n", "secret_hash": token.secret_hash, "scope": "viewer"}
    return KnownToken(**(fields | {"expires_ms": 100, "revoked_ms": None} | changes))


def test_a_token_is_taken_apart_as_it_was_made():
    token = make_token(bytes(range(40)))
    assert parse_token(token.text) == token


def test_any_altered_character_of_a_token_is_noticed_without_the_database():
    text = make_token(bytes(range(40))).text
    for position in range(len(text)):
        other = "0" if text[position] != "0" else "1"
        assert parse_token(text[:position] + other + text[position + 1 :]) is None


@pytest.mark.parametrize("text", ["", "ost", "ost___", "ost_a_b_c", "x" * 10_000, "ost_é_b_c"])
def test_what_is_no_token_is_none(text):
    assert parse_token(text) is None


def test_a_token_is_good_until_it_expires_is_revoked_or_its_secret_differs():
    token, other = make_token(bytes(40)), make_token(bytes(39) + b"x")
    assert judge_token(token, known(token), WallMs(99)) == Principal(token.token_id, "n", "viewer")
    assert judge_token(token, known(token), WallMs(100)) is None
    assert judge_token(token, known(token, revoked_ms=1), WallMs(99)) is None
    assert judge_token(token, known(other), WallMs(99)) is None
    assert judge_token(token, None, WallMs(99)) is None


def test_a_scope_allows_its_verbs_and_an_unknown_one_nothing():
    assert Principal("i", "n", "viewer").may("agents:read")
    assert not Principal("i", "n", "viewer").may("jobs:write")
    assert Principal("i", "n", "admin").may("jobs:write")
    assert not Principal("i", "n", "root").may("agents:read")
    assert not Principal("", "", "").may("agents:read")


def test_no_part_of_a_token_gets_into_a_log():
    token = make_token(bytes(range(40)))
    line = redact(f"GET /v1/agents with {token.text} failed")
    assert token.secret not in line
    assert token.token_id not in line


# --- targets ------------------------------------------------------------------------------------
def chosen(**fields):
    targets = Targets(**fields)
    return resolve(targets, check_targets(targets), LABELS)


def test_named_agents_join_what_the_selector_matches():
    assert chosen(agents=["a-3"], selector="site in (north,south)") == ["a-1", "a-2", "a-3"]
    assert chosen(agents=["a-2", "a-2"]) == ["a-2"]
    assert chosen(selector="!site") == ["a-3"]


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({}, "targets"),
        ({"selector": "site=west"}, "targets.selector"),
        ({"agents": ["a-1"], "selector": "site=west"}, "targets.selector"),
        ({"selector": "site="}, "targets.selector"),
        ({"selector": "site in north"}, "targets.selector"),
        ({"agents": ["a-1", "b-1"]}, "targets.agents[1]"),
        ({"agents": ["a-1"], "device_selector": "(("}, "targets.device_selector"),
    ],
)
def test_targets_that_cannot_be_meant_are_pointed_at(fields, where):
    with pytest.raises(MistakeError) as caught:
        chosen(**fields)
    assert caught.value.where == where


# --- presence -----------------------------------------------------------------------------------
def test_an_agent_is_silent_after_three_of_its_own_intervals():
    hour = 3_600_000
    assert not is_silent(0, hour, WallMs(3 * hour))
    assert is_silent(0, hour, WallMs(3 * hour + 1))
    assert not is_silent(0, 100, WallMs(GRACE_MS))
    assert is_silent(0, None, WallMs(GRACE_MS + 1))


def test_one_odd_gap_moves_the_interval_a_little():
    assert smooth_interval(None, 1_000) == 1_000
    assert smooth_interval(1_000, 6_000) == 2_000
    assert smooth_interval(1_000, -50) == 800, "a clock that was set back is no negative gap"


# --- the two forms of a job ---------------------------------------------------------------------
def test_a_submission_becomes_the_spec_that_agents_get_and_back():
    document = {
        "name": "raise",
        "steps": [
            {"id": "apply", "action": "device.write", "params": {"x": 1.5}, "timeout_s": 9},
            {"id": "look", "action": "device.read", "params": {"points": ["x"]}},
        ],
        "targets": {"agents": ["b", "a"], "selector": "site=n", "device_selector": "kind=pump"},
        "retry": {"failed": 2, "initial_s": 3, "max_s": 4},
        "delay_s": 5,
    }
    spec = to_spec(parse_submission(document))
    assert spec.steps[0].params == {"x": 1.5}
    assert spec.steps[1].timeout_s == 30
    assert spec.targets.agents == ["b", "a"]
    assert to_spec(from_spec(spec)) == spec


def test_times_that_no_calendar_shows_become_its_ends():
    assert to_time(1 << 60).year == 9999
    assert to_time(-(1 << 60)).year == 1
    assert to_wall_ms(to_time(1_700_000_000_123)) == 1_700_000_000_123


# --- series -------------------------------------------------------------------------------------
SCHEMA = Schema((Channel(DeviceId("d"), "p", "A"), Channel(DeviceId("d"), "q")))


def question(**changes):
    whole = Question(agents=None, device="", point="", start_ms=0, end_ms=100, limit=100)
    return replace(whole, **changes)


def block(times, values, *, channels=(0,), quality=None, state=ClockState.SYNCED):
    rows = len(times)
    group = Group(
        channels, list(times), [list(v) for v in values], quality or [bytes(rows)] * len(channels)
    )
    return encode(
        Block(
            epoch=EpochRef(b"ee"),
            seq=BlockSeq(1),
            priority=2,
            boot=BootRef(b"boot"),
            mono_ms=MonoMs(0),
            wall_ms=WallMs(0),
            clock_state=state,
            err_ms=0,
            schema=SchemaRef(b"sche"),
            groups=(group,),
        )
    )


def collected(blocks, **changes):
    found = Collection(question(**changes))
    for data in blocks:
        clock = ClockQuality(Sureness.SYNCED, 0)
        found.add(Piece(AgentId("a"), SCHEMA, data, 0, clock))
    return found


def test_rows_of_several_blocks_come_out_in_time_order():
    found = collected([block([30, 10], [[3, 1]]), block([20], [[2]])])
    ((_, series),) = found.sorted_from(0).items()
    assert series.times_ms == [10, 20, 30]
    assert series.values == [1, 2, 3]


def test_equal_times_with_values_of_different_kinds_do_not_stop_the_answer():
    bad = [bytes([Quality.BAD_COMM])]
    found = collected([block([10], [[None]], quality=bad), block([10], [[2.5]])])
    ((_, series),) = found.sorted_from(0).items()
    assert sorted(map(str, series.values)) == ["2.5", "None"]


def test_the_end_is_exclusive_and_the_start_is_not():
    found = collected([block([5, 10, 15], [[1, 2, 3]])], start_ms=5, end_ms=15)
    ((_, series),) = found.sorted_from(0).items()
    assert series.times_ms == [5, 10]


def test_a_cell_that_was_not_sampled_is_no_reading():
    found = collected([block([5, 10], [[None, 2]])])
    assert len(found) == 1


def test_a_channel_that_the_schema_lacks_is_left_out():
    found = collected([block([5], [[1], [2]], channels=(0, 7))])
    assert [channel.point for _, channel in found.series] == ["p"]


def test_only_the_channels_asked_for_are_collected():
    found = collected([block([5], [[1], [2]], channels=(0, 1))], point="q")
    assert [channel.point for _, channel in found.series] == ["q"]
    assert not collected([block([5], [[1]])], device="other").series


def test_the_answer_begins_at_the_oldest_of_the_newest():
    found = collected([block([1, 2, 3, 4], [[1, 2, 3, 4]])], limit=3)
    assert found.oldest_answered_ms() == 2
    assert collected([block([1], [[1]])], limit=2).oldest_answered_ms() is None


# --- classes of jobs ----------------------------------------------------------------------------
@pytest.mark.parametrize("place", ["steps", "finally", "compensation"])
def test_a_job_is_of_the_least_class_that_allows_every_step_wherever_it_stands(place):
    write = {"id": "apply", "action": "device.write", "params": {"x": 1}}
    look = {"id": "look", "action": "device.read", "params": {"points": ["x"]}}
    lists = {"steps": [look], "finally": [], "compensation": []}
    lists[place].append(write)
    document = {**lists, "name": "n", "compensation": {"steps": lists["compensation"]}}
    for standing in ({}, {"schedule": {"interval_s": 60}}, {"rule": {"condition": "battery < 5"}}):
        spec = to_spec(parse_submission({**document, **standing}))
        policy = first_policy(fleet=bytes(16), issued_ms=0, expires_ms=1)
        name, rule = choose_class(spec, policy)
        assert all(map(rule.allows, spec.every_step))
        assert name != "observe"
        only = structs.replace(policy, classes={"observe": policy.classes["observe"]})
        with pytest.raises(MistakeError) as caught:
            choose_class(spec, only)
        number = len(lists[place]) - 1
        assert caught.value.where == f"{place}[{number}]"
