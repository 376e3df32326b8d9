"""docs/actions.md says what the table says, and its examples run."""

import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.actions.registry import ACTIONS
from shared.model.action import ACTIONS as DECLARED
from shared.model.job import JobSpec, Step
from shared.model.spec_check import check_spec
from tests.contract.actions_bench import GOOD, Bench, open_bench, pump
from tests.docs import DOCS

PAGE = (DOCS / "actions.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path) as opened:
        yield opened


def job(text: str) -> JobSpec:
    tables = tomllib.loads(text)
    lists: dict[str, Any] = {name: [Step(**one) for one in tables.get(name, [])] for name in tables}
    return JobSpec(name="example", **lists)


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_every_action_has_its_chapter_its_row_and_an_example(name: str):
    assert f"\n## `{name}`\n" in PAGE
    assert f"\n| `{name}` |" in PAGE
    assert any(f'action = "{name}"' in text for text in EXAMPLES)


@pytest.mark.parametrize("text", EXAMPLES)
async def test_an_example_is_a_job_that_does_what_it_says(text: str, bench: Bench):
    spec = job(text)
    check_spec(spec)
    for step in (one for one in spec.every_step if one.action in GOOD):
        assert ACTIONS[step.action].check(step, pump()) is None
        outcome = await ACTIONS[step.action].run(step, bench.driver)
        assert outcome.reason is None, outcome
