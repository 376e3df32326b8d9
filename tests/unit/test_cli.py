"""The command line's own parts: finding the coordinator, drawing, times, and mistakes."""

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from coordinator.cli.__main__ import main
from coordinator.cli.access import find_access
from coordinator.cli.client import Client
from coordinator.cli.job_file import read_job
from coordinator.cli.jobs import _result
from coordinator.cli.plot import Line, draw
from coordinator.cli.readings_show import get, parse_moment
from coordinator.cli.show import Screen
from coordinator.cli.spell import folded
from coordinator.cli.tables import print_lines
from coordinator.contract.jobs import TaskView
from shared.errors import MistakeError

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_file_says_where_and_the_environment_overrides_it(tmp_path: Path) -> None:
    file = tmp_path / "admin.toml"
    file.write_text('url = "https://one.example:8443"\ntoken = "ost_a"\n')
    access = find_access(file, {})
    assert (access.host, access.port, access.token) == ("one.example", 8443, "ost_a")
    assert "ost_a" not in repr(access)
    moved = find_access(None, {"OUTSTATION_CONFIG": str(file), "OUTSTATION_URL": "https://two"})
    assert (moved.host, moved.port) == ("two", 443)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('url = "http://x"\ntoken = "t"', "no URL of a coordinator"),
        ('url = "https://x:port"\ntoken = "t"', "no URL of a coordinator"),
        ('url = "https://x"', "no token is known"),
        ('url = "https://x"\ntoken = "t"\nca = "nonsense"', "no certificate"),
        ('url = "https://x"\ntokne = "t"', "tokne"),
        ("url = [", "not TOML"),
    ],
)
def test_an_unusable_file_gets_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "admin.toml"
    file.write_text(text)
    with pytest.raises(MistakeError, match=said):
        find_access(file, {})


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["agents", "list", "--bogus"], 2),
        (["--config", "/nowhere/admin.toml", "status"], 2),
        (["jobs", "submit", "/nowhere/job.toml"], 2),
        (["jobs", "submit"], 2),
    ],
)
def test_a_mistake_is_one_line_and_status_two(
    argv: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("outstation: ")
    assert "Traceback" not in captured.err


def test_an_absent_coordinator_is_status_five(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unused_tcp_port: int
) -> None:
    file = tmp_path / "admin.toml"
    file.write_text(f'url = "https://127.0.0.1:{unused_tcp_port}"\ntoken = "t"\n')
    assert main(["status", "--config", str(file)]) == 5
    assert "no coordinator answers" in capsys.readouterr().err


def test_a_job_file_is_toml_or_json_and_mistakes_name_the_member(tmp_path: Path) -> None:
    good = '[[steps]]\nid = "a"\naction = "device.read"\nparams = { points = ["p"] }\n'
    file = tmp_path / "job"
    file.write_text('name = "look"\n' + good)
    toml = read_job(str(file)).submission
    file.write_text(
        '{"name":"look","steps":[{"id":"a","action":"device.read","params":{"points":["p"]}}]}'
    )
    assert read_job(str(file)).submission == toml
    file.write_text('name = "look"\nstesp = 1\n')
    with pytest.raises(MistakeError, match="stesp"):
        read_job(str(file))
    file.write_text('name = "look"\n' + good.replace('"a"', "7"))
    with pytest.raises(MistakeError) as caught:
        read_job(str(file))
    assert caught.value.where.endswith("steps[0].id")


def test_a_result_tells_the_version_that_runs_and_no_reason_twice() -> None:
    went = TaskView("soil-1", "DONE", 1, None, "", {"f._version": "2.0.0", "f._sent": 9})
    assert _result(went.result, went) == "f.version=2.0.0"
    back = TaskView("soil-1", "FAILED", 1, "reverted", "it went back", {"f.reason": "reverted"})
    assert _result(back.result, back) == "reverted: it went back"


@pytest.mark.parametrize("text", ["2x", "yesterday", "h", "-2h", "999999999d", "9" * 400 + "d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(MistakeError):
        parse_moment(text, where="--start", now=START)


@given(
    st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=200),
    st.integers(10, 160),
    st.integers(3, 40),
)
def test_a_plot_fits_and_never_fails(values: list[float | None], width: int, height: int) -> None:
    times = [START + timedelta(seconds=i) for i in range(len(values))]
    lines = draw(Line(times, values), width=width, height=height)
    assert len(lines) <= max(5, height)
    assert all(isinstance(line, str) for line in lines)


def test_a_missing_value_leaves_a_gap_and_neighbours_are_joined() -> None:
    times = [START + timedelta(seconds=i) for i in range(5)]

    def dots(values: list[float | None]) -> int:
        lines = draw(Line(times, values), width=60, height=12)
        return sum(0x2800 < ord(char) < 0x2900 for line in lines for char in line)

    assert dots([1.0, 2.0, 1.0, 2.0, 1.0]) > 40
    assert dots([1.0, None, 1.0, None, 1.0]) == 3


def test_a_band_is_drawn_from_its_lowest_to_its_highest() -> None:
    times = [START + timedelta(minutes=i) for i in range(4)]
    flat = draw(Line(times, [5.0] * 4, [0.0] * 4, [5.0, 10.0, 5.0, 5.0]), width=40, height=12)
    assert flat[0].split()[0] == "10"
    assert any(ord(char) > 0x2800 for char in flat[1]), "the highest of one minute is there"


def test_a_single_spike_stays_visible() -> None:
    times = [START + timedelta(seconds=i) for i in range(10_000)]
    drawn: Callable[[list[float]], list[str]] = lambda v: draw(Line(times, v), width=60, height=12)  # noqa: E731
    flat = [0.0] * 9_999
    spiked = drawn([*flat[:5_000], 100.0, *flat[5_000:]])
    assert any(ord(c) > 0x2800 for c in spiked[1]), "the spike crosses the upper rows"


def test_a_piped_table_carries_no_colours_and_no_blanks_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = Screen(as_json=False)
    screen.table(("AGENT", "STATE"), [("a", "SUCCEEDED"), ("b", "FAILED"), ("long-name", "-")])
    screen.facts([("job", "1"), ("its-name", "[red]x[/red]")])
    assert capsys.readouterr().out.splitlines() == [
        *("AGENT      STATE", "a          SUCCEEDED", "b          FAILED", "long-name  -"),
        *("job       1", "its-name  [red]x[/red]"),
    ]


def test_text_is_printed_as_it_is_and_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(as_json=False)
    screen.text("[bold]:x: " + "long " * 100)
    screen.whole("of a file: \x1b[8m\r\n" + "y" * 300 + "\n\n")
    screen.facts([("approvers", "anna\x1b]0;x\x07\u202e")])
    screen.table(("NAME",), [("b\x9bn\u2028",)])
    screen.warn("no\x1b[2J")
    said = capsys.readouterr()
    assert said.out == (
        "[bold]:x: " + "long " * 100 + "\n"
        "of a file: \x1b[8m\r\n" + "y" * 300 + "\n\n"
        "approvers  anna\\x1b]0;x\\x07\\u202e\n"
        "NAME\nb\\x9bn\\u2028\n"
    )
    assert said.err == "outstation: no\\x1b[2J\n"


@pytest.mark.parametrize("width", [20, 80])
def test_no_part_of_a_line_that_is_signed_looks_like_a_field(width: int) -> None:
    pad = "X" * (width - len('        text: "'))
    line = f'        text: "{pad}dry_run: true {"Y" * 300}"'
    first, *more = folded(line, width)
    assert first == line[:width]
    assert all(part.lstrip().startswith("| ") and len(part) <= width for part in more)
    assert first + "".join(part.split("| ", 1)[1] for part in more) == line


def test_a_piece_of_csv_may_end_within_a_letter(capsys: pytest.CaptureFixture[str]) -> None:
    class Pieces:
        def stream(self, path: str, query: object) -> list[bytes]:
            return [bytes([byte]) for byte in "value,unit\n21.5,°C\n".encode()]

    get(cast("Client", Pieces()), Screen(as_json=False), {}, csv=True)
    assert capsys.readouterr().out == "value,unit\n21.5,°C\n"


def test_a_refusal_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "show", "no\x1b[2Jfile"]) == 2
    said = capsys.readouterr().err
    assert "no\\x1b[2Jfile" in said
    assert "\x1b" not in said


