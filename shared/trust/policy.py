"""The policy: job classes, what each may do, and how many people must agree; signed by release.

The agent judges by the policy it holds, so a coordinator that lies about a job's class gains
nothing: a class may only do what its rule lists. Owns the document and its strict decoder.
Approvals themselves stand in `shared.trust.approval`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from shared import limits
from shared.errors import Reason, RefusedError
from shared.ids import KeyId, is_name, key_id
from shared.model.job import Step
from shared.trust.released import check_head, open_released
from shared.trust.root import KEY_BYTES, Root

POLICY_TYP: Final = "policy/1"


class Approver(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A person's key. One person may have several (an old and a new one) and counts once."""

    name: str
    """The person's user name at the coordinator, by which authors are told apart."""
    key: bytes
    """Ed25519 public key."""


class ClassRule(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What jobs of one class may do, and what they must have."""

    threshold: int
    """People who must have approved; 0 asks for nobody."""
    approvers: list[bytes]
    """Key ids of those who may, all of them listed in the policy's `approvers`."""
    offline_grace_s: int
    """Seconds of powered time without word from the coordinator after which no job begins."""
    actions: dict[str, list[str]]
    """Actions a job may consist of, each with the parameters (for writes: points) that it may
    name; an empty list is any that the catalog allows."""

    def allows(self, step: Step) -> bool:
        """Tell whether a job of this class may have this step."""
        named = self.actions.get(step.action)
        return named is not None and (not named or step.params.keys() <= set(named))


class Policy(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Who may have what done."""

    version: int
    fleet: bytes
    epoch: int
    issued_ms: int
    expires_ms: int
    approvers: list[Approver]
    classes: dict[str, ClassRule]

    def keys_of(self, rule: ClassRule) -> Mapping[KeyId, bytes]:
        """Return the public keys of those who may approve under a rule, by id."""
        known = {key_id(approver.key): approver.key for approver in self.approvers}
        return {KeyId(key): known[KeyId(key)] for key in rule.approvers}

    def least_class(self, steps: Sequence[Step]) -> str | None:
        """Return the class that may have these steps and asks for the fewest people, if any."""
        fitting = [
            (rule.threshold, name)
            for name, rule in self.classes.items()
            if all(map(rule.allows, steps))
        ]
        return min(fitting)[1] if fitting else None

    def person(self, key: KeyId) -> str:
        """Return whose key this is."""
        return next(approver.name for approver in self.approvers if key_id(approver.key) == key)


def open_policy(data: bytes, root: Root) -> Policy:
    """Return a policy whose signatures the release keys verified.

    Raises:
        RefusedError: a check of the envelope failed, or BAD_SCHEMA.
    """
    return open_released(data, root, Policy, POLICY_TYP, check_policy)


def check_policy(policy: Policy) -> None:
    """Check what a policy's types leave open.

    Raises:
        RefusedError: BAD_SCHEMA with the member at fault.
    """
    check_head(policy)
    ids = {key_id(approver.key) for approver in policy.approvers}
    if not len(ids) == len(policy.approvers) <= limits.APPROVERS:
        raise _bad("a key comes twice, or there are too many")
    for approver in policy.approvers:
        if len(approver.key) != KEY_BYTES or not 1 <= len(approver.name) <= limits.PERSON_CHARS:
            raise _bad("an approver has a name and a key of 32 bytes")
    if len(policy.classes) > limits.CLASSES:
        raise _bad("too many classes")
    for name, rule in policy.classes.items():
        if not is_name(name):
            raise _bad(f"{name[:60]!r} cannot name a class")
        _check_rule(name, rule, policy.approvers)


def _check_rule(name: str, rule: ClassRule, approvers: Sequence[Approver]) -> None:
    people = {key_id(approver.key): approver.name for approver in approvers}
    if len(set(rule.approvers)) != len(rule.approvers) or not set(rule.approvers) <= people.keys():
        raise _bad(f"{name} has an unknown approver, or one twice")
    distinct = {people[KeyId(key)] for key in rule.approvers}
    if not 0 <= rule.threshold <= min(len(distinct), limits.APPROVALS_PER_GRANT):
        raise _bad(f"{name} asks for {rule.threshold} of {len(distinct)} people")
    if not 0 <= rule.offline_grace_s <= limits.GRACE_S:
        raise _bad(f"{name} may act alone for {rule.offline_grace_s} s")
    if len(rule.actions) > limits.CATALOG_ACTIONS:
        raise _bad(f"{name} has too many actions")


def _bad(what: str) -> RefusedError:
    return RefusedError(Reason.BAD_SCHEMA, what)
