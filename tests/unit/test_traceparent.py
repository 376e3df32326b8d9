"""What is read of a request's ``traceparent``, and what is as if it were not there."""

import pytest

from coordinator.contract.trace import read_traceparent, trace_id

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
def test_a_trace_is_read_whatever_its_flags_say(flags: str) -> None:
    said = f"00-{TRACE}-{SPAN}-{flags}"
    assert read_traceparent(said) == said
    assert trace_id(said) == bytes.fromhex(TRACE)


@pytest.mark.parametrize("later", ["", "-", "-what-comes-then", "-" + "x" * 10_000])
def test_of_a_later_version_only_what_is_known_is_kept(later: str) -> None:
    known = f"01-{TRACE}-{SPAN}-01"
    assert read_traceparent(known + later) == known
    assert trace_id(known) == bytes.fromhex(TRACE)


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        ("00-made-up",),
        (GOOD, GOOD),
        (f"{GOOD},{GOOD}",),
        (f"{GOOD}-more",),
        (f"{GOOD}-",),
        (f"01-{TRACE}-{SPAN}-01more",),
        (GOOD.upper(),),
        (f" {GOOD}",),
        (f"{GOOD}\n",),
        (GOOD[:-1],),
        (GOOD[3:],),
        (f"ff-{TRACE}-{SPAN}-01",),
        (f"00-{'0' * 32}-{SPAN}-01",),
        (f"00-{TRACE}-{'0' * 16}-01",),
        (f"00-{TRACE[:-1]}g-{SPAN}-01",),
        (f"00-{TRACE[:-1]}\N{ARABIC-INDIC DIGIT ONE}-{SPAN}-01",),
        (f"00-{TRACE}{SPAN}-{SPAN}-01",),
    ],
)
def test_what_is_no_trace_is_as_if_it_were_not_there(values: tuple[str, ...]) -> None:
    assert read_traceparent(*values) == ""


def test_without_a_trace_there_is_no_id() -> None:
    assert trace_id("") == b""
