"""Papers between the coordinator and the offline keys: what they must be, and what is missing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from coordinator.core.drafts import (
    Exchange,
    exchange,
    next_catalog,
    next_policy,
    revocation,
)
from coordinator.core.papers import (
    Kind,
    Paper,
    Papers,
    Trusted,
    decode_papers,
    encode_papers,
    judge,
    open_before,
    quorums,
)
from coordinator.core.papers_text import describe, missing, root_view
from coordinator.services.ceremony import sign, wanted_keys
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import KeyId, key_id
from shared.trust.catalog import CATALOG_TYP
from shared.trust.envelope import seal
from shared.trust.root import DIRECTOR, ENROL, RELEASE, ROOT
from shared.wire.codec import pack
from tests.unit.trust_world import (
    DAY,
    FLEET,
    NOW,
    PEOPLE,
    changed,
    kid,
    make_catalog,
    make_policy,
    make_root,
    seal_catalog,
    seal_policy,
    seal_root,
    signer,
)

LATER = WallMs(NOW + DAY)
SEALS: dict[Kind, Callable[..., bytes]] = {
    "root": seal_root,
    "catalog": seal_catalog,
    "policy": seal_policy,
}


def public(name):
    return signer(name).public_key


def standing(**changes):
    """A fleet's newest documents, verified."""
    papers = [
        Paper("root", seal_root(make_root(**changes))),
        Paper("catalog", seal_catalog(make_catalog())),
        Paper("policy", seal_policy(make_policy())),
    ]
    held = open_before(Papers(before=papers, drafts=[]))
    assert held is not None
    return held


@dataclass
class Table:
    """Where drafts are signed and judged."""

    held: Trusted

    def papers(self, drafts):
        return Papers(before=list(self.held.papers), drafts=list(drafts))

    def signed(self, drafts, *names):
        return sign(self.papers(drafts), [signer(name) for name in names])

    def adopt(self, drafts, *names, now_ms=LATER):
        self.held = judge(
            self.held, self.signed(drafts, *names).drafts, now_ms=now_ms, where="papers.json"
        )
        return self.held

    def refused(self, drafts, *names, now_ms=LATER):
        before = self.held
        with pytest.raises(MistakeError) as mistake:
            self.adopt(drafts, *names, now_ms=now_ms)
        assert self.held is before
        assert str(mistake.value).startswith("papers.json: ")
        return str(mistake.value)


@pytest.fixture
def table():
    return Table(standing())


def rotated(table, role, *, new=(), drop=(), **rest):
    wish = Exchange(
        role=role,
        new=[public(name) for name in new],
        drop={KeyId(kid(name)) for name in drop},
        **rest,
    )
    return exchange(table.held, wish, now_ms=LATER)


# --- the form -----------------------------------------------------------------------------------
def test_papers_come_back_from_their_file(table):
    papers = table.signed(rotated(table, DIRECTOR, new=["next"], drop=["director"]), "root-1")
    assert decode_papers(encode_papers(papers), where="x") == papers


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "holds no papers"),
        (b"\x00\xff", "holds no papers"),
        (b'{"outstation_papers":1}', "holds no papers"),
        (b'{"outstation_papers":2,"before":[],"drafts":[]}', "of form 2"),
        (b'{"outstation_papers":1,"before":[],"drafts":[]}', "too few"),
        (b"x" * 3_000_000, "longer than"),
    ],
)
def test_what_is_no_papers_is_said_in_a_sentence(data, says):
    with pytest.raises(MistakeError, match=says) as mistake:
        decode_papers(data, where="stick/papers.json")
    assert str(mistake.value).startswith("stick/papers.json: ")


def test_a_draft_that_says_nothing_is_damaged(table):
    for kind in ("root", "catalog", "policy"):
        papers = table.papers([Paper(kind, b"junk")])
        with pytest.raises(MistakeError, match=f"its {kind} is damaged"):
            list(quorums(papers))


# --- who must sign ------------------------------------------------------------------------------
def test_a_root_that_exchanges_its_own_keys_needs_the_thresholds_of_both(table):
    drafts = rotated(table, ROOT, new=["root-4", "root-5"], drop=["root-1", "root-2"])
    needs = {quorum.whose: quorum.missing for quorum in quorums(table.signed(drafts, "root-4"))}
    assert needs == {
        "root keys of root 1 of epoch 1": 2,
        "root keys of root 2 of epoch 1": 1,
    }
    assert len(missing(table.signed(drafts, "root-4"))) == 2
    assert "too few signatures" in table.refused(drafts, "root-4", "root-5")
    assert "too few signatures" in table.refused(drafts, "root-1", "root-2")
    after = table.adopt(drafts, "root-1", "root-2", "root-3", "root-4")
    assert after.root.roles[ROOT].keys == [kid("root-3"), kid("root-4"), kid("root-5")]


