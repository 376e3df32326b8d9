"""What papers tell whoever signs: all of it, unless the own key vouches for what was before."""

import tomllib
from functools import partial

import pytest

from coordinator.core.document_text import quoted
from coordinator.core.papers import Paper, Papers, signed_before
from coordinator.core.papers_text import body_text, describe
from shared.trust.catalog import CATALOG_TYP
from shared.trust.envelope import seal
from shared.trust.policy import POLICY_TYP, Approver
from shared.wire.codec import pack
from tests.unit.test_papers import public, standing
from tests.unit.trust_world import make_policy, seal_policy, sealed


def told_to(name, before, draft):
    """What a signer is told of a policy that is said to follow another one."""
    held = [paper for paper in standing().papers if paper.kind != "policy"]
    papers = Papers(before=[*held, before], drafts=[draft])
    seen = partial(signed_before, public(name))
    head, *lines = (line.strip() for line in describe(papers, known=seen))
    return "read all of it" in head, lines


def policy_paper(by="release", **changes):
    return Paper("policy", seal_policy(make_policy(**changes), by))


def test_a_signer_sees_what_changes_in_what_the_own_key_signed():
    unproven, lines = told_to("release", policy_paper(), policy_paper(version=2, classes={}))
    assert not unproven
    assert "-approvals = 2" in lines
    assert not any("public" in line for line in lines), "no word of the approvers, who stay"


@pytest.mark.parametrize(
    "before",
    [
        Paper("policy", seal(POLICY_TYP, pack(make_policy(version=2)), [])),
        policy_paper("mallory"),
        policy_paper("mallory", version=2),
        policy_paper(version=0),
        policy_paper(epoch=2),
        policy_paper(fleet=b"another fleet..."),
        Paper("policy", sealed(CATALOG_TYP, make_policy(), "release")),
    ],
    ids=["itself", "stranger", "as-new", "older", "epoch", "fleet", "type"],
)
def test_papers_that_bring_a_false_past_along_hide_nothing(before):
    unproven, lines = told_to("release", before, policy_paper(version=2))
    assert unproven
    whole = body_text(make_policy()).splitlines()
    assert [line for line in lines if line.startswith("+")] == [f"+{line}" for line in whole]


def test_a_draft_that_follows_another_draft_is_told_as_what_it_changes():
    first, second = policy_paper(version=2), policy_paper(version=3, classes={})
    papers = Papers(before=list(standing().papers), drafts=[first, second])
    lines = list(describe(papers, known=lambda *_: False))
    assert sum("read all of it" in line for line in lines) == 1
    assert "  -approvals = 2" in lines


def test_no_name_in_a_draft_ends_a_line_or_hides():
    name = "eve\u2028approvals = 2\u2029\x85\x9b8m\u202e\x7f\U0001f600 é"
    people = [Approver(name, public("eve"))]
    _, lines = told_to("release", policy_paper(), policy_paper(version=2, approvers=people))
    assert "".join(lines).isprintable()
    assert not any(line.startswith("approvals") for line in lines)
    assert tomllib.loads(f"name = {quoted(name)}") == {"name": name}
