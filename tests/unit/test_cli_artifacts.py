"""Files on their way to a coordinator and back: who is waited for, and what names nothing."""

import time
from typing import Any

import pytest

from coordinator.cli import artifacts
from coordinator.cli.artifacts_carry import _Patient
from coordinator.cli.client import CallError, Exit
from coordinator.contract.common import Problem
from shared.errors import MistakeError

BUSY = Problem("urn:x", "too busy", 503)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def refuse(code: Exit, *, passing: bool) -> Any:
    def call() -> None:
        raise CallError("no", code, BUSY, passing=passing)

    return call


def test_who_says_that_he_is_busy_is_asked_again(pauses: list[float]) -> None:
    patient = _Patient(3_600)
    assert patient.attempt(refuse(Exit.FAILED, passing=True)) is None
    assert patient.attempt(refuse(Exit.CONFLICT, passing=False)) is None
    assert len(pauses) == 2
    with pytest.raises(CallError):
        patient.attempt(refuse(Exit.USAGE, passing=False))
    with pytest.raises(CallError):
        _Patient(-1).attempt(refuse(Exit.FAILED, passing=True))


@pytest.mark.parametrize("text", ["", "sha256:"])
def test_nothing_names_no_artifact_also_where_there_is_only_one(text: str) -> None:
    class Nobody:
        """No request may be made for it."""

    nobody: Any = Nobody()
    with pytest.raises(MistakeError, match="names no artifact"):
        artifacts._path(nobody, text)
