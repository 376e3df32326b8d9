"""What `agent.*` steps do: health, diagnose, cleanup, fetch, restart, run_script.

Owns what each step does and tells. What the agent can do to itself stands behind `Caretaker`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from agent.actions.write import DRY_RUN
from agent.core.loan import Owner
from agent.core.ports import StepOutcome
from agent.core.tidying import Tidying
from shared.errors import Reason, WorldError
from shared.model.action_parameters import (
    CONFIRM_WITHIN,
    CONFIRM_WITHIN_S,
    AdoptParameters,
    DiagnoseParameters,
    DiscoverParameters,
    Upload,
)
from shared.model.job import Step, Value


class Caretaker(Protocol):
    """What the agent can tell of itself and do to itself."""

    async def health(self) -> Mapping[str, Value]:
        """Return facts, counts and troubles, bounded."""

    async def diagnose(self, name: str, *, upload: Upload, dry_run: bool) -> Mapping[str, Value]:
        """Write a support bundle of this name; return where it lies and whether it is brought.

        Raises:
            WorldError: the disk did not take it.
        """

    async def bring(self, name: str, data: bytes, upload: Upload) -> bool:
        """Keep a file beside the support bundles; tell whether it is brought like one of them.

        Raises:
            WorldError: the disk did not take it.
        """

    async def tidy(self, wish: Tidying, *, dry_run: bool) -> Mapping[str, Value]:
        """Forget what may go, or count it."""

    async def restarted(self, mark: bytes) -> Mapping[str, Value] | None:
        """Return the proof that this process began after a restart was asked for, if it did."""

    async def restart(self, mark: bytes) -> None:
        """Note durably that a restart was asked for, and ask the process to end cleanly."""

    async def configure(
        self, mark: str, change: Mapping[str, Value], *, confirm_within_s: int, dry_run: bool
    ) -> StepOutcome:
        """Change settings; what does not prove itself in time is rolled back."""

    async def fetch(self, name: str, size: int, *, dry_run: bool) -> StepOutcome:
        """Have a file on the shelf, or say why not; a dry run only looks."""

    async def adopt(self, mark: str, wish: AdoptParameters, *, dry_run: bool) -> StepOutcome:
        """Attach a device, or let one go; what does not prove itself in time is rolled back."""

    async def discover(self, wish: DiscoverParameters, *, dry_run: bool) -> StepOutcome:
        """Look for devices that are not attached; tell what was found."""

    async def run_script(self, name: str, *, dry_run: bool) -> StepOutcome:
        """Run a script that the catalog names, or say why not; never stays behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHand:
    """One step's hold of the agent itself."""

    caretaker: Caretaker
    owner: Owner
    dry_run: bool = False


class AgentAction(Protocol):
    """One kind of step on the agent itself."""

    name: str

    async def run(self, step: Step, hand: AgentHand) -> StepOutcome:
        """Do the step; faults become outcomes."""


class HealthAction:
    """Gives facts, counts of the queue, and what is in trouble."""

    name = "agent.health"

    async def run(self, step: Step, hand: AgentHand) -> StepOutcome:
        """Tell how the agent is."""
        return StepOutcome(result=await hand.caretaker.health())


class DiagnoseAction:
    """Writes a support bundle on the gateway; gives its name, size, hash and summary."""

    name = "agent.diagnose"

    async def run(self, step: Step, hand: AgentHand) -> StepOutcome:
        """Gather status and the last log lines; secrets are left out."""
        name = f"{hand.owner.execution.hex()}-{step.id}"
        upload = msgspec.convert(step.params, DiagnoseParameters).upload
        try:
            told = await hand.caretaker.diagnose(name, upload=upload, dry_run=hand.dry_run)
            return StepOutcome(result=told)
        except WorldError as error:
            return StepOutcome(error.reason, error.detail)


class CleanupAction:
    """Forgets work that is over and acknowledged; gives how much."""

    name = "agent.cleanup"

    async def run(self, step: Step, hand: AgentHand) -> StepOutcome:
        """Forget what is beyond the bounds; a dry run counts it."""
        wish = msgspec.convert(step.params, Tidying)
        told = await hand.caretaker.tidy(wish, dry_run=hand.dry_run)
        return StepOutcome(result={**told, **({DRY_RUN: True} if hand.dry_run else {})})


class RestartAction:
    """Ends the process cleanly; the step goes on in the next one, and proves that it is another."""

    name = "agent.restart"

    async def run(self, step: Step, hand: AgentHand) -> StepOutcome:
        """Restart once: the attempt is given back by the stop and ends in the new process."""
        if hand.dry_run:
            return StepOutcome(result={DRY_RUN: True})
        mark = hand.owner.key + step.id.encode()
        proof = await hand.caretaker.restarted(mark)
        if proof is not None:
            return StepOutcome(result=proof)
        try:
            await hand.caretaker.restart(mark)
        except WorldError as error:
            return StepOutcome(error.reason or Reason.STEP_FAILED, error.detail)
        # The stop cancels this; if it never comes, the step's time is over some day.
        await asyncio.Event().wait()
        raise AssertionError("nobody sets that event")


class FetchAction:
    """Has a file on the gateway, for later steps and jobs; gives its size."""

    name = "agent.fetch"

    async def run(self, step: Step, hand: AgentHand) -> StepOutcome:
        """Wait until it is here, whole; what came before a cut is kept."""
        size = step.params["size"]
        assert isinstance(size, int), "parameters were checked at admission"
        name = str(step.params["artifact"])
        return await hand.caretaker.fetch(name, size, dry_run=hand.dry_run)


class DiscoverAction:
    """Looks for devices that nobody attached; gives counts and a word of each candidate."""

    name = "agent.discover"

    async def run(self, step: Step, hand: AgentHand) -> StepOutcome:
        """Look once; whoever answers is a candidate, nothing more."""
        wish = msgspec.convert(step.params, DiscoverParameters)
        return await hand.caretaker.discover(wish, dry_run=hand.dry_run)


class AdoptAction:
    """Attaches a device that was found; gives its setting and where it is."""

    name = "agent.adopt"

    async def run(self, step: Step, hand: AgentHand) -> StepOutcome:
        """Done once the process that polls it has proven itself."""
        wish = msgspec.convert(step.params, AdoptParameters)
        mark = f"{hand.owner.key.hex()}-{step.id}"
        return await hand.caretaker.adopt(mark, wish, dry_run=hand.dry_run)


class RunScriptAction:
    """Runs a script of the gateway; gives its status and the beginning of its output."""

    name = "agent.run_script"

    async def run(self, step: Step, hand: AgentHand) -> StepOutcome:
        """Run it once, within its bounds."""
        return await hand.caretaker.run_script(str(step.params["script"]), dry_run=hand.dry_run)


class ConfigureSelfAction:
    """Changes settings of the agent itself; gives them, and the hash of all that came from afar."""

    name = "agent.configure"

    async def run(self, step: Step, hand: AgentHand) -> StepOutcome:
        """Apply what differs; done once the process that runs under it has proven itself."""
        change = {n: v for n, v in step.params.items() if not isinstance(v, list)}
        within_s = change.pop(CONFIRM_WITHIN, CONFIRM_WITHIN_S)
        assert isinstance(within_s, int), "parameters were checked at admission"
        mark = f"{hand.owner.key.hex()}-{step.id}"
        return await hand.caretaker.configure(
            mark, change, confirm_within_s=within_s, dry_run=hand.dry_run
        )
