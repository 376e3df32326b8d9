"""The contact's pure parts: ranges, framing, block choice, and what frees what."""

from hypothesis import given
from hypothesis import strategies as st

from shared import limits
from shared.errors import RefusedError
from shared.sync.body import BodyDecoder, Part, PartKind, decode_body, encode_body, part_bytes
from shared.sync.outgoing import Candidate, choose_blocks, freed_by, freeze_report
from shared.sync.ranges import Ranges
from shared.trust.documents import Reply, Report, open_report
from shared.wire.messages import LossRow, Receipt, Tally
from tests.unit.trust_world import FLEET, NOW, signer

numbers = st.sets(st.integers(1, 60))
parts = st.lists(
    st.builds(Part, st.sampled_from(PartKind), st.binary(max_size=300)), min_size=1, max_size=8
)


@given(numbers, st.integers(1, 60))
def test_ranges_hold_exactly_the_numbers_that_were_added(members: set[int], probe: int) -> None:
    ranges = Ranges.of(members)
    assert (probe in ranges) == (probe in members)
    spelled = {n for first, last in ranges for n in range(first, last + 1)}
    assert spelled == members
    assert all(b[0] - a[1] > 1 for a, b in zip(ranges.spans, ranges.spans[1:], strict=False))


@given(numbers, st.integers(1, 60), st.integers(1, 60))
def test_missing_is_the_complement_within_its_bounds(members: set[int], a: int, b: int) -> None:
    first, last = min(a, b), max(a, b)
    gaps = Ranges.of(members).missing(first, last)
    spelled = {n for low, high in gaps for n in range(low, high + 1)}
    assert spelled == set(range(first, last + 1)) - members


@given(parts, st.lists(st.integers(1, 50), max_size=40))
def test_a_body_decodes_the_same_however_its_bytes_arrive(
    sent: list[Part], sizes: list[int]
) -> None:
    body = encode_body(sent)
    decoder, got, position = BodyDecoder(len(body)), [], 0
    for size in [*sizes, len(body)]:
        got += decoder.feed(body[position : position + size])
        position += size
    decoder.finish()
    assert got == sent
    assert len(body) == 3 + sum(part_bytes(len(part.data)) for part in sent)


@given(parts, st.data())
def test_a_cut_body_is_never_taken_for_a_whole_one(sent: list[Part], data: st.DataObject) -> None:
    body = encode_body(sent)
    size = data.draw(st.integers(0, len(body) - 1))
    try:
        got = decode_body(body[:size], bound=len(body))
    except RefusedError:
        return
    assert got == sent[: len(got)]
    assert len(got) < len(sent)


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_else_is_raised(garbage: bytes) -> None:
    for data in (garbage, b"OS\x01" + garbage):
        try:
            decode_body(data, bound=150)
        except RefusedError:
            continue


blocks = st.lists(
    st.builds(
        Candidate,
        seq=st.integers(1, 10_000),
        priority=st.integers(0, 2),
        size=st.integers(1, 5_000),
        digest=st.just(bytes(16)),
    ),
    unique_by=lambda c: c.seq,
    max_size=120,
)


@given(blocks, st.integers(0, 60_000))
def test_the_choice_obeys_its_budget_and_never_stands_still(
    waiting: list[Candidate], budget: int
) -> None:
    chosen = choose_blocks(waiting, budget_bytes=budget)
    assert bool(chosen) == bool(waiting)
    assert len({c.seq for c in chosen}) == len(chosen) <= limits.BLOCKS_PER_REPORT
    assert sum(part_bytes(c.size) for c in chosen[1:]) <= budget
    urgency = [c.priority for c in chosen]
    assert urgency == sorted(urgency)


