"""Looks for devices that nobody attached: asks buses address by address, listens to the network.

Owns the pace and the budget of asking, where a look goes on next time, and the file that remembers
candidates. Never runs by itself: a job of `agent.discover` begins each look, a schedule repeats it.
What a look means stands in `agent.core.candidates`; who follows what moved is
`agent.services.follower`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from agent.core.candidates import Candidate, seen, to_tell
from agent.core.device import DeviceSettings
from agent.core.following import Move, marked
from agent.core.moment import Moment
from agent.core.ports import Bus, StepOutcome
from agent.core.settings import DiscoverySettings
from agent.services.follower import Follower
from shared import limits
from shared.errors import MistakeError, Reason, WorldError
from shared.model.action_parameters import DiscoverParameters
from shared.model.candidate import MARK, CandidateWord, Sighting, Spot
from shared.model.job import Value
from shared.runtime.files import write_atomically
from shared.runtime.logs import Events

NAME: Final = "candidates.json"
_HOUR_MS: Final = 3_600_000
_SERIAL_UNITS: Final = (1, 247)
"""Modbus over Serial Line V1.02, 2.2."""
_TELL_BYTES: Final = limits.RESULT_BYTES - 200
"""Of a result, for candidates; the rest is for the counts."""
_log = Events(__name__)


class Kept(msgspec.Struct, frozen=True):
    """The file."""

    candidates: list[Candidate] = []
    following: dict[str, int] = {}
    """By bus: the address at which the next look goes on."""
    asked: dict[str, tuple[int, int]] = {}
    """By bus: an hour, and how many addresses were asked in it."""
    moves: list[Move] = []
    """Devices that are being followed: the next process tells what became of it."""
    counts: dict[str, int] = {}
    """Of the look that found them."""


@dataclass(slots=True)
class _Look:
    """What one look found so far."""

    sightings: list[Sighting] = field(default_factory=list)
    looked: list[Spot] = field(default_factory=list)
    left: int = 0
    """Addresses for which time or budget did not last."""
    troubles: list[str] = field(default_factory=list)
    """Why a bus or the network could not be looked at, or a device is not followed."""
    moved: list[Move] = field(default_factory=list)
    """Attached devices that were followed."""

    @property
    def counts(self) -> dict[str, int]:
        """Return how much was done."""
        return {"found": len(self.sightings), "asked": len(self.looked), "left": self.left}


class Lookout:
    """What `agent.discover` does."""

    def __init__(
        self,
        data_dir: Path,
        buses: Mapping[str, Bus],
        devices: Iterable[DeviceSettings],
        settings: DiscoverySettings,
        *,
        now: Callable[[], Moment],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Wire it up.

        Args:
            data_dir: the file lies there.
            buses: every port by name.
            devices: those that are attached: their addresses are left alone.
            settings: what the local file allows.
            now: the agent's time.
            pause: waits for some seconds.
        """
        self._path, self._buses, self._settings = data_dir / NAME, buses, settings
        self._devices = tuple(devices)
        self._now, self._pause = now, pause
        self._kept = _read(self._path)
        self.follower: Follower | None = None
        """Who follows what moved; set by whoever knows the settings."""

    @property
    def candidates(self) -> Sequence[Candidate]:
        """Return what is known."""
        return self._kept.candidates

    async def discover(self, wish: DiscoverParameters, *, dry_run: bool) -> StepOutcome:
        """Look once, within its time, and tell what a receipt carries; a dry run only counts."""
        if not self._settings.allowed:
            return StepOutcome(Reason.ACTION_NOT_ALLOWED, "agent.toml says [discovery] allow=false")
        unknown = sorted(set(wish.buses) - set(self._buses))
        if unknown:
            return StepOutcome(Reason.BAD_PARAMETERS, f"there is no bus {unknown[0][:40]!r}")
        if dry_run:
            asked = sum(len(self._addresses(bus, wish)) for bus in self._modbus(wish))
            return StepOutcome(result={"probes": asked, "_dry_run": True})
        if (told := await self._arrived()) is not None:
            return StepOutcome(result=told)
        look = _Look()
        until_ms = self._now().mono_ms + wish.for_s * 1000
        if "mdns" in wish.ways:
            await self._listen(look, wish)
        if "smp" in wish.ways:
            for bus in self._chosen(wish, ("udp", "serial")):
                await self._echo(look, bus, asked=bool(wish.buses))
        for bus in self._modbus(wish):
            await self._scan(look, bus, wish, until_ms)
        known = await self._followed(look, self._known(look), asked=wish.follow)
        return StepOutcome(result=self._told(look, known, look.counts))

    def _known(self, look: _Look) -> list[Candidate]:
        now_ms = self._now().today_ms
        known = seen(
            self._kept.candidates, look.sightings, looked=frozenset(look.looked), now_ms=now_ms
        )
        attached = {f"{one.bus}/{one.address}" for one in self._devices}
        return [one for one in known if one.way == "mdns" or one.place not in attached]

    async def _followed(
        self, look: _Look, known: list[Candidate], *, asked: bool
    ) -> list[Candidate]:
        """Follow attached devices that moved; where any did, another process goes on."""
        if self.follower is None or not self._settings.follow:
            return known
        met = frozenset(one.spot for one in look.sightings)
        judged = await self.follower.judge(known, met=met, may_ask=self._spend)
        known = [one for one in known if one.spot not in judged.same]
        why = "the job does not say follow = true"
        if judged.moves and asked:
            self._keep(
                msgspec.structs.replace(
                    self._kept, candidates=known, moves=judged.moves, counts=look.counts
                )
            )
            why = await self.follower.follow(judged.moves)
        judged.doubted |= {("modbus", one.place): one.device for one in judged.moves}
        judged.reasons += [f"{one.device} is not followed: {why}" for one in judged.moves]
        # What is in doubt goes before ports that do not open: a result has room for little.
        look.troubles[:0] = judged.reasons
        return marked(known, judged.doubted, met=met)

    async def _arrived(self) -> dict[str, Value] | None:
        """Tell what became of devices that an earlier process followed; None: there are none."""
        moves = self._kept.moves
        if not moves or self.follower is None:
            return None
        if not await self.follower.arrived(moves):
            self._kept = msgspec.structs.replace(self._kept, moves=[])
            return None
        for move in moves:
            _log.event("device_followed", device=move.device, before=move.before, now=move.place)
        attached = {one.place for one in moves}
        known = [one for one in self._kept.candidates if one.place not in attached]
        return self._told(_Look(moved=moves), known, self._kept.counts)

    def _told(
        self, look: _Look, known: list[Candidate], counts: Mapping[str, int]
    ) -> dict[str, Value]:
        moved = [
            CandidateWord(
                way="modbus",
                place=one.place,
                serial=one.serial,
                change="moved",
                before=one.before,
                device=one.device,
            )
            for one in look.moved
        ]
        texts = [msgspec.json.encode(word).decode() for word in moved][: limits.CANDIDATES_TOLD]
        room = _TELL_BYTES - sum(len(text) + limits.MEMBER_BYTES for text in texts)
        words, known = to_tell(known, now_ms=self._now().today_ms, room=room)
        self._keep(msgspec.structs.replace(self._kept, candidates=known, moves=[], counts={}))
        told: dict[str, Value] = {
            **counts,
            "untold": sum(not one.told_ms for one in known),
            "trouble": "; ".join(look.troubles)[: limits.DETAIL_CHARS // 2],
        }
        texts += [msgspec.json.encode(word).decode() for word in words]
        return {**told, **{f"{MARK}{number}": text for number, text in enumerate(texts)}}

    # --- the network -----------------------------------------------------------------------------
    async def _listen(self, look: _Look, wish: DiscoverParameters) -> None:
        # Loaded on first use: an agent that never looks carries no resolver along.
        from agent.services.mdns import SERVICES, announced  # noqa: PLC0415

        asked = wish.services or list(self._settings.services) or list(SERVICES)
        services = [one.rstrip(".").removesuffix(".local") for one in asked]
        try:
            found = await announced(
                [f"{one}.local." for one in services], interfaces=self._settings.interfaces
            )
        except WorldError as error:
            look.troubles.append(error.detail)
            return
        look.sightings += found
        # Who announced one of these and does not now was looked for too; nobody heard the others.
        kinds = tuple(f".{one}".lower() for one in services)
        mdns = [one for one in self._kept.candidates if one.way == "mdns"]
        look.looked += [one.spot for one in mdns if one.name.lower().endswith(kinds)]

    async def _echo(self, look: _Look, bus: Bus, *, asked: bool) -> None:
        """Ask a port that belongs to nobody for its echo; a serial one only when it is named."""
        name = bus.settings.name
        taken = any(device.bus == name for device in self._devices)
        if taken or (bus.settings.url.startswith("serial:") and not asked):
            return
        from agent.services.smp_look import who_echoes  # noqa: PLC0415 - on first use

        look.looked.append(("smp", f"{name}/0"))
        try:
            found = await who_echoes(bus)
        except MistakeError as error:
            look.troubles.append(str(error))
            return
        if found is not None:
            look.sightings.append(found)

    # --- buses -----------------------------------------------------------------------------------
    def _chosen(self, wish: DiscoverParameters, schemes: Sequence[str]) -> list[Bus]:
        return [
            bus
            for name, bus in self._buses.items()
            if (not wish.buses or name in wish.buses)
            and bus.settings.url.partition(":")[0] in schemes
        ]

    def _modbus(self, wish: DiscoverParameters) -> list[Bus]:
        """Return buses on which Modbus may be spoken: devices of another protocol keep theirs."""
        if "modbus" not in wish.ways:
            return []
        other = {one.bus for one in self._devices if one.profile.protocol != "modbus"}
        chosen = self._chosen(wish, ("serial", "tcp", "rtu+tcp"))
        return [bus for bus in chosen if bus.settings.name not in other]

    def _addresses(self, bus: Bus, wish: DiscoverParameters) -> list[int]:
        """Return the addresses nobody is attached at, from where the last look ended."""
        name = bus.settings.name
        taken = {device.address for device in self._devices if device.bus == name}
        low, high = _SERIAL_UNITS
        asked = [n for n in range(max(low, wish.first), min(high, wish.last) + 1) if n not in taken]
        start = self._kept.following.get(name, 0)
        return [n for n in asked if n >= start] + [n for n in asked if n < start]

    async def _scan(self, look: _Look, bus: Bus, wish: DiscoverParameters, until_ms: int) -> None:
        """Ask one address after the other, until it is time to stop."""
        from agent.drivers.modbus.scan import Scan  # noqa: PLC0415 - on first use

        name = bus.settings.name
        scan = Scan(bus)
        addresses = self._addresses(bus, wish)
        for index, unit in enumerate(addresses):
            if self._now().mono_ms >= until_ms or not self._spend(name):
                look.left += len(addresses) - index
                self._go_on_at(name, unit)
                return
            began_ms = self._now().mono_ms
            try:
                answered = await scan.ask(unit)
                alone = answered and scan.network and await scan.answers_to_all()
            except WorldError as error:
                look.troubles.append(f"{name}: {error.detail}")
                return
            look.looked.append(("modbus", f"{name}/{unit}"))
            if answered:
                look.sightings.append(_sighting(name, unit, answered))
            if alone:
                # There is one device, whatever number it is called by.
                look.looked += [("modbus", f"{name}/{n}") for n in addresses[index + 1 :]]
                break
            await self._make_room(name, self._now().mono_ms - began_ms)
        self._go_on_at(name, 0)

    async def _make_room(self, bus: str, took_ms: int) -> None:
        """Leave a port to its living devices for many times what was taken from them."""
        if any(one.bus == bus and one.profile.polled for one in self._devices):
            await self._pause(took_ms * limits.PROBE_SHARE / 1000)

    def _spend(self, bus: str) -> bool:
        """Take one address from the hour's budget of a bus; False: it is spent."""
        hour = self._now().today_ms // _HOUR_MS
        known, count = self._kept.asked.get(bus, (hour, 0))
        count = count if known == hour else 0
        if count >= self._settings.probes_per_hour:
            return False
        asked = {**self._kept.asked, bus: (hour, count + 1)}
        self._kept = msgspec.structs.replace(self._kept, asked=asked)
        return True

    def _go_on_at(self, bus: str, address: int) -> None:
        following = {**self._kept.following, bus: address}
        self._kept = msgspec.structs.replace(self._kept, following=following)

    def _keep(self, kept: Kept) -> None:
        self._kept = kept
        try:
            write_atomically(self._path, msgspec.json.encode(kept))
        except OSError as error:
            _log.event("candidates_not_kept", level=logging.WARNING, error=error)


def _sighting(bus: str, unit: int, answered: object) -> Sighting:
    said = {key: getattr(answered, key) for key in ("vendor", "model", "firmware", "serial")}
    return Sighting(way="modbus", place=f"{bus}/{unit}", **said)


def candidates_in(data_dir: Path) -> list[Candidate]:
    """Return the candidates that an agent knows, running or not."""
    return _read(data_dir / NAME).candidates


def _read(path: Path) -> Kept:
    """Return the file; without one, or with a damaged one, everything is new again."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(limits.CONFIG_BYTES), type=Kept)
    except (OSError, msgspec.MsgspecError):
        return Kept()
