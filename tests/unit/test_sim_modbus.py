"""The simulator's codecs against the byte examples that the Modbus specifications print."""

import pytest

from firmware_sim.modbus import pdu, rtu, tcp
from firmware_sim.modbus.pdu import ExceptionCode, Identify, Read, ReadWrite, Refusal, Write
from tests.sim_parts import rtu as frame
from tests.sim_parts import slow_crc


def h(text: str) -> bytes:
    return bytes.fromhex(text)


# --- Modbus Application Protocol Specification V1.1b3 -------------------------------------------
def test_read_holding_registers_is_the_example_of_6_3():
    assert pdu.parse_request(h("03 006B 0003")) == Read(3, 0x6B, 3)
    assert pdu.read_response(3, (0x022B, 0, 0x64)) == h("03 06 022B 0000 0064")


def test_read_input_registers_is_the_example_of_6_4():
    assert pdu.parse_request(h("04 0008 0001")) == Read(4, 8, 1)
    assert pdu.read_response(4, (0x0A,)) == h("04 02 000A")


def test_write_single_register_is_the_example_of_6_6():
    request = pdu.parse_request(h("06 0001 0003"))
    assert request == Write(6, 1, (3,))
    assert pdu.write_response(request) == h("06 0001 0003")


def test_write_multiple_registers_is_the_example_of_6_12():
    request = pdu.parse_request(h("10 0001 0002 04 000A 0102"))
    assert request == Write(16, 1, (0x0A, 0x0102))
    assert pdu.write_response(request) == h("10 0001 0002")


def test_read_write_registers_is_the_example_of_6_17():
    request = pdu.parse_request(h("17 0003 0006 000E 0003 06 00FF 00FF 00FF"))
    assert request == ReadWrite(23, Read(23, 3, 6), Write(23, 0x0E, (255, 255, 255)))
    words = (0x00FE, 0x0ACD, 1, 3, 0x0D, 0xFF)
    assert pdu.read_response(23, words) == h("17 0C 00FE 0ACD 0001 0003 000D 00FF")


def test_basic_device_identification_is_the_example_of_6_21():
    request = pdu.parse_request(h("2B 0E 01 00"))
    assert request == Identify(43, 1, 0)
    texts = {0: "Company identification", 1: "Product code XX", 2: "V2.11"}
    # The specification prints 0D as the length of its 15 characters "Product code XX".
    assert pdu.identify_response(request, texts) == (
        h("2B 0E 01 81 00 00 03")
        + h("00 16") + b"Company identification"
        + h("01 0F") + b"Product code XX"
        + h("02 05") + b"V2.11"
    )  # fmt: skip


def test_one_object_is_identified_alone_and_an_unknown_one_is_exception_2():
    texts = {0: "a", 1: "bc", 2: "d"}
    assert pdu.identify_response(Identify(43, 4, 1), texts) == h("2B 0E 04 81 00 00 01 01 02 6263")
    assert pdu.identify_response(Identify(43, 4, 9), texts) == h("AB 02")


def test_a_stream_that_starts_at_an_unknown_object_starts_over():
    assert pdu.identify_response(Identify(43, 1, 9), {0: "a", 1: "b", 2: "c"})[6] == 3


def test_a_category_has_its_own_objects_and_those_below_it():
    texts = {0: "a", 1: "b", 2: "c", 5: "model", 0x80: "serial"}
    counts = [pdu.identify_response(Identify(43, code, 0), texts)[6] for code in (1, 2, 3)]
    assert counts == [3, 4, 5]
    assert pdu.identify_response(Identify(43, 1, 0), texts)[3] == 0x83


def test_a_stream_that_is_too_long_says_where_it_goes_on():
    texts = dict.fromkeys(range(5), "x" * 100)
    first = pdu.identify_response(Identify(43, 2, 0), texts)
    assert (first[4:7], len(first)) == (h("FF 02 02"), 211)
    assert pdu.identify_response(Identify(43, 2, 4), texts)[4:7] == h("00 00 01")


def test_an_exception_response_is_the_example_of_clause_7():
    assert pdu.exception_response(1, ExceptionCode.ILLEGAL_DATA_ADDRESS) == h("81 02")


@pytest.mark.parametrize(
    ("request_hex", "code"),
    [
        ("01 0000 0001", 1),  # coils: this server has none
        ("64", 1),
        ("2B 0D 00", 1),  # CANopen inside of function 43
        ("03 0000 0000", 3),
        ("03 0000 007E", 3),  # 126 registers
        ("04 0000", 3),
        ("03 FFFF 0002", 2),
        ("06 0001", 3),
        ("10 0001 0002 03 000A 01", 3),
        ("10 0001 0000 00", 3),
        ("10 FFFF 0002 04 0000 0000", 2),
        ("17 0000 0001 0000 0001 02 00", 3),
        ("17 FFFF 0002 0000 0001 02 0000", 2),
        ("2B 0E 05 00", 3),
        ("11 00", 3),
    ],
)
def test_a_request_against_the_rules_gets_the_exception_of_its_state_diagram(request_hex, code):
    request = h(request_hex)
    assert pdu.parse_request(request) == Refusal(request[0], ExceptionCode(code))


