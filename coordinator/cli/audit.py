"""`outstation audit`: who changed what, when, and from where."""

from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from coordinator.cli.client import Client
from coordinator.cli.options import DEFAULT, Common, with_client
from coordinator.cli.show import Screen
from coordinator.contract.audit import AuditEntry

app = App(name="audit", help="Who changed what, when, and from where.")


@app.command(name="list")
def list_(
    *,
    action: str = "",
    about: Annotated[str, Parameter(name="--object")] = "",
    most: int = 50,
    common: Common = DEFAULT,
) -> None:
    """List the audit log, newest first.

    Parameters
    ----------
    action
        Only this, e.g. job.submit.
    about
        Only about this, e.g. agent:NAME or job:ID.
    most
        At most so many.
    """
    query = {"action": action, "object": about}
    with_client(common, lambda client, screen: _list(client, screen, query, most))


def _list(client: Client, screen: Screen, query: dict[str, str], most: int) -> None:
    found = list(client.pages("/v1/audit", AuditEntry, query, most=most))
    if screen.as_json:
        screen.json(found)
        return
    screen.table(
        ("NUMBER", "AT (UTC)", "WHO", "FROM", "ACTION", "OBJECT", "DETAIL"),
        [
            (
                *(one.number, f"{one.at:%Y-%m-%d %H:%M:%S}", one.actor, one.source, one.action),
                *(one.object, _detail(one)),
            )
            for one in found
        ],
    )


def _detail(entry: AuditEntry) -> str:
    return msgspec.json.encode(entry.detail).decode() if entry.detail else ""
