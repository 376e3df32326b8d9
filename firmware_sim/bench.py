"""One device with its faults, its ledger and its time, whatever it speaks.

Owns what devices that answer in text have in common: the draw for each request, what is noted of
it, the values by their points' names. Leaves out the bytes (`http_json`, `line`) and Modbus, whose
ports have many units (`station`).
"""

from collections.abc import Collection, Iterable, Mapping

from firmware_sim.clock import SimTime
from firmware_sim.device import Device
from firmware_sim.faults import Fault, FaultKind, FaultPlan, Verdict, parse_fault
from firmware_sim.ledger import Ledger
from shared.errors import MistakeError


class Bench:
    """A device that a protocol is put in front of."""

    def __init__(
        self,
        device: Device,
        *,
        can: Collection[FaultKind],
        faults: Iterable[Fault | str] = (),
        ledger: Ledger | None = None,
        time: SimTime | None = None,
        seed: int = 0,
    ) -> None:
        """Switch a device on; `can` are the faults that its protocol knows how to show."""
        self.device = device
        self.time = time if time is not None else SimTime()
        self.requests = 0
        """Well-formed requests, answered or not."""
        self.malformed = 0
        self._can = frozenset(can)
        self._plan = FaultPlan(seed=seed)
        self._ledger = ledger
        self.add_faults(*faults)
        if ledger is not None:
            ledger.start(device)

    # --- values ----------------------------------------------------------------------------------
    def value(self, name: str) -> float:
        """Return what a point shows now, in its unit, rounded as its register would."""
        point = self.device.model.expect(name)
        shown = self.device.value(point, self.time.now_s())
        return point.decode(
            point.encode(shown, self.device.model.word_order), self.device.model.word_order
        )

    def change(self, name: str, value: float) -> bool:
        """Write a setting from the port; tell whether the device took it."""
        point = self.device.model.point(name)
        if point is None or not point.writable or not point.low <= value <= point.high:
            return False
        self.device.set_value(name, value, self.time.now_s())
        return True

    def set_value(self, name: str, value: float, *, unit: int | None = None) -> None:
        """Set or hold a point, as a hand on the device does.

        Raises:
            MistakeError: there is no such point, or the value is none it can show.
        """
        self.device.set_value(name, value, self.time.now_s())

    # --- faults ----------------------------------------------------------------------------------
    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return the faults that are switched on."""
        return self._plan.active

    def add_faults(self, *faults: Fault | str) -> None:
        """Switch faults on, from now.

        Raises:
            MistakeError: one cannot be understood, or this device cannot have it.
        """
        parsed = [parse_fault(fault) if isinstance(fault, str) else fault for fault in faults]
        for fault in parsed:
            if fault.kind not in self._can:
                known = ", ".join(sorted(self._can))
                raise MistakeError(f"this device cannot have {fault.kind}", mend=f"use {known}")
        for fault in parsed:
            self._plan.add(fault, self.time.ticks.mono_ms())

    def clear_faults(self) -> None:
        """Switch all faults off."""
        self._plan.clear()

    def judge(self, *, asked: bool = True) -> Verdict:
        """Draw what happens to the next request, or to what it says unasked."""
        self.requests += asked
        return self._plan.judge(self.device.unit, self.time.ticks.mono_ms())

    # --- ledger ----------------------------------------------------------------------------------
    def note(self, entry: Mapping[str, object], verdict: Verdict) -> None:
        """Write a line before the first byte of the answer leaves."""
        if self._ledger is not None:
            fault = {} if verdict.kind is None else {"fault": verdict.kind.value}
            self._ledger.note({"unit": self.device.unit, **entry, **fault})

    def hear_malformed(self, size: int) -> None:
        """Note bytes that were no request."""
        self.malformed += 1
        if self._ledger is not None:
            self._ledger.note({"malformed": size})


def spoilt(data: bytes, verdict: Verdict) -> bytes:
    """Return what leaves instead of an answer's bytes.

    >>> spoilt(b"answer", Verdict(FaultKind.CUT))
    b'ans'
    """
    match verdict.kind:
        case FaultKind.SILENCE | FaultKind.LOST_REPLY:
            return b""
        case FaultKind.GARBAGE:
            return verdict.noise
        case FaultKind.CUT:
            return data[: len(data) // 2]
        case _:
            return data
