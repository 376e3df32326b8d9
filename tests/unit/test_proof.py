"""What the proof says at its end: not that something failed, but what, and what repeats it."""

from pathlib import Path

import pytest

from tests.bench.proof import MOST_TOLD, Ended, follow, told


def test_a_mutant_that_survived_is_named_with_its_tests() -> None:
    alive = [{"name": "engine-x", "outcome": "survived", "duration_s": 1.0, "detail": "tests/a.py"}]
    assert told(Ended(1, {"not": alive}, ["killed engine-y (1 s)"])) == [
        "mutant survived: engine-x (tests/a.py)"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "FOUND block: KeyError: 3; kept as x; repeat it with: make test",
        "FAILED tests/power/test_damage.py::test_x - assert 0",
        "seed 7: 3 readings are lost",
        "  repeat it with: make sim SEED=7",
        "too rare: power cut: 99 of 100",
        "ValueError: the tests fail without any mutant:",
    ],
)
def test_the_line_that_says_what_was_wrong_is_told_and_the_rest_is_not(line: str) -> None:
    said = ["10 of 200 worlds", line, "block    2000 executions, 3 accepted", "killed x (1 s)"]
    assert told(Ended(1, {}, said)) == [line]


def test_of_a_program_that_ends_without_a_word_about_it_the_last_words_are_told() -> None:
    assert told(Ended(70, {}, ["Killed"])) == ["Killed"]


def test_many_sentences_are_cut_and_counted() -> None:
    sentences = told(Ended(1, {}, [f"seed {number}: lost" for number in range(40)]))
    assert sentences[MOST_TOLD:] == [f"and {40 - MOST_TOLD} more"]


def test_what_a_program_says_is_passed_on_and_its_report_is_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = ["import sys", "print('one')", "print('two', file=sys.stderr)", "print('{\"of\": 3}')"]
    (tmp_path / "talker.py").write_text("\n".join([*lines, "sys.exit(4)"]))
    ended = follow(["talker"], {"PYTHONPATH": str(tmp_path)})
    assert (ended.status, ended.report, list(ended.said)) == (4, {"of": 3}, ["one", "two"])
    assert capfd.readouterr().err == "one\ntwo\n"
