"""The first papers of a fleet: only the keys that they name found it."""

from typing import Any

import pytest

from coordinator.core.drafts import (
    Online,
    RoleKeys,
    careful_catalog,
    draft,
    first_root,
    plain_policy,
)
from coordinator.core.papers import Paper, Papers, judge
from coordinator.core.papers_text import missing
from coordinator.services.ceremony import sign
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import FleetId
from tests.unit.test_papers import LATER, public
from tests.unit.trust_world import (
    FLEET,
    NOW,
    OFFICERS,
    make_root,
    seal_root,
    signer,
)


def first(**changes):
    made: dict[str, Any] = {
        "root": RoleKeys([public(name) for name in OFFICERS], 2),
        "release": RoleKeys([public("release")], 1),
        "online": Online(public("director"), b"c" * 32),
        "now_ms": WallMs(NOW),
    }
    return first_root(FleetId(FLEET), **(made | changes))


def founding():
    root = first()
    return [
        draft("root", root),
        draft("catalog", careful_catalog(root)),
        draft("policy", plain_policy(root)),
    ]


def test_a_fleet_is_founded_by_the_keys_it_names():
    papers = sign(
        Papers(before=[], drafts=founding()), map(signer, ("root-2", "root-3", "release"))
    )
    assert missing(papers) == []
    after = judge(None, papers.drafts, now_ms=LATER, where="x")
    assert after.root == first()
    assert not after.catalog.any_profile, "it writes nothing until profiles are listed"
    assert after.catalog.profiles == []


def test_what_is_no_beginning_founds_nothing():
    whole = sign(
        Papers(before=[], drafts=founding()), map(signer, ("root-2", "root-3", "release"))
    ).drafts
    later = Paper("root", seal_root(make_root(version=2)))
    for drafts, says in (
        (founding(), "too few signatures"),
        (whole[:1], "does not found a fleet"),
        (whole[1:], "comes without a root"),
        ([later, *whole[1:]], "is no beginning"),
    ):
        with pytest.raises(MistakeError, match=says):
            judge(None, drafts, now_ms=LATER, where="x")


def test_thresholds_that_cannot_be_reached_found_nothing():
    for changes in (
        {"root": RoleKeys([public("root-1")], 2)},
        {"root": RoleKeys([public("root-1")] * 2, 1)},
        {"release": RoleKeys([public("director")], 1)},
    ):
        with pytest.raises(MistakeError, match="such a root document cannot be"):
            first(**changes)
