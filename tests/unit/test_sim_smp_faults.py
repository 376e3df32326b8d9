"""The simulated sensor node with bad firmware and faults, and what its ledger tells."""

import cbor2
import pytest

from firmware_sim.bootloader import Slot
from firmware_sim.ledger import LedgerSummary
from firmware_sim.smp.board import Firmware, read_firmware
from firmware_sim.smp.node import Medium
from shared.errors import MistakeError
from tests.smp_parts import READ, WRITE, Bench, image, request, response
from tests.unit.test_sim_smp_node import FIRST


@pytest.fixture
def bench():
    return Bench()


# --- firmware and faults ------------------------------------------------------------------------
def test_how_firmware_behaves_stands_in_its_image():
    words = b"\0\0outstation-sim: self-check=fails crashes-after=3\nmore"
    assert read_firmware(words) == Firmware(self_check=False, crashes_after_ms=3_000)
    assert read_firmware(b"outstation-sim: hangs") == Firmware(hangs=True)
    assert read_firmware(b"\xff\xfeanything") == Firmware()


def behaving(words: bytes) -> Bench:
    bench = Bench()
    bench.upload(image("2.0.0", body=b"outstation-sim: " + words))
    bench.ask(WRITE, 1, 0, {"hash": bench.images()[1]["hash"]})
    bench.restart(500)
    return bench


@pytest.mark.parametrize("words", [b"self-check=fails", b"crashes-after=2", b"hangs"])
def test_a_bad_image_is_reverted_by_the_device_itself(words):
    bench = behaving(words)
    assert bench.boots()[-1] == ("test", "2.0.0")
    assert (bench.ask(WRITE, 0, 0, {"d": "x"}) is None) == (words == b"hangs")
    bench.pass_ms(10_000)
    assert bench.boots()[-1] == ("revert", "1.0.0")
    assert bench.ask(WRITE, 0, 0, {"d": "x"}) == {"r": "x"}


def test_a_self_check_that_fails_is_visible_and_a_confirmed_image_stays():
    bench = behaving(b"self-check=fails")
    assert bench.ask(READ, 2, 0, {"name": "node"})["fields"]["self_check"] == 0
    bench.ask(WRITE, 1, 0, {"confirm": True})
    bench.pass_ms(10_000)
    bench.pass_ms(10_000)
    assert bench.shown()[0] == ("2.0.0", ["confirmed", "active"])


def test_a_reset_comes_after_its_answer_and_nothing_answers_while_it_boots(bench):
    assert bench.ask(WRITE, 0, 5) == {}
    assert bench.ask(WRITE, 0, 0, {"d": "x"}) == {"r": "x"}
    bench.pass_ms(250)
    assert bench.ask(WRITE, 0, 0, {"d": "x"}) is None
    assert bench.node.unheard == 1
    bench.pass_ms(100)
    assert bench.ask(WRITE, 0, 0, {"d": "x"}) == {"r": "x"}


def test_a_reboot_loop_goes_on_until_it_is_switched_off():
    bench = Bench(faults=["reboot-loop=5"])
    for _ in range(3):
        bench.pass_ms(5_200)
    assert len(bench.boots()) == 4
    bench.node.clear_faults()
    bench.pass_ms(60_000)
    assert len(bench.boots()) == 4
    bench.node.add_faults("reboot-loop=1")
    bench.pass_ms(10_000_000)
    assert 1_000 <= len(bench.boots()) <= 1_010


@pytest.mark.parametrize("operation", range(1, 40))
def test_a_brown_out_in_an_upload_costs_the_upload_and_nothing_else(operation):
    bench, data = Bench(faults=[f"power-cut={operation}"]), image("2.0.0")
    at = 0
    while (answer := bench.send_piece(data, at)) is not None:
        at = answer["off"]
        assert at < len(data)
    assert bench.ask(WRITE, 0, 0, {"d": "x"}) is None
    bench.pass_ms(1_000)
    assert bench.shown()[0] == ("1.0.0", ["confirmed", "active"])
    assert bench.upload(data) == {"off": len(data), "match": True}


def test_a_brown_out_in_a_swap_ends_with_the_new_image(bench):
    bench.upload(image("2.0.0"))
    bench.ask(WRITE, 1, 0, {"hash": bench.images()[1]["hash"]})
    bench.node.add_faults("power-cut=50")
    bench.restart(3_000)
    assert bench.ledger()[-1].get("resumed") is True
    assert bench.shown()[0] == ("2.0.0", ["active"])


