"""The sensor node under any request: an answer for each, and always an image that can be booted."""

from itertools import pairwise

import cbor2
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.flash import PAGE_BYTES, SECTOR_BYTES, Flash
from firmware_sim.smp.console import Decoder
from tests.smp_parts import HEAD, WRITE, Bench, image, lines_of, loader, request

NEW = image("2.0.0", size=5_000)
FIELDS = ("d", "off", "data", "len", "sha", "hash", "confirm", "name", "slot", "image", "upgrade")
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 5),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["/lfs/a", "sensors", "sha256", "mode"]),
    st.binary(max_size=40),
    st.sampled_from([NEW[:32], NEW[:700], bytes(32)]),
    st.lists(st.integers(0, 3), max_size=2),
)
maps = st.dictionaries(st.sampled_from(FIELDS), values, max_size=6)
asked = st.tuples(
    st.sampled_from([0, 2]),
    st.sampled_from([0, 1, 2, 8]),
    st.integers(0, 9),
    st.integers(0, 255),
    maps,
)


@given(st.lists(asked, max_size=8), st.sampled_from([0, 1]))
def test_every_request_has_an_answer_and_what_runs_goes_on_running(requests, version):
    bench = Bench(loader(sectors=4))
    for op, group, command, seq, given_map in requests:
        packet = request(op, group, command, given_map, seq=seq, version=version)
        exchange = bench.node.hear(packet)
        assert exchange is not None
        answer = bench.node.finish(exchange).packet
        assert answer is not None
        assert len(answer) <= bench.node.buffers.size
        head = HEAD.unpack_from(answer)
        assert (head[0], *head[3:]) == (version << 3 | op + 1, group, seq, command)
        assert isinstance(cbor2.loads(answer[HEAD.size :]), dict)
        bench.pass_ms(2_000)
    assert bench.boots()[-1][1] == "1.0.0"


packets = st.binary(max_size=600)
cuts = st.sets(st.integers(0, 3_000), max_size=20)


@given(st.lists(packets, max_size=5), cuts, st.binary(max_size=30).map(lambda b: b + b"\n"))
def test_any_chunking_of_a_console_gives_the_same_packets(sent, where, chatter):
    if chatter[:2] in {b"\x06\x09", b"\x04\x14"} or b"\n" in chatter[:-1]:
        chatter = b"chatter\n"
    stream = chatter.join(lines_of(packet) for packet in sent)
    places = [0, *sorted(cut for cut in where if cut < len(stream)), len(stream)]
    decoder = Decoder(1_024)
    got = [item for a, b in pairwise(places) for item in decoder.feed(stream[a:b])]
    assert got == sent


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_no_stream_makes_a_decoder_hold_more_than_its_buffers(stream):
    decoder = Decoder(256)
    for piece in stream:
        list(decoder.feed(b"\x06\x09" + piece))
        held = len(decoder._line) + len(decoder._packet or b"")
        assert held <= 256 + 127


@settings(max_examples=25)
@given(st.data())
def test_an_upload_in_any_pieces_with_any_losses_arrives_whole(data):
    bench, at, answer = Bench(loader(sectors=4)), 0, {"off": 0}
    while at < len(NEW):
        size = data.draw(st.integers(400, 900))
        answer = bench.send_piece(NEW, at, size)
        assert at < answer["off"] or (at == 0 and answer["off"])
        if data.draw(st.booleans()):
            # The answer was lost: the client begins anew and is told where the device stands.
            begun = answer["off"] < len(NEW)
            answer = bench.send_piece(NEW, 0, size) if begun else answer
        at = answer["off"]
    assert answer == {"off": len(NEW), "match": True}
    bench.ask(WRITE, 1, 0, {"hash": bench.images()[1]["hash"], "confirm": True})
    bench.restart(5_000)
    assert bench.boots()[-1] == ("permanent", "2.0.0")


writes = st.lists(
    st.one_of(
        st.integers(0, 3),
        st.tuples(st.integers(0, 4 * SECTOR_BYTES - 600), st.binary(min_size=1, max_size=600)),
    ),
    max_size=12,
)


@given(writes)
def test_flash_clears_bits_sets_them_by_sector_and_loses_nothing_else(actions):
    flash, plain = Flash(4 * SECTOR_BYTES), bytearray(b"\xff" * 4 * SECTOR_BYTES)
    for action in actions:
        if isinstance(action, int):
            flash.erase(action * SECTOR_BYTES, SECTOR_BYTES)
            plain[action * SECTOR_BYTES : (action + 1) * SECTOR_BYTES] = b"\xff" * SECTOR_BYTES
        else:
            at, data = action
            flash.write(at, data)
            for place, byte in enumerate(data, start=at):
                plain[place] &= byte
    assert flash.read(0, flash.size) == plain
    pages = sum(-(-len(action[1]) // PAGE_BYTES) for action in actions if isinstance(action, tuple))
    assert flash.operations >= pages
