"""docs/jobs.md is true: its files are good, its refusals are made, with place and sentence."""

import doctest
import re
import tomllib
from typing import Any

import pytest

from agent import config_uplink
from coordinator.cli import explain, job_file
from coordinator.cli.job_file import read_job
from coordinator.contract import job_spec, mistakes
from coordinator.contract.job_spec import (
    JobSubmission,
    from_spec,
    parse_submission,
    place_in_body,
    to_spec,
)
from coordinator.contract.signed_form import signed_form
from coordinator.core.targeting import check_targets
from shared.errors import MistakeError
from shared.model.spec_check import check_spec
from tests.docs import DOCS

PAGE = (DOCS / "jobs.md").read_text()
FILES = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
REFUSALS = re.findall(r"^\| `([^`]+)` \| `([^`]+ = [^`]+)` \| (.+) \|$", PAGE, re.MULTILINE)
START = """\
name = "look"
targets.agents = ["a"]
[[steps]]
id = "look"
action = "device.read"
params = { points = ["p"] }
"""
GOOD: dict[str, Any] = {
    "name": "look",
    "targets": {"agents": ["pump-1"]},
    "steps": [{"id": "look", "action": "device.read", "params": {"points": ["p"]}}],
}


def written(text: str) -> dict[str, Any]:
    """The good job, with what a row of the table says; `step` stands for its one step."""
    document = {**GOOD, **tomllib.loads(text.replace("; ", "\n"))}
    changes = document.pop("step", {})
    return {**document, "steps": [{**step, **changes} for step in document["steps"]]}


def refused(document: dict[str, Any]) -> MistakeError:
    try:
        spec = to_spec(parse_submission(document))
        check_spec(spec)
        signed_form(spec)
        check_targets(spec.targets)
    except MistakeError as error:
        return error
    pytest.fail("nobody refused it")


@pytest.mark.parametrize("text", FILES)
def test_a_file_of_the_page_is_good_and_survives_the_way_to_agents_and_back(text, tmp_path):
    file = tmp_path / "job.toml"
    file.write_text(text)
    job = read_job(str(file))
    job.check()
    spec = to_spec(job.submission)
    assert to_spec(from_spec(spec)) == spec


def test_the_page_shows_every_member_of_a_job():
    for field in JobSubmission.__struct_encode_fields__:
        assert field in PAGE, f"docs/jobs.md does not tell of {field}"


def test_the_table_of_refusals_was_found():
    assert len(REFUSALS) > 40


@pytest.mark.parametrize(("place", "text", "said"), REFUSALS)
def test_what_the_page_says_is_refused_is_refused_there_with_that_sentence(place, text, said):
    error = refused(written(text))
    assert place_in_body(error.where) == place
    sentence = f"{error.what}; {error.mend}" if error.mend else error.what
    assert sentence.startswith(said)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ('when = "look.ok"', "line 7: steps[0].when"),
        ("timeout_s = 0", "line 7: steps[0].timeout_s"),
        ("timeout_s = 'x'", "line 7: steps[0].timeout_s"),
        ("tmeout_s = 1", "line 7: steps[0].tmeout_s"),
        ("[schedule]\ncron = '0 25 * * *'", "line 8: schedule.cron"),
        ("[compensation]\nsteps = [{id = 'x', action = 'no'}]", "line 8: compensation.steps[0]"),
        ("[[finally]]\nid = 'look'\naction = 'device.read'", "line 8: finally[0].id"),
        ("[targets]", "line 7"),
        (
            "[[finally]]\nid = 'x'\naction = 'device.write'\nparams.serial = 9007199254740992",
            "line 10: finally[0].params.serial",
        ),
    ],
)
def test_a_complaint_about_a_file_points_at_the_line(change, where, tmp_path):
    file = tmp_path / "job.toml"
    file.write_text(f"{START}{change}\n")
    with pytest.raises(MistakeError) as caught:
        read_job(str(file)).check()
    assert f"job.toml {where}" in caught.value.where


def test_a_job_in_json_is_pointed_at_by_its_member(tmp_path):
    file = tmp_path / "job.json"
    file.write_text('{"name": "look", "steps": [{"id": "look", "action": 7}]}')
    with pytest.raises(MistakeError) as caught:
        read_job(str(file))
    assert caught.value.where == f"{file}: steps[0].action"


@pytest.mark.parametrize("module", [config_uplink, explain, job_file, job_spec, mistakes])
def test_the_examples_in_the_code_are_true(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
