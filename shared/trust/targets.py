"""A list of agents by one digest, and the proof that one of them stands in it.

An approver signs 34 bytes instead of ten thousand names, and each agent is shown the few hashes
that lead from its own name to what was signed. Owns the tree; who signs it stands in
`shared.trust.approval`.

Source: RFC 9162, sections 2.1.1 (tree), 2.1.3.1 (proof) and 2.1.3.2 (verification).
"""

from collections.abc import Sequence
from hashlib import sha256

from shared.ids import AgentId
from shared.wire.messages import TargetProof


def list_digest(agents: Sequence[AgentId]) -> bytes:
    """Return the digest of a sorted list of distinct agents."""
    _check_order(agents)
    return _top([_leaf(agent) for agent in agents])


def prove(agents: Sequence[AgentId], agent: AgentId) -> TargetProof:
    """Return the proof that `agent` stands in the sorted list; it must."""
    _check_order(agents)
    leaves = [_leaf(one) for one in agents]
    index = agents.index(agent)
    return TargetProof(index, _path(leaves, index))


def prove_all(agents: Sequence[AgentId]) -> Sequence[TargetProof]:
    """Return the proof of every agent of the sorted list, in its order: n log n hashes in all."""
    _check_order(agents)
    _, paths = _all_paths([_leaf(agent) for agent in agents])
    return [TargetProof(index, path) for index, path in enumerate(paths)]


def is_listed(agent: AgentId, proof: TargetProof, *, digest: bytes, count: int) -> bool:
    """Tell whether `proof` leads from `agent` to the digest of a list of `count` agents."""
    index, last = proof.index, count - 1
    if not 0 <= index <= last:
        return False
    found = _leaf(agent)
    for step in proof.path:
        if last == 0:
            return False
        if index & 1 or index == last:
            found = _node(step, found)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = _node(found, step)
        index, last = index >> 1, last >> 1
    return last == 0 and found == digest


def _check_order(agents: Sequence[AgentId]) -> None:
    assert agents, "nobody is targeted"
    assert list(agents) == sorted(set(agents)), "a list of targets is sorted, each of them once"


def _leaf(agent: AgentId) -> bytes:
    return sha256(b"\x00" + agent.encode()).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _top(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    half = _split(len(leaves))
    return _node(_top(leaves[:half]), _top(leaves[half:]))


def _all_paths(leaves: Sequence[bytes]) -> tuple[bytes, list[list[bytes]]]:
    """Return the top and every leaf's path to it."""
    if len(leaves) == 1:
        return leaves[0], [[]]
    half = _split(len(leaves))
    left, of_left = _all_paths(leaves[:half])
    right, of_right = _all_paths(leaves[half:])
    paths = [[*path, right] for path in of_left] + [[*path, left] for path in of_right]
    return _node(left, right), paths


def _path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    if len(leaves) == 1:
        return []
    half = _split(len(leaves))
    if index < half:
        return [*_path(leaves[:half], index), _top(leaves[half:])]
    return [*_path(leaves[half:], index - half), _top(leaves[:half])]
