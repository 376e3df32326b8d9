"""The agent's SMP codec against the simulated device's, written apart, and against noise."""

from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.smp import console, packet
from agent.drivers.smp.codec import Ear, Framing
from agent.drivers.smp.packet import Refusal, Request
from firmware_sim.smp import console as theirs
from firmware_sim.smp import packet as their_packet

values = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name not in {"rc", "err"}),
    st.integers(-(1 << 40), 1 << 40) | st.text(max_size=20) | st.binary(max_size=300),
    max_size=5,
)
numbers = st.integers(0, 255)


@given(values, numbers, st.sampled_from([packet.V1, packet.V2]))
def test_what_the_agent_asks_the_device_understands(given_values, sequence: int, version: int):
    request = Request(packet.WRITE, 1, 1, given_values)
    whole = packet.encode(request, sequence=sequence, version=version)
    lines = console.frame(whole)
    assert len(lines) == console.framed_bytes(len(whole))
    (heard,) = theirs.Decoder(65_536).feed(lines)
    assert heard == whole
    header = their_packet.parse_header(whole)
    assert isinstance(header, their_packet.Header)
    assert (header.sequence, header.version) == (sequence, version)
    assert their_packet.parse_fields(whole).given == given_values


@given(values, numbers, st.lists(st.integers(1, 40), max_size=20), st.binary(max_size=60))
def test_what_the_device_answers_the_agent_hears_however_it_is_cut(
    given_values, sequence: int, cuts: list[int], noise: bytes
):
    header = their_packet.Header(version=1, op=2, group=1, sequence=sequence, command=1)
    lines = noise.replace(b"\x06", b"").replace(b"\x04", b"") + b"\n"
    lines += theirs.encode_lines(their_packet.encode_response(header, given_values))
    ear, found = Ear(Framing.CONSOLE), []
    for size in cuts:
        found += list(ear.hear(lines[:size]))
        lines = lines[size:]
    found += list(ear.hear(lines))
    (response,) = found
    assert response.reply == given_values
    assert response.answers(Request(packet.WRITE, 1, 1, {}), sequence)


@given(st.integers(1, 100), st.none() | st.integers(0, 70), st.sampled_from([0, 1]))
def test_refusals_of_both_versions_are_heard(rc: int, group: int | None, version: int):
    header = their_packet.Header(version=version, op=0, group=1, sequence=3, command=0)
    refusal = their_packet.RefusalError(rc, group=group)
    response = packet.decode(their_packet.encode_refusal(header, refusal))
    assert response is not None
    general = group is None or version == 0
    plain = rc if group is None else int(refusal.plain)
    assert response.reply == (Refusal(plain) if general else Refusal(rc, group))


@given(st.binary(max_size=400))
def test_noise_is_never_an_error(data: bytes):
    packet.decode(data)
    list(Ear(Framing.CONSOLE).hear(data))
    list(Ear(Framing.CONSOLE).hear(b"\x06\x09" + data + b"\n\x04\x14" + data + b"\n"))
    head = packet.HEADER.pack(0x09, 0, len(data), 1, 7, 0)
    packet.decode(head + data)
