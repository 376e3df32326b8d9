"""`outstation-sim tell`: one command to a device or link that runs."""

from collections.abc import Sequence
from pathlib import Path

from firmware_sim.control import tell
from shared.errors import MistakeError


async def run_tell(path: Path, words: Sequence[str]) -> str:
    """Return what a running device or link answered to a command.

    Raises:
        MistakeError: it answered that the command is wrong.
        WorldError: nobody answers there.
    """
    answer = await tell(path, words)
    if answer.startswith("error: "):
        raise MistakeError(answer.removeprefix("error: "))
    return answer.removeprefix("ok").strip() or "ok"
