"""Changes the agent's own settings, and takes them back by itself when nothing works any more.

Owns the document `remote.json` in the data directory: written whole, beside the local file. A
change begins a new process; it stays only if readings go on, and for settings of the link if a
contact succeeds, within its time. Where nothing is polled, a contact stands for readings, or that
the process lasts. What may be changed stands in `shared.model.action`, bounded by the catalog.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.core.adopted import without_adopted
from agent.core.ports import StepOutcome
from agent.core.self_config import Remote, Trial, content_hash
from shared import limits
from shared.errors import MistakeError, Reason
from shared.model.job import Value
from shared.runtime.files import write_atomically
from shared.runtime.logs import Events

NAME: Final = "remote.json"
_log = Events(__name__)


def load_remote(data_dir: Path) -> Remote:
    """Return the document; an absent or damaged one is empty: the local file holds then."""
    return _read(data_dir)[0]


def _read(data_dir: Path) -> tuple[Remote, str]:
    """Return the document, and what is wrong with it."""
    try:
        with (data_dir / NAME).open("rb") as file:
            return msgspec.json.decode(file.read(limits.CONFIG_BYTES), type=Remote), ""
    except (FileNotFoundError, NotADirectoryError):
        return Remote(), ""
    except (OSError, msgspec.MsgspecError) as error:
        return Remote(), str(error)


def _named(settings: Mapping[str, Value]) -> str:
    return content_hash(without_adopted(settings))


class SelfConfig:
    """The service that watches a trial, and does `agent.configure`."""

    name = "self_config"

    def __init__(
        self,
        data_dir: Path,
        *,
        in_force: Mapping[str, Value],
        attempt: Callable[[Mapping[str, Value]], object],
        facts: Callable[[], Mapping[str, Value]],
        readings: Callable[[], Awaitable[int]],
        leave: Callable[[], None],
        polls: bool = True,
    ) -> None:
        """Wire it up.

        Args:
            data_dir: the document lies there.
            in_force: the settings from afar that this process was configured with.
            attempt: returns the configuration under such settings; raises `MistakeError`.
            facts: what is known of the link.
            readings: how many were sampled so far.
            leave: ends this process cleanly so that another begins.
            polls: there are devices that readings can come from.
        """
        self._data_dir, self._in_force = data_dir, dict(in_force)
        self._attempt, self._facts = attempt, facts
        self._readings, self._leave, self._polls = readings, leave, polls
        self._remote, self._trouble = _read(data_dir)
        self._decided = asyncio.Event()

    async def run(self) -> None:
        """Watch the trial that this process began under, if there is one, then rest."""
        if self._trouble:
            _log.event("settings_unreadable", level=logging.ERROR, cause=self._trouble)
        trial = self._remote.trial
        if trial is not None:
            self._keep(self._remote.begun())
            hopeless = trial.starts >= limits.TRIAL_STARTS or trial.settings != self._in_force
            if hopeless or not await self._proves_itself(trial):
                self._keep(self._remote.rolled_back())
                _log.event("settings_rolled_back", level=logging.WARNING, mark=trial.mark)
                self._leave()
            else:
                self._keep(self._remote.confirmed())
                _log.event("settings_confirmed", hash=content_hash(trial.settings))
            self._decided.set()
        await asyncio.Event().wait()

    async def configure(
        self, mark: str, change: Mapping[str, Value], *, confirm_within_s: int, dry_run: bool
    ) -> StepOutcome:
        """Apply a change if it is one; the process that runs under it returns the outcome."""
        if mark in self._remote.failed:
            detail = "it was rolled back: readings or contacts had stopped"
            told = {**self._before(change), "_settings": self.fingerprint}
            told["_wanted"] = _named({**self._remote.settings, **change})
            return StepOutcome(Reason.NOT_CONFIRMED, detail, told)
        applied = self._remote.trial is not None
        if self._remote.trial is not None:
            if self._remote.trial.mark != mark:
                return StepOutcome(Reason.NOT_CONFIRMED, "another change is on trial")
            await self._decided.wait()
            if mark in self._remote.failed:
                await asyncio.Event().wait()
        before = self._remote.settings
        wanted = {**before, **change}
        try:
            same = wanted == before or self._attempt(wanted) == self._attempt(before)
        except MistakeError as error:
            return StepOutcome(Reason.BAD_PARAMETERS, str(error))
        result: dict[str, Value] = {"_hash": content_hash(wanted), "_skipped": same and not applied}
        if dry_run:
            told = {**self._before(change), **{f"{n}.new": value for n, value in change.items()}}
            return StepOutcome(result={**told, **result, "_dry_run": True})
        if same:
            return StepOutcome(result={**change, **result, "_settings": self.fingerprint})
        self._keep(self._remote.on_trial(mark, change, confirm_within_s))
        self._leave()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets that event")

    @property
    def fingerprint(self) -> str:
        """Return the name of all settings from afar that were confirmed and attach no device.

        Devices that were adopted are followed by the agent itself, which is nobody's drift.
        """
        return _named(self._remote.settings)

    def _before(self, change: Mapping[str, Value]) -> dict[str, Value]:
        return {n: self._remote.settings.get(n, "as the local file says") for n in change}

    async def _proves_itself(self, trial: Trial) -> bool:
        """Look until readings and, if it needs one, a contact were seen, or its time is over.

        Readings cannot go on where nothing is polled: a gateway's first device is not attached
        yet, or its last one is let go.
        """
        began = await self._readings()
        for passed_s in range(0, trial.confirm_within_s, limits.TRIAL_LOOK_S):
            await asyncio.sleep(limits.TRIAL_LOOK_S)
            silent_s = self._facts().get("link.silent_s")
            heard = isinstance(silent_s, int) and silent_s <= passed_s
            works = await self._readings() > began or (heard and not self._polls)
            if works and (heard or not trial.needs_contact):
                return True
        return not self._polls and not trial.needs_contact

    def _keep(self, remote: Remote) -> None:
        write_atomically(self._data_dir / NAME, msgspec.json.encode(remote))
        self._remote = remote
