"""Frames against the specification's examples, decoders against what lines really carry."""

from itertools import pairwise

import pytest

from agent.drivers.modbus import codec
from agent.drivers.modbus.codec import Framing, Query, Refusal, RtuDecoder, TcpDecoder
from shared.errors import Reason, RefusedError

# Modbus Application Protocol V1.1b3, clause 6: request PDU, response PDU, what is read.
EXAMPLES = [
    (codec.read("coil", 0x13, 19), "0100130013", "0103CD6B05", "1011001111010110101"),
    (
        codec.read("discrete", 0xC4, 22),
        "0200C40016",
        "0203ACDB35",
        "0011010111011011101011",
    ),
    (codec.read("holding", 0x6B, 3), "03006B0003", "0306022B00000064", [0x022B, 0, 0x64]),
    (codec.read("input", 8, 1), "0400080001", "0402000A", [0x0A]),
    (codec.write("coil", 0xAC, [1]), "0500ACFF00", "0500ACFF00", []),
    (codec.write("coil", 0xAC, [0]), "0500AC0000", "0500AC0000", []),
    (codec.write("holding", 1, [3]), "0600010003", "0600010003", []),
    (
        codec.write("coil", 0x13, [int(bit) for bit in "1011001110"]),
        "0F0013000A02CD01",
        "0F0013000A",
        [],
    ),
    (codec.write("holding", 1, [0x0A, 0x0102]), "100001000204000A0102", "1000010002", []),
    (codec.write("holding", 1, [3], multiple=True), "10000100010200" + "03", "1000010001", []),
]


@pytest.mark.parametrize(("query", "request_pdu", "answer_pdu", "words"), EXAMPLES)
def test_requests_and_answers_are_those_of_the_specification(
    query: Query, request_pdu: str, answer_pdu: str, words: str | list[int]
):
    assert query.pdu == bytes.fromhex(request_pdu)
    expected = [int(bit) for bit in words] if isinstance(words, str) else words
    assert query.decode(bytes.fromhex(answer_pdu)) == expected
    assert query.answer_size == len(bytes.fromhex(answer_pdu))


@pytest.mark.parametrize("query", [example[0] for example in EXAMPLES])
@pytest.mark.parametrize("framing", Framing)
def test_every_exception_becomes_a_refusal(query: Query, framing: Framing):
    decoder = codec.decoder(framing, query, unit=17, transaction=1)
    pdu = bytes([query.function | 0x80, 2])
    answer = rtu(17, pdu) if framing is Framing.RTU else tcp(1, 17, pdu)
    assert decoder.feed(answer) == Refusal(2)
    assert Refusal(2).text == "illegal data address (2)"
    assert Refusal(99).text == "unknown exception (99)"


