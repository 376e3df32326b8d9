"""The simulated sensor node: what it answers, images, files."""

from hashlib import sha256

import pytest

from firmware_sim.smp.os_group import Buffers
from tests.smp_parts import HEAD, READ, STRANGER, WRITE, Bench, image, loader, request, response


@pytest.fixture
def bench():
    return Bench()


# --- group 0 ------------------------------------------------------------------------------------
def test_it_echoes_and_tells_its_buffers(bench):
    assert bench.ask(WRITE, 0, 0, {"d": "hello"}) == {"r": "hello"}
    assert bench.ask(READ, 0, 6) == {"buf_size": 1024, "buf_count": 4}
    small = Bench(buffers=Buffers(size=384, count=2))
    assert small.ask(READ, 0, 6) == {"buf_size": 384, "buf_count": 2}


def test_an_answer_goes_back_with_the_numbers_of_its_question(bench):
    exchange = bench.node.hear(request(WRITE, 0, 0, {"d": ""}, seq=77))
    head = HEAD.unpack_from(bench.node.finish(exchange).packet)
    assert (head[0], head[3:]) == (0x0B, (0, 77, 0))


def test_the_clock_can_be_set(bench):
    assert bench.ask(READ, 0, 4) == {"datetime": "2025-10-09T08:53:20.000000"}
    assert bench.ask(WRITE, 0, 4, {"datetime": "2031-01-02T03:04:05.5+01:00"}) == {}
    bench.pass_ms(1_000)
    assert bench.ask(READ, 0, 4) == {"datetime": "2031-01-02T02:04:06.500000"}
    assert bench.ask(WRITE, 0, 4, {"datetime": "tomorrow"}) == {"rc": 3}


def test_it_says_what_it_is(bench):
    assert bench.ask(READ, 0, 7, {"format": "sm"}) == {"output": "Zephyr arm"}
    assert bench.ask(READ, 0, 7, {"format": "?"}) == {"err": {"group": 0, "rc": 2}}
    assert bench.ask(READ, 0, 8) == {"bootloader": "MCUboot"}
    assert bench.ask(READ, 0, 8, {"query": "mode"}) == {"mode": 1}
    strict = Bench(loader(downgrade=False))
    assert strict.ask(READ, 0, 8, {"query": "mode"}) == {"mode": 1, "no-downgrade": True}
    assert bench.ask(READ, 0, 8, {"query": "colour"}) == {"err": {"group": 0, "rc": 3}}


def test_measurements_are_statistics_that_count_their_reads(bench):
    assert bench.ask(READ, 2, 1) == {"stat_list": ["sensors", "node"]}
    bench.node.sensors.set_value("p1_vwc", 0.231, 0.0)
    bench.node.sensors.set_value("p1_temp", -3.5, 0.0)
    rows = [bench.ask(READ, 2, 0, {"name": "sensors"})["fields"] for _ in range(3)]
    assert [row["poll_count"] for row in rows] == [1, 2, 3]
    assert (rows[0]["p1_vwc"], rows[0]["p1_temp"]) == (231, -35)
    assert bench.ask(READ, 2, 0, {"name": "node"})["fields"]["boots"] == 1
    assert bench.ask(READ, 2, 0, {"name": "none"}) == {"err": {"group": 2, "rc": 2}}


# --- refusals -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("packet", "answer"),
    [
        (request(READ, 9, 0), {"rc": 8}),
        (request(READ, 0, 5), {"rc": 8}),
        (request(WRITE, 0, 0, {}), {"rc": 3}),
        (request(WRITE, 0, 0, {"d": b"bytes"}), {"rc": 3}),
        (request(WRITE, 0, 0, [1]), {"rc": 3}),
        (request(WRITE, 0, 0, {1: 2}), {"rc": 3}),
        (request(WRITE, 0, 0, {"d": "x"})[:-1], {"rc": 9}),
        (request(WRITE, 0, 0, {"d": "x"}, version=2), {"rc": 13}),
        (HEAD.pack(0x0A, 0, 2, 0, 0, 0) + b"\xa1\x61", {"rc": 3}),
        (request(WRITE, 0, 0, {"d": "x" * 1_010}), {"r": "x" * 1_010}),
        (request(WRITE, 0, 0, {"d": "x" * 1_020}), {"rc": 7}),
        (request(READ, 2, 0, {"name": "none"}, version=0), {"rc": 3}),
        (request(WRITE, 1, 1, {"off": 0, "data": b"x" * 40, "len": 40}, version=0), {"rc": 3}),
    ],
)
def test_what_cannot_be_served_gets_its_reason(bench, packet, answer):
    assert response(bench.node.finish(bench.node.hear(packet)).packet) == answer


