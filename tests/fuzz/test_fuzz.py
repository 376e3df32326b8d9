"""Every decoder of foreign bytes refuses and does nothing else: the corpus, and some search."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.__main__ import main
from tests.fuzz.hostile import hostile
from tests.fuzz.running import CORPUS, Tally, corpus, execute
from tests.fuzz.targets import TARGETS, Target

FILES = [(name, path) for name in TARGETS for path in corpus(name)]


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_begins_with_inputs_that_its_decoder_accepts(name: str) -> None:
    """Else the search would never come past the first check."""
    tally = Tally()
    for seed in TARGETS[name].seeds():
        execute(TARGETS[name], seed, tally)
    assert tally.outcomes.keys() == {"accepted"}


@pytest.mark.parametrize(
    ("name", "path"), FILES, ids=[f"{name}-{path.stem}" for name, path in FILES]
)
def test_what_is_in_the_corpus_is_refused_within_its_memory(name: str, path: Path) -> None:
    execute(TARGETS[name], path.read_bytes(), Tally())


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_bytes_are_refused_and_nothing_else_comes_out(name: str) -> None:
    target, tally = TARGETS[name], Tally()

    @settings(suppress_health_check=list(HealthCheck))
    @given(hostile(target))
    def search(data: bytes) -> None:
        execute(target, data, tally)

    search()
    assert tally.executions >= settings().max_examples


def test_every_folder_of_the_corpus_belongs_to_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == TARGETS.keys()


def test_what_escapes_a_decoder_is_found_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def trip(data: bytes) -> None:
        if len(data) > 3:
            raise KeyError(data)

    planted = {"planted": Target(lambda: [b"abc"], trip, 1 << 20, packed=False)}
    monkeypatch.setattr("tests.fuzz.running.CORPUS", tmp_path)
    for module in ("running", "__main__"):
        monkeypatch.setattr(f"tests.fuzz.{module}.TARGETS", planted)
    assert main(["planted", "--executions", "200", "--seed", "1"]) == 1
    assert "KeyError" in capsys.readouterr().err
    [found] = (tmp_path / "planted").iterdir()
    assert len(found.read_bytes()) == 4, "shrunk to the shortest that trips"


def test_a_decoder_that_takes_too_much_memory_is_a_finding() -> None:
    greedy = Target(lambda: [b""], lambda _: bytearray(1 << 20), 1 << 16, packed=False)
    with pytest.raises(AssertionError, match="bytes of memory"):
        execute(greedy, b"", Tally())


def test_a_name_that_is_no_target_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-target"]) == 2
    assert "no-such-target" in capsys.readouterr().err
