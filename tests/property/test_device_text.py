"""HTTP answers and lines of text: however they are cut, the same comes out; values come back."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.http_json.codec import HttpDecoder
from agent.drivers.http_json.document import read_document, written
from agent.drivers.line.framing import Lines, unwrap, wrap
from firmware_sim.http_json.messages import Response
from shared import limits
from shared.errors import RefusedError
from shared.model.http_address import HttpAddress, HttpRequest
from shared.model.line_address import LineDialect
from shared.model.text_form import TextForm

CUTS = st.lists(st.integers(0, 400), max_size=8)
JSON = st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False))
TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="$"))


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place for place in cuts if place < len(data))})
    return [data[a:b] for a, b in pairwise(places)]


@given(JSON, st.booleans(), st.booleans(), CUTS)
def test_an_answer_is_the_same_however_it_is_cut(document, chunked, keeps, cuts):
    decoder, answer = HttpDecoder(repeatable=True), None
    for piece in cut(Response(200, document).encode(chunked=chunked, keeps=keeps), cuts):
        assert answer is None, "not before the last byte"
        answer = decoder.feed(piece)
    assert answer is not None
    assert read_document(answer.body) == json.loads(json.dumps(document))
    assert decoder.is_last is not keeps


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (limits.HTTP_BODY_BYTES + 1),
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * limits.HTTP_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_refused_before_more_is_waited_for(answer):
    with pytest.raises(RefusedError):
        HttpDecoder(repeatable=True).feed(answer)


@given(st.integers(limits.JSON_DEPTH - 2, limits.JSON_DEPTH + 2), st.text('[]{}"\\x', max_size=80))
def test_a_document_is_as_deep_as_its_brackets_outside_of_texts(depth, text):
    said: object = text
    for level in range(depth):
        said = [said] if level % 2 else {"[{": said}
    body = json.dumps(said).encode()
    if depth <= limits.JSON_DEPTH:
        assert read_document(body) == said
    else:
        with pytest.raises(RefusedError, match="deep"):
            read_document(body)


@given(
    TEXT.filter(bool),
    st.sampled_from(["none", "xor", "sum8", "crc16"]),
    st.sampled_from(["\r\n", "\r", "\n", ";"]),
    CUTS,
)
def test_a_line_comes_back_from_among_noise(text, check, end, cuts):
    text = text.replace(end, "")
    dialect = LineDialect(talk="listen", start="$", end=end, checksum=check, mark="*")
    lines = Lines(end)
    stream = b"half a line" + wrap(dialect, text) + wrap(dialect, "next")
    found = [line for piece in cut(stream, cuts) for line in lines.feed(piece)]
    assert [unwrap(dialect, line)[0] for line in found] == [text, "next"]


@given(TEXT.filter(bool), st.sampled_from(["xor", "sum8", "crc16"]), st.data())
def test_a_line_with_another_byte_in_it_is_none(text, check, data):
    dialect = LineDialect(talk="listen", start="$", checksum=check, mark="*")
    line = wrap(dialect, text).removesuffix(b"\r\n")
    place = data.draw(st.integers(1, len(line) - 1))
    other = data.draw(st.integers(0x21, 0x7E).filter(lambda byte: byte != 0x24))
    damaged = line[:place] + bytes([other]) + line[place + 1 :]
    # Hexadecimal digits mean the same in both cases.
    assert damaged.upper() == line.upper() or not unwrap(dialect, damaged)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_that_is_written_reads_as_it_was(number):
    form = TextForm("number")
    assert form.read(form.text(number)) == number
    read = HttpRequest(name="r", method="GET", path="/")
    assert json.loads(written(HttpAddress(request=read, pointer="", form=form), number)) == number


@given(st.text(max_size=60))
def test_a_text_that_is_no_number_says_none(text):
    for kind in ("number", "int", "hex", "flag", "degrees"):
        TextForm(kind).read(text)
    assert TextForm("int").read(f"{text}x") is None