@given(blocks)
def test_newest_goes_first_and_the_backlog_gets_half(waiting: list[Candidate]) -> None:
    routine = sorted((c for c in waiting if c.priority == 2), key=lambda c: c.seq)
    chosen = choose_blocks(routine, budget_bytes=10**9)
    if len(routine) < 4:
        return
    assert chosen[0] == routine[-1]
    assert chosen[1] == routine[0]
    backlog = {c.seq for c in routine[: len(routine) // 2]}
    first_half = chosen[: max(2, len(chosen) // 2)]
    assert sum(c.seq in backlog for c in first_half) >= len(first_half) // 2 - 1


def base(counter: int = 7) -> Report:
    return Report(
        fleet=FLEET,
        agent="north-1",
        boot_id=bytes(16),
        counter=counter,
        previous=bytes(32),
        telemetry_epoch=b"t" * 16,
        jobs_epoch=b"j" * 16,
        bundle_seq=3,
        root_version=1,
        floor_ms=NOW,
        wall_ms=NOW,
        mono_ms=1,
        clock_state=2,
        next_block=10_001,
        tally=Tally(10, 0, 5, 5, 0),
        refusals={"wrong_audience": 3},
    )


receipts = st.lists(
    st.builds(
        Receipt,
        number=st.integers(1, 10_000),
        execution=st.just(bytes(16)),
        device=st.sampled_from(["", "pump-1"]),
        state=st.integers(0, 30),
        attempt=st.integers(0, 9),
        reason=st.integers(0, 500),
        wall_ms=st.just(NOW),
        detail=st.text(max_size=100),
        result=st.dictionaries(st.text("abc", min_size=1, max_size=9), st.integers(0, 99)),
    ),
    max_size=30,
)
losses = st.lists(
    st.builds(
        LossRow,
        number=st.integers(1, 999),
        reason=st.just(200),
        first_ms=st.just(NOW),
        last_ms=st.just(NOW),
        count=st.integers(1, 9),
    ),
    max_size=30,
)


@given(blocks, receipts, losses)
def test_a_report_always_fits_and_keeps_the_order_of_what_it_carries(
    waiting: list[Candidate], facts: list[Receipt], rows: list[LossRow]
) -> None:
    key = signer("agent")
    frozen = freeze_report(base(), blocks=waiting, receipts=facts, ledger=rows, signer=key)
    report = open_report(frozen.envelope, key.public_key)
    assert report.receipts == facts[: len(report.receipts)]
    assert report.ledger == rows[: len(report.ledger)]
    assert [b.seq for b in report.blocks] == [c.seq for c in waiting[: len(report.blocks)]]
    assert frozen.blocks == tuple(b.seq for b in report.blocks)
    if facts:
        assert report.receipts, "the oldest receipt must always travel, or nothing ever would"


@given(
    blocks,
    st.lists(st.tuples(st.integers(1, 10_000), st.integers(0, 500)), max_size=5),
    st.integers(0, 9),
)
def test_an_answer_frees_only_what_this_report_announced_or_carried(
    waiting: list[Candidate], spans: list[tuple[int, int]], told_to: int
) -> None:
    facts = [Receipt(n, bytes(16), "", 2, 1, 0, NOW) for n in (3, 4, 5)]
    rows = [LossRow(n, 200, NOW, NOW, 1) for n in (1, 2)]
    sent = freeze_report(
        base(), blocks=waiting, receipts=facts, ledger=rows, signer=signer("agent")
    )
    acked = [(first, first + extra) for first, extra in spans]
    reply = Reply(
        "north-1", sent.digest, NOW, 0, acked=acked, receipts_to=told_to, ledger_to=told_to
    )
    freed = freed_by(reply, sent, telemetry_epoch=b"t" * 16, jobs_epoch=b"j" * 16)
    got = {n for low, high in freed.blocks for n in range(low, high + 1)}
    told = {n for low, high in acked for n in range(low, high + 1)}
    assert got == set(sent.blocks) & told
    assert (freed.receipts_to, freed.ledger_to) == (min(told_to, 5), min(told_to, 2))
    other = freed_by(reply, sent, telemetry_epoch=b"x" * 16, jobs_epoch=b"y" * 16)
    assert (other.blocks, other.receipts_to, other.ledger_to) == (Ranges(), 0, 0)
