"""Bearer tokens of people and programs."""

from coordinator.contract.common import to_time
from coordinator.contract.tokens import TokenView
from coordinator.core.access import KnownToken, Token, check_scopes
from coordinator.core.ports import Row, Tx, execute, fetch, fetch_one
from coordinator.transactions.rows import audit
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import is_name
from shared.model.selector import parse_selector


def load_token(token_id: str) -> Tx[KnownToken | None]:
    """Return what is kept of a token, None when there is none of this id."""
    row = yield from fetch_one("token", token_id)
    return KnownToken(*row) if row else None


def save_token(
    token: Token,
    *,
    name: str,
    scope: str,
    expires_ms: int,
    actor: str,
    now_ms: WallMs,
    selector: str = "",
) -> Tx[None]:
    """Make a token valid; of its secret only the hash is kept.

    Args:
        token: made of random bytes.
        name: whose it is.
        scope: roles and scopes, separated by commas.
        expires_ms: from when on it is none any more.
        actor: who makes it.
        now_ms: the present.
        selector: limits it to agents that match.

    Raises:
        MistakeError: the name, a scope or the selector is none.
    """
    if not is_name(name):
        raise MistakeError(
            f"{name!r} cannot name a token",
            where="name",
            mend="use up to 40 lower case letters, digits and hyphens",
        )
    check_scopes(scope.split(","))
    if selector:
        parse_selector(selector)
    yield from execute(
        "token_insert", token.token_id, name, token.secret_hash, scope, selector, now_ms, expires_ms
    )
    yield from audit(
        now_ms,
        actor=actor,
        action="token.create",
        object_=f"token:{token.token_id}",
        detail={"name": name, "scope": scope, "selector": selector, "expires_ms": expires_ms},
    )


def view_token(token_id: str) -> Tx[TokenView | None]:
    """Return one token, None when there is none of this id."""
    row = yield from fetch_one("token_view", token_id)
    return _view(row) if row else None


def list_tokens(*, after: str, size: int) -> Tx[tuple[list[TokenView], bool]]:
    """Return up to `size` tokens after an id, and whether there are more."""
    rows = yield from fetch("tokens_after", after, size + 1)
    return [_view(row) for row in rows[:size]], len(rows) > size


def revoke_token(token_id: str, *, actor: str, now_ms: WallMs) -> Tx[TokenView | None]:
    """Make a token invalid from its next request on; None when there is none of this id."""
    row = yield from fetch_one("token_revoke", token_id, now_ms)
    if row is not None:
        yield from audit(
            now_ms,
            actor=actor,
            action="token.revoke",
            object_=f"token:{token_id}",
            detail={"name": row[0]},
        )
    return (yield from view_token(token_id))


def _view(row: Row) -> TokenView:
    token_id, name, scope, selector, created_ms, expires_ms, revoked_ms = row
    return TokenView(
        id=token_id,
        name=name,
        scopes=scope.split(","),
        selector=selector,
        created_at=to_time(created_ms),
        expires_at=to_time(expires_ms),
        revoked_at=None if revoked_ms is None else to_time(revoked_ms),
    )
