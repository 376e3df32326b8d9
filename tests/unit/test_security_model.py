"""The security model claims nothing that no test attacks."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security-model.md").read_text()
CLAIMS = PAGE[PAGE.index("## Attackers") : PAGE.index("## What is not defended")]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
ROWS = [
    line
    for line in CLAIMS.splitlines()
    if line.startswith("| ") and not line.startswith(("| attack |", "| event |"))
]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_the_page_names_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    defined = {node.name for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)}
    assigned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert name in defined | assigned


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_each_defence_names_its_test(row: str) -> None:
    assert re.search(r"`tests/[\w/]+\.py::\w+`", row.split("|")[3])


def test_the_page_has_a_row_for_each_kind_of_attacker() -> None:
    assert len(ROWS) > 30
