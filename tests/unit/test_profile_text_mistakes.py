"""Profiles of devices that answer in text: a mistake gets one sentence with its line."""

import pytest

from shared.errors import MistakeError
from shared.model.profile import parse_profile
from tests.driver_rigs import SHIPPED, shipped

HTTP, ASK = "shelly-relay", "tank-gauge"
LISTEN, SDI12 = "nmea-weather", "soil-probe"
MISTAKES = {
    "no such request": (HTTP, 'request = "config"', 'request = "confg"', "did you mean 'config'"),
    "no value": (HTTP, 'write = "switch"', 'write = "config"', "has no place for a value"),
    "reads a write": (HTTP, 'request = "config",', 'request = "timer",', "writes a value"),
    "relative": (
        HTTP,
        'path = "/rpc"\nbody = \'{"id":1,"method":"Switch.Set"',
        'path = "rpc"\nbody = \'{"',
        "begins with one slash",
    ),
    "two requests": (HTTP, "Status?id=0", "Status HTTP/1.1\\r\\nX:", "characters that no URL has"),
    "another host": (HTTP, 'path = "/rpc/Switch.GetStatus', 'path = "//evil/', "one slash"),
    "no pointer": (HTTP, 'pointer = "/apower"', 'pointer = "apower"', "is a JSON pointer"),
    "get with body": (HTTP, 'method = "POST"\n', "", "a GET has no body"),
    "same place": (HTTP, 'pointer = "/voltage"', 'pointer = "/apower"', "is where 'power' is"),
    "firmware": (HTTP, "[[health]]", "[firmware]\nclass = 'a'\n[[health]]", "no firmware gets"),
    "limits of a flag": (HTTP, 'write = "switch" }', 'write = "switch" }\nmin = 0', "is 0 or 1"),
    "brace": (ASK, "{address:2}RD", "{adress:2}RD", "a brace that is no slot"),
    "no talk": (ASK, 'talk = "ask"\n', "", "talk is missing"),
    "sentence": (ASK, 'request = "read", field = 0', 'sentence = "GGA"', "a point is at a request"),
    "one word": (ASK, '["OK", "HIGH"]', '["OK"]', "2 to 32 texts"),
    "word twice": (ASK, '["OK", "HIGH"]', '["OK", "OK"]', "stands there twice"),
    "talkers": (ASK, 'talk = "ask"', 'talk = "ask"\ntalkers = ["GP"]', "only who listens"),
    "not ascii": (ASK, "{address:2}RD", "{address:2}ä", "printable ASCII"),
    "writable": (LISTEN, 'unit = "m/s"', 'unit = "m/s"\nwritable = true', "no request writes it"),
    "patience": (LISTEN, "wait_ms = 3000", "wait_ms = 60001", "from 0 to 60000"),
    "measurement": (
        SDI12,
        'measurement = "M", field = 0',
        'measurement = "C"',
        "is no measurement",
    ),
    "own lines": (SDI12, 'talk = "sdi12"', 'talk = "sdi12"\nend = ";"', "SDI-12 lines are fixed"),
}


@pytest.mark.parametrize(
    ("name", "before", "after", "sentence"), MISTAKES.values(), ids=MISTAKES.keys()
)
def test_a_mistake_gets_one_sentence_with_its_line(name, before, after, sentence):
    text = (SHIPPED / f"{name}.toml").read_text()
    assert before in text
    with pytest.raises(MistakeError, match=r"p\.toml line \d+") as caught:
        parse_profile(text.replace(before, after, 1), source="p.toml")
    assert sentence in str(caught.value)


def test_sections_of_one_protocol_are_refused_in_another():
    text = (SHIPPED / "pump-controller.toml").read_text()
    with pytest.raises(MistakeError, match="modbus has no section 'request'"):
        parse_profile(text + '\n[request.x]\npath = "/"', source="p.toml")


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (HTTP, "GetDeviceInfo", "GetInfo"),
        (ASK, '"sum8"', '"xor"'),
        (ASK, "{address:2}ID", "{address:2}IDN"),
        (LISTEN, '"WI", ', ""),
    ],
)
def test_what_a_section_says_is_part_of_the_content(name, before, after):
    text = (SHIPPED / f"{name}.toml").read_text()
    changed = parse_profile(text.replace(before, after), source="p.toml")
    assert changed.content_hash != shipped(name).content_hash
