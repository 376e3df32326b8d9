"""SDI-12: a sensor is told to measure, says how long that takes, calls, and is asked for its data.

Owns commands and answers of SDI-12 V1.4, 4.4, with and without checksum, as one exchange: nobody
else may use the line until the sensor has called, or the time that it told is over. Leaves out the
break and the marking before a command, which the adapter makes, and metadata. Pure.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent.core.patient import Patient
from agent.drivers.line.framing import Lines, crc16
from shared import limits
from shared.errors import Reason, RefusedError
from shared.model.line_address import SDI12_ADDRESSES

_BEGUN: Final = re.compile(r"([0-9]{3})([0-9]{1,2})")
"""Seconds until it is ready, and how many values there will be."""
_VALUES: Final = re.compile(r"(?:[+-](?:[0-9]{1,7}(?:\.[0-9]{0,7})?|\.[0-9]{1,7}))*")
"""There is one way to read each value: with two, a long answer that ends badly takes hours."""
_VALUE: Final = re.compile(r"[+-][0-9.]+")
_GRACE_MS: Final = 500
"""Beyond the time that the sensor has told."""
_ANSWER_BYTES: Final = 40
_DATA: Final = 10
"""Data commands: D0 to D9."""
_CRC_CHARS: Final = 3


def crc_text(data: bytes) -> str:
    """Return a checksum as three characters (4.4.12.2).

    >>> crc_text(b"0+3.14")
    'OqZ'
    """
    value = crc16(data, initial=0)
    return "".join(chr(0x40 | value >> shift & 0x3F) for shift in (12, 6, 0))


@dataclass(frozen=True, slots=True)
class SensorIdentity:
    """What ``aI!`` tells (4.4.6)."""

    version: str
    vendor: str
    model: str
    firmware: str
    more: str


class _Command:
    """What all of them have; see `agent.core.ports.FrameDecoder`."""

    repeatable = True
    """Nothing that is sent here changes anything."""

    def __init__(self, address: int, command: str) -> None:
        self.unit = self.peer = address
        self.answer_bytes = _ANSWER_BYTES
        self._address = SDI12_ADDRESSES[address]
        self.frame = f"{self._address}{command}!".encode()
        """What is sent."""
        self._lines = Lines("\r\n")

    def _texts(self, data: bytes) -> list[str]:
        """Return what the sensor says, without its address; others' lines are left out."""
        texts: list[str] = []
        for line in self._lines.feed(data):
            text = line.decode("ascii", "replace")
            # An adapter for one wire hears what it says, and a break is heard as a zero byte.
            text = text.lstrip("\0").rpartition("!")[2]
            if text.startswith(self._address):
                texts.append(text[1:])
        return texts


class Identify(_Command):
    """Asks what the sensor is."""

    def __init__(self, address: int) -> None:
        super().__init__(address, "I")

    def reset(self) -> None:
        """Forget what was fed."""
        self._lines = Lines("\r\n")

    def feed(self, data: bytes) -> SensorIdentity | None:
        """Return what it tells."""
        for text in self._texts(data):
            if len(text) >= 19 and text.isprintable() and text[:2].isdigit():
                cut = (text[:2], text[2:10], text[10:16], text[16:19], text[19:32])
                return SensorIdentity(*(part.strip() for part in cut))
        return None


class Measure(_Command, Patient):
    """Makes the sensor measure and collects its values."""

    def __init__(self, address: int, source: str, *, wait_ms: int, crc: bool) -> None:
        super().__init__(address, source)
        self._at_once = source.startswith("R")
        self._wait_ms, self._crc = wait_ms, crc
        self.reset()

    def reset(self) -> None:
        """Forget what was fed."""
        self._lines = Lines("\r\n")
        self.answered, self.next_wait_ms = 0, 0
        self._values: list[str] = []
        self._count: int | None = None
        self._asks: list[bytes] = []
        self._data = -1
        """Number of the data command that was sent last; below 0: none yet."""
        self._uncalled = False
        """It was asked for data although it did not call."""

    def overdue(self) -> bool:
        """Ask a sensor that did not call for its data: its time is over."""
        if not self._count or self._data >= 0:
            return False
        self._uncalled = True
        self._ask_data()
        return True

    def following(self) -> Sequence[bytes]:
        """Return the command that is due, once."""
        asks, self._asks = self._asks, []
        return asks

    def feed(self, data: bytes) -> list[str] | None:
        """Return the values once all are there, or the sensor has no more.

        Raises:
            RefusedError: a checksum does not fit, or the sensor needs longer than it may.
        """
        for text in self._texts(data):
            self.answered += 1
            if not text and self._uncalled:
                # It calls after all, while its data is on its way.
                self._uncalled = False
            elif self._at_once or self._data >= 0:
                if self._collect(text):
                    return self._values
            elif self._count is None:
                if self._begin(text):
                    return self._values
            elif not text:
                self._ask_data()
        return None

    def _begin(self, text: str) -> bool:
        """Take the answer to the command itself; tell whether there is nothing to come."""
        found = _BEGUN.fullmatch(text)
        if found is None:
            raise RefusedError(Reason.DEVICE_BAD_FRAME, "the sensor does not say when it is ready")
        ready_ms, self._count = int(found[1]) * 1000, int(found[2])
        if ready_ms > self._wait_ms:
            raise RefusedError(
                Reason.DEVICE_BAD_FRAME,
                f"the sensor needs {ready_ms} ms, wait_ms allows {self._wait_ms}",
            )
        if not self._count:
            return True
        if not ready_ms:
            self._ask_data()
        else:
            self.next_wait_ms = ready_ms + _GRACE_MS
        return False

    def _collect(self, text: str) -> bool:
        """Take an answer with values; tell whether it was the last."""
        if self._crc:
            body, check = text[:-_CRC_CHARS], text[-_CRC_CHARS:]
            if crc_text(f"{self._address}{body}".encode("ascii", "replace")) != check:
                raise RefusedError(Reason.DEVICE_BAD_FRAME, "the values' checksum does not fit")
            text = body
        if not _VALUES.fullmatch(text):
            raise RefusedError(Reason.DEVICE_BAD_FRAME, "the sensor answers no values")
        values = _VALUE.findall(text)
        self._values += values
        most = limits.SDI12_VALUES if self._count is None else self._count
        if self._at_once or not values or len(self._values) >= most or self._data + 1 >= _DATA:
            del self._values[most:]
            return True
        self._ask_data()
        return False

    def _ask_data(self) -> None:
        self._data += 1
        self.next_wait_ms = 0
        self._asks = [f"{self._address}D{self._data}!".encode()]
