"""Artifacts: files that are named by their content, and which of them a job names.

Owns the text form of such a name and finding names in a job. A job's signature covers its steps,
so it covers the very bytes. Leaves out where files lie and how they travel.
"""

import re
from collections.abc import Mapping
from typing import Final

from shared import limits
from shared.errors import MistakeError
from shared.model.job import JobSpec, Step

PREFIX: Final = "sha256:"
PARAMETER: Final = "artifact"
"""The parameter of a step that names one; `size` beside it says how many bytes it has."""
SIZE: Final = "size"
_TEXT: Final = re.compile(r"sha256:([0-9a-f]{64})")


def artifact_text(digest: bytes) -> str:
    """Return how people and jobs write the name of a file.

    >>> artifact_text(bytes(32))[:12]
    'sha256:00000'
    """
    return PREFIX + digest.hex()


def parse_artifact(text: str, *, where: str) -> bytes:
    """Return the sha256 that a name stands for.

    Raises:
        MistakeError: it is none.
    """
    found = _TEXT.fullmatch(text)
    if not found:
        raise MistakeError(
            f"{text[:80]!r} does not name an artifact",
            where=where,
            mend="write sha256: and 64 hex digits, as outstation artifacts list shows them",
        )
    return bytes.fromhex(found[1])


def artifacts_of(spec: JobSpec) -> Mapping[bytes, int]:
    """Return the artifacts a job names, with the size it says each has; -1 where it says none.

    Raises:
        MistakeError: a name or a size is none; names the member at fault.
    """
    found: dict[bytes, int] = {}
    for where, step in _placed(spec):
        name = step.params.get(PARAMETER)
        if name is None:
            continue
        at = f"{where}.params.{PARAMETER}"
        digest = parse_artifact(name if isinstance(name, str) else str(name), where=at)
        size = step.params.get(SIZE, -1)
        said = isinstance(size, int) and not isinstance(size, bool) and size >= -1
        if not said or found.get(digest, size) not in {-1, size} or size == 0:
            raise MistakeError(f"{size!r} is not its size in bytes", where=f"{where}.params.{SIZE}")
        assert isinstance(size, int)
        found[digest] = max(size, found.get(digest, -1))
    if len(found) > limits.ARTIFACTS_PER_JOB:
        raise MistakeError(f"it names more than {limits.ARTIFACTS_PER_JOB} artifacts")
    return found


def _placed(spec: JobSpec) -> list[tuple[str, Step]]:
    return [
        *((f"steps[{index}]", step) for index, step in enumerate(spec.steps)),
        *((f"finally[{index}]", step) for index, step in enumerate(spec.final_steps)),
        *((f"compensation[{index}]", step) for index, step in enumerate(spec.compensation)),
    ]
