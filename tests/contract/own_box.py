"""A caretaker over real files, whose own actions a test carries out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.actions.own import AgentHand
from agent.actions.registry import OWN_ACTIONS
from agent.core.loan import Owner
from agent.core.ports import StepOutcome
from agent.services.calendar import Calendar
from agent.services.caretaker import Caretaker
from agent.store.caretaker import CaretakerStore
from agent.store.jobs import JobStore
from agent.store.jobs_file import JobsFile
from shared.model.job import Step
from tests.agent_parts import Fixed, HandClock, uid

OWNER = Owner(uid(1))


@dataclass
class Box:
    """A caretaker over real files."""

    folder: Path
    file: JobsFile
    caretaker: Caretaker

    async def do(self, name: str, *, dry_run: bool = False, **params: Any) -> StepOutcome:
        hand = AgentHand(caretaker=self.caretaker, owner=OWNER, dry_run=dry_run)
        return await OWN_ACTIONS[name].run(Step("s", name, dict(params)), hand)


def make(folder: Path, file: JobsFile, process: bytes) -> Caretaker:
    calendar = Calendar(HandClock())
    caretaker = Caretaker(
        folder,
        CaretakerStore(file),
        JobStore(file),
        facts=lambda: {"disk.free_mb": 99},
        now=calendar.now,
        entropy=Fixed(),
    )
    caretaker.process = process
    return caretaker


@asynccontextmanager
async def box_in(folder: Path) -> AsyncIterator[Box]:
    """A box whose files are closed at the end."""
    file = await JobsFile(folder, Fixed()).open()
    caretaker = make(folder, file, b"before..")
    try:
        yield Box(folder, file, caretaker)
    finally:
        await file.close()