def test_a_key_signs_what_it_is_asked_for_and_nothing_else(table):
    drafts = rotated(table, RELEASE, new=["release-2"], drop=["release"])
    wanted = wanted_keys(table.papers(drafts))
    assert wanted[KeyId(kid("root-1"))] == ["root 2 of epoch 1"]
    assert wanted[KeyId(kid("release-2"))] == ["catalog 2 of epoch 1", "policy 2 of epoch 1"]
    assert KeyId(kid("release")) not in wanted, "it is on its way out"
    assert KeyId(kid("director")) not in wanted
    assert table.signed(drafts, "director", "release").drafts == drafts


def test_signing_twice_changes_nothing(table):
    drafts = rotated(table, DIRECTOR, new=["next"], drop=["director"])
    once = table.signed(drafts, "root-1")
    assert sign(once, [signer("root-1")]) == once
    assert "too few signatures" in table.refused(once.drafts, "root-1")


# --- exchanging keys ----------------------------------------------------------------------------
def test_a_new_director_leaves_catalog_and_policy_as_they_are(table):
    drafts = rotated(table, DIRECTOR, new=["next"], drop=["director"])
    assert [paper.kind for paper in drafts] == ["root"]
    before = table.held
    after = table.adopt(drafts, "root-1", "root-3")
    assert (after.root.version, after.root.epoch) == (2, 1)
    assert after.root.roles[DIRECTOR].keys == [kid("next")]
    assert public("director") not in after.root.keys
    assert (after.catalog, after.policy) == (before.catalog, before.policy)


def test_an_online_key_that_two_roles_share_goes_from_both():
    shared = make_root()
    roles = {**shared.roles, ENROL: shared.roles[DIRECTOR]}
    keys = [key for key in shared.keys if key != public("enrol")]
    table = Table(standing(roles=roles, keys=keys))
    after = table.adopt(
        rotated(table, DIRECTOR, new=["next"], drop=["director"]), "root-1", "root-2"
    )
    assert after.root.roles[DIRECTOR].keys == after.root.roles[ENROL].keys == [kid("next")]


def test_a_new_release_key_brings_catalog_and_policy_along(table):
    drafts = rotated(table, RELEASE, new=["release-2"], drop=["release"])
    assert [paper.kind for paper in drafts] == ["root", "catalog", "policy"]
    before = table.held
    after = table.adopt(drafts, "root-1", "root-2", "release-2")
    assert (after.catalog.version, after.policy.version) == (2, 2)
    assert after.catalog.actions == before.catalog.actions
    assert after.catalog.expires_ms == before.catalog.expires_ms
    assert "without a catalog or a policy" in Table(before).refused(drafts[:1], "root-1", "root-2")


def test_a_document_that_is_over_gets_the_roots_end_when_it_is_signed_anew():
    late = WallMs(NOW + 100 * DAY)
    held = standing()
    wish = Exchange(role=RELEASE, new=[public("release-2")], drop={KeyId(kid("release"))})
    _, catalog, _ = (paper.read() for paper in exchange(held, wish, now_ms=late))
    assert catalog.expires_ms > late


def test_a_new_root_lasts_for_ten_more_years(table):
    (paper,) = rotated(table, ROOT)
    after = paper.read()
    assert after.expires_ms - after.issued_ms == 3_653 * DAY
    assert changed(after, version=1, issued_ms=NOW - DAY, expires_ms=NOW + 365 * DAY) == make_root()


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"role": ROOT, "drop": ["root-1", "root-2"]}, "ask for 2 of 1 key"),
        ({"role": DIRECTOR, "drop": ["director"]}, "director role would ask for 1 of 0 keys"),
        ({"role": ROOT, "threshold": 0}, "ask for 0 of 3"),
        ({"role": ROOT, "threshold": 4}, "ask for 4 of 3"),
        ({"role": DIRECTOR, "new": ["release"]}, "online role also speaks for an offline"),
    ],
)
def test_a_key_set_that_could_not_work_is_not_even_drafted(table, wish, says):
    with pytest.raises(MistakeError, match=says):
        rotated(table, **wish)


# --- revoking -----------------------------------------------------------------------------------
def revoked(table, name, *new):
    wish = revocation(table.held, KeyId(kid(name)), new=[public(one) for one in new])
    return exchange(table.held, wish, now_ms=LATER)


def test_a_stolen_director_ends_with_its_epoch(table):
    drafts = revoked(table, "director", "next")
    after = table.adopt(drafts, "root-1", "root-2", "release")
    assert (after.root.epoch, after.root.version) == (2, 2)
    assert (after.catalog.epoch, after.catalog.version) == (2, 1)
    assert (after.policy.epoch, after.policy.version) == (2, 1)
    assert kid("director") not in {key for role in after.root.roles.values() for key in role.keys}


def test_one_stolen_officer_of_three_needs_no_new_epoch(table):
    drafts = revoked(table, "root-2", "root-4")
    assert [paper.kind for paper in drafts] == ["root"]
    after = table.adopt(drafts, "root-1", "root-3", "root-4")
    assert after.root.epoch == 1
    assert after.root.roles[ROOT].keys == [kid("root-1"), kid("root-3"), kid("root-4")]


def test_a_stolen_release_key_takes_the_epoch_with_it(table):
    after = table.adopt(revoked(table, "release", "release-2"), "root-1", "root-2", "release-2")
    assert after.root.epoch == after.catalog.epoch == after.policy.epoch == 2


