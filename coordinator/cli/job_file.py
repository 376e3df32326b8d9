"""A job in a file: read as TOML or JSON, and every complaint about it points at its line.

Owns finding the line of a member, whoever complains: the reader here, the shared checks, or the
coordinator. Leaves out what a job may say (`coordinator.contract.job_spec`).
"""

import json
import re
import tomllib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from coordinator.cli.documents import pointing_at, read_text
from coordinator.contract.job_spec import (
    JobSubmission,
    parse_submission,
    place_in_body,
    to_spec,
)
from coordinator.contract.rollout_check import check_rollout
from coordinator.contract.signed_form import signed_form
from shared import limits
from shared.errors import MistakeError
from shared.model.spec_check import check_spec
from shared.model.toml_text import TomlText

_PARTS = re.compile(r"([A-Za-z0-9_-]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class JobFile:
    """One job as somebody wrote it."""

    source: str
    """What complaints call it."""
    submission: JobSubmission
    text: TomlText | None
    """None: it is JSON, which has members and no lines."""

    @property
    def is_standing(self) -> bool:
        """Tell whether agents do it again and again."""
        return self.submission.schedule is not None or self.submission.rule is not None

    def check(self) -> None:
        """Check what can be known without a coordinator.

        Raises:
            MistakeError: points at the line.
        """
        try:
            spec = to_spec(self.submission)
            check_spec(spec)
            signed_form(spec)
            check_rollout(self.submission)
        except MistakeError as error:
            where = self.where(place_in_body(error.where))
            raise MistakeError(error.what, where=where, mend=error.mend) from None

    def where(self, member: str) -> str:
        """Return where a member stands, e.g. ``job.toml line 7: steps[1].when``."""
        return _where(self.source, self.text, member)

    def pointing(self) -> AbstractContextManager[None]:
        """Let what the coordinator says about a member of the job point at its line."""
        return pointing_at(self.where)


def read_job(path: str) -> JobFile:
    """Return the job in a TOML or JSON file; ``-`` is standard input.

    Raises:
        MistakeError: it cannot be read, parsed, or understood; says where.
    """
    content = read_text(path)
    text, document = _parsed(content, path)
    try:
        return JobFile(path, parse_submission(document), text)
    except MistakeError as error:
        where = _where(path, text, error.where)
        raise MistakeError(error.what, where=where, mend=error.mend) from None


def _parsed(content: str, path: str) -> tuple[TomlText | None, dict[str, Any]]:
    if content.lstrip().startswith("{"):
        try:
            return None, dict(json.loads(content))
        except (ValueError, RecursionError) as error:
            raise MistakeError(f"it is no JSON: {error}", where=path) from None
    text = TomlText(content, source=path, bound=limits.SPEC_BYTES)
    # Once more, for its fractions are decimals there and floats in a job.
    return text, tomllib.loads(content)


def _where(source: str, text: TomlText | None, member: str) -> str:
    if not member:
        return source
    if text is None:
        return f"{source}: {member}"
    return f"{source} line {text.line(_path(member))}: {member}"


def _path(member: str) -> tuple[str | int, ...]:
    """Return the keys and positions in a member's name.

    >>> _path("compensation.steps[1].when")
    ('compensation', 'steps', 1, 'when')
    """
    found = _PARTS.findall(member)
    return tuple(int(number) if number else name for name, number in found)
