"""What `doctor` found: one line each, with the place and the mend where something is wrong.

Owns the values, their text and which of them is a failure. Leaves out looking
(`agent.services.doctor` and its neighbours).
"""

import textwrap
from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from agent.core.status_text import WIDTH, Line, Tone, paint


class Level(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARN = "warn"
    """It works, and will not for long or not as meant."""
    FAIL = "FAIL"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    check: str
    """What was looked at, in a word or two."""
    level: Level
    what: str
    where: str = ""
    mend: str = ""


def ok(check: str, what: str, where: str = "") -> Finding:
    """Return that something is as it should be."""
    return Finding(check=check, level=Level.OK, what=what, where=where)


def warn(check: str, what: str, *, where: str = "", mend: str = "") -> Finding:
    """Return that somebody should look at something."""
    return Finding(check=check, level=Level.WARN, what=what, where=where, mend=mend)


def fail(check: str, what: str, *, where: str = "", mend: str = "") -> Finding:
    """Return that something does not work."""
    return Finding(check=check, level=Level.FAIL, what=what, where=where, mend=mend)


def has_failed(findings: Sequence[Finding]) -> bool:
    """Tell whether anything does not work."""
    return any(one.level is Level.FAIL for one in findings)


def render(findings: Sequence[Finding], *, colours: bool = False) -> str:
    """Return the findings for people, on a phone held upright."""
    return paint(_lines(findings), colours=colours)


_TONES = {Level.OK: Tone.PLAIN, Level.WARN: Tone.WARN, Level.FAIL: Tone.BAD}


def _lines(findings: Sequence[Finding]) -> Iterator[Line]:
    for one in findings:
        tone = _TONES[one.level]
        first, *more = textwrap.wrap(one.what, WIDTH - 15, break_on_hyphens=False) or [""]
        yield Line(f"{one.level:<4} {one.check:<9} {first}", tone)
        yield from (Line(f"{'':15}{text}", tone) for text in more)
        if one.level is not Level.OK:
            yield from _more("at", one.where, tone)
            yield from _more("->", one.mend, tone)
    counts = {level: sum(one.level is level for one in findings) for level in Level}
    yield Line(", ".join(f"{count} {level}" for level, count in counts.items()), Tone.HEAD)


def _more(mark: str, text: str, tone: Tone) -> Iterator[Line]:
    for index, part in enumerate(textwrap.wrap(text, WIDTH - 8, break_on_hyphens=False)):
        yield Line(f"     {mark if index == 0 else '':<2} {part}", tone)
