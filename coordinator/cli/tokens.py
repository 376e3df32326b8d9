"""`outstation tokens`: who may use the API, for what, on which agents, until when."""

from typing import Annotated

from cyclopts import App, Parameter

from coordinator.cli.client import Client, segment
from coordinator.cli.options import DEFAULT, MOST, Common, parse_span_s, with_client
from coordinator.cli.show import Screen, ago
from coordinator.contract.tokens import TokenMade, TokenView, TokenWish

app = App(name="tokens", help="Who may use the API: make, list and revoke bearer tokens.")


@app.command(name="create")
def create(
    name: str,
    /,
    *,
    scope: Annotated[list[str], Parameter(negative="")],
    selector: str = "",
    expires: str = "90d",
    common: Common = DEFAULT,
) -> None:
    """Make a token and print it; it can be read this one time only.

    Parameters
    ----------
    name
        Whose it is: the audit log and approvals tell people apart by it.
    scope
        viewer, operator, approver, admin, or a single scope such as jobs:read; repeatable.
    selector
        Only for agents that match, e.g. "site in (north,south)".
    expires
        30m, 12h, 90d.
    """
    wish = TokenWish(
        name=name,
        scopes=scope,
        selector=selector,
        expires_in_s=parse_span_s(expires, where="--expires"),
    )
    with_client(common, lambda client, screen: _create(client, screen, wish))


@app.command(name="list")
def list_(*, most: int = MOST, common: Common = DEFAULT) -> None:
    """List tokens, without their secrets.

    Parameters
    ----------
    most
        At most so many.
    """
    with_client(common, lambda client, screen: _list(client, screen, most))


@app.command(name="revoke")
def revoke(token: str, /, *, common: Common = DEFAULT) -> None:
    """Make a token invalid, by the id that `list` shows."""
    with_client(common, lambda client, screen: _revoke(client, screen, token))


def _create(client: Client, screen: Screen, wish: TokenWish) -> None:
    made = client.post("/v1/tokens", wish, TokenMade)
    if screen.as_json:
        screen.json(made)
    else:
        screen.text(made.token)


def _list(client: Client, screen: Screen, most: int) -> None:
    found = list(client.pages("/v1/tokens", TokenView, {}, most=most))
    if screen.as_json:
        screen.json(found)
        return
    screen.table(
        ("TOKEN", "NAME", "SCOPES", "AGENTS", "CREATED", "UNTIL", "REVOKED"),
        [
            (
                *(one.id, one.name, ", ".join(one.scopes), one.selector or "all"),
                ago(one.created_at),
                f"{one.expires_at:%Y-%m-%d}",
                ago(one.revoked_at) if one.revoked_at else "",
            )
            for one in found
        ],
    )


def _revoke(client: Client, screen: Screen, token: str) -> None:
    after = client.post(f"/v1/tokens/{segment(token)}/revoke", {}, TokenView)
    if screen.as_json:
        screen.json(after)
    else:
        screen.text(f"token {after.id} of {after.name} lets nobody in any more")
