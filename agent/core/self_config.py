"""Settings that came from afar: what is in force, what is on trial, what was rolled back. Pure.

The local file stays as its owner wrote it; these settings lie beside it and go before it. A change
is on trial until the process that runs under it has shown that it still works.
"""

import hashlib
import json
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from shared import limits
from shared.model.job import Value

LINK = "uplink."
"""A change below it is confirmed only by a contact."""


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A change that has to prove itself."""

    settings: dict[str, Value]
    """All that came from afar, with the change."""
    mark: str
    """Whose it is: execution and step."""
    confirm_within_s: int
    needs_contact: bool
    starts: int = 0
    """How many processes began under it: one that brings down each of them is rolled back."""


class Remote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document beside the local file."""

    settings: dict[str, Value] = {}
    """Confirmed."""
    trial: Trial | None = None
    failed: list[str] = []
    """Marks of what was rolled back, the newest last."""

    @property
    def in_force(self) -> dict[str, Value]:
        """Return what this process runs under: what is on trial, else what was confirmed."""
        return self.settings if self.trial is None else self.trial.settings

    def on_trial(self, mark: str, change: Mapping[str, Value], confirm_within_s: int) -> "Remote":
        """Return the document with a change to be proven."""
        trial = Trial(
            settings={**self.settings, **change},
            mark=mark,
            confirm_within_s=confirm_within_s,
            needs_contact=any(name.startswith(LINK) for name in change),
        )
        return replace(self, trial=trial)

    def begun(self) -> "Remote":
        """Return the document once another process began under the trial."""
        assert self.trial is not None, "only a trial counts its processes"
        return replace(self, trial=replace(self.trial, starts=self.trial.starts + 1))

    def confirmed(self) -> "Remote":
        """Return the document once the trial has proven itself."""
        assert self.trial is not None, "only a trial is confirmed"
        return replace(self, settings=self.trial.settings, trial=None)

    def rolled_back(self) -> "Remote":
        """Return the document without the trial."""
        assert self.trial is not None, "only a trial is rolled back"
        failed = [*self.failed, self.trial.mark][-limits.TRIALS_REMEMBERED :]
        return replace(self, trial=None, failed=failed)


def content_hash(settings: Mapping[str, Value]) -> str:
    """Return the name of a set of settings: equal for equal ones, in any order."""
    text = json.dumps(dict(settings), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
