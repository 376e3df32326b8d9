"""SMP group 0: echo, time of day, reset, buffers, what it is and what boots it.

Written from Zephyr's "Default / OS Management Group".
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from firmware_sim.smp.board import Board
from firmware_sim.smp.packet import Fields, Payload, Rc, RefusalError
from shared.clock import MonoMs

GROUP = 0
_SWAP_USING_SCRATCH = 1
_FORMATS = {
    "s": "Zephyr",
    "n": "sensor-node",
    "r": "4.2.0",
    "v": "outstation-sim",
    "m": "arm",
    "p": "cortex-m4",
    "i": "outstation_sim/node",
    "o": "Zephyr",
}
"""Letters of the info command, in the order in which they are answered."""


class OsRc(IntEnum):
    """The group's own refusals."""

    INVALID_FORMAT = 2
    QUERY_YIELDS_NO_ANSWER = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffers:
    """What the device can hold of requests: decides how a client cuts an upload."""

    size: int = 1024
    count: int = 4


class OsGroup:
    """The commands of group 0."""

    def __init__(self, board: Board, buffers: Buffers) -> None:
        self._board, self._buffers = board, buffers
        self._clock_s = 0.0
        """What was set minus what is true."""
        self.wrong_clock_s = 0
        """While a fault is on: it shows this much too little."""

    def echo(self, fields: Fields) -> Payload:
        """Return what was sent (command 0)."""
        text = fields.text("d")
        if text is None:
            raise RefusalError(Rc.INVALID)
        return {"r": text}

    def read_datetime(self, _: Fields) -> Payload:
        """Return the time of day, UTC (command 4, read)."""
        now_s = self._board.time.now_s() + self._clock_s - self.wrong_clock_s
        shown = datetime.fromtimestamp(now_s, tz=UTC)
        return {"datetime": shown.strftime("%Y-%m-%dT%H:%M:%S.%f")}

    def write_datetime(self, fields: Fields) -> Payload:
        """Set the time of day (command 4, write)."""
        try:
            given = datetime.fromisoformat(fields.text("datetime") or "")
            given_s = given.replace(tzinfo=given.tzinfo or UTC).timestamp()
        except (ValueError, OverflowError):
            raise RefusalError(Rc.INVALID) from None
        self._clock_s = given_s - self._board.time.now_s()
        return {}

    def reset(self, now_ms: MonoMs) -> Payload:
        """Reset a moment after the answer (command 5)."""
        self._board.reset(now_ms)
        return {}

    def parameters(self, _: Fields) -> Payload:
        """Return the buffers (command 6)."""
        return {"buf_size": self._buffers.size, "buf_count": self._buffers.count}

    def info(self, fields: Fields) -> Payload:
        """Return what the device is, by letters as of `uname` (command 7)."""
        letters = fields.text("format") or "s"
        if set(letters) - {*_FORMATS, "a"}:
            raise RefusalError(OsRc.INVALID_FORMAT, group=GROUP, plain=Rc.INVALID)
        shown = (text for key, text in _FORMATS.items() if key in letters or "a" in letters)
        return {"output": " ".join(shown)}

    def bootloader(self, fields: Fields) -> Payload:
        """Return the bootloader's name, or its mode (command 8)."""
        query = fields.text("query")
        if query is None:
            return {"bootloader": "MCUboot"}
        if query != "mode":
            raise RefusalError(OsRc.QUERY_YIELDS_NO_ANSWER, group=GROUP, plain=Rc.NO_ENTRY)
        loader = self._board.loader
        return {"mode": _SWAP_USING_SCRATCH} | ({} if loader.downgrade else {"no-downgrade": True})
