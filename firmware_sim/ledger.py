"""The device's own record of what it served and what was written to it, one JSON line per request.

Owns the format, the file that survives kill -9, and `LedgerSummary`, which adds such lines up.
Leaves out the devices: every run begins with a line per unit that lists its points, so a ledger
explains itself.

Lines, all with `t_ms` (UTC) and `mono_ms` (this machine's CLOCK_BOOTTIME):

- ``{"start": "pump", "unit": 1, "points": [["input", 0, 1, "pressure"], ...]}``
- ``{"unit": 1, "fc": 4, "address": 0, "count": 12, "ok": true}``
- ``{"unit": 1, "fc": 6, "address": 100, "values": [4200], "ok": true, "applied": true}``
- ``{"malformed": 7}`` with the number of bytes that were no request

`ok` says that the right answer left the device undamaged (or that none is due: a broadcast),
`applied` that the registers were changed, whatever became of the answer. A line is written before
the first byte of its answer is: what a master knows, the ledger knows.
"""

import json
import os
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from firmware_sim.clock import Ticks
from firmware_sim.device import Device
from shared import limits
from shared.clock import MonoMs, WallMs
from shared.errors import MistakeError, Reason, WorldError

Entry = Mapping[str, object]


class Ledger:
    """Stamps entries and hands each on as one line."""

    def __init__(self, write: Callable[[bytes], object], ticks: Ticks) -> None:
        self._write, self._ticks = write, ticks

    def start(self, device: Device) -> None:
        """Note that a device was switched on, and its points."""
        points = [[p.table.value, p.address, p.kind.registers, p.name] for p in device.points]
        self.note({"start": device.model.name, "unit": device.unit, "points": points})

    def note(self, entry: Entry) -> None:
        """Write one line.

        Raises:
            WorldError: it cannot be written; the device must stop, its record would be untrue.
        """
        stamped = {"t_ms": self._ticks.wall_ms(), "mono_ms": self._ticks.mono_ms(), **entry}
        self._write(json.dumps(stamped, separators=(",", ":")).encode() + b"\n")


class LedgerFile:
    """A file that lines are appended to, each with one system call: kill -9 keeps what is noted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise MistakeError(
                f"cannot write the ledger {path}: {error.strerror}", mend="choose another --ledger"
            ) from None

    def write(self, line: bytes) -> None:
        """Append a line."""
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            raise WorldError(
                Reason.STORE_FAILED, f"the ledger {self._path} cannot be written: {error.strerror}"
            ) from error
        if written != len(line):
            raise WorldError(Reason.STORE_FULL, f"the ledger {self._path} takes no more: disk full")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


# --- reading it ---------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class MappedPoint:
    """Where a device's point stands, as its ledger says."""

    table: str
    address: int
    registers: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerWrite:
    """Registers that were really changed."""

    t_ms: WallMs
    mono_ms: MonoMs
    unit: int
    address: int
    values: tuple[int, ...]
    answered: bool
    """The master got to know; false when a fault ate the answer."""


