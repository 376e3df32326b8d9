"""A plug with metering, as Tasmota speaks: ``tele/D/...``, ``stat/D/...``, ``cmnd/D/...``.

Owns its topics and its one command. Written after Tasmota's public description, with SensorRetain
and PowerRetain on. Leaves out packets and the broker (`ports`).
"""

import json

from firmware_sim.bench import Bench


class Plug:
    """One plug; `name` is what its topics are called by."""

    def __init__(self, bench: Bench, *, name: str = "plug") -> None:
        self.bench = bench
        self.name = name

    @property
    def state(self) -> dict[str, bytes]:
        """Return what it has to say, by topic."""
        return {
            f"tele/{self.name}/LWT": b"Online",
            f"tele/{self.name}/SENSOR": json.dumps(self._sensor()).encode(),
            f"stat/{self.name}/POWER": b"ON" if self._on else b"OFF",
        }

    def obey(self, topic: str, payload: bytes) -> bool:
        """Carry a command out; tell whether it was one of its own."""
        if topic != f"cmnd/{self.name}/POWER":
            return False
        word = payload.decode("ascii", "replace").upper()
        states = {"ON": 1.0, "1": 1.0, "OFF": 0.0, "0": 0.0, "TOGGLE": float(not self._on)}
        if word in states:
            self.bench.change("output", states[word])
        return True

    @property
    def _on(self) -> bool:
        return self.bench.value("output") > 0

    def _sensor(self) -> object:
        power = round(self.bench.value("apower")) if self._on else 0
        voltage = round(self.bench.value("voltage"))
        energy = {
            "Total": round(self.bench.value("energy") / 1000, 3),
            "Power": power,
            "Voltage": voltage,
            "Current": round(power / voltage, 3) if voltage else 0.0,
        }
        celsius = round(self.bench.value("temperature"), 1)
        return {"ENERGY": energy, "ANALOG": {"Temperature": celsius}, "TempUnit": "C"}
