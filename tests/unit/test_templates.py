"""Templates: what may be filled into a job, and what the fleet keeps of them."""

from functools import partial

import pytest
from msgspec import convert

from coordinator.contract.shipped import shipped_templates
from coordinator.contract.template_values import check_template, fill
from coordinator.contract.templates import TemplateBody, TemplateUse
from coordinator.transactions.templates import (
    delete_template,
    list_templates,
    save_template,
    view_template,
)
from shared.errors import MistakeError
from tests.unit.test_coordinator_transactions import NOW, store

__all__ = ["store"]
STEP = {"id": "set", "action": "device.write", "params": {"setpoint": "${value}"}}


def template(parameters=None, **changes):
    if parameters is None:
        parameters = {"value": {"kind": "number", "minimum": 0, "maximum": 10}}
    document = {
        "name": "raise",
        "parameters": parameters,
        "job": {"steps": [STEP], "targets": {"agents": ["pump"]}},
        **changes,
    }
    return convert(document, TemplateBody)


def filled(made, **use):
    return fill(made, convert(use, TemplateUse))


@pytest.mark.parametrize("name", shipped_templates())
def test_each_template_that_comes_with_the_program_is_good(name):
    made = shipped_templates()[name]
    check_template(made)
    assert made.about
    assert made.name == name


def test_maintenance_work_comes_with_the_program():
    assert {
        *("sync-devices", "sync-nightly", "validate-devices", "validate-config"),
        *("validate-rules", "validate-nightly", "check-devices", "diagnose"),
        *("clean-up", "check-health", "maintain-when", "alarm-when", "restore-config"),
    } <= set(shipped_templates())


def test_a_blank_alone_becomes_the_value_as_it_is():
    job = filled(template(), values={"value": 4.5})
    assert job.steps[0].params == {"setpoint": 4.5}
    assert job.name == "raise"


def test_a_blank_within_a_text_becomes_the_values_text():
    made = template(
        {"low": {"kind": "integer"}},
        job={
            "steps": [{"id": "look", "action": "device.read", "params": {"points": ["p"]}}],
            "preconditions": ["battery > ${low}"],
        },
    )
    assert filled(made, values={"low": 40}).preconditions == ["battery > 40"]


def test_what_was_filled_in_brings_no_blanks_of_its_own():
    made = template(
        {"a": {"kind": "text"}, "b": {"kind": "text", "default": "secret"}},
        job={"steps": [{"id": "x", "action": "device.read", "params": {"points": ["${a}"]}}]},
    )
    job = filled(made, values={"a": "${b}"})
    assert job.steps[0].params == {"points": ["${b}"]}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("integer", "7", 7),
        ("number", "2.5", 2.5),
        ("flag", "true", True),
        ("text", "7", "7"),
        ("texts", "a, b", ["a", "b"]),
        ("values", "setpoint=4200,on=true,mode=eco", {"setpoint": 4200, "on": True, "mode": "eco"}),
    ],
)
def test_a_text_is_read_as_the_parameters_kind(kind, text, value):
    params = "${x}" if kind == "values" else {"v": "${x}"}
    made = template(
        {"x": {"kind": kind}}, job={"steps": [{"id": "s", "action": "a", "params": params}]}
    )
    found = filled(made, values={"x": text}).steps[0].params
    assert found == (value if kind == "values" else {"v": value})


@pytest.mark.parametrize(
    ("use", "where", "said"),
    [
        ({}, "values.value", "needs a value"),
        ({"value": 11}, "values.value", "11 is not in 0 to 10"),
        ({"value": "hot"}, "values.value", "no value of kind number"),
        ({"value": True}, "values.value", "no value of kind number"),
        ({"value": "nan"}, "values.value", "no value of kind number"),
        ({"valeu": 1}, "values.valeu", "no parameter"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(use, where, said):
    with pytest.raises(MistakeError, match=said) as caught:
        filled(template(), values=use)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"name": "Raise It"}, "name"),
        ({"parameters": {}}, "job.steps[0].params.setpoint"),
        ({"parameters": {"Value": {"kind": "number"}}}, "parameters.Value"),
        ({"parameters": {"value": {"kind": "text", "minimum": 1}}}, "parameters.value.minimum"),
        (
            {"parameters": {"value": {"kind": "number", "choices": ["a"]}}},
            "parameters.value.choices",
        ),
        (
            {"parameters": {"value": {"kind": "number", "default": "x"}}},
            "parameters.value.default",
        ),
        ({"parameters": {"value": {"kind": "number"}}, "job": {"stepps": []}}, "job.stepps"),
        (
            {"parameters": {}, "job": {"steps": [{"id": "s", "action": "device.raed"}]}},
            "job.steps[0].action",
        ),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_at_once(changes, where):
    with pytest.raises(MistakeError) as caught:
        check_template(template(**changes))
    assert caught.value.where == where


async def saved(store, **changes):
    body = partial(save_template, template(**changes), actor="anna", now_ms=NOW)
    return await store.run(body, durable=True)


async def test_each_version_of_a_template_stays(store):
    assert (await saved(store, about="first")).version == 1
    assert (await saved(store, about="second")).version == 2
    assert (await store.read(partial(view_template, "raise"))).about == "second"
    assert (await store.read(partial(view_template, "raise", 1))).about == "first"


async def test_a_deleted_templates_number_is_not_given_again(store):
    await saved(store)
    gone = partial(delete_template, "raise", actor="anna", now_ms=NOW)
    assert (await store.run(gone, durable=True)).version == 1
    assert await store.read(partial(view_template, "raise")) is None
    assert (await store.read(partial(view_template, "raise", 1))).version == 1
    assert await store.run(gone, durable=True) is None
    assert (await saved(store)).version == 3


async def test_the_fleets_own_version_goes_before_the_one_of_the_program(store):
    await saved(store, name="clean-up")
    assert (await store.read(partial(view_template, "clean-up"))).version == 1
    assert (await store.read(partial(view_template, "clean-up", 0))).version == 0
    gone = partial(delete_template, "clean-up", actor="anna", now_ms=NOW)
    assert (await store.run(gone, durable=True)).version == 1
    assert (await store.read(partial(view_template, "clean-up"))).version == 0
    assert await store.run(gone, durable=True) is None


async def test_the_list_is_by_name_and_page_by_page(store):
    await saved(store)
    names, after, more = [], "", True
    while more:
        views, more = await store.read(partial(list_templates, after=after, size=4))
        names += [view.name for view in views]
        after = names[-1]
    assert names == sorted({*shipped_templates(), "raise"})
