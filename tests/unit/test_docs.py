"""The documentation says what the code says, and points only at what exists."""

import re
from pathlib import Path

import pytest

from tests.command_lines import command_lines, complaint
from tests.docs import DOCS, PAGES

ROOT = DOCS.parent
TEXTS = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


@pytest.mark.parametrize("name", PAGES)
def test_a_drawn_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "run: python -m tests.docs"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_architecture_page_names_only_files_that_exist() -> None:
    text = (DOCS / "ARCHITECTURE.md").read_text()
    for name in re.findall(r"`((?:shared|agent|coordinator|firmware_sim)/[\w/.]*)`", text):
        assert (ROOT / name).exists(), f"docs/ARCHITECTURE.md names {name}"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_line_names_commands_and_options_that_exist(path: Path) -> None:
    wrong = [
        f"{path.name}:{number}: {said}"
        for number, words in command_lines(path.read_text())
        if (said := complaint(words))
    ]
    assert not wrong


def test_command_lines_are_found_in_blocks_tables_and_sentences() -> None:
    text = "Ask `outstation status`.\n| `outstation a \\| outstation-agent b` |\n"
    text += "```sh\nA=1 outstation-sim c \\\n  --d & sudo .venv/bin/outstation e  # f\n```\n"
    assert list(command_lines(text)) == [
        (1, ["outstation", "status"]),
        (2, ["outstation", "a"]),
        (2, ["outstation-agent", "b"]),
        (5, ["outstation-sim", "c", "--d"]),
        (5, ["outstation", "e"]),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "outstation jobs sbmit",
        "outstation --json jobs list --mst 3",
        "outstation-agent rn",
        "outstation-coordinator claim create --sit north",
        "outstation-sim fleet x --agnts 3",
    ],
)
def test_what_no_program_has_is_named(line: str) -> None:
    assert " has no " in complaint(line.split())