@pytest.mark.parametrize("packet", [b"", b"\x08" * 7, b"\x09" + bytes(7), b"\x0b" + bytes(7)])
def test_what_is_no_request_is_not_answered(bench, packet):
    assert bench.node.hear(packet) is None
    assert bench.node.malformed == 1
    assert bench.ledger()[-1]["event"] == "malformed"


# --- images -------------------------------------------------------------------------------------
def test_a_new_image_is_uploaded_tested_and_confirmed(bench):
    data = image("2.0.0", size=20_000)
    assert bench.upload(data) == {"off": len(data), "match": True}
    digest = bench.images()[1]["hash"]
    assert bench.shown() == [("1.0.0", ["confirmed", "active"]), ("2.0.0", [])]
    bench.ask(WRITE, 1, 0, {"hash": digest, "confirm": False})
    assert bench.shown() == [("1.0.0", ["confirmed", "active"]), ("2.0.0", ["pending"])]
    bench.restart()
    assert bench.shown() == [("2.0.0", ["active"]), ("1.0.0", ["confirmed"])]
    bench.ask(WRITE, 1, 0, {"confirm": True})
    bench.restart()
    assert bench.shown() == [("2.0.0", ["confirmed", "active"]), ("1.0.0", [])]


def test_what_is_not_confirmed_is_reverted(bench):
    data = image("2.0.0")
    bench.upload(data)
    bench.ask(WRITE, 1, 0, {"hash": bench.images()[1]["hash"]})
    bench.restart()
    bench.restart()
    assert bench.shown() == [("1.0.0", ["confirmed", "active"]), ("2.0.0", [])]
    assert bench.boots() == [("none", "1.0.0"), ("test", "2.0.0"), ("revert", "1.0.0")]


def test_a_permanent_image_needs_no_second_word(bench):
    bench.upload(image("2.0.0"))
    bench.ask(WRITE, 1, 0, {"hash": bench.images()[1]["hash"], "confirm": True})
    assert bench.shown()[1] == ("2.0.0", ["pending", "permanent"])
    bench.restart()
    bench.restart()
    assert bench.boots()[1:] == [("permanent", "2.0.0"), ("none", "2.0.0")]


def test_an_upload_goes_on_where_the_device_stands(bench):
    data = image("2.0.0", size=20_000)
    at = 0
    for _ in range(5):
        at = bench.send_piece(data, at)["off"]
    assert at == 3_500
    assert bench.send_piece(data, 9_000) == {"off": at}
    assert bench.send_piece(data, 700) == {"off": at}
    assert bench.send_piece(data, 0) == {"off": at}
    assert bench.upload(data) == {"off": len(data), "match": True}


def test_another_image_or_a_reset_begins_the_upload_again(bench):
    first, other = image("2.0.0"), image("3.0.0")
    bench.send_piece(first, 0)
    assert bench.send_piece(other, 0) == {"off": 700}
    assert bench.send_piece(other, 700) == {"off": 1_400}
    bench.restart()
    assert bench.send_piece(other, 1_400) == {"off": 0}
    assert bench.upload(other) == {"off": len(other), "match": True}


def test_an_image_that_arrives_changed_does_not_match(bench):
    data = image("2.0.0", size=1_000)
    bench.send_piece(data, 0)
    answer = bench.ask(WRITE, 1, 1, {"off": 700, "data": data[700:-1] + b"!"})
    assert answer == {"off": len(data), "match": False}


@pytest.mark.parametrize("bad", [image("2.0.0", key=STRANGER), image("2.0.0")[:-100]])
def test_a_wrong_key_or_a_truncated_image_never_runs(bench, bad):
    bench.upload(bad)
    rows = bench.images()
    if len(rows) == 2:
        bench.ask(WRITE, 1, 0, {"hash": rows[1]["hash"]})
    else:
        assert bench.ask(WRITE, 1, 0, {"hash": bytes(32)}) == {"err": {"group": 1, "rc": 8}}
    bench.restart()
    assert bench.shown() == [("1.0.0", ["confirmed", "active"])] or not bench.shown()[1][1]
    assert bench.boots()[-1] == ("none", "1.0.0")


FIRST = {"off": 0, "data": image()[:700], "len": len(image()), "sha": sha256(image()).digest()}