class LedgerSummary:
    """Adds up ledger lines as they come; pure, and bounded by what a device can do in a day."""

    def __init__(self) -> None:
        self.starts = 0
        """Units switched on, restarts included."""
        self.requests = 0
        """Well-formed requests to one of the units, answered or not."""
        self.failed = 0
        """Requests that were not answered as asked: faults and exceptions."""
        self.malformed = 0
        self.unreadable = 0
        """Lines that are no ledger entry; 0 unless the file was damaged."""
        self.served: Counter[tuple[int, str, int]] = Counter()
        """(unit, table, address of a defined point) -> reads answered with the whole point."""
        self.writes: list[LedgerWrite] = []
        """Changes in order; the oldest go when there are more than `limits.LEDGER_WRITES`."""
        self._points: dict[int, tuple[MappedPoint, ...]] = {}
        self._polls_ms: dict[tuple[int, str], array[int]] = {}
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of a ledger file; an unfinished line waits for the rest."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        for line in lines:
            self.fold(line)
        if len(self._tail) > limits.LEDGER_LINE_BYTES:
            self._tail = b""
            self.unreadable += 1

    def fold(self, line: bytes) -> None:
        """Take one line."""
        try:
            entry = json.loads(line)
            self._fold_entry(entry)
        except (ValueError, KeyError, TypeError, RecursionError):
            self.unreadable += 1

    def point(self, unit: int, name: str) -> MappedPoint:
        """Return where a point stands; KeyError if the ledger has no such unit or point."""
        for point in self._points[unit]:
            if point.name == name:
                return point
        raise KeyError(name)

    def reads(self, unit: int, name: str) -> int:
        """Return how often a point was read and answered; the poll counter's value is this."""
        point = self.point(unit, name)
        return self.served[unit, point.table, point.address]

    def polls(self, unit: int, table: str = "input") -> Sequence[int]:
        """Return the `mono_ms` of the reads of a table that were answered, in order."""
        return self._polls_ms.get((unit, table), array("q"))

    def longest_gap_ms(
        self, *, unit: int, start_ms: MonoMs, end_ms: MonoMs, table: str = "input"
    ) -> int:
        """Return the longest time between two polls of a table that touches the interval.

        A gap counts at full length even if it began before `start_ms` or ends after `end_ms`;
        where the record holds no poll before or after, the interval's own edge takes its place.
        """
        polls = self.polls(unit, table)
        first = max(0, bisect_right(polls, start_ms) - 1)
        last = min(len(polls), bisect_left(polls, end_ms) + 1)
        times = list(polls[first:last])
        if not times or times[0] > start_ms:
            times.insert(0, start_ms)
        if times[-1] < end_ms:
            times.append(end_ms)
        return max((after - before for before, after in pairwise(times)), default=0)

    def _fold_entry(self, entry: Mapping[str, object]) -> None:
        if "node" in entry:
            return  # a sensor node's line, which knows no registers (docs/simulator.md)
        if "start" in entry:
            self._fold_start(entry)
        elif "malformed" in entry:
            self.malformed += 1
        else:
            self._fold_request(entry)

    def _fold_start(self, entry: Mapping[str, object]) -> None:
        rows = entry["points"]
        if not isinstance(rows, list):
            raise TypeError
        self._points[_int(entry["unit"])] = tuple(MappedPoint(*row) for row in rows)
        self.starts += 1

    def _fold_request(self, entry: Mapping[str, object]) -> None:
        unit, function = _int(entry["unit"]), _int(entry["fc"])
        self.requests += 1
        if entry["ok"] is not True:
            self.failed += 1
        elif "count" in entry:
            self._fold_read(unit, "input" if function == 4 else "holding", entry)
        if entry.get("applied") is True:
            self._fold_write(unit, entry)

    def _fold_read(self, unit: int, table: str, entry: Mapping[str, object]) -> None:
        address = _int(entry["address"])
        end = address + _int(entry["count"])
        for point in self._points.get(unit, ()):
            if (
                point.table == table
                and address <= point.address
                and point.address + point.registers <= end
            ):
                self.served[unit, table, point.address] += 1
        polls = self._polls_ms.setdefault((unit, table), array("q"))
        polls.append(_int(entry["mono_ms"]))
        if len(polls) > limits.LEDGER_POLLS:
            del polls[: limits.LEDGER_POLLS // 2]

    def _fold_write(self, unit: int, entry: Mapping[str, object]) -> None:
        values = entry["values"]
        if not isinstance(values, list):
            raise TypeError
        change = LedgerWrite(
            t_ms=WallMs(_int(entry["t_ms"])),
            mono_ms=MonoMs(_int(entry["mono_ms"])),
            unit=unit,
            address=_int(entry.get("write_address", entry["address"])),
            values=tuple(_int(value) for value in values),
            answered=entry["ok"] is True,
        )
        self.writes.append(change)
        if len(self.writes) > limits.LEDGER_WRITES:
            del self.writes[: limits.LEDGER_WRITES // 2]


def _int(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value
