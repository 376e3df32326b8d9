"""The ledger: what was really served and written, added up from its own lines."""

import json

from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.clock import SimTime
from firmware_sim.ledger import Ledger, LedgerSummary
from firmware_sim.station import Line, Station
from shared import limits
from shared.clock import MonoMs
from tests.sim_parts import HandTicks, pump, read_pdu, write_pdu


class Bench:
    """A station on a hand-set clock whose ledger goes into a summary and a list."""

    def __init__(self, *faults: str, line: Line = Line.SERIAL) -> None:
        self.ticks = HandTicks()
        self.lines: list[bytes] = []
        ledger = Ledger(self.lines.append, self.ticks)
        devices = [pump(1), pump(2)]
        self.station = Station(
            line, devices, faults=faults, ledger=ledger, time=SimTime(self.ticks)
        )

    def ask(self, pdu: bytes, unit: int = 1):
        return self.station.finish(self.station.hear(unit, pdu))

    def poll(self, times: int, interval_ms: int = 1_000) -> None:
        for _ in range(times):
            self.ticks.advance(interval_ms)
            self.ask(read_pdu(0, 12))

    @property
    def summary(self) -> LedgerSummary:
        summary = LedgerSummary()
        summary.feed(b"".join(self.lines))
        assert summary.unreadable == 0
        return summary


def test_a_merged_read_counts_for_each_defined_point_inside_it():
    bench = Bench()
    bench.ask(read_pdu(0, 12))
    bench.ask(read_pdu(0, 5))  # half of the energy counter
    bench.ask(read_pdu(100, 2, 3))
    summary = bench.summary
    assert summary.reads(1, "pressure") == 2
    assert summary.reads(1, "energy") == 1
    assert summary.reads(1, "poll_count") == 1
    assert summary.reads(1, "setpoint") == 1
    assert summary.reads(2, "pressure") == 0
    assert (summary.starts, summary.requests, summary.failed) == (2, 3, 0)


def test_the_poll_counter_shows_what_the_ledger_counts():
    bench = Bench("silence:after=3,for=4")
    bench.poll(10)
    last = bench.ask(read_pdu(10, 2)).pdu
    assert int.from_bytes(last[2:]) == bench.summary.reads(1, "poll_count") == 7


def test_a_faulted_answer_is_not_served():
    for fault in ("silence", "garbage", "bad-crc", "exception", "lost-reply"):
        summary_of = Bench(fault)
        summary_of.poll(3)
        summary = summary_of.summary
        assert (summary.reads(1, "pressure"), summary.requests, summary.failed) == (0, 3, 3), fault
        assert list(summary.polls(1)) == []


def test_a_slow_answer_is_served():
    bench = Bench("slow=50")
    bench.poll(3)
    assert bench.summary.reads(1, "pressure") == 3


def test_an_exception_of_the_device_itself_is_noted_and_not_served():
    bench = Bench()
    bench.ask(write_pdu(100, 9_999))
    bench.ask(b"\x01\x00\x00\x00\x01")
    summary = bench.summary
    assert (summary.writes, summary.failed) == ([], 2)
    assert [json.loads(line).get("exception") for line in bench.lines[2:]] == [3, 1]


def test_a_write_is_noted_with_its_values_and_whether_the_master_learned_of_it():
    bench = Bench()
    bench.ask(write_pdu(100, 4200))
    bench.station.add_faults("lost-reply")
    bench.ask(write_pdu(100, 4300))
    bench.station.clear_faults()
    bench.station.add_faults("silence")
    bench.ask(write_pdu(100, 4400))
    writes = bench.summary.writes
    assert [(w.unit, w.address, w.values, w.answered) for w in writes] == [
        (1, 100, (4200,), True),
        (1, 100, (4300,), False),
    ]


def test_a_broadcast_is_a_write_to_every_unit():
    bench = Bench()
    assert bench.ask(write_pdu(100, 4000), unit=0) is None
    assert [(w.unit, w.values) for w in bench.summary.writes] == [(1, (4000,)), (2, (4000,))]


def test_write_and_read_in_one_request_counts_as_both():
    bench = Bench()
    bench.ask(bytes.fromhex("17 0064 0002 0064 0001 02 1068"))
    summary = bench.summary
    assert summary.reads(1, "ramp_seconds") == 1
    assert [(w.address, w.values) for w in summary.writes] == [(100, (0x1068,))]


def test_noise_on_the_line_is_counted():
    bench = Bench()
    bench.station.hear_malformed(7)
    assert bench.summary.malformed == 1


def test_the_longest_gap_is_found_inside_an_interval():
    bench = Bench()
    begin_ms = bench.ticks.mono_ms()
    bench.poll(5)
    bench.poll(1, interval_ms=7_000)
    bench.poll(5)
    end_ms = bench.ticks.mono_ms()
    summary = bench.summary

    def gap(start_ms, stop_ms, **which):
        return summary.longest_gap_ms(
            unit=1, start_ms=MonoMs(start_ms), end_ms=MonoMs(stop_ms), **which
        )

    assert gap(begin_ms, end_ms) == 7_000
    assert gap(begin_ms, begin_ms + 5_000) == 1_000
    # It began before the interval and ends after it: it counts whole.
    assert gap(begin_ms + 7_000, begin_ms + 8_000) == 7_000
    assert gap(end_ms - 3_000, end_ms) == 1_000
    # No poll at all: the interval itself is the gap.
    assert gap(begin_ms, end_ms, table="holding") == end_ms - begin_ms
    assert gap(end_ms - 1_000, end_ms + 60_000) == 60_000


def test_a_restart_begins_a_new_part_of_the_same_ledger():
    first, second = Bench(), Bench()
    first.poll(2)
    second.poll(3)
    summary = LedgerSummary()
    summary.feed(b"".join(first.lines + second.lines))
    assert (summary.starts, summary.reads(1, "pressure")) == (4, 5)


def test_a_damaged_line_is_counted_and_the_rest_is_read():
    bench = Bench()
    bench.poll(1)
    summary = LedgerSummary()
    summary.feed(
        b"".join(bench.lines[:2]) + b'{"unit":1,"fc"\n[]\n{"unit":true}\n' + bench.lines[2]
    )
    assert (summary.unreadable, summary.reads(1, "pressure")) == (3, 1)


def test_a_line_without_an_end_is_bounded():
    summary = LedgerSummary()
    summary.feed(b"x" * (limits.LEDGER_LINE_BYTES + 1))
    assert summary.unreadable == 1
    assert summary._tail == b""


@given(st.data())
def test_the_pieces_in_which_a_ledger_is_read_do_not_matter(data):
    bench = Bench("silence:p=0.3")
    bench.poll(5)
    bench.ask(write_pdu(100, 4200))
    whole = b"".join(bench.lines)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=8)))
    summary = LedgerSummary()
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        summary.feed(whole[start:end])
    expected = bench.summary
    assert summary.served == expected.served
    assert summary.writes == expected.writes
    assert list(summary.polls(1)) == list(expected.polls(1))