@pytest.mark.parametrize(
    ("values", "rc"),
    [
        ({"data": b"x"}, 20),
        ({"off": 0, "data": image()[:700]}, 21),
        (FIRST | {"data": image()[:31]}, 22),
        (FIRST | {"data": b"x" * 700}, 23),
        (FIRST | {"sha": bytes(33)}, 24),
        (FIRST | {"upgrade": True}, 27),
        (FIRST | {"len": 1 << 20}, 30),
        (FIRST | {"len": 600}, 31),
        (FIRST | {"image": 1}, 14),
    ],
)
def test_an_upload_that_cannot_be_is_refused_at_its_first_piece(bench, values, rc):
    assert bench.ask(WRITE, 1, 1, values) == {"err": {"group": 1, "rc": rc}}
    assert bench.shown() == [("1.0.0", ["confirmed", "active"])]


def test_while_an_image_is_on_trial_or_due_nothing_overwrites_the_other(bench):
    bench.upload(image("2.0.0"))
    bench.ask(WRITE, 1, 0, {"hash": bench.images()[1]["hash"]})
    refused = {"err": {"group": 1, "rc": 9}}
    assert bench.send_piece(image("3.0.0"), 0) == refused
    assert bench.ask(WRITE, 1, 5) == refused
    bench.restart()
    assert bench.send_piece(image("3.0.0"), 0) == refused
    assert bench.ask(WRITE, 1, 5) == refused
    assert bench.shown() == [("2.0.0", ["active"]), ("1.0.0", ["confirmed"])]


def test_states_that_cannot_be_are_refused(bench):
    running = bench.images()[0]["hash"]
    assert bench.ask(WRITE, 1, 0, {"confirm": False}) == {"err": {"group": 1, "rc": 24}}
    assert bench.ask(WRITE, 1, 0, {"hash": running}) == {"err": {"group": 1, "rc": 33}}
    assert len(bench.ask(WRITE, 1, 0, {"hash": running, "confirm": True})["images"]) == 1


def test_the_slot_that_does_not_run_can_be_erased(bench):
    bench.upload(image("2.0.0"))
    assert bench.ask(WRITE, 1, 5, {"slot": 0}) == {"err": {"group": 1, "rc": 14}}
    assert bench.ask(WRITE, 1, 5, {"slot": 1}) == {}
    assert len(bench.images()) == 1
    [row] = bench.ask(READ, 1, 6)["images"]
    assert [slot["size"] for slot in row["slots"]] == [65_536, 65_536]


# --- files --------------------------------------------------------------------------------------
def test_files_go_up_and_down_in_pieces(bench):
    data = bytes(range(256)) * 9
    first = {"name": "/lfs/a", "off": 0, "data": data[:900], "len": len(data)}
    assert bench.ask(WRITE, 8, 0, first) == {"off": 900}
    assert bench.ask(WRITE, 8, 0, {"name": "/lfs/a", "off": 5, "data": b"x"})["err"]["rc"] == 11
    bench.ask(WRITE, 8, 0, {"name": "/lfs/a", "off": 900, "data": data[900:1_800]})
    bench.ask(WRITE, 8, 0, {"name": "/lfs/a", "off": 1_800, "data": data[1_800:]})
    got, answer = b"", bench.ask(READ, 8, 0, {"name": "/lfs/a", "off": 0})
    size = answer["len"]
    while answer["data"]:
        got += answer["data"]
        answer = bench.ask(READ, 8, 0, {"name": "/lfs/a", "off": len(got)})
    assert (size, got) == (len(data), data)
    assert bench.ask(READ, 8, 1, {"name": "/lfs/a"}) == {"len": len(data)}
    hashed = bench.ask(READ, 8, 2, {"name": "/lfs/a", "type": "sha256"})
    assert hashed["output"] == sha256(data).digest()
    assert bench.ask(READ, 8, 1, {"name": "/lfs/b"})["err"]["rc"] == 3
    assert bench.ask(READ, 8, 1, {"name": "/etc/b"})["err"]["rc"] == 14
    bench.restart()
    assert bench.ask(READ, 8, 1, {"name": "/lfs/a"})["err"]["rc"] == 3


def test_files_have_an_end(bench):
    piece = {"data": b"x" * 900, "len": 1 << 20}
    answers = [
        bench.ask(WRITE, 8, 0, piece | {"name": "/lfs/a", "off": at})
        for at in range(0, 70_000, 900)
    ]
    assert answers[-1]["err"]["rc"] in {10, 11}
    several = [bench.ask(WRITE, 8, 0, piece | {"name": f"/lfs/{n}", "off": 0}) for n in range(20)]
    assert sum("off" in answer for answer in several) == 15
