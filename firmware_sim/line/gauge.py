"""A tank gauge that answers one line to one request, as hundreds of instruments do.

Requests are ``#AA`` with the address in two digits, a command, the sum of all these bytes as two
hexadecimal digits, and a carriage return: ``RD`` asks for level, temperature and the alarm's state,
``SPnnnn`` sets the level in millimetres above which it raises the alarm, ``SP?`` asks for it,
``ID`` for what it is. Answers begin with ``>AA``, refusals with ``?AA``.
"""

from firmware_sim.bench import Bench
from firmware_sim.faults import FaultKind
from firmware_sim.line.device import Spoken, told


def frame(body: bytes) -> bytes:
    """Return a line with its sum and its end."""
    return b"%s%02X\r" % (body, sum(body) % 256)


class Gauge:
    """One gauge."""

    end = b"\r"
    period_ms = 0

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def speak(self) -> bytes:
        """Return nothing: it answers only."""
        return b""

    def hear(self, line: bytes) -> list[Spoken]:
        """Take a request; others' and damaged ones are passed over in silence."""
        body, check = line[1:-2], line[-2:]
        if line[:1] != b"#" or b"%02X" % (sum(line[:-2]) % 256) != check:
            self.bench.hear_malformed(len(line))
            return []
        address, command = body[:2], body[2:]
        if address != b"%02d" % self.bench.device.unit:
            return []
        verdict = self.bench.judge()
        entry: dict[str, object] = {"line": command.decode("ascii", "replace")[:40]}
        if verdict.kind is FaultKind.SILENCE:
            self.bench.note(entry | {"ok": False}, verdict)
            return []
        refused = verdict.kind is FaultKind.EXCEPTION
        answer = None if refused else self._carry_out(command)
        self.bench.note(entry | {"ok": answer is not None and verdict.kind is None}, verdict)
        out = frame((b"?" if answer is None else b">") + address + (answer or b""))
        return told(out, verdict, check_at=len(out) - 3)

    def _carry_out(self, command: bytes) -> bytes | None:
        if command == b"RD":
            level, celsius = self.bench.value("level"), self.bench.value("temperature")
            alarm = b"HIGH" if level > self.bench.value("alarm_level") else b"OK"
            return b"%+.1f,%+.1f,%s" % (level, celsius, alarm)
        if command == b"SP?":
            return b"SP%04d" % self.bench.value("alarm_level")
        if command == b"ID":
            model = self.bench.device.model
            return f"{model.vendor},{model.product},{model.revision}".encode()
        if command.startswith(b"SP") and len(command) == 6 and command[2:].isdigit():
            return b"SP" if self.bench.change("alarm_level", int(command[2:])) else None
        return None
