"""The mutants fit the source, and their runner tells checks that matter from those that do not."""

import ast
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.mutants.__main__ import main
from tests.mutants.mutant import Mutant
from tests.mutants.runner import BROKEN, KILLED, SURVIVED, TREE, Result, run_mutants
from tests.mutants.tables import MUTANTS

CHAIN = "tests/unit/test_trust_chain.py::test_a_gap_is_no_offence"
GAP = "return Chain.NEXT if counter == last.counter + 1 else Chain.GAP"


@cache
def functions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_source_and_names_tests_that_exist(mutant: Mutant) -> None:
    assert mutant.apply(TREE) != (TREE / mutant.file).read_text()
    for test in mutant.tests:
        path, _, name = test.partition("[")[0].partition("::")
        assert (TREE / path).exists()
        assert not name or name in functions(TREE / path)


def test_no_two_mutants_share_a_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_each_mutant_that_a_world_must_notice_names_what_its_judge_says() -> None:
    assert [
        m.name for m in MUTANTS if not m.says and any(_is_world(test) for test in m.tests)
    ] == []


def _is_world(test: str) -> bool:
    return test.startswith("tests/simulation/test_world.py")


def mutant(old: str, new: str, test: str = CHAIN) -> Mutant:
    return Mutant(f"to {new}", "shared/sync/incoming.py", old, new, (test,))


def judged(*mutants: Mutant) -> list[str]:
    told: list[Result] = []
    results = run_mutants(mutants, on_result=told.append)
    assert sorted(told, key=results.index) == results
    assert [result.name for result in results] == [one.name for one in mutants]
    return [result.outcome for result in results]


def test_the_runner_tells_killed_survived_and_broken_apart() -> None:
    kills = mutant(GAP, GAP.replace("Chain.GAP", "Chain.CLONE"))
    lives = mutant(GAP, GAP.replace("Chain.NEXT if", "(Chain.NEXT) if"))
    breaks = mutant(GAP, "return (")
    assert judged(kills, lives, breaks) == [KILLED, SURVIVED, BROKEN]


def test_tests_that_fail_without_the_sentence_of_the_judge_have_not_noticed() -> None:
    kills = mutant(GAP, GAP.replace("Chain.GAP", "Chain.CLONE"))
    assert judged(replace(kills, says="Chain.CLONE")) == [KILLED]
    assert judged(replace(kills, says="nobody says this")) == [SURVIVED]


def test_a_mutant_whose_text_is_gone_or_ambiguous_is_an_error() -> None:
    for old in ("there is no such text", "Chain.LATE"):
        with pytest.raises(ValueError, match=r"stands \d+ times"):
            judged(mutant(old, ""))


def test_tests_that_fail_anyway_notice_nothing() -> None:
    with pytest.raises(ValueError, match="without any mutant"):
        judged(mutant(GAP, "return (", "tests/unit/test_trust_chain.py::test_no_such_test"))


def test_a_name_that_is_no_mutant_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-mutant"]) == 2
    assert "no-such-mutant" in capsys.readouterr().err
    assert main(["--list", "root-fleet"]) == 0
    assert capsys.readouterr().out.split() == ["root-fleet", "shared/trust/root.py"]