def test_a_bricked_device_never_comes_back():
    bench = Bench(faults=["brick"])
    assert bench.ask(WRITE, 0, 0, {"d": "x"}) == {"r": "x"}
    bench.restart(100_000)
    bench.node.clear_faults()
    assert bench.ask(WRITE, 0, 0, {"d": "x"}) is None
    assert bench.ledger()[-2]["event"] == "dead"


def test_a_full_flash_refuses_and_is_told_from_a_lost_link(bench):
    bench.node.add_faults("flash-full")
    assert bench.send_piece(image("2.0.0"), 0) == {"err": {"group": 1, "rc": 12}}
    file = {"name": "/lfs/a", "off": 0, "data": b"x", "len": 1}
    assert bench.ask(WRITE, 8, 0, file) == {"err": {"group": 8, "rc": 10}}
    bench.node.clear_faults()
    assert bench.send_piece(image("2.0.0"), 0) == {"off": 700}


def test_a_slow_erase_keeps_the_device_busy(bench):
    bench.upload(image("2.0.0"))
    bench.node.add_faults("slow-erase=300")
    answer = bench.node.finish(bench.node.hear(request(WRITE, 1, 5)))
    assert answer.busy_ms == 900


def test_a_wrong_clock_shows_another_time(bench):
    bench.node.add_faults("wrong-clock=86400")
    assert bench.ask(READ, 0, 4) == {"datetime": "2025-10-08T08:53:20.000000"}


@pytest.mark.parametrize(
    ("fault", "served"),
    [("silence", False), ("lost-reply", True), ("garbage", True), ("exception=6", False)],
)
def test_a_fault_of_a_request_decides_whether_it_is_served(fault, served):
    bench = Bench(medium=Medium.SERIAL, faults=[fault])
    exchange = bench.node.hear(request(WRITE, 1, 1, FIRST))
    assert exchange is not None
    answer = bench.node.finish(exchange)
    reply = None if answer.packet is None else response(answer.packet)
    assert reply == ({"rc": 6} if fault == "exception=6" else None)
    assert (answer.noise is not None) == (fault == "garbage")
    assert bench.loader.content(Slot.SECONDARY, 700) == (FIRST["data"] if served else b"\xff" * 700)
    assert bench.ledger()[-1]["ok"] is False


def test_a_read_whose_answer_is_lost_is_not_counted(bench):
    asked = {"name": "sensors"}
    bench.node.add_faults("lost-reply")
    assert bench.ask(READ, 2, 0, asked) is None
    bench.node.clear_faults()
    assert bench.ask(READ, 2, 0, asked)["fields"]["poll_count"] == 1


def test_a_udp_node_has_no_faults_of_a_serial_line():
    for fault in ("bad-crc", "noise"):
        with pytest.raises(MistakeError, match="serial"):
            Bench(faults=[fault])
        Bench(medium=Medium.SERIAL, faults=[fault])


# --- ledger -------------------------------------------------------------------------------------
def test_the_ledger_tells_every_request_and_never_the_bytes(bench):
    data = image("2.0.0", size=1_000)
    bench.upload(data)
    bench.ask(READ, 9, 9)
    lines = [{k: v for k, v in row.items() if not k.endswith("_ms")} for row in bench.ledger()[1:]]
    assert lines == [
        {"node": 1, "smp": [1, 1], "op": 2, "seq": 0, "off": 0, "len": len(data), "size": 700}
        | {"ok": True, "next": 700},
        {"node": 1, "smp": [1, 1], "op": 2, "seq": 0, "off": 700, "size": len(data) - 700}
        | {"ok": True, "next": len(data)},
        {"node": 1, "smp": [9, 9], "op": 0, "seq": 0, "ok": False, "rc": 8},
    ]
    assert cbor2.dumps(data)[8:24].hex() not in str(bench.lines)


def test_a_summary_of_registers_passes_over_a_sensor_nodes_lines(bench):
    summary = LedgerSummary()
    bench.upload(image("2.0.0"))
    summary.feed(b"".join(bench.lines))
    assert (summary.unreadable, summary.requests) == (0, 0)
