"""What a port's URL says about time: how long a byte takes, and the silence between frames.

Owns this arithmetic for every scheme, so that a configuration can be judged without opening a port.
Leaves out the silence that a person or a profile asks for beyond it (`BusSettings.inter_frame_ms`).
"""

from dataclasses import dataclass

from agent.buses.url import PortUrl, parse_url
from agent.core.ports import BusSettings

BAUD_RANGE = (50, 4_000_000)
SERIAL_OPTIONS = ("baud", "parity", "stop", "bits")
_FAST_BAUD = 19_200
_FAST_SILENCE_S = 0.00175
"""Above that speed the pause between frames is fixed (Modbus over Serial Line V1.02, 2.5.1.1)."""
_SILENCE_CHARACTERS = 3.5
_SHARED_SILENCE_MS = 5
"""On lines where frames are told apart by time: many a slave needs a moment to turn around."""
_FRAMED = frozenset({"tcp", "udp", "http", "snmp", "mqtt", "mqtts"})
"""Schemes whose frames say where they end."""
_CONVERTER_BITS = 11
"""A start bit, eight data bits, parity, stop: what a converter's line may use at most."""


@dataclass(frozen=True, slots=True)
class LineTiming:
    """The pace of one line; all zero where a network carries frames at once."""

    seconds_per_byte: float
    silence_s: float


def usual_silence_ms(url: str) -> int:
    """Return the least silence between frames where nobody says another.

    >>> usual_silence_ms("rtu+tcp://10.0.0.2:502"), usual_silence_ms("tcp://10.0.0.2:502")
    (5, 0)
    """
    return 0 if url.partition("://")[0] in _FRAMED else _SHARED_SILENCE_MS


def line_timing(settings: BusSettings) -> LineTiming:
    """Return the pace of a port.

    Raises:
        MistakeError: the URL has no such option, or lacks the speed of a serial line.
    """
    scheme = settings.url.partition("://")[0]
    if scheme == "serial":
        return serial_timing(parse_url(settings, SERIAL_OPTIONS))
    if scheme == "rtu+tcp":
        return converter_timing(parse_url(settings, ("baud",)))
    return LineTiming(0.0, 0.0)


def serial_timing(url: PortUrl) -> LineTiming:
    """Return the pace of a serial port.

    Raises:
        MistakeError: no speed, or an option that serial lines do not have.
    """
    if "baud" not in url.options:
        raise url.mistake("the line's speed is missing", "write serial:///dev/ttyUSB0?baud=9600")
    baud = url.number("baud", *BAUD_RANGE)
    parity = url.choice("parity", ("N", "E", "O"), "N") != "N"
    stop, bits = url.choice("stop", ("1", "2"), "1"), url.choice("bits", ("8", "7"), "8")
    character_s = (1 + int(bits) + parity + int(stop)) / baud
    slow = baud <= _FAST_BAUD
    return LineTiming(character_s, _SILENCE_CHARACTERS * character_s if slow else _FAST_SILENCE_S)


def converter_timing(url: PortUrl) -> LineTiming:
    """Return the pace of a line behind a converter, as far as its URL tells it.

    Raises:
        MistakeError: the speed is no speed.
    """
    character_s = _CONVERTER_BITS / url.number("baud", *BAUD_RANGE) if url.options else 0.0
    return LineTiming(character_s, _SILENCE_CHARACTERS * character_s)
