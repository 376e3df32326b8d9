"""Decision records, named make targets and pinned lists say what is true: part of `make check`."""

import ast
import itertools
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LISTS = sorted((PROJECT / "constraints").glob("*.txt"))
RECORDS = sorted((PROJECT / "docs" / "adr").glob("*.md"))
DEPENDENCIES = (PROJECT / "docs" / "adr" / "0003-dependencies.md").read_text()
EXAMPLES = {"test_mutants", "test_proof"}
"""They name tests that need not exist."""
MAKEFILE = (PROJECT / "Makefile").read_text()


def committed(*patterns: str) -> list[Path]:
    """Files of the next commit: what git knows, and what it would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listing = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    paths = (PROJECT / line for line in listing.stdout.splitlines())
    return sorted(path for path in paths if path.exists())


def pins(path: Path) -> dict[str, str]:
    """Package -> version, as one list pins them."""
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", path.read_text(), re.MULTILINE))


def normal(requirement: str) -> str:
    """The package a requirement names, as the lists spell it."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def direct() -> set[str]:
    """Every package that pyproject.toml or peers.in asks for itself."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    asked = itertools.chain(project["dependencies"], *extras)
    peers = re.findall(r"(?m)^[a-z].*", (PROJECT / "constraints" / "peers.in").read_text())
    return {normal(requirement) for requirement in (*asked, *peers)} - {"outstation"}


# --- documents ----------------------------------------------------------------------------------
@pytest.mark.parametrize("page", committed("*.md", ".ci/run"), ids=lambda path: path.name)
def test_only_targets_of_the_makefile_are_named(page):
    text = page.read_text()
    code = "\n".join(re.findall(r"`(make [^`]+)`", text) + re.findall(r"(?m)^ *(make .*)$", text))
    named = set(re.findall(r"(?m)^ *make ([a-z]+)\b", code))
    assert named <= set(re.findall(r"(?m)^([a-z]+):", MAKEFILE))


def test_no_two_records_share_a_number():
    numbers = [path.name[:4] for path in RECORDS]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.name[:4])
def test_a_record_says_what_was_decided_what_lost_and_what_it_costs(record):
    text = record.read_text()
    assert text.startswith(f"# {record.name[:4]}: ")
    assert re.search(r"^Status: (accepted|superseded by \d{4}), \d{4}-\d{2}", text, re.MULTILINE)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["Context", "Decision", "What lost", "What it costs"]


def texts(path: Path) -> list[str]:
    """What a page says, or a program's texts, each as a whole."""
    if path.suffix != ".py":
        return [path.read_text()]
    nodes = ast.walk(ast.parse(path.read_text()))
    found = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return [one for one in found if isinstance(one, str)]


def test_every_test_that_is_named_exists():
    """Those of mutants are put together from parts, and looked for by `test_mutants`."""
    pages = [
        path
        for path in committed("*.md", "tests/*.py")
        if path.parent.name != "tables"
        and path.stem not in EXAMPLES
        and ".py::" in path.read_text()
    ]
    named = {
        found
        for path in pages
        for text in texts(path)
        for found in re.findall(r"(tests/[\w/]+\.py)::(test_\w+)", text)
    }
    assert len(named) > 20
    for path, test in sorted(named):
        assert f"def {test}(" in (PROJECT / path).read_text(), f"{path}::{test}"


# --- pinned lists -------------------------------------------------------------------------------
@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name)
def test_every_pin_carries_hashes_and_no_host(path):
    text = path.read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash=sha256:)", text, re.MULTILINE)
    entries = re.split(r"\n(?=[a-z])", re.sub(r"(?m)^#.*\n", "", text))
    assert len(entries) == len(pins(path))
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_lists_agree_about_every_version():
    demo, test, dev = (
        pins(PROJECT / f"constraints/{name}.txt") for name in ("demo", "test", "dev")
    )
    assert demo.items() <= test.items() <= dev.items()


def test_what_the_project_asks_for_is_pinned():
    pinned = {name for path in LISTS for name in pins(path)}
    assert direct() <= pinned


def test_every_dependency_has_its_row_with_the_pinned_version():
    pinned = {name: version for path in LISTS for name, version in pins(path).items()}
    rows = [f"{name} {pinned[name]}" for name in sorted(direct())]
    assert [row for row in rows if row not in DEPENDENCIES] == []