def test_who_is_no_role_cannot_be_revoked_here(table):
    with pytest.raises(MistakeError, match=r"alice's key, who approves; publish a policy"):
        revoked(table, PEOPLE[0])
    with pytest.raises(MistakeError, match="no role has the key"):
        revoked(table, "stranger")


# --- publishing ---------------------------------------------------------------------------------
def catalog_draft(table, **changes):
    content = make_catalog(any_profile=True)
    return [next_catalog(table.held, content, now_ms=LATER, expires_ms=None, **changes)]


def test_a_catalog_is_numbered_and_dated_when_it_is_published(table):
    after = table.adopt(catalog_draft(table), "release")
    assert (after.catalog.version, after.catalog.any_profile) == (2, True)
    assert (after.catalog.issued_ms, after.catalog.expires_ms) == (LATER, after.root.expires_ms)
    policy = [next_policy(table.held, make_policy(), now_ms=LATER, expires_ms=LATER + 5)]
    assert table.adopt(policy, "release").policy.expires_ms == LATER + 5


def test_a_catalog_that_would_be_over_is_not_drafted(table):
    with pytest.raises(MistakeError, match="over already"):
        next_catalog(table.held, make_catalog(), now_ms=LATER, expires_ms=LATER)


def test_only_release_keys_publish(table):
    for names in ((), ("director",), ("root-1", "root-2")):
        assert "too few signatures (0 of 1)" in table.refused(catalog_draft(table), *names)


def sealed(kind: Kind, document, *names):
    return [Paper(kind, SEALS[kind](document, *names))]


@pytest.mark.parametrize(
    ("kind", "document", "says"),
    [
        ("catalog", make_catalog(), "in force already"),
        ("catalog", make_catalog(any_profile=True), "not newer than version 1"),
        ("policy", make_policy(approvers=[], classes={}), "not newer than version 1"),
        ("catalog", make_catalog(version=2, epoch=2), "catalog 2 of epoch 2 does not follow"),
        ("catalog", make_catalog(version=2, fleet=b"f" * 16), "belongs to another fleet"),
        ("catalog", make_catalog(version=2, expires_ms=NOW), "over already"),
        ("root", make_root(), "does not follow, in force is root 1 of epoch 1"),
        ("root", make_root(version=3), "does not follow"),
        ("root", make_root(version=2, epoch=3), "does not follow"),
        ("root", make_root(version=2, fleet=b"f" * 16), "belongs to another fleet"),
        ("root", make_root(version=2, expires_ms=NOW), "over already"),
        ("root", make_root(version=2, epoch=2), "without a catalog or a policy"),
    ],
)
def test_papers_that_do_not_follow_are_refused_in_a_sentence(table, kind, document, says):
    assert says in table.refused(sealed(kind, document))


def test_papers_that_contradict_themselves_are_refused():
    papers = [
        Paper("root", seal_root(make_root())),
        Paper("catalog", seal_catalog(make_catalog(epoch=2))),
        Paper("policy", seal_policy(make_policy())),
    ]
    with pytest.raises(MistakeError, match="contradicts itself"):
        open_before(Papers(before=papers, drafts=papers))


# --- what people read ---------------------------------------------------------------------------
def test_whoever_signs_sees_every_key_and_every_bound_that_changes(table):
    drafts = [
        *rotated(table, DIRECTOR, new=["next"], drop=["director"]),
        next_catalog(
            table.held,
            make_catalog(any_profile=True, profiles=[]),
            now_ms=LATER,
            expires_ms=make_catalog().expires_ms,
        ),
    ]
    lines = list(describe(table.papers(drafts), known=lambda *_: True))
    changes = [line.strip() for line in lines if line.startswith(("  -", "  +"))]
    assert any(line.startswith(f"-  {kid('director').hex()}") for line in changes)
    assert any(line.startswith(f"+  {kid('next').hex()}") for line in changes)
    assert "-any_profile = false" in changes
    assert "+any_profile = true" in changes
    assert "-points.setpoint = { low = 0, high = 5000 }" in changes
    assert lines[0].startswith("root 2 of epoch 1 (after root 1 of epoch 1), ")


def test_a_root_can_be_read_by_programs():
    view: Any = root_view(make_root())
    assert (view["version"], view["epoch"], view["fleet"]) == (1, 1, FLEET.hex())
    assert view["roles"]["root"]["threshold"] == 2
    assert view["roles"]["director"]["keys"][0]["public"] == public("director").hex()
    assert view["roles"]["director"]["keys"][0]["id"] == key_id(public("director")).hex()


def test_an_envelope_full_of_signatures_is_said(table):
    (paper,) = catalog_draft(table)
    crowd = [signer(f"stranger-{number}") for number in range(limits.SIGNATURES)]
    stuffed = Paper("catalog", seal(CATALOG_TYP, pack(paper.read()), crowd))
    with pytest.raises(MistakeError, match="catalog cannot be signed: it holds as many"):
        table.signed([stuffed], "release")
