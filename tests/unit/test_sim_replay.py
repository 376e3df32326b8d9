"""Recordings: their file, their mapping to points, their clock."""

import pytest

from firmware_sim.model import Table
from firmware_sim.models import find_model
from firmware_sim.replay import bind, read_recording
from shared.errors import MistakeError
from tests.sim_parts import pump

PUMP = find_model("pump")


@pytest.fixture
def write(tmp_path):
    def write(text: str):
        path = tmp_path / "rec.csv"
        path.write_text(text)
        return path

    return write


def test_columns_go_to_points_of_their_name(write):
    recording = read_recording(write("unix_ms,x,flow,pressure\n1000,9,8,7\n"))
    replay = bind(recording, PUMP)
    assert (replay.at("pressure", 0), replay.at("flow", 0)) == (7, 8)
    assert replay.at("motor_current", 0) is None


def test_columns_of_other_names_go_to_points_in_the_order_of_their_registers(write):
    replay = bind(read_recording(write("unix_ms,a,b\n1000,1.5,2.5\n")), PUMP)
    assert replay.column_of_point == {"pressure": "a", "flow": "b"}


def test_a_person_may_choose_the_columns(write):
    recording = read_recording(write("unix_ms,a,pressure\n1000,1,2\n"))
    replay = bind(recording, PUMP, {"pressure": "a"})
    assert replay.at("pressure", 0) == 1
    for chosen in ({"nothing": "a"}, {"pressure": "z"}, {"poll_count": "a"}, {"setpoint": "a"}):
        with pytest.raises(MistakeError):
            bind(recording, PUMP, chosen)


def test_a_row_holds_until_the_next_and_the_end_starts_over(write):
    text = "unix_ms,pressure\n5000,1\n6000,2\n7000,3\n"
    replay = bind(read_recording(write(text)), PUMP)
    times = (0, 0.999, 1.0, 1.5, 2.0, 2.999, 3.0, 4.0, 6.0)
    assert [replay.at("pressure", t) for t in times] == [1, 1, 2, 2, 3, 3, 1, 2, 1]


def test_rows_may_stand_in_any_order_and_an_empty_cell_keeps_the_value(write):
    text = "unix_ms,pressure,flow\n2000,,5\n1000,1,\n\n3000,3,6\n"
    replay = bind(read_recording(write(text)), PUMP)
    assert [replay.at("pressure", t) for t in (0, 1, 2)] == [1, 1, 3]
    assert [replay.at("flow", t) for t in (0, 1, 2)] == [None, 5, 6]


def test_a_single_row_is_held_for_ever(write):
    replay = bind(read_recording(write("unix_ms,pressure\n1000,4\n")), PUMP)
    assert [replay.at("pressure", t) for t in (0, 1, 1e6)] == [4, 4, 4]


def test_a_device_shows_the_recording_and_keeps_its_own_counters(write):
    replay = bind(read_recording(write("unix_ms,pressure\n0,1.234\n1000,99\n")), PUMP)
    device = pump(replay=replay, started_s=100.0)
    assert device.read(Table.INPUT, 0, 1, now_s=100.0) == (1234,)
    # 99 bar does not fit into the register: it shows the most it can.
    assert device.read(Table.INPUT, 0, 1, now_s=101.0) == (0xFFFF,)
    assert device.read(Table.INPUT, 10, 2, now_s=100.0) == (0, 1)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("time,pressure\n", 1),
        ("unix_ms\n1\n", 1),
        ("unix_ms,a,a\n", 1),
        ("unix_ms,a\n1000,1\n2000\n", 3),
        ("unix_ms,a\n1000,1\n2000,x\n", 3),
        ("unix_ms,a\nnow,1\n", 2),
        ("unix_ms,a\n-5,1\n", 2),
        ("unix_ms,a\n99999999999999999999,1\n", 2),
    ],
)
def test_a_bad_file_is_refused_with_its_line(write, text, line):
    with pytest.raises(MistakeError, match=f"line {line}"):
        read_recording(write(text))


def test_a_file_without_rows_that_is_missing_or_not_text_is_refused(write, tmp_path):
    for path in (write("unix_ms,a\n"), tmp_path / "none.csv", tmp_path):
        with pytest.raises(MistakeError):
            read_recording(path)
    binary = tmp_path / "b.csv"
    binary.write_bytes(b"unix_ms,a\n\xff\xfe,1\n")
    with pytest.raises(MistakeError):
        read_recording(binary)
