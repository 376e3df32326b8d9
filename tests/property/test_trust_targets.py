"""Proofs that an agent stands in an approved list: complete for members, worthless for others."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from shared.ids import AgentId
from shared.trust.targets import is_listed, list_digest, prove, prove_all
from shared.wire.messages import TargetProof

lists = st.sets(st.text("abc-123", min_size=1, max_size=5), min_size=1, max_size=70).map(
    lambda names: [AgentId(name) for name in sorted(names)]
)


def test_the_digest_is_the_merkle_tree_hash_of_rfc_9162() -> None:
    a, b, c = (sha256(b"\x00" + name).digest() for name in (b"a", b"b", b"c"))
    ab = sha256(b"\x01" + a + b).digest()
    three = [AgentId("a"), AgentId("b"), AgentId("c")]
    assert list_digest(three[:1]) == a
    assert list_digest(three[:2]) == ab
    assert list_digest(three) == sha256(b"\x01" + ab + c).digest()
    assert prove(three, three[2]) == TargetProof(2, [ab])


@given(lists)
def test_all_proofs_at_once_are_the_proofs_one_by_one(agents: list[AgentId]) -> None:
    assert list(prove_all(agents)) == [prove(agents, agent) for agent in agents]


@given(lists, st.data())
def test_every_member_has_a_proof_and_nobody_else_can_use_it(
    agents: list[AgentId], data: st.DataObject
) -> None:
    digest, count = list_digest(agents), len(agents)
    member = data.draw(st.sampled_from(agents))
    proof = prove(agents, member)
    assert is_listed(member, proof, digest=digest, count=count)
    for other in {*agents, AgentId("zz")} - {member}:
        assert not is_listed(other, proof, digest=digest, count=count)
    for size in (0, -1, 2 * count, 4 * count + 1):
        assert not is_listed(member, proof, digest=digest, count=size)
    for index in (-1, count, count + 1, 1 << 40):
        moved = TargetProof(index, proof.path)
        assert not is_listed(member, moved, digest=digest, count=count)


@given(lists, st.integers(-2, 80), st.lists(st.binary(min_size=32, max_size=32), max_size=40))
def test_an_invented_proof_proves_nothing(
    agents: list[AgentId], index: int, path: list[bytes]
) -> None:
    proof = TargetProof(index, path)
    outsider = AgentId("outsider")
    assert not is_listed(outsider, proof, digest=list_digest(agents), count=len(agents))


@given(lists, st.data())
def test_a_proof_with_one_hash_changed_or_missing_proves_nothing(
    agents: list[AgentId], data: st.DataObject
) -> None:
    member = data.draw(st.sampled_from(agents))
    proof = prove(agents, member)
    if not proof.path:
        return
    at = data.draw(st.integers(0, len(proof.path) - 1))
    flipped = bytes([proof.path[at][0] ^ 1]) + proof.path[at][1:]
    for path in (
        [*proof.path[:at], flipped, *proof.path[at + 1 :]],
        [*proof.path[:at], *proof.path[at + 1 :]],
        [*proof.path, proof.path[at]],
    ):
        spoiled = TargetProof(proof.index, path)
        assert not is_listed(member, spoiled, digest=list_digest(agents), count=len(agents))
