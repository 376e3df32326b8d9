"""Decoders of the simulator: pieces do not matter, garbage neither raises nor sticks."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.clock import SimTime
from firmware_sim.modbus import pdu, rtu, tcp
from firmware_sim.station import Line, Station
from tests.sim_parts import HandTicks, mbap, pump, slow_crc
from tests.sim_parts import rtu as rtu_frame

units = st.integers(0, 255)
words = st.integers(0, 0xFFFF)


def reads(function):
    return st.builds(lambda a, c: bytes([function]) + a.to_bytes(2) + c.to_bytes(2), words, words)


writes = st.builds(
    lambda a, v: b"\x10" + a.to_bytes(2) + len(v).to_bytes(2) + bytes([2 * len(v)])
    + b"".join(w.to_bytes(2) for w in v),
    words,
    st.lists(words, min_size=1, max_size=123),
)  # fmt: skip
read_writes = st.builds(
    lambda head, v: b"\x17" + head + len(v).to_bytes(2) + bytes([2 * len(v)])
    + b"".join(w.to_bytes(2) for w in v),
    st.binary(min_size=6, max_size=6),
    st.lists(words, min_size=1, max_size=121),
)  # fmt: skip
requests = st.one_of(
    reads(3),
    reads(4),
    reads(6),
    writes,
    read_writes,
    st.just(b"\x11"),
    st.just(b"\x2b\x0e\x01\x00"),
)


def pieces(data: bytes, cuts: set[int]) -> list[bytes]:
    places = [0, *sorted(c for c in cuts if c < len(data)), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


cuts = st.sets(st.integers(0, 2000), max_size=20)


@given(st.lists(st.tuples(units, requests), max_size=6), cuts)
def test_any_chunking_of_a_serial_stream_gives_the_same_frames(sent, where):
    stream = b"".join(rtu_frame(unit, request) for unit, request in sent)
    decoder = rtu.Decoder()
    got = [item for piece in pieces(stream, where) for item in decoder.feed(piece)]
    assert got == [rtu.Frame(unit, request) for unit, request in sent]
    assert list(decoder.idle()) == []


@given(st.lists(st.tuples(words, units, st.binary(min_size=1, max_size=253)), max_size=6), cuts)
def test_any_chunking_of_a_connection_gives_the_same_frames(sent, where):
    stream = b"".join(mbap(*parts) for parts in sent)
    decoder = tcp.Decoder()
    got = [item for piece in pieces(stream, where) for item in decoder.feed(piece)]
    assert got == [tcp.Frame(*parts) for parts in sent]


@given(st.lists(st.binary(max_size=300), max_size=8), units, requests)
def test_serial_garbage_never_raises_and_ends_with_the_silence(garbage, unit, request_pdu):
    decoder = rtu.Decoder()
    for noise in garbage:
        for item in decoder.feed(noise):
            assert isinstance(item, rtu.Malformed | rtu.Frame)
        assert len(decoder._buffer) <= rtu.ADU_BYTES
    for _ in decoder.idle():
        pass
    assert not decoder.waits_for_silence
    assert list(decoder.feed(rtu_frame(unit, request_pdu))) == [rtu.Frame(unit, request_pdu)]


@given(units, requests, st.data())
def test_a_flipped_bit_in_a_serial_frame_is_never_a_request(unit, request_pdu, data):
    frame = bytearray(rtu_frame(unit, request_pdu))
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    frame[bit // 8] ^= 1 << bit % 8
    decoder = rtu.Decoder()
    items = [*decoder.feed(bytes(frame)), *decoder.idle()]
    assert not any(isinstance(item, rtu.Frame) for item in items)


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_garbage_on_a_connection_never_raises_and_is_bounded(garbage):
    decoder = tcp.Decoder()
    for noise in garbage:
        for item in decoder.feed(noise):
            if isinstance(item, tcp.Malformed) and item.fatal:
                assert decoder._buffer == bytearray() or decoder._lost
        assert len(decoder._buffer) <= tcp.LENGTH_MAX + 6


@given(st.binary(min_size=1, max_size=253))
def test_any_pdu_is_a_request_or_a_refusal(data):
    assert pdu.parse_request(data).function == data[0]


@pytest.mark.parametrize("line", list(Line))
@given(st.lists(st.tuples(units, st.one_of(requests, st.binary(min_size=1, max_size=253)))))
def test_no_request_breaks_a_station_and_every_answer_fits_a_frame(line, sent):
    station = Station(line, [pump(1), pump(7)], time=SimTime(HandTicks()))
    for unit, request_pdu in sent:
        reply = station.finish(station.hear(unit, request_pdu))
        if reply is not None:
            assert reply.pdu[0] & 0x7F == request_pdu[0] & 0x7F
            assert 2 <= len(reply.pdu) <= pdu.PDU_BYTES


@given(st.binary(max_size=256))
def test_the_crc_is_the_flow_chart_of_the_specification(data):
    assert rtu.crc16(data).to_bytes(2, "little") == slow_crc(data)
