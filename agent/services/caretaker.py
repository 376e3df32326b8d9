"""The agent looks after itself: how it is, what may go, a bundle for support, a clean restart.

Owns the last log lines and the folder of support bundles. Which of it a job may ask for stands in
`shared.model.action`; what status means in `agent.core.status`.
"""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.core.moment import Moment
from agent.core.ports import ArtifactShelf, StepOutcome
from agent.core.tidying import Tidying
from agent.services.adopter import Adopter
from agent.services.bundles import Bundles
from agent.services.lookout import Lookout
from agent.services.scripts import Scripts
from agent.services.self_config import SelfConfig
from agent.store.caretaker import CaretakerStore
from agent.store.jobs import JobStore
from shared import limits
from shared.clock import Entropy
from shared.errors import Reason, RefusedError, WorldError
from shared.model.action_parameters import AdoptParameters, DiscoverParameters, Upload
from shared.model.artifact import parse_artifact
from shared.model.job import Value
from shared.model.support import fitting
from shared.runtime.files import write_atomically
from shared.runtime.logs import JsonFormat, redact

SUPPORT: Final = "support"
"""The folder of bundles, in the data directory."""


class Caretaker:
    """The service that remembers the last log lines, and does what `agent.*` steps ask."""

    name = "caretaker"

    def __init__(
        self,
        data_dir: Path,
        store: CaretakerStore,
        jobs: JobStore,
        *,
        facts: Callable[[], Mapping[str, Value]],
        now: Callable[[], Moment],
        entropy: Entropy,
    ) -> None:
        """Wire it up.

        Args:
            data_dir: bundles lie there, and what was set aside as damaged.
            store: its rows.
            jobs: the queue is counted there.
            facts: what is known of the box and its link.
            now: the agent's time.
            entropy: names this process.
        """
        self._data_dir, self._store, self._jobs = data_dir, store, jobs
        self.facts, self._now = facts, now
        self.process = entropy.token(8)
        """This process: no other one ever has it."""
        self.status: Callable[[], Awaitable[object]] | None = None
        """Returns the agent's status, a Struct; set by whoever knows it."""
        self.findings: Callable[[], str] | None = None
        """Examines the box as a technician does, for some seconds, in a thread; set by whoever
        knows the configuration."""
        self.leave: Callable[[], None] | None = None
        """Ends the process cleanly so that another begins; set by whoever can."""
        self.settings: SelfConfig | None = None
        """Who changes the agent's settings; set by whoever knows the local file."""
        self.bundles: Bundles | None = None
        """Where bundles wait to be brought to the coordinator; None: there is none."""
        self.scripts: Scripts | None = None
        """What may be run; None: nothing."""
        self.adopter: Adopter | None = None
        """Who attaches devices; set by whoever knows the buses."""
        self.lookout: Lookout | None = None
        """Who looks for devices; set by whoever knows the buses."""
        self.shelf: ArtifactShelf | None = None
        """Where files by their content come from; None: an agent without a fleet."""
        self._tail = LogTail()

    async def run(self) -> None:
        """Remember log lines until cancelled."""
        root = logging.getLogger()
        root.addHandler(self._tail)
        try:
            await asyncio.Event().wait()
        finally:
            root.removeHandler(self._tail)

    async def health(self) -> Mapping[str, Value]:
        """Return facts and counts, see `agent.actions.own.Caretaker`."""
        counts = await self._jobs.counts()
        told: dict[str, Value] = {**self.facts(), "receipts": counts.receipts}
        told |= {f"tasks.{state.name.lower()}": count for state, count in counts.tasks.items()}
        if self.settings is not None:
            told["_settings"] = self.settings.fingerprint
        return told

    async def diagnose(self, name: str, *, upload: Upload, dry_run: bool) -> Mapping[str, Value]:
        """Write a bundle, see `agent.actions.own.Caretaker`."""
        status = await self.status() if self.status is not None else None
        shown = msgspec.json.format(msgspec.json.encode(status), indent=1).decode()
        health = "\n".join(f"{name} = {value}" for name, value in (await self.health()).items())
        found = redact(await self._found())
        text = "\n".join([health, found, redact(shown), *self._tail.lines])
        data = fitting(text.encode("utf-8", "replace"))
        told: dict[str, Value] = {
            "bytes": len(data),
            "lines": len(self._tail.lines),
            "sha256": hashlib.sha256(data).hexdigest(),
            "worst": "; ".join(self._tail.worst)[-limits.DETAIL_CHARS :],
        }
        brings = self._brings(upload)
        if dry_run:
            return {**told, "upload": brings}
        await self._keep(name, data, wait=brings)
        return {**told, "file": f"{SUPPORT}/{name}.txt", "upload": brings}

    async def bring(self, name: str, data: bytes, upload: Upload) -> bool:
        """Keep a file beside the bundles, see `agent.actions.own.Caretaker`."""
        brings = self._brings(upload)
        await self._keep(name, data, wait=brings)
        return brings

    async def _found(self) -> str:
        """Return what examining the box finds; a bundle without it is better than none."""
        if self.findings is None:
            return ""
        try:
            async with asyncio.timeout(limits.FINDINGS_S):
                return await asyncio.to_thread(self.findings)
        except TimeoutError:
            return "examining the box took too long"

    def _brings(self, upload: Upload) -> bool:
        """Tell whether a bundle is brought: where bytes cost, only if somebody insists."""
        if self.bundles is None or upload == "never":
            return False
        return upload == "always" or not self.facts().get("link.metered", True)

    async def tidy(self, wish: Tidying, *, dry_run: bool) -> Mapping[str, Value]:
        """Forget what may go, see `agent.actions.own.Caretaker`."""
        now_ms = self._now().today_ms
        count, size = await self._store.tidy(wish, now_ms=now_ms, dry_run=dry_run)
        told: dict[str, Value] = {"executions": count, "execution_bytes": size}
        if wish.damaged:
            files, freed = await asyncio.to_thread(self._drop_damaged, dry_run=dry_run)
            told |= {"damaged_files": files, "damaged_bytes": freed}
        return told

    async def restarted(self, mark: bytes) -> Mapping[str, Value] | None:
        """Return the proof of a restart, see `agent.actions.own.Caretaker`."""
        before = await self._store.restart_asked(mark)
        if before is None or before == self.process:
            return None
        return {"process_before": before.hex(), "process": self.process.hex()}

    async def restart(self, mark: bytes) -> None:
        """Ask the process to end, see `agent.actions.own.Caretaker`.

        Raises:
            WorldError: nothing here can begin it again.
        """
        if self.leave is None:
            raise WorldError(Reason.STEP_FAILED, "nothing would start this agent again")
        await self._store.ask_restart(mark, self.process)
        self.leave()

    async def configure(
        self, mark: str, change: Mapping[str, Value], *, confirm_within_s: int, dry_run: bool
    ) -> StepOutcome:
        """Change settings, see `agent.actions.own.Caretaker`."""
        if self.settings is None:
            return StepOutcome(Reason.STEP_FAILED, "nothing would start this agent again")
        return await self.settings.configure(
            mark, change, confirm_within_s=confirm_within_s, dry_run=dry_run
        )

    async def fetch(self, name: str, size: int, *, dry_run: bool) -> StepOutcome:
        """Have a file here, see `agent.actions.own.Caretaker`."""
        if self.shelf is None:
            return StepOutcome(Reason.ARTIFACT_NOT_HERE, "nobody is there to get it from")
        if dry_run:
            return StepOutcome(result={"bytes": size})
        digest = parse_artifact(name, where="artifact")
        try:
            await self.shelf.obtain(digest, size)
        except (WorldError, RefusedError) as error:
            return StepOutcome(error.reason, error.detail)
        given = self.shelf.given(digest, size)
        return StepOutcome(result={"bytes": size, "from_neighbours": given})

    async def adopt(self, mark: str, wish: AdoptParameters, *, dry_run: bool) -> StepOutcome:
        """Attach a device, see `agent.actions.own.Caretaker`."""
        if self.adopter is None:
            return StepOutcome(Reason.STEP_FAILED, "nothing would start this agent again")
        return await self.adopter.adopt(mark, wish, dry_run=dry_run)

    async def discover(self, wish: DiscoverParameters, *, dry_run: bool) -> StepOutcome:
        """Look for devices, see `agent.actions.own.Caretaker`."""
        if self.lookout is None:
            return StepOutcome(Reason.STEP_FAILED, "nothing here can be looked at")
        return await self.lookout.discover(wish, dry_run=dry_run)

    async def run_script(self, name: str, *, dry_run: bool) -> StepOutcome:
        """Run a script, see `agent.actions.own.Caretaker`."""
        if self.scripts is None:
            detail = "scripts are switched off here: agent.toml has no [scripts]"
            return StepOutcome(Reason.ACTION_NOT_ALLOWED, detail)
        return await self.scripts.run(name, dry_run=dry_run)

    async def _keep(self, name: str, data: bytes, *, wait: bool) -> None:
        await asyncio.to_thread(self._write, name, data, wait=wait)
        if wait and self.bundles is not None:
            self.bundles.nudge()

    def _write(self, name: str, data: bytes, *, wait: bool) -> None:
        folder = self._data_dir / SUPPORT
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            write_atomically(folder / f"{name}.txt", data)
            bundles = sorted(folder.glob("*.txt"), key=lambda path: path.stat().st_mtime_ns)
            for old in bundles[: -limits.SUPPORT_KEPT]:
                old.unlink(missing_ok=True)
            if wait and self.bundles is not None:
                self.bundles.put(name, data)
        except OSError as error:
            raise WorldError(Reason.STORE_FAILED, f"the bundle: {error.strerror}") from error

    def _drop_damaged(self, *, dry_run: bool) -> tuple[int, int]:
        found = [path for path in self._data_dir.glob("*.corrupt-*") if path.is_file()]
        size = sum(path.stat().st_size for path in found)
        if not dry_run:
            for path in found:
                path.unlink(missing_ok=True)
        return len(found), size


class LogTail(logging.Handler):
    """The last lines of the log, and the last of those that speak of trouble."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormat())
        self.lines: deque[str] = deque(maxlen=limits.LOG_TAIL_LINES)
        self.worst: deque[str] = deque(maxlen=3)

    def emit(self, record: logging.LogRecord) -> None:
        """Remember one line, shortened."""
        self.lines.append(redact(self.format(record))[: limits.LOG_TAIL_CHARS])
        if record.levelno >= logging.WARNING:
            self.worst.append(str(record.msg)[: limits.DETAIL_CHARS // 3])
