"""Which of the lines on a wire is the answer: what else is printed there, starts in the data."""

import pytest

from agent.drivers.line.codec import Asked, Heard, Refusal
from agent.drivers.line.framing import wrap
from shared import limits
from shared.errors import RefusedError
from shared.model.line_address import LineDialect, LineRequest

READ = LineRequest(name="read", send="RD", answer=">01,", error="?01")
SUMMED = LineDialect(talk="ask", end="\r", checksum="sum8")
STARTED = LineDialect(talk="ask", end="\r", start=":")
BOTH = LineDialect(talk="ask", end="\r", start=":", checksum="crc16")
PLAIN = LineDialect(talk="ask", end="\r")


@pytest.mark.parametrize("dialect", [SUMMED, STARTED, BOTH, PLAIN], ids=str)
@pytest.mark.parametrize("stray", [b"BOOT OK\r", b"\xff\x80\r", b"\xff", b"", b"\0\xfe"])
def test_other_lines_and_noise_are_passed_over(dialect: LineDialect, stray: bytes):
    asked = Asked(dialect, READ, address=1)
    assert asked.feed(stray + wrap(dialect, ">01,5")) == ["5"]
    asked.reset()
    assert asked.feed(stray + wrap(dialect, "?01")) == Refusal("?01")


@pytest.mark.parametrize("dialect", [SUMMED, BOTH], ids=str)
def test_an_answer_whose_checksum_does_not_fit_is_refused_at_once(dialect: LineDialect):
    with pytest.raises(RefusedError, match="checksum"):
        Asked(dialect, READ, address=1).feed(wrap(dialect, ">01,5").replace(b"5", b"6", 1))


@pytest.mark.parametrize("dialect", [STARTED, BOTH], ids=str)
def test_a_start_in_the_data_is_data(dialect: LineDialect):
    line = wrap(dialect, ">01,12:30:45,7")
    assert Asked(dialect, READ, address=1).feed(line) == ["12:30:45", "7"]
    assert Asked(dialect, READ, address=1).feed(b":>01,9" + line) == ["12:30:45", "7"]


def test_a_start_in_a_sentence_is_data():
    dialect = LineDialect(talk="listen", start="$", checksum="xor", mark="*")
    heard = Heard(dialect, ["XDR"], unit=1)
    assert heard.feed(b"$WIX" + wrap(dialect, "WIXDR,$5,a")) == {"XDR": ["$5", "a"]}


def test_a_line_of_starts_is_tried_a_few_times():
    asked = Asked(BOTH, READ, address=1)
    assert asked.feed(b":" * limits.LINE_BYTES + b"\r") is None
    assert asked.feed(wrap(BOTH, ">01,5")) == ["5"]
