"""The catalog and the policy: strict documents, and whether a step keeps within their bounds."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shared import limits
from shared.errors import Reason, RefusedError
from shared.model.job import Step
from shared.trust.bounds import check_firmware, check_step, check_write, release_of
from shared.trust.catalog import (
    CATALOG_TYP,
    ActionBounds,
    ConfigBounds,
    Firmware,
    FlagBound,
    NamesBound,
    NumberBound,
    PointBound,
    ProfileBounds,
    Script,
    TextBound,
    WheelSet,
    open_catalog,
)
from shared.trust.envelope import seal
from shared.trust.policy import POLICY_TYP, Approver, ClassRule, open_policy
from shared.trust.starter import OBSERVE, OPERATE, first_catalog, first_policy, weaknesses
from shared.wire.codec import pack
from tests.unit.trust_world import (
    DAY,
    FLEET,
    GRACE_S,
    NOW,
    PUMP,
    READ,
    SPEC,
    changed,
    kid,
    make_catalog,
    make_policy,
    make_root,
    seal_catalog,
    seal_policy,
    signer,
)

ROOT = make_root()
HASH = bytes(32)
FULL = make_catalog(
    config=ConfigBounds(["https://a.example:8443"], {"sync.interval_s": NumberBound(60, 3600)}),
    scripts=[Script("collect-logs", HASH)],
    firmware=[Firmware("inverter-3", HASH, 65_536, "inv-3", 7)],
    agents=[WheelSet(HASH, 3)],
)


# --- documents ----------------------------------------------------------------------------------
def test_a_catalog_and_a_policy_open_as_they_were_signed() -> None:
    assert open_catalog(seal_catalog(FULL), ROOT) == FULL
    assert open_policy(seal_policy(make_policy()), ROOT) == make_policy()


@pytest.mark.parametrize("by", ["mallory", "director", "root-1", "enrol"])
def test_only_the_release_role_signs_what_may_run(by: str) -> None:
    for opened in (
        lambda: open_catalog(seal_catalog(FULL, by), ROOT),
        lambda: open_policy(seal_policy(make_policy(), by), ROOT),
    ):
        with pytest.raises(RefusedError) as caught:
            opened()
        assert caught.value.reason is Reason.THRESHOLD_NOT_MET


def test_an_unknown_field_in_a_catalog_or_a_policy_is_refused() -> None:
    """A restriction that an older agent does not know must not be overlooked."""
    for typ, document in ((CATALOG_TYP, FULL), (POLICY_TYP, make_policy())):
        plain = [*msgspec.to_builtins(document, builtin_types=(bytes,)), "only on Sundays"]
        data = seal(typ, pack(plain), [signer("release")])
        with pytest.raises(RefusedError) as caught:
            open_catalog(data, ROOT) if typ == CATALOG_TYP else open_policy(data, ROOT)
        assert caught.value.reason is Reason.BAD_SCHEMA


PUMPS = FULL.profiles[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0},
        {"epoch": 0},
        {"fleet": b""},
        {"issued_ms": NOW, "expires_ms": NOW - 1},
        {"actions": {"a": ActionBounds({"p": NumberBound(2, 1)}, by_profile=False)}},
        {"actions": {"a": ActionBounds({"p": TextBound(-1)}, by_profile=False)}},
        {"actions": {"a": ActionBounds({"p": NamesBound(0)}, by_profile=False)}},
        {"actions": {f"a{n}": ActionBounds({}, by_profile=False) for n in range(129)}},
        {
            "actions": {
                "a": ActionBounds({f"p{n}": FlagBound() for n in range(65)}, by_profile=False)
            }
        },
        {"profiles": [PUMPS, PUMPS]},
        {"profiles": [ProfileBounds(b"z" * 32, []), ProfileBounds(b"a" * 32, [])]},
        {"profiles": [ProfileBounds(b"short", [])]},
        {"profiles": [ProfileBounds(PUMP, [PointBound("p", 2, 1)])]},
        {"profiles": [ProfileBounds(PUMP, [PointBound("Not A Name", 1, 2)])]},
        {"profiles": [ProfileBounds(PUMP, [PointBound("b", 1, 2), PointBound("a", 1, 2)])]},
        {"config": ConfigBounds(["https://b", "https://a"], {})},
        {"config": ConfigBounds([], {"x": NumberBound(2, 1)})},
        {"config": ConfigBounds([], {f"x{n}": FlagBound() for n in range(65)})},
        {"scripts": [Script("../../etc/cron.d/x", HASH)]},
        {"scripts": [Script("a", b"short")]},
        {"firmware": [Firmware("a", HASH, -1, "b", 1)]},
        {"firmware": [Firmware("a", HASH, 1, "b", -1)]},
        {"firmware": [Firmware("a", HASH, 1, "b", 1, HASH[:31])]},
        {"firmware": [Firmware("a", HASH, 1, "b/c", 1)]},
        {"agents": [WheelSet(HASH, 1), WheelSet(HASH, 2)]},
    ],
)
def test_a_catalog_that_makes_no_sense_is_refused_whoever_signed_it(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(RefusedError) as caught:
        open_catalog(seal_catalog(changed(FULL, **changes)), ROOT)
    assert caught.value.reason is Reason.BAD_SCHEMA


ANNE = Approver("anne", signer("anne").public_key)
CROWD = [f"p{number}" for number in range(limits.APPROVALS_PER_GRANT + 1)]
"""One more than a grant carries approvals."""
ANNES_NEW = Approver("anne", signer("anne-2").public_key)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0},
        {"epoch": 0},
        {"fleet": b""},
        {"issued_ms": NOW, "expires_ms": NOW - 1},
        {"approvers": [ANNE, ANNE], "classes": {}},
        {"approvers": [Approver("", ANNE.key)], "classes": {}},
        {"approvers": [Approver("x" * 129, ANNE.key)], "classes": {}},
        {"approvers": [Approver("anne", b"short")], "classes": {}},
        {"classes": {"Not A Name": ClassRule(0, [], 0, {})}},
        {"classes": {f"c{n}": ClassRule(0, [], 0, {}) for n in range(65)}},
        {"classes": {"c": ClassRule(1, [], 0, {})}},
        {"classes": {"c": ClassRule(-1, [], 0, {})}},
        {"classes": {"c": ClassRule(1, [kid("stranger")], 0, {})}},
        {"classes": {"c": ClassRule(1, [kid("bob"), kid("bob")], 0, {})}},
        {"classes": {"c": ClassRule(0, [], -1, {})}},
        {"classes": {"c": ClassRule(0, [], limits.GRACE_S + 1, {})}},
        {
            "approvers": [ANNE, ANNES_NEW],
            "classes": {"c": ClassRule(2, [kid("anne"), kid("anne-2")], 0, {})},
        },
        {
            "approvers": [Approver(name, signer(name).public_key) for name in CROWD],
            "classes": {"c": ClassRule(17, [kid(name) for name in CROWD], 0, {})},
        },
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_whoever_signed_it(changes: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as caught:
        open_policy(seal_policy(make_policy(**changes)), ROOT)
    assert caught.value.reason is Reason.BAD_SCHEMA


# --- steps --------------------------------------------------------------------------------------
def bounded(**parameters: Any) -> Any:
    return make_catalog(actions={"act": ActionBounds(parameters, by_profile=False)})


@pytest.mark.parametrize(
    ("bound", "good", "bad"),
    [
        (NumberBound(1, 2.5), [1, 2.5], [0, 2.6, True, "1", ["a"]]),
        (FlagBound(), [True, False], [1, 0, "true"]),
        (TextBound(3), ["", "abc"], ["abcd", 1, ["a"]]),
        (TextBound(9, ["on", "off"]), ["on"], ["maybe", True]),
        (NamesBound(2), [[], ["a", "b-1"]], [["a", "b", "c"], ["../x"], "a", 1]),
        (NamesBound(1), [["_http._tcp"], ["_smp._udp.local."]], [["_x._tcp/.."], ["_x"]]),
    ],
)
def test_a_parameter_keeps_within_its_bound(bound: Any, good: list[Any], bad: list[Any]) -> None:
    catalog = bounded(p=bound)
    for value in good:
        check_step(catalog, Step("s", "act", {"p": value}))
    for value in bad:
        with pytest.raises(RefusedError) as caught:
            check_step(catalog, Step("s", "act", {"p": value}))
        assert caught.value.reason is Reason.OUT_OF_BOUNDS


def test_an_action_or_a_parameter_that_the_catalog_does_not_name_is_refused() -> None:
    for step, reason in (
        (Step("s", "agent.run_script", {}), Reason.ACTION_NOT_ALLOWED),
        (Step("s", "act", {"q": 1}), Reason.OUT_OF_BOUNDS),
    ):
        with pytest.raises(RefusedError) as caught:
            check_step(bounded(p=NumberBound(0, 9)), step)
        assert caught.value.reason is reason


@pytest.mark.parametrize(
    "params", [{"setpoint": 5001}, {"setpoint": -1}, {"trip": 1}, {"setpoint": "1"}]
)
def test_a_write_that_no_profile_allows_is_refused_at_admission(params: dict[str, Any]) -> None:
    check_step(FULL, Step("s", "device.write", {"setpoint": 5000, "start": True}))
    with pytest.raises(RefusedError) as caught:
        check_step(FULL, Step("s", "device.write", params))
    assert caught.value.reason is Reason.OUT_OF_BOUNDS
    check_step(make_catalog(any_profile=True), Step("s", "device.write", {"trip": 1}))


def test_a_write_is_checked_against_its_devices_own_profile_before_it_happens() -> None:
    narrow = ProfileBounds(b"n" * 32, [PointBound("setpoint", 0, 100)])
    both = sorted([PUMPS, narrow], key=lambda entry: entry.profile)
    catalog = make_catalog(profiles=both)
    check_step(catalog, Step("s", "device.write", {"setpoint": 4200}))
    check_write(catalog, profile=PUMP, point="setpoint", value=4200)
    for profile, value, reason in (
        (narrow.profile, 4200, Reason.OUT_OF_BOUNDS),
        (bytes(32), 1, Reason.PROFILE_NOT_ALLOWED),
    ):
        with pytest.raises(RefusedError) as caught:
            check_write(catalog, profile=profile, point="setpoint", value=value)
        assert caught.value.reason is reason


def test_any_profile_frees_the_unlisted_and_still_binds_the_listed() -> None:
    catalog = make_catalog(any_profile=True)
    check_write(catalog, profile=bytes(32), point="anything", value=10**9)
    with pytest.raises(RefusedError):
        check_write(catalog, profile=PUMP, point="setpoint", value=5001)


INVERTERS: dict[str, Any] = {"digest": HASH, "size": 65_536, "device_class": "inv-3"}


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"digest": b"x" * 32}, "the catalog has no image 7878787878787878"),
        ({"device_class": "inv-4"}, "inverter-3 is for inv-3, another board than inv-4"),
        ({"size": 65_535}, "inverter-3 has 65536 bytes, not 65535"),
    ],
)
def test_only_a_listed_image_goes_into_a_board_of_its_class(
    changed: dict[str, Any], what: str
) -> None:
    for catalog in (FULL, replace(FULL, any_profile=True)):
        check_firmware(catalog, **INVERTERS)
        with pytest.raises(RefusedError, match=what) as caught:
            check_firmware(catalog, **INVERTERS | changed)
        assert caught.value.reason is Reason.OUT_OF_BOUNDS


def test_without_a_list_of_images_the_profiles_key_decides_only_where_any_profile_may_be() -> None:
    check_firmware(make_catalog(any_profile=True), **INVERTERS)
    with pytest.raises(RefusedError, match="the catalog has no image"):
        check_firmware(make_catalog(), **INVERTERS)


def test_a_release_is_known_by_the_file_and_by_the_name_that_a_device_tells() -> None:
    image, other = b"i" * 32, b"o" * 32
    catalog = make_catalog(
        firmware=[Firmware("a", HASH, 1, "inv", 3, image), Firmware("b", other, 1, "inv", 2)]
    )
    assert [release_of(catalog, name, "inv") for name in (HASH, image, other)] == [3, 3, 2]
    assert release_of(catalog, b"", "inv") is None, "an image that has no name is not any"
    assert release_of(catalog, HASH, "meter") is None


# --- classes ------------------------------------------------------------------------------------
def test_a_class_allows_its_actions_and_of_them_its_parameters() -> None:
    rule = ClassRule(0, [], GRACE_S, {"device.read": [], "device.write": ["setpoint"]})
    assert rule.allows(Step("s", "device.read", {"points": ["any"]}))
    assert rule.allows(Step("s", "device.write", {"setpoint": 1}))
    assert not rule.allows(Step("s", "device.write", {"setpoint": 1, "start": 1}))
    assert not rule.allows(Step("s", "agent.restart", {}))


def test_the_least_class_is_the_one_that_asks_for_the_fewest_people() -> None:
    policy = make_policy()
    assert policy.least_class(READ.steps) == "observe"
    assert policy.least_class(SPEC.steps) == "operate"
    assert policy.least_class([Step("s", "device.write", {"start": 1})]) == "guarded"
    assert policy.least_class([Step("s", "agent.restart", {})]) is None


# --- the first documents of a fleet ---------------------------------------------------------------
def test_a_fleet_on_one_machine_begins_with_documents_that_open_and_says_what_is_weak() -> None:
    expires = NOW + 365 * DAY
    catalog = first_catalog(fleet=FLEET, issued_ms=NOW, expires_ms=expires)
    policy = first_policy(fleet=FLEET, issued_ms=NOW, expires_ms=expires)
    assert open_catalog(seal_catalog(catalog), ROOT) == catalog
    assert open_policy(seal_policy(policy), ROOT) == policy
    assert policy.least_class(READ.steps) == OBSERVE
    assert policy.least_class(SPEC.steps) == OPERATE
    for step in (*READ.steps, *SPEC.steps):
        check_step(catalog, step)
    said = " / ".join(weaknesses(ROOT, catalog, policy))
    assert "release role" in said
    assert "root role" not in said
    assert "the catalog sets no bounds" in said
    assert f"approve jobs of class {OPERATE}" in said
    guarded = make_policy(classes={"g": make_policy().classes["guarded"]})
    strong = changed(ROOT, roles=ROOT.roles | {"release": changed(ROOT.roles["root"], threshold=2)})
    assert weaknesses(strong, FULL, guarded) == ()


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("uplink.sync_interval_s", 60, True),
        ("uplink.sync_interval_s", 0, False),
        ("uplink.metered", True, False),
        ("confirm_within_s", 60, True),
        ("confirm_within_s", 0, False),
    ],
)
def test_a_setting_keeps_within_what_the_catalog_bounds(setting, value, allowed):
    catalog = first_catalog(fleet=FLEET, issued_ms=NOW, expires_ms=NOW + 1)
    step = Step("s", "agent.configure", {setting: value})
    if allowed:
        check_step(catalog, step)
        return
    with pytest.raises(RefusedError) as caught:
        check_step(catalog, step)
    assert caught.value.reason is Reason.OUT_OF_BOUNDS


@pytest.mark.parametrize("url", ["https://b.example", "https://b.example/", "https://c.example"])
def test_an_agent_is_pointed_only_where_the_catalog_says(url):
    catalog = first_catalog(fleet=FLEET, issued_ms=NOW, expires_ms=NOW + 1)
    step = Step("s", "agent.configure", {"uplink.endpoint": url})
    with pytest.raises(RefusedError, match="endpoint"):
        check_step(catalog, step)
    listed = replace(catalog, config=replace(catalog.config, endpoints=["https://b.example"]))
    if url == "https://b.example":
        check_step(listed, step)
        return
    with pytest.raises(RefusedError) as caught:
        check_step(listed, step)
    assert caught.value.reason is Reason.OUT_OF_BOUNDS


def test_the_first_catalog_lets_no_script_run():
    catalog = first_catalog(fleet=FLEET, issued_ms=NOW, expires_ms=NOW + 1)
    assert "agent.run_script" not in catalog.actions
    assert catalog.scripts == []


def test_what_should_be_is_compared_also_where_it_may_not_be_written():
    catalog = make_catalog(any_profile=False)
    valid = ActionBounds({}, by_profile=True)
    catalog = replace(catalog, actions={**catalog.actions, "device.validate": valid})
    check_step(catalog, Step("s", "device.validate", {"serial": 4711}))
