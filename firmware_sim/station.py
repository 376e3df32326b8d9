"""What answers on one port: the devices there, their faults, their ledger.

Owns addressing (unit, broadcast, the device itself), carrying a request out, and what is noted of
it. Leaves out framing and waiting: the shell asks for an `Exchange`, waits its delay, finishes it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from firmware_sim.clock import SimTime
from firmware_sim.device import Device
from firmware_sim.faults import NODE_ONLY, Fault, FaultKind, FaultPlan, Verdict, parse_fault
from firmware_sim.ledger import Ledger
from firmware_sim.modbus import pdu as modbus
from firmware_sim.modbus.pdu import ExceptionCode, Identify, Read, ReadWrite, Refusal, Write
from firmware_sim.modbus.rtu import BROADCAST
from firmware_sim.modbus.tcp import UNITS_OF_THE_DEVICE
from firmware_sim.model import Table
from shared import limits
from shared.errors import MistakeError


class Line(Enum):
    """How requests come in; the two differ in what an address means."""

    SERIAL = "serial"
    TCP = "tcp"


_OF_ANSWERS = 0x80
"""The bit of a function code that only answers carry."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back."""

    pdu: bytes
    damaged: bool = False
    """The CRC must be wrong."""
    noise: bytes | None = None
    """These bytes go out instead of a frame."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that was heard and not carried out yet."""

    unit: int
    pdu: bytes
    heard_by: tuple[tuple[Device, Verdict], ...]
    """Empty when nobody here has that address."""
    broadcast: bool = False

    @property
    def delay_ms(self) -> int:
        """Return how long to wait before `Station.finish`."""
        return max((verdict.delay_ms for _, verdict in self.heard_by), default=0)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What carrying a request out came to."""

    pdu: bytes
    applied: bool = False

    @property
    def refused(self) -> bool:
        return bool(self.pdu[0] & _OF_ANSWERS)


class Station:
    """The devices behind one port."""

    def __init__(
        self,
        line: Line,
        devices: Sequence[Device],
        *,
        faults: Iterable[Fault | str] = (),
        ledger: Ledger | None = None,
        time: SimTime | None = None,
        seed: int = 0,
    ) -> None:
        self.line = line
        self.time = time if time is not None else SimTime()
        self._by_unit = {device.unit: device for device in devices}
        if not devices or len(self._by_unit) != len(devices):
            raise MistakeError("each device on a port needs a unit address of its own")
        if len(devices) > limits.SIM_UNITS:
            raise MistakeError(f"a line has {limits.SIM_UNITS} addresses, not {len(devices)}")
        self._first = devices[0]
        self._plan = FaultPlan(seed=seed)
        self.add_faults(*faults)
        self._ledger = ledger
        self.requests = 0
        """Requests to one of the devices."""
        self.malformed = 0
        self.strangers = 0
        """Requests to addresses nobody has here."""
        if ledger is not None:
            for device in devices:
                ledger.start(device)

    @property
    def devices(self) -> tuple[Device, ...]:
        """Return the devices, the one that answers for the whole port first."""
        return tuple(self._by_unit.values())

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
        if self.line is Line.TCP and any(f.kind is FaultKind.BAD_CRC for f in parsed):
            raise MistakeError("Modbus TCP has no CRC to be bad", mend="use garbage instead")
        if foreign := [f.kind.value for f in parsed if f.kind in NODE_ONLY]:
            raise MistakeError(f"{foreign[0]} is a fault of a sensor node, not of a Modbus device")
        for fault in parsed:
            self._plan.add(fault, self.time.ticks.mono_ms())

    def clear_faults(self) -> None:
        """Switch all faults off."""
        self._plan.clear()

    def set_value(self, name: str, value: float, *, unit: int | None = None) -> None:
        """Set a point by hand on one device or on all; see `Device.set_value`.

        Raises:
            MistakeError: no such unit or point, or not such a value.
        """
        if unit is not None and unit not in self._by_unit:
            raise MistakeError(f"there is no unit {unit} here")
        for device in self.devices if unit is None else (self._by_unit[unit],):
            device.set_value(name, value, self.time.now_s())

    # --- requests -----------------------------------------------------------------------------
    def hear(self, unit: int, pdu: bytes) -> Exchange:
        """Take a request in and draw its fate."""
        broadcast = self.line is Line.SERIAL and unit == BROADCAST
        if self.line is Line.SERIAL and pdu[0] & _OF_ANSWERS:
            addressed: tuple[Device, ...] = ()  # another slave's exception, overheard
        elif broadcast:
            addressed = self.devices
        elif (found := self._by_unit.get(unit)) is not None:
            addressed = (found,)
        elif self.line is Line.TCP and unit in UNITS_OF_THE_DEVICE:
            addressed = (self._first,)
        else:
            addressed = ()
            self.strangers += 1
        now_ms = self.time.ticks.mono_ms()
        judged = tuple((device, self._plan.judge(device.unit, now_ms)) for device in addressed)
        return Exchange(unit, pdu, judged, broadcast)

    def finish(self, exchange: Exchange) -> Reply | None:
        """Carry a request out and note it; None when nothing goes back."""
        if not exchange.heard_by:
            # A gateway says that it has no such device (7); on a serial line silence says it.
            code = ExceptionCode.GATEWAY_TARGET_FAILED
            refused = Reply(modbus.exception_response(exchange.pdu[0], code))
            return refused if self.line is Line.TCP else None
        reply = None
        for device, verdict in exchange.heard_by:
            self.requests += 1
            reply = self._serve(device, verdict, exchange)
        return None if exchange.broadcast else reply

    def hear_malformed(self, size: int) -> None:
        """Note bytes that were no request."""
        self.malformed += 1
        if self._ledger is not None:
            self._ledger.note({"malformed": size})

    def _serve(self, device: Device, verdict: Verdict, exchange: Exchange) -> Reply | None:
        request = modbus.parse_request(exchange.pdu)
        function = request.function
        if verdict.kind is FaultKind.SILENCE:
            self._note(device, request, ok=False, fault=verdict.kind)
            return None
        if verdict.kind is FaultKind.EXCEPTION:
            self._note(device, request, ok=False, fault=verdict.kind)
            return Reply(modbus.exception_response(function, verdict.code))
        arrives = verdict.kind is None
        outcome = self._carry_out(device, request, counted=arrives)
        refused = outcome.pdu[1] if outcome.refused else None
        self._note(
            device,
            request,
            ok=arrives and refused is None,
            fault=verdict.kind,
            applied=outcome.applied,
            exception=refused,
        )
        match verdict.kind:
            case FaultKind.LOST_REPLY:
                return None
            case FaultKind.GARBAGE:
                return Reply(outcome.pdu, noise=verdict.noise)
            case FaultKind.BAD_CRC:
                return Reply(outcome.pdu, damaged=True)
            case _:
                return Reply(outcome.pdu)

    def _carry_out(self, device: Device, request: modbus.Request, *, counted: bool) -> _Outcome:
        match request:
            case Read():
                return _Outcome(self._read(device, request, counted=counted))
            case Write():
                refused = device.write(request.address, request.values, now_s=self.time.now_s())
                if refused is not None:
                    return _Outcome(modbus.exception_response(request.function, refused))
                return _Outcome(modbus.write_response(request), applied=True)
            case ReadWrite():
                return self._read_write(device, request, counted=counted)
            case Identify():
                return _Outcome(modbus.identify_response(request, device.identification))
            case Refusal(function, code):
                return _Outcome(modbus.exception_response(function, code))
            case modbus.ReportServerId():
                return _Outcome(modbus.server_id_response(device.unit, device.model.product))

    def _read(self, device: Device, request: Read, *, counted: bool) -> bytes:
        table = Table.INPUT if request.function == modbus.READ_INPUT else Table.HOLDING
        words = device.read(
            table, request.address, request.count, now_s=self.time.now_s(), counted=counted
        )
        if isinstance(words, ExceptionCode):
            return modbus.exception_response(request.function, words)
        return modbus.read_response(request.function, words)

    def _read_write(self, device: Device, request: ReadWrite, *, counted: bool) -> _Outcome:
        """Write, then read (6.17); a range that cannot be read leaves everything as it was."""
        probe = self._read(device, request.read, counted=False)
        if probe[0] & _OF_ANSWERS:
            return _Outcome(probe)
        write = request.write
        refused = device.write(write.address, write.values, now_s=self.time.now_s())
        if refused is not None:
            return _Outcome(modbus.exception_response(request.function, refused))
        return _Outcome(self._read(device, request.read, counted=counted), applied=True)

    def _note(
        self,
        device: Device,
        request: modbus.Request,
        *,
        ok: bool,
        fault: FaultKind | None,
        applied: bool = False,
        exception: int | None = None,
    ) -> None:
        if self._ledger is None:
            return
        entry: dict[str, object] = {"unit": device.unit, "fc": request.function}
        match request:
            case Read(_, address, count):
                entry |= {"address": address, "count": count}
            case Write(_, address, values):
                entry |= {"address": address, "values": values, "applied": applied}
            case ReadWrite(_, read, write):
                entry |= {"address": read.address, "count": read.count}
                entry |= {"write_address": write.address, "values": write.values}
                entry |= {"applied": applied}
            case _:
                pass
        entry["ok"] = ok
        if fault is not None:
            entry["fault"] = fault.value
        if exception is not None:
            entry["exception"] = exception
        self._ledger.note(entry)
