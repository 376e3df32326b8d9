"""What people decide about keys: register, accept, reject; and the list of those that wait.

A person vouches for a key by its whole fingerprint, read from the box or over the phone. Leaves
out what the box itself asks (`coordinator.transactions.enroll`).
"""

from dataclasses import dataclass

import msgspec

from coordinator.contract.agents import EnrolmentView
from coordinator.contract.common import to_time
from coordinator.core.ports import Row, Tx, execute, fetch, fetch_one
from coordinator.transactions.enroll import ID_CHARS, check_site
from coordinator.transactions.rows import audit
from shared import limits
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import is_name, parse_fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """A key that a person lets in, and as whom."""

    fingerprint: str
    """However it was written down."""
    site: str
    name: str = ""
    """Empty: the box's own wish, or one of the site's."""


def register(wish: Vouched, *, actor: str, now_ms: WallMs) -> Tx[EnrolmentView]:
    """Let the key of this fingerprint in when it asks; one that waits already gets in as well.

    Raises:
        MistakeError: the fingerprint, the site or the name cannot be used.
    """
    digits = parse_fingerprint(wish.fingerprint, where="fingerprint")
    yield from _check(wish, digits)
    row = yield from fetch_one("enrolment_by_fingerprint", digits)
    if row is None:
        counts = yield from fetch_one("enrolment_counts", "", 0)
        assert counts is not None, "an aggregate always answers"
        if counts[3] >= limits.ENROLMENTS_EXPECTED:
            raise MistakeError(
                f"{counts[3]} fingerprints are registered that never came",
                where="fingerprint",
                mend="reject some of them",
            )
        new = (digits[:ID_CHARS], digits, "EXPECTED", wish.site, wish.name)
        made = yield from fetch_one("enrolment_insert", *new, "{}", "", now_ms, None)
        if made is None:
            raise MistakeError(
                f"another key waits as {digits[:ID_CHARS]}",
                where="fingerprint",
                mend="reject that one first",
            )
    else:
        yield from execute("enrolment_decide", row[0], "EXPECTED", wish.site, wish.name or row[4])
    return (yield from _decided(digits, "register", actor, now_ms))


def approve(enrolment: str, wish: Vouched, *, actor: str, now_ms: WallMs) -> Tx[EnrolmentView]:
    """Accept a key that waits; `wish` may leave out site and name where the box said them.

    Raises:
        MistakeError: nothing waits under this number, the fingerprint is not its key's, or the
            site or the name cannot be used.
    """
    row = yield from _waiting(enrolment)
    if parse_fingerprint(wish.fingerprint, where="fingerprint") != row[1]:
        raise MistakeError(
            f"this is not the fingerprint of {enrolment}",
            where="fingerprint",
            mend="compare it with what the box itself prints; if it differs, reject it",
        )
    whole = Vouched(fingerprint=row[1], site=wish.site or row[3], name=wish.name or row[4])
    if not whole.site:
        raise MistakeError("the box named no site", where="site", mend="name one")
    yield from _check(whole, row[1], asked=bool(wish.name))
    yield from execute("enrolment_decide", enrolment, "EXPECTED", whole.site, whole.name)
    return (yield from _decided(row[1], "approve", actor, now_ms))


def reject(enrolment: str, *, actor: str, now_ms: WallMs) -> Tx[EnrolmentView]:
    """Let a key not in, also when it asks again.

    Raises:
        MistakeError: nothing waits under this number.
    """
    row = yield from _waiting(enrolment)
    yield from execute("enrolment_asked", row[1], now_ms)
    yield from execute("enrolment_decide", enrolment, "REJECTED", row[3], "")
    return (yield from _decided(row[1], "reject", actor, now_ms))


def list_enrolments(state: str, *, after: str, size: int) -> Tx[tuple[list[EnrolmentView], bool]]:
    """Return up to `size` enrolments after a number, and whether there are more."""
    rows = yield from fetch("enrolments_after", after, state, size + 1)
    return [_view(row) for row in rows[:size]], len(rows) > size


def _check(wish: Vouched, digits: str, *, asked: bool = True) -> Tx[None]:
    check_site(wish.site)
    if not wish.name or not asked:
        return
    if not is_name(wish.name):
        raise MistakeError(
            f"{wish.name[:60]!r} is no name for an agent",
            where="name",
            mend="use up to 40 lower case letters, digits, - and _",
        )
    taken = yield from fetch_one("agent_exists", wish.name)
    promised = yield from fetch_one("name_expected", wish.name, digits)
    if taken is not None or promised is not None:
        raise MistakeError(
            f"the name {wish.name!r} is taken",
            where="name",
            mend="choose another; a name is never given twice, not even after its agent left",
        )


def _waiting(enrolment: str) -> Tx[Row]:
    row = yield from fetch_one("enrolment_by_id", enrolment)
    if row is None:
        raise MistakeError(
            f"nothing waits under {enrolment[:40]!r}",
            where="path.enrolment",
            mend="`outstation agents list --state pending` shows what does",
        )
    return row


def _decided(digits: str, verb: str, actor: str, now_ms: WallMs) -> Tx[EnrolmentView]:
    row = yield from fetch_one("enrolment_by_fingerprint", digits)
    assert row is not None, "it was written in this transaction"
    yield from audit(
        now_ms,
        actor=actor,
        action=f"enrolment.{verb}",
        object_=f"enrolment:{row[0]}",
        detail={"fingerprint": digits, "site": row[3], "name": row[4]},
    )
    return _view(row)


def _view(row: Row) -> EnrolmentView:
    enrolment_id, digits, state, site, name, labels, address, first_ms, asked_ms = row
    return EnrolmentView(
        id=enrolment_id,
        fingerprint=" ".join(digits[at : at + 4] for at in range(0, len(digits), 4)),
        state=state,
        site=site,
        name=name,
        labels=msgspec.json.decode(labels, type=dict[str, str]),
        address=address,
        first_asked_at=to_time(first_ms),
        last_asked_at=None if asked_ms is None else to_time(asked_ms),
    )
