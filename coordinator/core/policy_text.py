"""The policy as people write and read it: TOML with a line number in every complaint.

`parse_policy` and `render_policy` are each other's reverse. Approvers are named by person: all keys
of a person count, or one of them by its id. Leaves out the form that is signed
(`shared.trust.policy`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from coordinator.core.document_text import (
    digest,
    expiry,
    key_text,
    of_each,
    quoted,
    quoted_list,
    render_expiry,
    strings,
)
from shared import limits
from shared.errors import MistakeError, RefusedError, nearest
from shared.ids import is_name, key_id
from shared.model.action import ACTIONS
from shared.model.toml_text import TomlTable, TomlText
from shared.trust.catalog import Catalog
from shared.trust.policy import Approver, ClassRule, Policy, check_policy

_ROOT_KEYS: Final = ("expires", "approver", "class")
_RULE_KEYS: Final = ("approvals", "approvers", "offline_grace_s", "actions")
_GRACE_S: Final = 5_184_000
"""60 days, where the text says nothing."""


@dataclass(frozen=True, slots=True)
class PolicyText:
    """What a text says."""

    content: Policy
    """With numbers that mean nothing."""
    expires_ms: int | None
    """None: with the root document."""


def parse_policy(text: str, *, source: str) -> PolicyText:
    """Return the policy that `text` describes; `source` names it in complaints.

    Raises:
        MistakeError: with ``SOURCE line N``, for whatever is wrong first.
    """
    root = TomlText(text, source=source, bound=limits.DOCUMENT_BYTES).root(_ROOT_KEYS)
    approvers = _approvers(root)
    classes = of_each(root, "class", _RULE_KEYS, lambda table: _rule(table, approvers))
    if not classes:
        raise root.mistake("a policy without classes lets nothing run", mend="add [class.observe]")
    for name in classes:
        if not is_name(name):
            raise MistakeError(
                f"{name[:60]!r} cannot name a class", where=root.text.where(("class", name))
            )
    policy = Policy(
        version=1,
        fleet=bytes(16),
        epoch=1,
        issued_ms=0,
        expires_ms=0,
        approvers=approvers,
        classes=classes,
    )
    try:
        check_policy(policy)
    except RefusedError as error:
        raise MistakeError(f"cannot be a policy: {error.detail}", where=source) from None
    return PolicyText(policy, expiry(root))


def render_policy(policy: Policy) -> str:
    """Return the text that `parse_policy` turns into the same policy."""
    return "\n".join(_lines(policy)) + "\n"


def unknown_actions(policy: Policy, catalog: Catalog) -> Sequence[str]:
    """Return the actions that some class may do and the catalog allows to nobody."""
    asked = {action for rule in policy.classes.values() for action in rule.actions}
    return sorted(asked - catalog.actions.keys())


def _lines(policy: Policy) -> Iterator[str]:
    yield render_expiry(policy.expires_ms)
    for approver in policy.approvers:
        yield from ("", "[[approver]]", f"name = {quoted(approver.name)}")
        yield f'key = "{approver.key.hex()}"'
    for name, rule in sorted(policy.classes.items()):
        yield from ("", f"[class.{key_text(name)}]", f"approvals = {rule.threshold}")
        yield f"approvers = {quoted_list([key.hex() for key in rule.approvers])}"
        yield f"offline_grace_s = {rule.offline_grace_s}"
        for action, parameters in sorted(rule.actions.items()):
            yield f"actions.{key_text(action)} = {quoted_list(parameters)}"


def _approvers(root: TomlTable) -> list[Approver]:
    found: list[Approver] = []
    for table in root.tables("approver", ("name", "key")):
        name = table.string("name")
        if not 1 <= len(name) <= limits.PERSON_CHARS or not name.isprintable():
            raise table.mistake(
                f"a name has 1 to {limits.PERSON_CHARS} printable characters", key="name"
            )
        key = digest(table, "key")
        if any(key == other.key for other in found):
            raise table.mistake("this key is listed twice", key="key")
        found.append(Approver(name, key))
    return found


def _rule(table: TomlTable, approvers: Sequence[Approver]) -> ClassRule:
    wanted = strings(table, "approvers")
    keys = [key for name in wanted for key in _keys_of(table, name, approvers)]
    people = {approver.name for approver in approvers if key_id(approver.key) in keys}
    approvals = table.integer("approvals", 0, limits.APPROVERS, 0)
    if approvals > len(people):
        raise table.mistake(
            f"it asks for {approvals} approvals of {len(people)} people",
            key="approvals",
            mend="name more approvers, each with a [[approver]] of their own",
        )
    grace_s = table.integer("offline_grace_s", 0, limits.GRACE_S, _GRACE_S)
    return ClassRule(approvals, list(dict.fromkeys(keys)), grace_s, _actions(table))


def _keys_of(table: TomlTable, name: str, approvers: Sequence[Approver]) -> list[bytes]:
    keys = [
        bytes(key_id(approver.key))
        for approver in approvers
        if name in {approver.name, key_id(approver.key).hex()}
    ]
    if not keys:
        close = nearest(name, [approver.name for approver in approvers])
        raise table.mistake(
            f"nobody called {name!r} is an approver",
            key="approvers",
            mend=f"did you mean {close!r}?" if close else "add an [[approver]] of that name",
        )
    return keys


def _actions(table: TomlTable) -> dict[str, list[str]]:
    value = table.values.get("actions", {})
    inner = table.table("actions", tuple(value) if isinstance(value, dict) else ())
    for name in inner.values:
        if name not in ACTIONS:
            close = nearest(name, ACTIONS)
            known = ", ".join(sorted(ACTIONS))
            raise inner.mistake(
                f"there is no action {name!r}",
                key=name,
                mend=f"did you mean {close!r}?" if close else f"there are {known}",
            )
    return {name: list(strings(inner, name)) for name in inner.values}
