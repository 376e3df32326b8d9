"""A sensor node: requests in, answers out, faults and ledger in between.

Owns which command goes to which group, what a fault makes of it, and the record of all of it.
Leaves out bytes on a line (`console`, `ports`) and waiting: an answer says how long flash was busy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from firmware_sim.bootloader import Bootloader
from firmware_sim.clock import SimTime
from firmware_sim.device import Device
from firmware_sim.faults import Fault, FaultKind, FaultPlan, Verdict, parse_fault
from firmware_sim.flash import PowerCutError
from firmware_sim.ledger import Ledger
from firmware_sim.smp import file_group, image_group, os_group, settings_group, stat_group
from firmware_sim.smp.board import Board
from firmware_sim.smp.packet import (
    READ,
    WRITE,
    Fields,
    Header,
    Malformed,
    Payload,
    Rc,
    RefusalError,
    encode_refusal,
    encode_response,
    parse_fields,
    parse_header,
)
from shared.clock import MonoMs
from shared.errors import MistakeError

_Command = Callable[[Fields], Payload]
_FILE_ANSWER_BYTES = 96
"""What an answer with a piece of a file holds besides it."""
_SHOWN = ("off", "len", "slot", "name", "datetime", "data", "hash", "confirm")
"""Values of a request that the ledger shows."""
_ARRIVING = {None, FaultKind.NOISE}
"""What may befall a request whose answer arrives undamaged."""
UNIT = 1
"""The unit that `unit=` of a fault means."""


class Medium(StrEnum):
    """What a node is reached by."""

    SERIAL = "serial"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request on its way."""

    packet: bytes
    header: Header
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back."""

    packet: bytes | None
    """None: nothing, the device was only busy."""
    busy_ms: int = 0
    """How long the flash kept it from answering."""
    noise: bytes | None = None
    """Bytes that come instead of it."""
    damaged: bool = False
    """With a wrong CRC."""
    noisy: bool = False
    """Among lines that others print."""


class Node:
    """One device on one line."""

    def __init__(
        self,
        loader: Bootloader,
        sensors: Device,
        *,
        medium: Medium,
        time: SimTime | None = None,
        buffers: os_group.Buffers | None = None,
        faults: tuple[Fault | str, ...] = (),
        ledger: Ledger | None = None,
        seed: int = 0,
    ) -> None:
        self.medium = medium
        self.time = time if time is not None else SimTime()
        self.buffers = buffers if buffers is not None else os_group.Buffers()
        self.sensors = sensors
        self._ledger = ledger
        self._plan = FaultPlan(seed=seed)
        self._cut_by: set[int] = set()
        """Faults that have cut the power once."""
        self.requests = 0
        self.heard_bytes = 0
        """Bytes that came on its line, framing and noise included."""
        self.malformed = 0
        self.overrun = 0
        """Requests that found no free buffer."""
        self.unheard = 0
        """Requests that came while nothing listened."""
        self.board = Board(loader, self.time, self._note)
        self._os = os_group.OsGroup(self.board, self.buffers)
        self._images = image_group.ImageGroup(self.board)
        self._files = file_group.FileGroup(self.buffers.size - _FILE_ANSWER_BYTES)
        self._settings = settings_group.SettingsGroup()
        self._stats = stat_group.StatGroup(self.board, sensors)
        self.board.restarted = self._forget
        self._commands = self._table()
        self.add_faults(*faults)
        self.advance()

    def _table(self) -> Mapping[tuple[int, int, int], _Command]:
        """Return every command by group, number and operation."""
        os, images, files, stats = self._os, self._images, self._files, self._stats
        settings = self._settings
        return {
            (0, 0, READ): os.echo,
            (0, 0, WRITE): os.echo,
            (0, 4, READ): os.read_datetime,
            (0, 4, WRITE): os.write_datetime,
            (0, 5, WRITE): lambda _: os.reset(self._now()),
            (0, 6, READ): os.parameters,
            (0, 7, READ): os.info,
            (0, 8, READ): os.bootloader,
            (1, 0, READ): images.read_state,
            (1, 0, WRITE): images.write_state,
            (1, 1, WRITE): images.upload,
            (1, 5, WRITE): images.erase,
            (1, 6, READ): images.read_slots,
            (2, 0, READ): lambda fields: stats.show(fields, self._now()),
            (2, 1, READ): stats.names,
            (3, 0, READ): settings.read,
            (3, 0, WRITE): settings.write,
            (3, 2, WRITE): settings.commit,
            (3, 3, READ): settings.load,
            (3, 3, WRITE): settings.save,
            (8, 0, READ): files.download,
            (8, 0, WRITE): files.upload,
            (8, 1, READ): files.status,
            (8, 2, READ): files.checksum,
            (8, 3, READ): files.checksums,
            (8, 4, WRITE): files.close,
        }

    # --- faults ----------------------------------------------------------------------------------
    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return the faults that are switched on."""
        return self._plan.active

    def add_faults(self, *faults: Fault | str) -> None:
        """Switch faults on, from now.

        Raises:
            MistakeError: one cannot be understood, or is none of this kind of line.
        """
        parsed = [parse_fault(fault) if isinstance(fault, str) else fault for fault in faults]
        for fault in parsed:
            if fault.kind is FaultKind.CUT:
                raise MistakeError("cut is a fault of devices that answer text")
            if self.medium is Medium.UDP and fault.kind in {FaultKind.BAD_CRC, FaultKind.NOISE}:
                raise MistakeError(f"{fault.kind} is a fault of a serial line", mend="use garbage")
        for fault in parsed:
            self._plan.add(fault, self._now())
        self._apply_standing()

    def clear_faults(self) -> None:
        """Switch all faults off; a device that is dead stays so."""
        self._plan.clear()
        self._cut_by.clear()
        self.board.loader.flash.cut_after = None
        self._apply_standing()

    def _apply_standing(self) -> None:
        """Let the faults of the device, and only those, be in force now."""
        standing = {fault.kind: fault for fault in self._plan.standing(self._now())}
        flash = self.board.loader.flash
        self._images.full = self._files.full = FaultKind.FLASH_FULL in standing
        self.board.dies_at_reset = FaultKind.BRICK in standing
        slow = standing.get(FaultKind.SLOW_ERASE)
        flash.slow_erase_us = 1000 * slow.amount if slow is not None else 0
        wrong = standing.get(FaultKind.WRONG_CLOCK)
        self._os.wrong_clock_s = wrong.amount if wrong is not None else 0
        loop = standing.get(FaultKind.REBOOT_LOOP)
        self.board.crash_every(None if loop is None else 1000 * loop.amount, self._now())
        cut = standing.get(FaultKind.POWER_CUT)
        if cut is not None and id(cut) not in self._cut_by:
            self._cut_by.add(id(cut))
            flash.cut_after = cut.amount - 1

    # --- requests --------------------------------------------------------------------------------
    def advance(self) -> None:
        """Let resets happen that were due by now."""
        self._apply_standing()
        self.board.advance(self._now())

    def hear(self, packet: bytes) -> Exchange | None:
        """Take a request in and draw its fate; None when nothing hears it."""
        self.advance()
        header = parse_header(packet)
        if isinstance(header, Malformed):
            self.hear_malformed(header.size)
            return None
        if not self.board.awake(self._now()):
            self.unheard += 1
            self._note({"event": "unheard", "smp": [header.group, header.command]})
            return None
        return Exchange(packet, header, self._plan.judge(UNIT, self._now()))

    def hear_overrun(self, size: int) -> None:
        """Take note of a request that found no free buffer."""
        self.overrun += 1
        self._note({"event": "overrun", "size": size})

    def hear_malformed(self, size: int) -> None:
        """Take note of bytes that are no request."""
        self.malformed += 1
        self._note({"event": "malformed", "size": size})

    def finish(self, exchange: Exchange) -> Answer:
        """Carry a request out and note it."""
        header, verdict = exchange.header, exchange.verdict
        self.requests += 1
        entry: dict[str, object] = {"smp": [header.group, header.command], "op": header.op}
        entry["seq"] = header.sequence
        if verdict.kind is not None:
            entry["fault"] = verdict.kind.value
        if verdict.kind is FaultKind.SILENCE:
            self._note(entry | {"ok": False})
            return Answer(packet=None)
        if verdict.kind is FaultKind.EXCEPTION:
            self._note(entry | {"ok": False, "rc": verdict.code})
            return Answer(packet=encode_response(header, {"rc": verdict.code}))
        try:
            packet = self._carry_out(exchange, entry)
        except PowerCutError:
            self._note(entry | {"ok": False})
            self.board.lose_power(self._now())
            return Answer(packet=None)
        return self._answer(packet, verdict)

    def _carry_out(self, exchange: Exchange, entry: dict[str, object]) -> bytes:
        try:
            answer, packet = self._serve(exchange, entry)
        except RefusalError as refusal:
            self._note(entry | {"ok": False, "rc": int(refusal.rc)})
            return encode_refusal(exchange.header, refusal)
        arrives = exchange.verdict.kind in _ARRIVING
        self._note(entry | {"ok": arrives} | _told(answer))
        return packet

    def _serve(self, exchange: Exchange, entry: dict[str, object]) -> tuple[Payload, bytes]:
        header = exchange.header
        fields = parse_fields(exchange.packet)
        command = self._commands.get((header.group, header.command, header.op))
        if command is None:
            raise RefusalError(Rc.NOT_SUPPORTED)
        entry |= _shown(fields.given)
        self._stats.counted = exchange.verdict.kind in _ARRIVING
        answer = command(fields)
        packet = encode_response(header, answer)
        if len(packet) > self.buffers.size:
            raise RefusalError(Rc.TOO_LARGE)
        return answer, packet

    def _answer(self, packet: bytes, verdict: Verdict) -> Answer:
        busy_ms = self.board.loader.flash.take_busy_ms()
        match verdict.kind:
            case FaultKind.LOST_REPLY:
                return Answer(packet=None, busy_ms=busy_ms)
            case FaultKind.GARBAGE:
                return Answer(packet=None, noise=verdict.noise, busy_ms=busy_ms)
            case kind:
                return Answer(
                    packet=packet,
                    busy_ms=busy_ms,
                    damaged=kind is FaultKind.BAD_CRC,
                    noisy=kind is FaultKind.NOISE,
                )

    def _forget(self) -> None:
        self._images.forget()
        self._files.forget()
        self._settings.forget()

    def _now(self) -> MonoMs:
        return self.time.ticks.mono_ms()

    def _note(self, entry: Mapping[str, object]) -> None:
        if self._ledger is not None:
            self._ledger.note({"node": UNIT, **entry})


def _shown(given: Payload) -> dict[str, object]:
    """Return what a ledger line tells of a request: never the bytes, but how many there were."""
    shown: dict[str, object] = {}
    for name in _SHOWN:
        match given.get(name):
            case bool() | int() as plain if abs(plain) < 1 << 64:
                shown[name] = plain
            case str() as text:
                shown[name] = text[:64]
            case bytes() as data if name == "hash":
                shown[name] = data[:64].hex()
            case bytes() as data:
                shown["size"] = len(data)
            case _:
                pass
    return shown


def _told(answer: Payload) -> dict[str, object]:
    """Return what a ledger line tells of an answer: where an upload stands."""
    return {"next": answer["off"]} if isinstance(answer.get("off"), int) else {}
