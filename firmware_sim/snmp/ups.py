"""What a simulated power supply tells: UPS-MIB (RFC 1628) and the system group (RFC 3418).

Owns its objects. Leaves out requests (`agent`) and signals (`firmware_sim.models`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from firmware_sim.bench import Bench
from firmware_sim.snmp.ber import GAUGE32, INTEGER, OBJECT, OCTETS, TICKS, Oid
from firmware_sim.snmp.ber import name as oid_bytes
from firmware_sim.snmp.ber import number as number_bytes
from firmware_sim.snmp.ber import value as value_bytes

_SYSTEM: Oid = (1, 3, 6, 1, 2, 1, 1)
_UPS: Oid = (1, 3, 6, 1, 2, 1, 33, 1)
_FULL_MINUTES = 90.0
"""What the battery carries at a tenth of the load it can carry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object: how it reads, and how it is set where it can be."""

    read: Callable[[], bytes]
    tag: int = INTEGER
    write: Callable[[int], bool] | None = None


class Ups:
    """The objects of one power supply, by OID."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        model = bench.device.model
        texts = {
            (*_SYSTEM, 1, 0): f"{model.vendor} {model.product} {model.revision}",
            (*_SYSTEM, 4, 0): "nobody",
            (*_SYSTEM, 5, 0): f"ups-{bench.device.unit}",
            (*_SYSTEM, 6, 0): "bench",
            (*_UPS, 1, 1, 0): model.vendor,
            (*_UPS, 1, 2, 0): model.product,
            (*_UPS, 1, 3, 0): model.revision,
            (*_UPS, 1, 4, 0): "simulated card 1.0",
        }
        measured: dict[Oid, Callable[[], float]] = {
            (*_UPS, 2, 1, 0): lambda: 2 if self._minutes() > self._of("low_battery_min") else 3,
            (*_UPS, 2, 2, 0): lambda: self._of("on_battery_s"),
            (*_UPS, 2, 3, 0): self._minutes,
            (*_UPS, 2, 4, 0): lambda: min(100.0, self._of("charge")),
            (*_UPS, 2, 5, 0): lambda: self._of("battery_voltage") * 10,
            (*_UPS, 2, 7, 0): lambda: self._of("temperature"),
            (*_UPS, 3, 3, 1, 3, 1): lambda: 0 if self._on_battery else self._of("input_voltage"),
            (*_UPS, 4, 1, 0): lambda: 5 if self._on_battery else 3,
            (*_UPS, 4, 4, 1, 5, 1): lambda: self._of("load"),
        }
        self._entries: dict[Oid, Entry] = {
            (*_SYSTEM, 2, 0): Entry(lambda: oid_bytes(_UPS), OBJECT),
            (*_SYSTEM, 3, 0): Entry(self._up_time, TICKS),
            (*_UPS, 6, 1, 0): Entry(lambda: number_bytes(self._on_battery, GAUGE32), GAUGE32),
            (*_UPS, 8, 5, 0): Entry(
                lambda: number_bytes(1 if self._of("auto_restart") else 2), write=self._restart
            ),
            (*_UPS, 9, 7, 0): Entry(
                lambda: number_bytes(round(self._of("low_battery_min"))),
                write=lambda minutes: bench.change("low_battery_min", minutes),
            ),
        }
        for oid, text in texts.items():
            self._entries[oid] = Entry(partial(value_bytes, OCTETS, text.encode()), OCTETS)
        for oid, amount in measured.items():
            self._entries[oid] = Entry(partial(_rounded, amount))
        self._order = sorted(self._entries)

    def find(self, oid: Oid) -> Entry | None:
        """Return the object of that name."""
        return self._entries.get(oid)

    def after(self, oid: Oid) -> Oid | None:
        """Return the first object behind a name, in lexicographic order (RFC 3416, 4.2.2)."""
        return next((known for known in self._order if known > oid), None)

    def has_object(self, oid: Oid) -> bool:
        """Tell whether the name's object exists, though this instance of it may not."""
        return any(known[:-1] == oid[: len(known) - 1] for known in self._order)

    def _of(self, point: str) -> float:
        return self.bench.value(point)

    @property
    def _on_battery(self) -> bool:
        return self._of("on_battery_s") > 0

    def _minutes(self) -> float:
        return _FULL_MINUTES * self._of("charge") / 100 * 10 / max(10.0, self._of("load"))

    def _up_time(self) -> bytes:
        return number_bytes(round(self.bench.time.ticks.mono_ms() / 10) % (1 << 32), TICKS)

    def _restart(self, told: int) -> bool:
        return told in {1, 2} and self.bench.change("auto_restart", 2 - told)


def _rounded(amount: Callable[[], float]) -> bytes:
    return number_bytes(round(amount()))
