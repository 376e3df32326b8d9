"""One device while it runs: what its registers show now, and what was written to them.

Owns settings with their ramps, poll counts, held values. Leaves out the protocol's bytes, faults
and the ledger. Time is an argument: simulated UTC in seconds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from firmware_sim.modbus.pdu import ExceptionCode
from firmware_sim.model import Model, Point, Table
from firmware_sim.noise import mix, salt_of
from firmware_sim.replay import Replay
from firmware_sim.signals import Moment
from shared.errors import MistakeError


@dataclass(frozen=True, slots=True)
class _Setting:
    """A holding point's value and the course of its last change."""

    value: float
    before: float
    since_s: float


class Device:
    """A model brought to life at one unit address."""

    def __init__(
        self,
        model: Model,
        *,
        unit: int = 1,
        seed: int = 0,
        started_s: float = 0.0,
        replay: Replay | None = None,
    ) -> None:
        assert 1 <= unit <= 247, "Modbus over Serial Line V1.02, 2.2: individual addresses"
        self.model, self.unit = model, unit
        self._seed = mix(seed, unit)
        self._started_s = started_s
        self._replay = replay
        self._polls: dict[str, int] = {p.name: 0 for p in model.points if p.is_poll_count}
        self._held: dict[str, float] = {}
        self._settings = {
            point.name: _Setting(point.default, point.default, started_s)
            for point in model.points
            if point.is_setting
        }

    @property
    def points(self) -> tuple[Point, ...]:
        """Return the register map."""
        return self.model.points

    @property
    def identification(self) -> dict[int, str]:
        """Return what it says of itself, by the numbers of 6.21; object 0x80 is its serial number.

        Basic are vendor, product code and revision; regular ones the product's name and the model.
        """
        model = self.model
        texts = {0: model.vendor, 1: model.product, 2: model.revision, 4: model.about[:60]}
        own = {5: model.name, 0x80: f"SIM-{self.unit:03}"}
        return {number: text for number, text in {**texts, **own}.items() if text.isascii()}

    def set_value(self, name: str, value: float, now_s: float) -> None:
        """Set a holding point, or hold an input point fast; what a hand on the device does.

        Raises:
            MistakeError: there is no such point, or the value is none it can show.
        """
        point = self.model.expect(name)
        if point.is_poll_count:
            raise MistakeError(f"{name} counts reads and cannot be set")
        if not point.low <= value <= point.high:
            raise MistakeError(
                f"{name} cannot be {value:g}", mend=f"it takes {point.low:g} to {point.high:g}"
            )
        if point.is_setting:
            self._change(point, value, now_s)
        else:
            self._held[name] = value

    def value(self, point: Point, now_s: float) -> float:
        """Return what a point shows, in its unit."""
        if point.is_setting:
            return self._settings[point.name].value
        if point.is_poll_count:
            return float(self._polls[point.name])
        if (held := self._held.get(point.name)) is not None:
            return held
        if self._replay is not None:
            recorded = self._replay.at(point.name, now_s - self._started_s)
            if recorded is not None:
                return recorded
        setting = self._in_effect(point.follows, now_s) if point.follows else 0.0
        return point.signal.at(
            Moment(t_s=now_s, seed=self._seed, salt=salt_of(point.name), setting=setting)
        )

    def read(
        self, table: Table, address: int, count: int, *, now_s: float, counted: bool = True
    ) -> tuple[int, ...] | ExceptionCode:
        """Return `count` registers, or why not.

        A poll counter that lies whole inside the range goes up by one first, unless `counted` is
        false because the answer will not arrive undamaged.
        """
        end = address + count
        words = [0] * count
        defined = 0
        for point in self._within(table, address, end):
            whole = address <= point.address and point.end <= end
            if point.is_poll_count and whole and counted:
                self._polls[point.name] = (self._polls[point.name] + 1) & 0xFFFF_FFFF
            encoded = point.encode(self.value(point, now_s), self.model.word_order)
            for place, word in enumerate(encoded, start=point.address):
                if address <= place < end:
                    words[place - address] = word
                    defined += 1
        if defined < count and not self.model.allow_gaps:
            return ExceptionCode.ILLEGAL_DATA_ADDRESS
        return tuple(words)

    def write(self, address: int, values: Sequence[int], *, now_s: float) -> ExceptionCode | None:
        """Write holding registers, all of them or none; return why not.

        Only whole points that may be written are: anything else inside the range is exception 2,
        a value outside the point's limits is exception 3.
        """
        end = address + len(values)
        points = self._within(Table.HOLDING, address, end)
        covered = sum(point.kind.registers for point in points)
        whole = all(address <= point.address and point.end <= end for point in points)
        if not whole or covered != len(values) or not all(point.writable for point in points):
            return ExceptionCode.ILLEGAL_DATA_ADDRESS
        changes: list[tuple[Point, float]] = []
        for point in points:
            words = tuple(values[point.address - address : point.end - address])
            value = point.decode(words, self.model.word_order)
            if not math.isfinite(value) or not point.low <= value <= point.high:
                return ExceptionCode.ILLEGAL_DATA_VALUE
            changes.append((point, value))
        for point, value in changes:
            self._change(point, value, now_s)
        return None

    def _within(self, table: Table, address: int, end: int) -> list[Point]:
        return [
            point
            for point in self.model.points
            if point.table is table and point.address < end and address < point.end
        ]

    def _change(self, point: Point, value: float, now_s: float) -> None:
        before = self._in_effect(point.name, now_s)
        self._settings[point.name] = _Setting(value, before, now_s)

    def _in_effect(self, name: str, now_s: float) -> float:
        """Return the value of a setting that the process has reached on its ramp."""
        setting, point = self._settings[name], self.model.expect(name)
        ramp_s = self._settings[point.ramp].value if point.ramp else 0.0
        if ramp_s <= 0.0:
            return setting.value
        share = min(1.0, max(0.0, (now_s - setting.since_s) / ramp_s))
        return setting.before + (setting.value - setting.before) * share
