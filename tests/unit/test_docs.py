"""The documentation says what the code says, and points only at what exists."""

import re
from pathlib import Path

import pytest

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