class Row(msgspec.Struct):
    """A line of a report, as somebody with a spreadsheet in mind may fill it."""

    device: str
    missed: list[str]
    count: int


def test_only_a_spreadsheet_is_kept_from_taking_names_for_formulas(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [Row("@agent", ["=1+1", "b"], -1), Row("pump", [], 2)]
    print_lines(Screen(as_json=False), rows, Row, as_csv=False)
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert table[1] == ["@agent", "=1+1;", "b", "-1"]
    print_lines(Screen(as_json=False), rows, Row, as_csv=True)
    cells = capsys.readouterr().out.splitlines()[1:]
    assert cells == ["'@agent,'=1+1; b,-1", "pump,,2"]


def test_a_file_that_is_shown_to_people_moves_no_cursor() -> None:
    screen, shown = Screen(as_json=False), io.StringIO()
    screen.console = Console(file=shown, force_terminal=True, width=80, highlight=False)
    screen.whole("of a file: \x1b[8m\n")
    assert shown.getvalue() == "of a file: \\x1b[8m\n"


def test_a_chart_says_in_which_zone_its_times_are() -> None:
    drawn = draw(Line([START, START + timedelta(hours=1)], [1.0, 2.0]), width=80, height=12)
    assert drawn[-1].endswith("01:00:00 UTC")
    assert {len(line) for line in drawn} <= set(range(81))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'rule = { when = "a" }',
            r"line 2: rule.when: .* another part; known here: alarm, condition",
        ),
        (
            "rollout = { stages = [{ count = 1 }] }",
            r"stages\[0\].count: .*; known here: min_targets, n",
        ),
        ("rollout = { stages = [{ nmae = 1 }] }", r"stages\[0\].nmae: .*; did you mean name\?"),
    ],
)
def test_an_unknown_member_is_answered_with_those_of_its_own_place(
    line: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "job.toml"
    file.write_text(f'name = "a"\n{line}\n[[steps]]\nid = "a"\naction = "device.sync"\n')
    with pytest.raises(MistakeError, match=said):
        read_job(str(file))