def test_125_registers_may_be_read_and_123_written():
    assert pdu.parse_request(h("03 0000 007D")) == Read(3, 0, 125)
    request = pdu.parse_request(h("10 0000 007B F6") + bytes(246))
    assert request == Write(16, 0, (0,) * 123)


# --- Modbus over Serial Line V1.02 --------------------------------------------------------------
def test_the_crc_is_the_example_of_6_2_2():
    assert rtu.crc16(h("02 07")) == 0x1241
    assert rtu.encode_frame(2, h("07")) == h("02 07 41 12")


def test_the_crc_agrees_with_the_flow_chart_of_the_specification():
    data = bytes(range(256))
    assert rtu.crc16(data).to_bytes(2, "little") == slow_crc(data)


def test_frames_that_follow_each_other_without_silence_are_told_apart():
    decoder = rtu.Decoder()
    first, second = h("10 0001 0002 04 000A 0102"), h("03 006B 0003")
    assert list(decoder.feed(frame(1, first) + frame(2, second))) == [
        rtu.Frame(1, first),
        rtu.Frame(2, second),
    ]
    assert not decoder.waits_for_silence


def test_silence_ends_a_frame_whose_function_is_unknown():
    decoder = rtu.Decoder()
    assert list(decoder.feed(frame(1, h("64 01 02")))) == []
    assert decoder.waits_for_silence
    assert list(decoder.idle()) == [rtu.Frame(1, h("64 01 02"))]


def test_a_write_inside_of_rubbish_is_not_found():
    decoder = rtu.Decoder()
    rubbish = h("01 03 0000 0001 FFFF") + frame(1, h("06 0064 0001"))
    assert [type(item) for item in decoder.feed(rubbish)] == [rtu.Malformed]
    assert list(decoder.feed(frame(1, h("06 0064 0001")))) == []  # nor behind it
    assert list(decoder.idle()) == []
    good = frame(1, h("06 0064 0002"))
    assert list(decoder.feed(good)) == [rtu.Frame(1, h("06 0064 0002"))]


def test_silence_inside_of_a_frame_drops_its_half():
    decoder = rtu.Decoder()
    assert list(decoder.feed(h("01 03 00"))) == []
    assert list(decoder.idle()) == [rtu.Malformed(3)]
    assert list(decoder.feed(frame(1, h("03 0000 0001")))) == [rtu.Frame(1, h("03 0000 0001"))]


# --- Modbus Messaging on TCP/IP Implementation Guide V1.0b --------------------------------------
def test_the_mbap_header_is_the_example_of_3_1_3():
    decoder = tcp.Decoder()
    request = h("1501 0000 0006 FF 03 0004 0001")
    assert list(decoder.feed(request)) == [tcp.Frame(0x1501, 0xFF, h("03 0004 0001"))]
    assert tcp.encode_frame(0x1501, 0xFF, h("03 02 0005")) == h("1501 0000 0005 FF 03 02 0005")


def test_requests_in_flight_together_are_told_apart():
    one = tcp.encode_frame(1, 1, h("03 0000 0001"))
    two = tcp.encode_frame(2, 9, h("04 0000 0001"))
    assert list(tcp.Decoder().feed(one + two)) == [
        tcp.Frame(1, 1, h("03 0000 0001")),
        tcp.Frame(2, 9, h("04 0000 0001")),
    ]


def test_a_frame_of_another_protocol_is_skipped_and_the_next_is_read():
    alien, good = h("0001 0007 0003 01 AA BB"), tcp.encode_frame(2, 1, h("03 0000 0001"))
    assert list(tcp.Decoder().feed(alien + good)) == [
        tcp.Malformed(9, fatal=False),
        tcp.Frame(2, 1, h("03 0000 0001")),
    ]


@pytest.mark.parametrize("length", [0, 1, 255, 0xFFFF])
def test_an_impossible_length_ends_the_stream(length):
    decoder = tcp.Decoder()
    stream = h("0001 0000") + length.to_bytes(2) + bytes(8)
    assert list(decoder.feed(stream)) == [tcp.Malformed(14, fatal=True)]
    assert list(decoder.feed(tcp.encode_frame(2, 1, h("03 0000 0001")))) == []
