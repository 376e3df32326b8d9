"""What stands in the JSON of devices, and how a value stands in a request."""

import pytest

from agent.drivers.http_json.document import complaint, in_path
from shared.model.http_address import HttpAddress, HttpRequest
from shared.model.text_form import TextForm

READ = HttpRequest(name="read", method="GET", path="/", error="/errors")


@pytest.mark.parametrize("found", [[], {}, None, False, 0, ""])
def test_a_device_that_has_nothing_to_complain_of_does_not_complain(found: object):
    assert complaint({"errors": found}, READ) == ""
    assert complaint({}, READ) == ""


@pytest.mark.parametrize(
    ("found", "text"), [(["x"], '["x"]'), ({"message": "hot"}, "hot"), (7, "7"), (True, "true")]
)
def test_a_complaint_is_told(found: object, text: str):
    assert complaint({"errors": found}, READ) == text


@pytest.mark.parametrize(
    ("form", "raw", "text"),
    [
        (TextForm("word", ("off", "eco mode")), 1, "eco%20mode"),
        (TextForm("word", ('a&b#c"/..', "on")), 0, "a%26b%23c%22%2F.."),
        (TextForm("word", ("off", "on")), 1, "on"),
        (TextForm("flag"), 1, "true"),
        (TextForm("number"), -21.5, "-21.5"),
        (TextForm("word", ("06:30,daily", "a=1;b+c%d?")), 0, "06:30,daily"),
        (TextForm("word", ("06:30,daily", "a=1;b+c%d?")), 1, "a%3D1%3Bb%2Bc%25d%3F"),
        (TextForm("int"), -7, "-7"),
    ],
    ids=str,
)
def test_a_value_stays_in_its_place_in_a_path(form: TextForm, raw: float, text: str):
    assert in_path(HttpAddress(request=READ, pointer="/m", form=form), raw) == text
