"""Files that people hand in: read as text, as TOML or JSON, and as what they are meant to be.

Every complaint names the file. Leaves out jobs, whose complaints name a line too (`job_file`).
"""

import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from coordinator.cli.client import CallError
from coordinator.contract.mistakes import mistake_of
from shared import limits
from shared.errors import MistakeError

T = TypeVar("T")

_NOT_OF_BODY = ("path.", "query", "headers.")
"""How places begin that are in no file."""


def read_text(file: str | Path) -> str:
    """Return what a file says; ``-`` is standard input.

    Raises:
        MistakeError: it cannot be read, is no text, is empty, or too long.
    """
    where = str(file)
    try:
        if file == "-":
            text = sys.stdin.read(limits.SPEC_BYTES + 1)
        else:
            with Path(file).open(encoding="utf-8") as opened:
                text = opened.read(limits.SPEC_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not text"
        raise MistakeError(f"it cannot be read: {said}", where=where) from None
    if len(text) > limits.SPEC_BYTES:
        raise MistakeError(f"it has more than {limits.SPEC_BYTES} bytes", where=where)
    if not text.strip():
        raise MistakeError("it is empty", where=where)
    return text


def read_document(file: Path, type_: type[T], **defaults: str) -> T:
    """Return the TOML or JSON in a file as `type_`; `defaults` are members that it may leave out.

    Raises:
        MistakeError: it cannot be read, parsed or understood; points at the member.
    """
    document = {**defaults, **_parsed(read_text(file), file)}
    try:
        return msgspec.convert(document, type_)
    except msgspec.ValidationError as error:
        wrong = mistake_of(error, type_)
        raise MistakeError(
            wrong.what, where=": ".join(filter(None, (str(file), wrong.where))), mend=wrong.mend
        ) from None


@contextmanager
def pointing_at(where: Callable[[str], str]) -> Iterator[None]:
    """Let what the coordinator says about a member of a document name the place it stands at."""
    try:
        yield
    except CallError as error:
        problem = error.problem
        if problem is None or not problem.at or problem.at.startswith(_NOT_OF_BODY):
            raise
        said = f"{where(problem.at)}: {problem.detail or problem.title}"
        raise CallError(said, error.code, problem) from None


def _parsed(text: str, file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(text)) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise MistakeError(f"it is neither TOML nor JSON: {error}", where=str(file)) from None
