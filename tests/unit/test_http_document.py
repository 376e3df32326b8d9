"""What stands in the JSON of devices, and how a value stands in a request."""

import pytest

from agent.drivers.http_json.document import complaint
from shared.model.http_address import HttpRequest

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