def crc(data: bytes) -> bytes:
    """CRC of Modbus over Serial Line V1.02, 6.2.2, bit by bit."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


def rtu(unit: int, pdu: bytes) -> bytes:
    frame = bytes([unit]) + pdu
    return frame + crc(frame)


def tcp(transaction: int, unit: int, pdu: bytes) -> bytes:
    length = (1 + len(pdu)).to_bytes(2)
    return transaction.to_bytes(2) + b"\0\0" + length + bytes([unit]) + pdu


READ = codec.read("input", 0, 2)
ANSWER = bytes.fromhex("0404") + bytes.fromhex("10720001")
WORDS = [0x1072, 1]


def test_a_frame_on_the_line_is_unit_pdu_checksum():
    assert RtuDecoder(READ, 1).request == rtu(1, READ.pdu)


def test_a_frame_on_tcp_begins_with_transaction_and_length():
    assert TcpDecoder(READ, 1, 0x1234).request == tcp(0x1234, 1, READ.pdu)


@pytest.mark.parametrize("framing", Framing)
def test_an_answer_may_come_byte_by_byte(framing: Framing):
    decoder = codec.decoder(framing, READ, unit=1, transaction=7)
    answer = rtu(1, ANSWER) if framing is Framing.RTU else tcp(7, 1, ANSWER)
    assert len(answer) == decoder.answer_bytes
    fed = [decoder.feed(answer[i : i + 1]) for i in range(len(answer))]
    assert fed == [None] * (len(answer) - 1) + [WORDS]


@pytest.mark.parametrize("framing", Framing)
def test_what_was_fed_before_a_reset_does_not_count(framing: Framing):
    decoder = codec.decoder(framing, READ, unit=1, transaction=7)
    answer = rtu(1, ANSWER) if framing is Framing.RTU else tcp(7, 1, ANSWER)
    assert decoder.feed(answer[:-1]) is None
    decoder.reset()
    assert decoder.feed(answer) == WORDS


@pytest.mark.parametrize(
    "noise",
    [
        b"\x00",
        b"\xff\xfe\x80",
        b"\x01",  # our own unit number
        b"\x01\x04",  # even its function
        rtu(2, ANSWER),  # a late answer of another device
        rtu(1, bytes.fromhex("030410720001")),  # of the same device to another function
        rtu(1, bytes.fromhex("04021072")),  # or of another length
        READ.pdu,
        rtu(1, READ.pdu),  # an adapter that hears itself
    ],
)
def test_noise_before_an_answer_on_a_line_is_skipped(noise: bytes):
    assert RtuDecoder(READ, 1).feed(noise + rtu(1, ANSWER)) == WORDS


@pytest.mark.parametrize("cuts", [(), (8,), (9,), (13,), (13, 17)])
def test_the_echo_of_a_write_is_passed_over(cuts: tuple[int, ...]):
    several = codec.write("holding", 100, [1, 2])
    decoder, answer = RtuDecoder(several, 1), rtu(1, bytes([16, 0, 100, 0, 2]))
    data, answers = decoder.request + answer, []
    for begin, end in pairwise([0, *cuts, len(data)]):
        answers.append(decoder.feed(data[begin:end]))
    assert answers == [None] * len(cuts) + [[]], "an echo confirms nothing"
    decoder.reset()
    assert decoder.feed(answer) == [], "and a line without echoes has none"


def test_a_wrong_checksum_on_a_line_is_refused_at_once():
    damaged = bytearray(rtu(1, ANSWER))
    damaged[4] ^= 1
    with pytest.raises(RefusedError) as caught:
        RtuDecoder(READ, 1).feed(bytes(damaged))
    assert caught.value.reason is Reason.DEVICE_BAD_FRAME


def test_noise_without_end_is_refused_before_it_fills_the_memory():
    decoder = RtuDecoder(READ, 1)
    assert decoder.feed(b"\x55" * 500) is None
    with pytest.raises(RefusedError, match="no answer among them"):
        decoder.feed(b"\x55" * 50)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (tcp(6, 1, ANSWER), "the transaction before"),
        (tcp(7, 2, ANSWER), "another unit"),
        (tcp(6, 1, b"\x84\x02"), "an exception to the transaction before"),
    ],
)
def test_other_frames_on_tcp_are_skipped(other: bytes, why: str):
    assert TcpDecoder(READ, 1, 7).feed(other + tcp(7, 1, ANSWER)) == WORDS, why


@pytest.mark.parametrize(
    ("frame", "detail"),
    [
        (tcp(7, 1, bytes.fromhex("030410720001")), "function 3 answers 4"),
        (tcp(7, 1, bytes.fromhex("04021072")), "4 bytes answer a request for 2"),
        (tcp(7, 1, bytes.fromhex("04031072" + "0001")), "6 bytes answer a request for 2"),
        (b"\0\7\0\1\0\7\1" + ANSWER, "no Modbus TCP header"),
        (b"\0\7\0\0\xff\xff\1", "no Modbus TCP header"),
        (b"\0\7\0\0\0\1\1", "no Modbus TCP header"),
        (b"HTTP/1.1 400 Bad Request\r\n", "no Modbus TCP header"),
    ],
)
def test_what_cannot_be_the_answer_on_tcp_is_refused(frame: bytes, detail: str):
    with pytest.raises(RefusedError, match=detail):
        TcpDecoder(READ, 1, 7).feed(frame)


@pytest.mark.parametrize("framing", Framing)
def test_the_confirmation_of_another_write_is_refused(framing: Framing):
    query = codec.write("holding", 1, [3])
    other = bytes.fromhex("0600010004")
    decoder = codec.decoder(framing, query, unit=1, transaction=7)
    with pytest.raises(RefusedError, match="confirms another write"):
        decoder.feed(rtu(1, other) if framing is Framing.RTU else tcp(7, 1, other))


def test_only_reads_may_be_repeated_and_only_lines_fear_late_answers():
    read, write = READ, codec.write("holding", 1, [3])
    assert RtuDecoder(read, 5).repeatable
    assert TcpDecoder(read, 5, 1).repeatable
    assert not RtuDecoder(write, 5).repeatable
    assert not TcpDecoder(write, 5, 1).repeatable
    assert RtuDecoder(read, 5).peer == 5
    assert TcpDecoder(read, 5, 1).peer is None
