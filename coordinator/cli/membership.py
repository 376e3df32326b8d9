"""`outstation agents`: let boxes in, give them other keys, let them go.

A person vouches for a box by the fingerprint that the box itself prints; the list shows what asked
from where, and is no place to copy it from.
"""

from coordinator.cli.client import Client, segment
from coordinator.cli.show import Screen, ago
from coordinator.contract.agents import AgentView, EnrolmentView

_STATES = ("EXPECTED", "PENDING", "REJECTED")


def is_enrolment(state: str) -> bool:
    """Tell whether a state is one of keys that are no agents (yet)."""
    return state.upper() in _STATES


def list_enrolments(client: Client, screen: Screen, *, state: str, most: int) -> None:
    """Print the keys that a person vouched for, or has yet to."""
    query = {"state": state.upper()}
    found = list(client.pages("/v1/enrolments", EnrolmentView, query, most=most))
    if screen.as_json:
        screen.json(found)
        return
    if not found:
        screen.text("nobody waits")
        return
    screen.table(
        ("ID", "STATE", "FINGERPRINT", "SITE", "NAME", "FROM", "LAST ASKED"),
        [
            (
                *(one.id, one.state, one.fingerprint, one.site or "-", one.name or "-"),
                *(one.address or "-", ago(one.last_asked_at)),
            )
            for one in found
        ],
    )


def register(client: Client, screen: Screen, fingerprint: str, *, site: str, name: str) -> None:
    """Let a key in when it asks."""
    body = {"fingerprint": fingerprint, "site": site, "name": name}
    _decided(screen, client.post("/v1/agents", body, EnrolmentView))


def approve(
    client: Client, screen: Screen, enrolment: str, *, fingerprint: str, site: str, name: str
) -> None:
    """Accept a key that waits."""
    body = {"fingerprint": fingerprint, "site": site, "name": name}
    path = f"/v1/enrolments/{segment(enrolment)}/approve"
    _decided(screen, client.post(path, body, EnrolmentView))


def reject(client: Client, screen: Screen, enrolment: str) -> None:
    """Let a key not in."""
    path = f"/v1/enrolments/{segment(enrolment)}/reject"
    _decided(screen, client.post(path, {}, EnrolmentView))


def steer(client: Client, screen: Screen, agent: str, verb: str) -> None:
    """Revoke, release, rekey or decommission an agent."""
    view = client.post(f"/v1/agents/{segment(agent)}/{verb}", {}, AgentView)
    if screen.as_json:
        screen.json(view)
        return
    told = {
        "revoke": "is let in no more, from its next contact on",
        "release": "is trusted again; the next machine to report is the agent",
        "rekey": "is asked for another key with its next answers",
        "decommission": "is asked to deliver what it has and forget its key",
    }
    screen.text(f"{view.id} {told[verb]}; it is {view.state}")


def _decided(screen: Screen, view: EnrolmentView) -> None:
    if screen.as_json:
        screen.json(view)
        return
    told = {
        "EXPECTED": "is let in when it asks",
        "PENDING": "waits",
        "REJECTED": "is not let in",
    }
    screen.text(f"{view.id} ({view.fingerprint}) {told[view.state]}")
