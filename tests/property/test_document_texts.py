"""Whatever catalog or policy there is can be shown, and what is shown means the same again."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from coordinator.core.catalog_text import parse_catalog, render_catalog
from coordinator.core.policy_text import parse_policy, render_policy
from shared.errors import MistakeError
from shared.ids import NAME_PATTERN, key_id
from shared.model.action import ACTIONS
from shared.trust.catalog import (
    ActionBounds,
    Catalog,
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
    check_catalog,
)
from shared.trust.policy import Approver, ClassRule, Policy, check_policy

LAST = 2**53 - 1
names = st.from_regex(NAME_PATTERN, fullmatch=True)
hashes = st.binary(min_size=32, max_size=32)
times = st.integers(946_684_800_000, 220_000_000_000_000)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.integers(-LAST, LAST) | st.floats(-1e9, 1e9, allow_nan=False).map(lambda f: f + 0.0)
ranges = st.tuples(numbers, numbers).map(sorted)
bounds = st.one_of(
    ranges.map(lambda pair: NumberBound(*pair)),
    st.just(FlagBound()),
    st.builds(TextBound, st.integers(0, 100), st.lists(texts, max_size=3, unique=True)),
    st.builds(NamesBound, st.integers(1, 512)),
)
actions = st.dictionaries(
    st.sampled_from(sorted(ACTIONS)),
    st.builds(ActionBounds, st.dictionaries(texts, bounds, max_size=3), st.booleans()),
)
points = st.lists(
    st.tuples(names, ranges).map(lambda one: PointBound(one[0], *one[1])),
    max_size=3,
    unique_by=lambda point: point.name,
).map(lambda found: sorted(found, key=lambda point: point.name))


def ordered(items, key, **rest):
    """Lists as a catalog has them: in one order, without twins."""
    return st.lists(items, max_size=3, unique_by=key).map(lambda found: sorted(found, key=key))


catalogs = st.builds(
    Catalog,
    version=st.just(1),
    fleet=st.just(bytes(16)),
    epoch=st.just(1),
    issued_ms=st.just(0),
    expires_ms=times,
    any_profile=st.booleans(),
    actions=actions,
    profiles=ordered(st.builds(ProfileBounds, hashes, points), lambda one: one.profile),
    config=st.builds(
        ConfigBounds,
        st.lists(texts, max_size=3, unique=True).map(sorted),
        st.dictionaries(texts, bounds, max_size=3),
    ),
    scripts=ordered(st.builds(Script, names, hashes), lambda one: one.name),
    firmware=ordered(
        st.builds(
            Firmware,
            *(names, hashes, st.integers(1, LAST), names, st.integers(0, LAST)),
            image=st.just(b"") | hashes,
        ),
        lambda one: one.id,
    ),
    agents=ordered(st.builds(WheelSet, hashes, st.integers(0, LAST)), lambda one: one.sha256),
)


@st.composite
def policies(draw):
    people = texts.filter(lambda name: name != "" and name.isprintable())
    approvers = draw(
        st.lists(st.builds(Approver, people, hashes), max_size=4, unique_by=lambda one: one.key)
    )
    keys = [bytes(key_id(approver.key)) for approver in approvers]

    def rule(approving, threshold, grace_s, allowed):
        people = {a.name for a in approvers if bytes(key_id(a.key)) in approving}
        return ClassRule(min(threshold, len(people)), approving, grace_s, allowed)

    some = st.lists(st.sampled_from(keys), unique=True) if keys else st.just([])
    allowed = st.dictionaries(
        st.sampled_from(sorted(ACTIONS)), st.lists(texts, max_size=3, unique=True)
    )
    rules = st.builds(rule, some, st.integers(0, 3), st.integers(0, 63_244_800), allowed)
    return Policy(
        version=1,
        fleet=bytes(16),
        epoch=1,
        issued_ms=0,
        expires_ms=draw(times),
        approvers=approvers,
        classes=draw(st.dictionaries(names, rules, min_size=1, max_size=3)),
    )


def no_file(name):
    raise AssertionError(name)


@given(catalogs)
def test_a_catalog_that_is_shown_means_the_same(catalog):
    check_catalog(catalog)
    text = render_catalog(catalog)
    tomllib.loads(text)
    again = parse_catalog(text, source="x", profile_file=no_file)
    assert again.expires_ms == catalog.expires_ms
    assert again.content.profiles == catalog.profiles
    assert again.content.actions == catalog.actions
    assert again.content.config == catalog.config
    for member in ("any_profile", "scripts", "firmware", "agents"):
        assert getattr(again.content, member) == getattr(catalog, member)


@given(policies())
def test_a_policy_that_is_shown_means_the_same(policy):
    check_policy(policy)
    again = parse_policy(render_policy(policy), source="x")
    assert again.expires_ms == policy.expires_ms
    assert again.content.classes == policy.classes
    assert again.content.approvers == policy.approvers


@given(catalogs.map(render_catalog), st.data())
def test_a_text_with_a_slip_is_read_or_explained_and_nothing_else(text, data):
    at = data.draw(st.integers(0, len(text)))
    slip = data.draw(st.text(st.sampled_from("[]{}=\"'.,#\n0aé"), max_size=3))
    length = data.draw(st.integers(0, 5))
    try:
        parse_catalog(text[:at] + slip + text[at + length :], source="x", profile_file=no_profile)
    except MistakeError as mistake:
        said = str(mistake)
    else:
        said = "x"
    assert said.startswith("x")


def no_profile(name):
    raise MistakeError("there is none", where=name)
