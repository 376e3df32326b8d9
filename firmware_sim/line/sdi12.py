"""A soil probe on SDI-12 (V1.4): measures when told to, calls when it is done, gives its data.

Owns commands ``?!``, ``a!``, ``aI!``, ``aM!``, ``aMC!``, ``aM1!``, ``aD0!`` to ``aD9!`` and
``aR0!``. A probe of the model `soil` shows its depths as measurements: ``M`` the first, ``M1`` the
second. Leaves out the break and the marking before a command, which adapters make.
"""

from firmware_sim.bench import Bench
from firmware_sim.faults import FaultKind, Verdict
from firmware_sim.line.device import Spoken, told

_PROBES = {"M": 1, "M1": 2, "M2": 3, "M3": 4}
_VALUES_A_LINE = 2
"""Few on purpose: whoever reads must go on to D1."""


def checksum(text: bytes) -> bytes:
    """Return the checksum of values: CRC-16, three printable characters (4.4.12)."""
    crc = 0
    for byte in text:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return bytes((0x40 | crc >> 12, 0x40 | crc >> 6 & 0x3F, 0x40 | crc & 0x3F))


class Probe:
    """One sensor."""

    end = b"!"
    period_ms = 0

    def __init__(self, bench: Bench, *, address: str = "0", ready_s: int = 1) -> None:
        self.bench = bench
        self.address = address.encode()
        self._ready_s = ready_s
        self._values: list[bytes] = []
        self._crc = False

    def speak(self) -> bytes:
        """Return nothing: it answers only."""
        return b""

    def hear(self, line: bytes) -> list[Spoken]:
        """Take a command, without its exclamation mark."""
        line = line.lstrip(b"\0")
        if line == b"?":
            return [Spoken(self.address + b"\r\n")]
        if line[:1] != self.address:
            return []
        command = line[1:].decode("ascii", "replace")
        verdict = self.bench.judge()
        entry: dict[str, object] = {"line": command[:20]}
        if verdict.kind in {FaultKind.SILENCE, FaultKind.EXCEPTION}:
            self.bench.note(entry | {"ok": False}, verdict)
            return []
        answer = self._carry_out(command, verdict)
        self.bench.note(entry | {"ok": bool(answer) and verdict.kind is None}, verdict)
        return answer

    def _carry_out(self, command: str, verdict: Verdict) -> list[Spoken]:
        model = self.bench.device.model
        match command:
            case "":
                return self._told(b"", verdict)
            case "I":
                text = f"14{model.vendor:8.8}{model.product:6.6}{model.revision:3.3}SN001"
                return self._told(text.encode(), verdict)
            case "R0":
                return self._told(b"".join(self._measure(1)), verdict)
            case _ if command[:1] == "M":
                return self._begin(command, verdict)
            case _ if len(command) == 2 and command[0] == "D" and command[1].isdigit():
                return self._data(int(command[1]), verdict)
            case _:
                return []

    def _begin(self, command: str, verdict: Verdict) -> list[Spoken]:
        self._crc = "C" in command
        probe = _PROBES.get(command.replace("C", ""))
        if probe is None:
            return self._told(b"0000", verdict)
        self._values = self._measure(probe)
        begun = self._told(b"%03d%d" % (self._ready_s, len(self._values)), verdict)
        if self._ready_s and begun and verdict.kind is None:
            # It calls when it is done, which is never later than it said.
            begun.append(Spoken(self.address + b"\r\n", self._ready_s * 900))
        return begun

    def _measure(self, probe: int) -> list[bytes]:
        names = (f"p{probe}_vwc", f"p{probe}_temp", f"p{probe}_ec")
        return [b"%+.3f" % self.bench.value(name) for name in names]

    def _data(self, number: int, verdict: Verdict) -> list[Spoken]:
        first = number * _VALUES_A_LINE
        values = b"".join(self._values[first : first + _VALUES_A_LINE])
        return self._told(values, verdict, crc=self._crc)

    def _told(self, text: bytes, verdict: Verdict, *, crc: bool = False) -> list[Spoken]:
        line = self.address + text
        check_at = len(line) if crc else None
        line += checksum(line) if crc else b""
        return told(line + b"\r\n", verdict, check_at=check_at)
