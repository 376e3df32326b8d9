"""What a coordinator answers over REST: values, or problem documents (RFC 9457) taken apart.

One connection for each question, closed again: whoever asks leaves no descriptor behind, whatever
fixture its coordinator belongs to.
"""

import http.client
import json
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from coordinator.contract.common import PROBLEM_TYPE, PROBLEM_URN
from tests.system.fleet import Fleet

_ANSWER_S = 30


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is a problem document (RFC 9457)."""

    status: int
    name: str
    at: str
    reason: str
    detail: str


def ask(
    fleet: Fleet,
    method: str,
    path: str,
    *,
    token: str | None = "",
    body: bytes = b"",
    media_type: str = "application/json",
) -> tuple[int, str, Any]:
    """Return status, media type and JSON of an answer, on a connection that is closed again."""
    headers = {"Content-Type": media_type}
    if token is not None:
        headers["Authorization"] = f"Bearer {token or fleet.coordinator.token}"
    connection = http.client.HTTPSConnection(
        "127.0.0.1", fleet.coordinator.port, context=fleet.coordinator.tls(), timeout=_ANSWER_S
    )
    with closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers.get_content_type(), json.loads(answer.read())


def shown(fleet: Fleet, path: str) -> Any:
    """Return what a GET shows."""
    status, _, value = ask(fleet, "GET", path)
    assert status == HTTPStatus.OK, value
    return value


def refusal(fleet: Fleet, method: str, path: str, **more: Any) -> Refusal:
    """Ask for something that is refused."""
    status, media_type, problem = ask(fleet, method, path, **more)
    assert media_type == PROBLEM_TYPE, problem
    return judge(status, problem)


def judge(status: int, problem: dict[str, Any]) -> Refusal:
    """Return a problem document's members, checked against the status that carried it."""
    assert problem["status"] == status
    assert problem["type"].startswith(PROBLEM_URN)
    assert problem["title"]
    assert "Traceback" not in json.dumps(problem)
    return Refusal(
        status,
        problem["type"].removeprefix(PROBLEM_URN),
        problem.get("at", ""),
        problem.get("reason", ""),
        problem.get("detail", ""),
    )
