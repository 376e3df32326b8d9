"""Bearer tokens of people and programs."""

from coordinator.core.access import SCOPES, KnownToken, Token
from coordinator.core.ports import Tx, execute, fetch_one
from coordinator.transactions.rows import audit
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.ids import is_name


def load_token(token_id: str) -> Tx[KnownToken | None]:
    """Return what is kept of a token, None when there is none of this id."""
    row = yield from fetch_one("token", token_id)
    return KnownToken(*row) if row else None


def save_token(
    token: Token, *, name: str, scope: str, expires_ms: int, actor: str, now_ms: WallMs
) -> Tx[None]:
    """Make a token valid; of its secret only the hash is kept.

    Raises:
        MistakeError: the name or the scope is none.
    """
    if not is_name(name):
        raise MistakeError(
            f"{name!r} cannot name a token",
            where="name",
            mend="use up to 40 lower case letters, digits and hyphens",
        )
    if scope not in SCOPES:
        raise MistakeError(
            f"there is no scope {scope!r}", where="scope", mend=f"use {' or '.join(SCOPES)}"
        )
    yield from execute(
        "token_insert", token.token_id, name, token.secret_hash, scope, now_ms, expires_ms
    )
    yield from audit(
        now_ms,
        actor=actor,
        action="token.create",
        object_=f"token:{token.token_id}",
        detail={"name": name, "scope": scope, "expires_ms": expires_ms},
    )
