"""Follows a device that was attached from afar to the place where it answers now.

Owns the questions that a claim costs, and the change of the setting, on trial like every other. The
judgement stands in `agent.core.following`. Devices of the local file are never followed: their
owner wrote where they are.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec.structs import replace as replaced

from agent.core.adopted import PREFIX, Adopted
from agent.core.candidates import Candidate
from agent.core.device import DeviceSettings
from agent.core.following import AtHome, Claim, Move, Resident, claims_of, verdict
from agent.core.ports import Bus
from agent.services.adopter import meet
from agent.services.self_config import SelfConfig
from shared import limits
from shared.errors import MistakeError, Reason, RefusedError, WorldError
from shared.model.action_parameters import CONFIRM_WITHIN_S
from shared.model.candidate import Spot
from shared.model.job import Value

MayAsk = Callable[[str], bool]
"""Takes one probe from the hour's budget of a bus; False: it is spent."""


@dataclass(slots=True)
class Judged:
    """What became of the claims of one look."""

    moves: list[Move] = field(default_factory=list)
    doubted: dict[Spot, str] = field(default_factory=dict)
    """The device, by whoever says it is it and is not believed."""
    same: set[Spot] = field(default_factory=set)
    """Other numbers of a device that answers to all of them: no candidates."""
    reasons: list[str] = field(default_factory=list)


class Follower:
    """Devices that were attached from afar, and where they may have gone."""

    def __init__(
        self,
        settings: SelfConfig,
        buses: Mapping[str, Bus],
        devices: Sequence[DeviceSettings],
        adopted: Mapping[str, Adopted],
    ) -> None:
        """Wire it up.

        Args:
            settings: who changes where a device is.
            buses: every port by name.
            devices: all that are attached.
            adopted: those of them that came from afar, by id.
        """
        self._settings, self._buses = settings, buses
        self._devices = {str(one.id): one for one in devices}
        self._residents = tuple(
            Resident(device=name, adopted=one, profile=device.profile)
            for name, one in adopted.items()
            if (device := self._devices.get(name)) is not None
            and (device.bus, device.address) == (one.bus, one.address)
        )

    async def judge(
        self, known: Sequence[Candidate], *, met: Collection[Spot], may_ask: MayAsk
    ) -> Judged:
        """Judge every candidate that says it is an attached device.

        Args:
            known: what is known after a look.
            met: who answered in it.
            may_ask: the budget of each bus.
        """
        judged = Judged()
        for claim in claims_of(self._residents, known, met=met):
            home = claim.resident.adopted
            bus = self._buses[home.bus]
            if not all(may_ask(home.bus) for _ in range(limits.CANDIDATE_MISSES)):
                judged.doubted |= {one.spot: one.device for one in claim.by if one.device}
                continue
            at_home = await self._at_home(bus, home)
            strangers = tuple(one for one in claim.by if not _on(home.bus, one))
            if at_home == "itself" and len(strangers) < len(claim.by) and await _is_one(bus):
                judged.same |= {one.spot for one in claim.by if _on(home.bus, one)}
                if not strangers:
                    continue
                claim = replace(claim, by=strangers)  # noqa: PLW2901 - without its other numbers
            why = verdict(claim, at_home, self._residents) or await self._unfit(claim)
            if why:
                judged.doubted |= {one.spot: claim.resident.device for one in claim.by}
                judged.reasons.append(f"{claim.resident.device} is not followed: {why}")
            elif len(judged.moves) < limits.FOLLOWED_AT_ONCE:
                judged.moves.append(_move(claim))
        return judged

    async def follow(self, moves: Sequence[Move]) -> str:
        """Attach devices where they are now; the process that runs with it says that they are.

        Returns:
            why they were not; empty: they are.
        """
        here = {one.device: one.adopted for one in self._residents}
        change: dict[str, Value] = {}
        for move in moves:
            bus, _, address = move.place.rpartition("/")
            adopted = replaced(here[move.device], bus=bus, address=int(address))
            change[PREFIX + move.device] = adopted.text()
        outcome = await self._settings.configure(
            _mark(moves), change, confirm_within_s=CONFIRM_WITHIN_S, dry_run=False
        )
        return outcome.detail if outcome.reason is not None else ""

    async def arrived(self, moves: Sequence[Move]) -> bool:
        """Tell whether moves that an earlier process began stay, once it is known.

        Those that were taken back, or never begun, are judged anew: `follow` says why it does not.
        """
        places = {one.device: one.place for one in self._residents}
        if any(places.get(move.device) != move.place for move in moves):
            return False
        return not await self.follow(moves)

    async def _at_home(self, bus: Bus, home: Adopted) -> AtHome:
        from agent.drivers.modbus.scan import Scan  # noqa: PLC0415 - on first use

        scan = Scan(bus)
        try:
            for _ in range(limits.CANDIDATE_MISSES):
                said = await scan.ask(home.address)
                if said is not None:
                    serial = said.serial[: limits.CANDIDATE_CHARS]
                    return _WHO[bool(serial), serial == home.serial]
        except WorldError:
            # Its port is gone: whoever was behind it is elsewhere, or nowhere.
            return "nobody"
        return "nobody"

    async def _unfit(self, claim: Claim) -> str:
        """Return why the only place that is left does not do; empty: it does."""
        adopted = claim.resident.adopted
        bus_name, _, address = claim.by[0].place.rpartition("/")
        device = replace(self._devices[claim.resident.device], bus=bus_name, address=int(address))
        try:
            await meet(device, self._buses[bus_name], serial=adopted.serial)
        except MistakeError as error:
            return str(error)
        except (WorldError, RefusedError) as error:
            return error.detail or Reason(error.reason).name.lower()
        return ""


_WHO: Mapping[tuple[bool, bool], AtHome] = {
    (True, True): "itself",
    (True, False): "another",
    (False, False): "nameless",
    (False, True): "nameless",
}
"""By whether it tells a serial number, and whether that is the right one."""


def _on(bus: str, one: Candidate) -> bool:
    return one.place.rpartition("/")[0] == bus


async def _is_one(bus: Bus) -> bool:
    """Tell whether one device answers to every number of a bus."""
    from agent.drivers.modbus.scan import Scan  # noqa: PLC0415 - on first use

    scan = Scan(bus)
    try:
        return scan.network and await scan.answers_to_all()
    except WorldError:
        return False


def _mark(moves: Sequence[Move]) -> str:
    """Return whose change of the settings it is: the same device is put back once, not nightly."""
    text = "\n".join(sorted(f"{move.device} {move.serial} {move.place}" for move in moves))
    return f"follow-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _move(claim: Claim) -> Move:
    return Move(
        device=claim.resident.device,
        place=claim.by[0].place,
        before=claim.resident.place,
        serial=claim.by[0].serial,
    )
