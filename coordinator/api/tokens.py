"""``/v1/tokens``: who may use this API, and for what."""

from functools import partial

from coordinator.api.context import Call
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.problems import Kind, ProblemError
from coordinator.api.router import Answer
from coordinator.contract.common import Page
from coordinator.contract.tokens import TokenMade, TokenQuery, TokenView, TokenWish
from coordinator.core.access import check_scopes, exceeds, make_token
from coordinator.transactions.tokens import list_tokens, revoke_token, save_token, view_token


async def create_token(call: Call, body: TokenWish) -> Answer[TokenMade]:
    """Make a token; the answer is the only place where its secret can be read.

    Nobody can give away what he has not himself.
    """
    parts, now_ms = call.parts, call.parts.clock.wall_ms()
    scope = check_scopes(body.scopes)
    beyond = exceeds(scope, call.principal)
    if beyond is not None:
        raise ProblemError(Kind.DENIED, f"you have not {beyond} yourself", at="scopes")
    token = make_token(parts.entropy.token(40))
    save = partial(
        save_token,
        token,
        name=body.name,
        scope=scope,
        selector=body.selector,
        expires_ms=now_ms + body.expires_in_s * 1000,
        actor=call.actor,
        now_ms=now_ms,
    )
    await parts.store.run(save, durable=True)
    view = await parts.store.read(partial(view_token, token.token_id))
    assert view is not None, "it was just committed"
    made = TokenMade(
        id=view.id,
        name=view.name,
        scopes=view.scopes,
        selector=view.selector,
        created_at=view.created_at,
        expires_at=view.expires_at,
        revoked_at=view.revoked_at,
        token=token.text,
    )
    return Answer(made, 201)


async def get_tokens(call: Call, query: TokenQuery) -> Page[TokenView]:
    """List tokens in the order of their ids; no secret is among it."""
    secret = call.parts.fleet.page_key
    after = read_page_token(query.page_token, scope="tokens", secret=secret).decode()
    body = partial(list_tokens, after=after, size=query.page_size)
    views, more = await call.parts.store.read(body)
    token = page_token(views[-1].id.encode(), scope="tokens", secret=secret) if more else None
    return Page(views, token)


async def cancel_token(call: Call, token: str) -> TokenView:
    """Make a token invalid from its next request on."""
    parts = call.parts
    body = partial(revoke_token, token, actor=call.actor, now_ms=parts.clock.wall_ms())
    view = await parts.store.run(body, durable=True)
    if view is None:
        raise ProblemError(Kind.NOT_FOUND, f"no token {token!r}", at="path.token")
    return view
