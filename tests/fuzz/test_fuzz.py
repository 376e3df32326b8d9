"""Every decoder of foreign bytes refuses and does nothing else: the corpus, and some search."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.__main__ import main
from tests.fuzz.hostile import hostile
from tests.fuzz.running import CORPUS, Tally, corpus, execute, hangs_end
from tests.fuzz.shares import play, shares
from tests.fuzz.shrinking import shrink
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
    for module in ("running", "shares", "__main__"):
        monkeypatch.setattr(f"tests.fuzz.{module}.TARGETS", planted)
    for kind, other in (("executions", "searched"), ("searched", "executions")):
        asked = [f"--{kind}", "200", f"--{other}", "0", "--seed", "1", "--jobs", "1"]
        assert main(["planted", *asked]) == 1
        [found] = (tmp_path / "planted").iterdir()
        said = capsys.readouterr().out.splitlines()[-1]
        assert said.startswith("FOUND planted: KeyError")
        assert found.stem in said, "what repeats it"
        assert len(found.read_bytes()) == 4, "made small: the shortest that trips"
        found.unlink()


def test_a_decoder_that_takes_too_much_memory_is_a_finding() -> None:
    greedy = Target(lambda: [b""], lambda _: bytearray(1 << 20), 1 << 16, packed=False)
    with pytest.raises(AssertionError, match="bytes of memory"):
        execute(greedy, b"", Tally())


def test_what_never_ends_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.running.HANG_S", 0.05)

    def turn(_data: bytes) -> None:
        while True:
            pass

    with pytest.raises(AssertionError, match="no end within"), hangs_end():
        execute(Target(lambda: [b""], turn, 1 << 20, packed=False), b"", Tally())


@pytest.mark.parametrize("name", ["bundle", "block", "contact", "smp-packet", "smp-heard", "json"])
def test_a_seed_repeats_every_plain_input(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    target = replace(TARGETS[name], run=seen.append)
    monkeypatch.setitem(TARGETS, name, target)
    for share in shares([name], 7, plain=100, searched=0) * 2:
        assert play(share).tally.executions == len(seen) % 1_000
        seen += [b""] * (-len(seen) % 1_000)
    assert seen[:1_000] == seen[1_000:]
    known = {*target.seeds(), *(path.read_bytes() for path in corpus(name))}
    assert len(set(seen) - known) > 50, "nearly all are new"


def test_shares_add_up_and_never_begin_alike() -> None:
    found = shares(["block", "schema"], 7, plain=50_000, searched=300)
    assert [one.executions for one in found] == [300, 20_000, 20_000, 10_000] * 2
    assert len(set(found)) == len(found)


def test_a_run_is_the_same_in_one_process_and_in_two(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["counters", "block", "--executions", "300", "--searched", "20", "--seed", "3"]
    reports = []
    for jobs in ("1", "2"):
        assert main([*asked, "--jobs", jobs, "--json"]) == 0
        report = json.loads(capsys.readouterr().out.splitlines()[-1])
        reports.append({name: (one["executions"], one["accepted"]) for name, one in report.items()})
    assert reports[0] == reports[1]


def test_what_is_left_of_a_finding_is_what_trips() -> None:
    def trips(data: bytes) -> bool:
        return b"ab" in data and len(data) > 5

    assert shrink(b"..xx" * 50 + b"ab" + b"yy" * 99, trips) == b"ab" + bytes(4)


def test_a_name_that_is_no_target_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-target"]) == 2
    assert "no-such-target" in capsys.readouterr().err
