"""What becomes of an agent: revoked, released, another key, other labels, leave.

Owns what an admin wishes of an agent and what the agent says of itself (`shared.trust.words`).
Every change is durable before it is answered, and saying the same again changes nothing.
"""

from dataclasses import dataclass
from typing import assert_never

from coordinator.core.ports import Tx, execute, execute_many, fetch_one
from coordinator.transactions.contact import Identity, load_identity, use_key
from coordinator.transactions.enroll import check_labels
from coordinator.transactions.gone import gets_no_more, says_no_more
from coordinator.transactions.lost import presume_lost
from coordinator.transactions.rows import audit
from coordinator.transactions.support import keep_piece
from shared.clock import WallMs
from shared.errors import Reason, RefusedError
from shared.ids import AgentId, fingerprint
from shared.trust.words import Labels, Leave, Rekey, Support, Word


@dataclass(frozen=True, slots=True)
class Taken:
    """A word that is committed."""

    changed: bool
    key: bytes
    """The public key that the agent's certificate is for from now on."""


def revoke(agent: str, *, actor: str, now_ms: WallMs) -> Tx[bool]:
    """Let an agent in no more; its id is never given to another. False when there is none."""
    known = yield from _wish("agent_revoke", "agent.revoke", agent, actor, now_ms)
    if known:
        yield from says_no_more(agent, Reason.REVOKED, now_ms)
    return known


def ask_for_rekey(agent: str, *, actor: str, now_ms: WallMs) -> Tx[bool]:
    """Ask an agent for another key with its next answers; False when there is none."""
    return (yield from _wish("agent_wish_rekey", "agent.ask_rekey", agent, actor, now_ms))


def decommission(agent: str, *, actor: str, now_ms: WallMs) -> Tx[bool]:
    """Ask an agent to deliver what it has and forget its key; False when there is none.

    It gets no more work. What it delivered stays, and its id is never given to another.
    """
    known = yield from _wish("agent_ask_to_leave", "agent.decommission", agent, actor, now_ms)
    if known:
        yield from gets_no_more(agent, Reason.DECOMMISSIONED, now_ms)
    return known


def release(agent: str, *, actor: str, now_ms: WallMs) -> Tx[bool]:
    """End a quarantine; False when there is no such agent.

    What is remembered of its reports is forgotten: whichever machine reports next is the agent
    from then on, and another one with its key gives itself away again.
    """
    row = yield from fetch_one("agent_release", agent)
    if row is None:
        return (yield from fetch_one("agent_exists", agent)) is not None
    yield from execute("contact_forget", agent, b"")
    for query in ("report_forget", "store_left_forget"):
        yield from execute(query, agent)
    # If that is the copy, it never heard of what the other one had begun.
    yield from presume_lost(AgentId(agent), b"", now_ms)
    yield from audit(
        now_ms, actor=actor, action="agent.release", object_=f"agent:{agent}", detail={}
    )
    return True


def load_member_keys(agent: str) -> Tx[tuple[bytes, ...]]:
    """Return the keys that may sign for an agent: the one in use, then the one to come.

    Raises:
        RefusedError: UNKNOWN_AGENT.
    """
    row = yield from fetch_one("agent_leaving", agent)
    if row is None:
        raise RefusedError(Reason.UNKNOWN_AGENT)
    public_key, next_key = row[2:4]
    return (public_key,) if next_key is None else (public_key, next_key)


def take_word(agent: AgentId, word: Word, *, key: bytes, now_ms: WallMs) -> Tx[Taken]:
    """Take what an agent says of itself, signed by `key`.

    Raises:
        RefusedError: it may not say that, or not any more.
    """
    if isinstance(word, Leave):
        return (yield from _leave(agent, key, now_ms))
    identity = yield from load_identity(agent)
    if key not in {identity.public_key, identity.next_key}:
        raise RefusedError(Reason.KEY_REPLACED, f"{agent} has another key by now")
    match word:
        case Rekey():
            # It vouches for another one: that is a first use, as a report is, and from then on it
            # is the only key that the agent has.
            identity = yield from use_key(agent, identity, key, now_ms)
            return (yield from _rekey(agent, identity, word.new_key, now_ms))
        case Labels():
            changed = yield from _relabel(agent, word, now_ms)
            return Taken(changed, identity.next_key or identity.public_key)
        case Support():
            changed = yield from keep_piece(agent, word, now_ms)
            return Taken(changed, identity.next_key or identity.public_key)
        case _ as never:
            assert_never(never)


def _wish(query: str, action: str, agent: str, actor: str, now_ms: WallMs) -> Tx[bool]:
    row = yield from fetch_one(query, agent, now_ms)
    if row is None:
        return False
    yield from audit(now_ms, actor=actor, action=action, object_=f"agent:{agent}", detail={})
    return True


def _rekey(agent: AgentId, identity: Identity, new_key: bytes, now_ms: WallMs) -> Tx[Taken]:
    if new_key in {identity.next_key, identity.public_key}:
        return Taken(changed=False, key=new_key)  # the answer was lost
    if (yield from fetch_one("key_known", new_key)) is not None:
        raise RefusedError(Reason.KEY_REPLACED, "this key was used before")
    yield from execute("key_insert", new_key, agent, now_ms)
    yield from execute("agent_next_key", agent, new_key)
    yield from audit(
        now_ms,
        actor=f"agent:{agent}",
        action="agent.rekey",
        object_=f"agent:{agent}",
        detail={"from": fingerprint(identity.public_key), "to": fingerprint(new_key)},
    )
    return Taken(changed=True, key=new_key)


def _relabel(agent: AgentId, word: Labels, now_ms: WallMs) -> Tx[bool]:
    check_labels(word.labels)
    row = yield from fetch_one("agent_labels_number", agent)
    assert row is not None, "the agent was read in this transaction"
    if word.number <= row[0]:
        if word.number == row[0]:
            return False  # the answer was lost
        raise RefusedError(Reason.REPLAYED, f"{word.number} is not above {row[0]}")
    own = {key: value for key, value in word.labels.items() if key != "site"}
    yield from execute("labels_forget", agent)
    yield from execute_many("label_insert", ((agent, *label) for label in own.items()))
    yield from execute("agent_labelled", agent, word.number)
    yield from audit(
        now_ms,
        actor=f"agent:{agent}",
        action="agent.relabel",
        object_=f"agent:{agent}",
        detail={"number": word.number, **own},
    )
    return True


def _leave(agent: AgentId, key: bytes, now_ms: WallMs) -> Tx[Taken]:
    row = yield from fetch_one("agent_leaving", agent)
    if row is None:
        raise RefusedError(Reason.UNKNOWN_AGENT)
    leave_ms, left_ms, public_key, next_key, revoked_ms = row
    if revoked_ms is not None:
        raise RefusedError(Reason.REVOKED)
    if key not in {public_key, next_key}:
        raise RefusedError(Reason.KEY_REPLACED, f"{agent} has another key by now")
    if leave_ms is None:
        raise RefusedError(Reason.WRONG_AUDIENCE, "nobody asked it to leave")
    if left_ms is None:
        yield from execute("agent_left", agent, now_ms)
        yield from says_no_more(agent, Reason.DECOMMISSIONED, now_ms)
        yield from audit(
            now_ms,
            actor=f"agent:{agent}",
            action="agent.left",
            object_=f"agent:{agent}",
            detail={},
        )
    return Taken(changed=left_ms is None, key=key)
