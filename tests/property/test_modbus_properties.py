"""Plans cover what they must within their limits; decoders survive whatever a wire carries."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.modbus import codec
from agent.drivers.modbus.codec import Framing, Query, Refusal
from agent.drivers.modbus.plan import plan, split
from agent.drivers.modbus.values import reading, registers
from shared.errors import RefusedError
from shared.model.profile import Point, RequestLimits
from shared.model.reading import Quality
from shared.model.registers import REGISTER_TYPES, RegisterAddress, Table
from tests.unit.test_modbus_codec import rtu, tcp


@st.composite
def maps(draw: st.DrawFn, most: int = 40) -> list[Point]:
    """Points that do not overlap, in any order."""
    points: list[Point] = []
    tables: list[Table] = ["input", "holding", "coil"]
    for table in draw(st.lists(st.sampled_from(tables), unique=True)):
        address = 0
        for index in range(draw(st.integers(0, most))):
            address += draw(st.integers(0, 12))
            kind = "bit" if table == "coil" else draw(st.sampled_from(REGISTER_TYPES))
            at = RegisterAddress(table, address, kind)
            points.append(Point(name=f"{table}-{index}", at=at, writable=table != "input"))
            address = at.end
    return draw(st.permutations(points))


request_limits = st.builds(
    RequestLimits, max_registers=st.integers(4, 125), max_gap=st.integers(0, 20)
)


@given(maps(), request_limits)
def test_a_plan_reads_each_point_once_and_obeys_the_limits(
    points: list[Point], allowed: RequestLimits
):
    blocks = plan(points, allowed)
    read = [point for block in blocks for point in block.points]
    assert sorted(read, key=id) == sorted(points, key=id)
    for block in blocks:
        most = allowed.max_registers * (16 if block.table == "coil" else 1)
        assert block.count <= min(most, 2_000)
        assert block.points[0].register.address == block.address
        assert block.points[-1].register.end == block.address + block.count
        for before, after in pairwise(block.points):
            assert before.register.table == after.register.table == block.table
            assert 0 <= after.register.address - before.register.end <= allowed.max_gap


@given(maps(most=4), request_limits)
def test_no_two_requests_of_a_plan_could_be_one(points: list[Point], allowed: RequestLimits):
    for one, two in combinations(plan(points, allowed), 2):
        joined = sorted((*one.points, *two.points), key=lambda point: point.register.address)
        if one.table == two.table and not between(joined, points):
            assert len(plan(joined, allowed)) == 2


def between(joined: list[Point], points: list[Point]) -> bool:
    """Tell whether other points lie among these."""
    low, high = joined[0].register, joined[-1].register
    return any(
        point not in joined
        and point.register.table == low.table
        and low.address < point.register.address < high.address
        for point in points
    )


@given(maps(), request_limits)
def test_taking_a_block_apart_loses_no_point_and_ends(points: list[Point], allowed: RequestLimits):
    for block in plan(points, allowed):
        parts = split(block, allowed)
        if len(block.points) == 1:
            assert not parts
            continue
        assert len(parts) > 1
        assert [point for part in parts for point in part.points] == list(block.points)
        assert sum(part.count for part in parts) <= block.count


@given(maps(), request_limits, st.data())
def test_every_point_gets_its_own_registers(
    points: list[Point], allowed: RequestLimits, data: st.DataObject
):
    for block in plan(points, allowed):
        words = [data.draw(st.integers(0, 1 if block.table == "coil" else 0xFFFF))] * block.count
        for point in block.points:
            start = point.register.address - block.address
            own = [1 if block.table == "coil" else 7] * point.register.count
            words[start : start + point.register.count] = own
            assert block.words_of(point, words) == own


decimals = st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-1000, max_value=1000, places=4
)


@given(decimals.filter(bool), decimals, st.sampled_from(REGISTER_TYPES[:6]), st.data())
def test_what_was_read_can_be_written_back_and_reads_the_same(scale, offset, kind, data):
    at = RegisterAddress("holding", 0, kind)
    point = Point(name="p", at=at, scale=scale, offset=offset, writable=True)
    low, high = at.range
    bound = 10**7  # times 1000.0000 is 15 digits, which a double gives back as they were
    words = at.encode(data.draw(st.integers(max(low, -bound), min(high, bound))))
    read = reading(point, words)
    assert read.value is not None
    assert read.quality is Quality.GOOD
    assert registers(point, read.value) == words


queries = st.one_of(
    st.builds(
        codec.read,
        st.sampled_from(["input", "holding"]),
        st.integers(0, 65_000),
        st.integers(1, 125),
    ),
    st.builds(
        codec.read,
        st.sampled_from(["coil", "discrete"]),
        st.integers(0, 60_000),
        st.integers(1, 2_000),
    ),
    st.builds(
        codec.write,
        st.just("holding"),
        st.integers(0, 65_000),
        st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=4),
        multiple=st.booleans(),
    ),
    st.builds(
        codec.write,
        st.just("coil"),
        st.integers(0, 65_535),
        st.lists(st.integers(0, 1), min_size=1, max_size=1),
    ),
)
framings = st.sampled_from(Framing)


def answer_to(query: Query, words: list[int]) -> bytes:
    """Return an answer's function code and data, from clause 6 of the specification."""
    if query.words:
        return query.pdu[:5]
    if query.function in {1, 2}:
        packed = sum(bit << place for place, bit in enumerate(words))
        data = packed.to_bytes((len(words) + 7) // 8, "little")
    else:
        data = b"".join(word.to_bytes(2) for word in words)
    return bytes([query.function, len(data)]) + data


@st.composite
def answered(draw: st.DrawFn) -> tuple[Query, list[int], bytes]:
    query = draw(queries)
    high = 1 if query.function in {1, 2} else 0xFFFF
    count = 0 if query.words else query.count
    seed = draw(st.lists(st.integers(0, high), min_size=1, max_size=8))
    words = [seed[place % len(seed)] for place in range(count)]
    return query, words, answer_to(query, words)


@given(answered(), framings, st.lists(st.integers(1, 40), max_size=8))
def test_an_answer_is_understood_however_it_is_cut(case, framing: Framing, cuts: list[int]):
    query, words, pdu = case
    decoder = codec.decoder(framing, query, unit=9, transaction=300)
    frame = rtu(9, pdu) if framing is Framing.RTU else tcp(300, 9, pdu)
    result = None
    for size in [*cuts, len(frame)]:
        assert result is None
        piece, frame = frame[:size], frame[size:]
        result = decoder.feed(piece)
        if not frame:
            break
    assert result == words


@given(answered(), st.data())
def test_a_few_bytes_of_noise_never_hide_an_answer_on_a_line(case, data: st.DataObject):
    query, words, pdu = case
    likely = [9, query.function, query.function | 0x80, pdu[1]]
    noise = bytes(data.draw(st.lists(st.sampled_from(likely), max_size=4)))
    decoder = codec.decoder(Framing.RTU, query, unit=9, transaction=300)
    line = noise + rtu(9, pdu)
    heard = [decoder.feed(line[place : place + 1]) for place in range(len(line))]
    assert heard == [None] * (len(line) - 1) + [words]


@given(queries, framings, st.lists(st.binary(max_size=300), max_size=5))
def test_noise_is_refused_or_waited_out_never_raised(query: Query, framing: Framing, noise):
    decoder = codec.decoder(framing, query, unit=9, transaction=300)
    for data in noise:
        try:
            answer = decoder.feed(data)
        except RefusedError:
            decoder.reset()
            continue
        assert answer is None or isinstance(answer, Refusal | list)


@given(answered(), framings, st.data())
def test_a_flipped_bit_never_becomes_another_answer(case, framing: Framing, data: st.DataObject):
    query, _, pdu = case
    decoder = codec.decoder(framing, query, unit=9, transaction=300)
    frame = bytearray(rtu(9, pdu) if framing is Framing.RTU else tcp(300, 9, pdu))
    # TCP has its own checksum: only what our header and structure checks see is flipped there.
    span = len(frame) if framing is Framing.RTU or query.words else 8
    bit = data.draw(st.integers(0, 8 * span - 1))
    frame[bit // 8] ^= 1 << bit % 8
    try:
        answer = decoder.feed(bytes(frame))
    except RefusedError:
        return
    assert answer is None or isinstance(answer, Refusal)
    assert framing is Framing.TCP or answer is None


@given(queries, st.binary(max_size=260))
def test_any_answer_unit_is_decoded_or_refused(query: Query, pdu: bytes):
    try:
        answer = query.decode(pdu)
    except RefusedError:
        return
    expected = 0 if query.words else query.count
    assert isinstance(answer, Refusal) or len(answer) == expected


def test_a_read_beyond_the_protocol_is_our_own_mistake():
    with pytest.raises(AssertionError):
        codec.read("input", 0, 126)
