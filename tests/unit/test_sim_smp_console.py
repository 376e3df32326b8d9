"""SMP on a serial console: lines, fragments, and everything else that is said there."""

import base64

import pytest

from firmware_sim.smp.console import Decoder, encode_lines
from firmware_sim.smp.packet import Malformed
from tests.smp_parts import lines_of, slow_crc


def test_the_example_of_the_client_library_is_written_byte_for_byte():
    assert encode_lines(b"Hello, world!") == b"\x06\x09AA9IZWxsbywgd29ybGQhet4=\n"
    assert slow_crc(b"123456789") == 0x31C3


@pytest.mark.parametrize("size", [0, 1, 88, 89, 90, 93, 500, 1_020])
def test_lines_are_short_and_carry_the_packet(size):
    packet = bytes(range(256)) * 5
    lines = encode_lines(packet[:size])
    assert lines == lines_of(packet[:size])
    assert max(map(len, lines.splitlines(keepends=True))) <= 127
    assert list(Decoder(2_048).feed(lines)) == [packet[:size]]


def test_what_others_print_is_passed_over():
    packet = bytes(300)
    noise = b"[00:01] <inf> booted\r\n\xff\xfe\n" + b"x" * 500 + b"\n"
    lines = noise + lines_of(packet).replace(b"\n", b"\n" + noise)
    assert list(Decoder(1_024).feed(lines)) == [packet]


def test_any_way_to_cut_the_lines_is_understood():
    packet = bytes(range(100))
    assert list(Decoder(1_024).feed(lines_of(packet, raw_bytes=3))) == [packet]


GOOD = lines_of(b"good packet")


@pytest.mark.parametrize(
    "damaged",
    [
        encode_lines(b"packet", damage=1),
        lines_of(bytes(200)).split(b"\n")[0] + b"\n",
        lines_of(bytes(200)).split(b"\n", 1)[1],
        b"\x06\x09!!!!\n",
        b"\x06\x09\n",
        b"\x06\x09" + base64.b64encode(b"\x00\x05abcdefgh") + b"\n",
        b"\x06\x09" + base64.b64encode(b"\x00\x00") + b"\n",
        b"\x06\x09" + b"A" * 400 + b"\n",
        lines_of(bytes(2_000)),
    ],
    ids=["crc", "cut", "headless", "base64", "empty", "long", "short", "overlong", "too-large"],
)
def test_damage_is_told_and_what_follows_is_understood(damaged):
    found = list(Decoder(1_024).feed(damaged + GOOD))
    assert found[-1] == b"good packet"
    assert found[:-1]
    assert all(isinstance(item, Malformed) for item in found[:-1])
