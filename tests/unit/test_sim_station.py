"""A station: who is addressed, and what each fault makes of an answer."""

import pytest

from firmware_sim.clock import SimTime
from firmware_sim.station import Line, Station
from shared.errors import MistakeError
from tests.sim_parts import HandTicks, pump, read_pdu, write_pdu


def station(line: Line, *faults: str, units=(1, 2)) -> Station:
    return Station(line, [pump(u) for u in units], faults=faults, time=SimTime(HandTicks()))


def ask(served: Station, pdu: bytes, unit: int = 1):
    return served.finish(served.hear(unit, pdu))


SETTING = read_pdu(100, 1, 3)


def test_each_unit_has_settings_of_its_own():
    served = station(Line.SERIAL)
    ask(served, write_pdu(100, 1234), unit=2)
    assert ask(served, SETTING, 1).pdu == bytes.fromhex("03 02 0DAC")
    assert ask(served, SETTING, 2).pdu == bytes.fromhex("03 02 04D2")


def test_nobody_answers_for_a_stranger_on_a_serial_line_and_a_gateway_says_so_on_tcp():
    serial, tcp = station(Line.SERIAL), station(Line.TCP)
    assert ask(serial, SETTING, 9) is None
    assert ask(tcp, SETTING, 9).pdu == bytes.fromhex("83 0B")
    assert (serial.strangers, tcp.strangers) == (1, 1)


@pytest.mark.parametrize("unit", [0, 255])
def test_unit_0_and_255_mean_the_device_itself_on_tcp(unit):
    served = station(Line.TCP, units=(5, 6))
    ask(served, write_pdu(100, 1), unit)
    assert ask(served, SETTING, 5).pdu == bytes.fromhex("03 02 0001")


def test_a_broadcast_reaches_all_and_nobody_answers():
    served = station(Line.SERIAL)
    assert ask(served, write_pdu(100, 77), 0) is None
    assert [ask(served, SETTING, u).pdu[-1] for u in (1, 2)] == [77, 77]
    assert ask(served, SETTING, 0) is None


def test_another_slaves_answer_overheard_on_the_line_is_ignored():
    assert ask(station(Line.SERIAL), bytes.fromhex("83 02"), 1) is None


@pytest.mark.parametrize(
    ("fault", "applied"),
    [
        ("silence", False),
        ("exception", False),
        ("lost-reply", True),
        ("garbage", True),
        ("bad-crc", True),
    ],
)
def test_a_fault_says_whether_the_write_took_effect(fault, applied):
    served = station(Line.SERIAL, fault)
    ask(served, write_pdu(100, 4200))
    served.clear_faults()
    expected = 4200 if applied else 3500
    assert ask(served, SETTING).pdu[2:] == expected.to_bytes(2)


def test_each_fault_answers_in_its_own_way():
    assert ask(station(Line.SERIAL, "silence"), SETTING) is None
    assert ask(station(Line.SERIAL, "lost-reply"), SETTING) is None
    assert ask(station(Line.SERIAL, "exception"), SETTING).pdu == bytes.fromhex("83 04")
    assert ask(station(Line.SERIAL, "exception=6"), SETTING).pdu == bytes.fromhex("83 06")
    assert ask(station(Line.SERIAL, "bad-crc"), SETTING).damaged
    assert ask(station(Line.SERIAL, "garbage"), SETTING).noise
    assert station(Line.SERIAL, "slow=40").hear(1, SETTING).delay_ms == 40


def test_write_and_read_in_one_request_writes_first_or_not_at_all():
    served = station(Line.SERIAL)
    write_then_read = bytes.fromhex("17 0064 0001 0064 0001 02 0001")
    assert ask(served, write_then_read).pdu == bytes.fromhex("17 02 0001")
    too_high = bytes.fromhex("17 0064 0001 0064 0001 02 FFFF")
    assert ask(served, too_high).pdu == bytes.fromhex("97 03")
    assert ask(served, SETTING).pdu == bytes.fromhex("03 02 0001")


def test_it_says_what_it_is():
    served = station(Line.SERIAL)
    assert ask(served, b"\x11", 2).pdu == b"\x11\x0a\x02\xffSIM-PUMP"
    assert b"SIM-PUMP" in ask(served, bytes.fromhex("2B 0E 01 00")).pdu


def test_impossible_stations_are_refused():
    for build in (
        lambda: Station(Line.TCP, []),
        lambda: Station(Line.TCP, [pump(1), pump(1)]),
        lambda: station(Line.TCP, "bad-crc"),
        lambda: station(Line.TCP).set_value("setpoint", 1, unit=9),
    ):
        with pytest.raises(MistakeError):
            build()
