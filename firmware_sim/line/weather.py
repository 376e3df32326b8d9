"""A weather station that talks NMEA 0183 by itself: wind, weather, position; nobody asks it.

Sentences ``$WIMWV`` (wind), ``$WIXDR`` (transducers: pressure, temperature, humidity) and
``$GPGLL`` (where it stands), each with the exclusive or of its bytes. Owns what it says
and how faults look in a stream.
"""

from firmware_sim.bench import Bench
from firmware_sim.faults import FaultKind
from firmware_sim.line.device import Spoken, told


def sentence(body: str) -> bytes:
    """Return a sentence with its checksum (NMEA 0183, 5.2)."""
    check = 0
    for byte in body.encode():
        check ^= byte
    return f"${body}*{check:02X}\r\n".encode()


class Weather:
    """One station."""

    end = b"\n"

    def __init__(self, bench: Bench, *, period_ms: int = 1000) -> None:
        self.bench = bench
        self.period_ms = period_ms

    def hear(self, line: bytes) -> list[Spoken]:
        """Take nothing: it has no ears."""
        return []

    def speak(self) -> bytes:
        """Return what it says this second."""
        verdict = self.bench.judge()
        spoken = b""
        for body in self._bodies():
            line = sentence(body)
            spoken += b"".join(one.data for one in told(line, verdict, check_at=len(line) - 4))
        arrives = verdict.kind in {None, FaultKind.SLOW, FaultKind.EXCEPTION}
        self.bench.note({"line": "speak", "ok": arrives}, verdict)
        return spoken

    def _bodies(self) -> list[str]:
        value = self.bench.value
        bar = value("pressure") / 1000
        air = f"C,{value('temperature'):.1f},C,Air,H,{value('humidity'):.1f},P,Air"
        return [
            f"WIMWV,{value('wind_direction'):.0f},R,{value('wind_speed'):.1f},M,A",
            f"WIXDR,P,{bar:.4f},B,Barometer,{air}",
            "GPGLL,4739.1200,N,00912.6000,E,120000,A,A",
        ]
