"""docs/actions.md says what the table says, and its examples run."""

import re
import tomllib
from typing import Any

import pytest

from agent.actions.registry import ACTIONS
from shared.model.action import ACTIONS as DECLARED
from shared.model.job import JobSpec, Step
from shared.model.spec_check import check_spec
from tests.contract.test_actions import GOOD, Bench, bench, pump  # noqa: F401 - the fixture
from tests.docs import DOCS

PAGE = (DOCS / "actions.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


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
async def test_an_example_is_a_job_that_does_what_it_says(text: str, bench: Bench):  # noqa: F811
    spec = job(text)
    check_spec(spec)
    for step in (one for one in spec.every_step if one.action in GOOD):
        assert ACTIONS[step.action].check(step, pump()) is None
        outcome = await ACTIONS[step.action].run(step, bench.driver)
        assert outcome.reason is None, outcome
