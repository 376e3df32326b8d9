"""Each route x everybody who could ask: what a real coordinator answers is the golden table."""

import pytest

from coordinator.api.router import PUBLIC
from coordinator.api.routes import ROUTES
from tests.golden.rest.matrix import FILE, WHO, draw

GOLDEN = FILE.read_text()
HEAD = GOLDEN.splitlines()[0]
CHANGING = {"POST", "PATCH", "DELETE"}
ASKING = {"/v1/rollouts/preview"}
"""POSTs that change nothing: their question is too long for a URL."""
OF_THE_FLEET = {
    "GET /v1/templates/{template}": "200",
    "POST /v1/templates/{template}/submit": "422",
}
"""Paths that name nothing of an agent; a job for agents of others is refused as at ``/v1/jobs``."""
ROWS = {line[: HEAD.index("scope")].strip(): line for line in GOLDEN.splitlines()[1:]}


def cell(route: str, who: str) -> str:
    start = HEAD.index(f"  {who}") + 2
    return ROWS[route][start : start + 3]


async def test_every_answer_is_as_the_table_says() -> None:
    drawn = await draw()
    assert drawn == GOLDEN, "on purpose? then: python -m tests.golden.rest.matrix"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_has_a_row(route) -> None:
    assert f"{route.method} {route.path}" in ROWS, "python -m tests.golden.rest.matrix"


@pytest.mark.parametrize("route", [route for route in ROUTES if route.scope != PUBLIC])
def test_nobody_without_a_token_gets_anything_and_no_gateway_does(route) -> None:
    for who in ("anonymous", "agent", "other agent"):
        assert cell(f"{route.method} {route.path}", who) == "401"


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method in CHANGING])
def test_a_viewer_changes_nothing(route) -> None:
    if route.scope != PUBLIC:
        said = "200" if route.path in ASKING else "403"
        assert cell(f"{route.method} {route.path}", "viewer") == said


@pytest.mark.parametrize("route", [route for route in ROUTES if route.scope != PUBLIC])
def test_a_limited_token_reaches_nothing_beyond_its_agents(route) -> None:
    said = cell(f"{route.method} {route.path}", "admin of the south")
    if not route.limited:
        assert said == "403"
    elif "{" in route.path:
        assert said == OF_THE_FLEET.get(f"{route.method} {route.path}", "404")


def test_everybody_of_the_issue_has_a_column() -> None:
    asked = ("anonymous", "agent", "other agent", "viewer", "operator", "approver", "admin")
    assert WHO[: len(asked)] == asked
