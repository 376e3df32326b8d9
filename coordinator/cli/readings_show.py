"""Readings as a table, drawn, or as a file: what `outstation readings` does with an answer."""

import codecs
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from coordinator.cli.client import CallError, Client, Exit
from coordinator.cli.plot import Line, draw
from coordinator.cli.show import Screen, span
from coordinator.contract.readings import ReadingsView, SeriesView
from shared.errors import MistakeError
from shared.runtime.files import check_new

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_PLOT_HEIGHT = 16
_FORMS = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}
_NONE = "there are no such readings; the newest of all: outstation readings list --limit 20"
_WIDTHS = {60: "minutes", 3_600: "hours"}


def parse_moment(text: str, *, where: str, now: datetime) -> datetime | None:
    """Return a moment given as RFC 3339 or as a length before `now` (``90s``, ``2h``, ``7d``).

    >>> str(parse_moment("2h", where="--start", now=datetime(2026, 1, 1, 6, tzinfo=UTC)))
    '2026-01-01 04:00:00+00:00'
    """
    if not text:
        return None
    number = text.rstrip("smindh")
    unit = text[len(number) :]
    try:
        if number.isdecimal() and unit in _UNITS:
            return now - timedelta(seconds=int(number) * _UNITS[unit])
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise MistakeError(
            f"{text!r} is no time", where=where, mend="write 2h, 7d or 2026-11-22T10:00:00Z"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def query(asked: Mapping[str, object]) -> dict[str, object]:
    """Return the query of ``GET /v1/readings`` for what was asked on the command line."""
    now = datetime.now(UTC)
    moments = {
        key: parse_moment(str(asked[key]), where=f"--{key}", now=now) for key in ("start", "end")
    }
    given = {key: moment.isoformat() for key, moment in moments.items() if moment is not None}
    return {**asked, **given}


def get(client: Client, screen: Screen, asked: dict[str, object], *, csv: bool) -> None:
    """Print readings as a table, or as CSV for other programs."""
    if csv:
        pieces = client.stream("/v1/readings", {**asked, "format": "csv"})
        # A piece ends anywhere, also within the ° of a unit.
        sys.stdout.writelines(codecs.iterdecode(pieces, "utf-8", "replace"))
        return
    view = client.get("/v1/readings", ReadingsView, asked)
    if screen.as_json:
        screen.json(view)
        return
    if not view.series:
        screen.text(_NONE)
        return
    names = ("TIME (UTC)", "AGENT", "DEVICE", "POINT")
    heads: tuple[str, ...] = (*names, "VALUE", "UNIT", "QUALITY", "CLOCK")
    if view.width_s:
        heads = (*names, "MEAN", "LOW", "HIGH", "UNIT", "COUNT", "GOOD", "CLOCK")
    rows = sorted((row for series in view.series for row in _table(series)), key=_in_time)
    screen.table(heads, [(f"{time:%Y-%m-%d %H:%M:%S.%f}"[:-3], *rest) for time, *rest in rows])
    if view.truncated and view.complete_from is not None:
        screen.text(
            f"there are earlier ones: ask again with --end {view.complete_from.isoformat()}"
        )
    elif view.truncated:
        screen.text("there are more: ask for a shorter time, or export them to a file")


def plot(client: Client, screen: Screen, asked: dict[str, object]) -> None:
    """Draw each series that was asked for, as a band where it stands for several readings."""
    view = client.get("/v1/readings", ReadingsView, {**asked, "points": 2 * screen.width})
    if screen.as_json:
        screen.json(view)
        return
    if not view.series:
        raise CallError(_NONE, Exit.NOT_FOUND)
    for series in view.series:
        screen.text(_title(series, view))
        line = Line(series.times, series.values, series.lows, series.highs)
        for text in draw(line, width=screen.width, height=_PLOT_HEIGHT):
            screen.text(text)


def export(client: Client, screen: Screen, asked: dict[str, object], file: Path) -> None:
    """Write readings to a file, of a form that its name tells; progress goes to the terminal.

    Raises:
        MistakeError: the name tells no form, or the file exists or cannot be made.
        CallError: it was not served; no part of a file stays behind.
    """
    form = _FORMS.get(file.suffix.lower())
    if form is None:
        raise MistakeError(
            "its name tells no form of file",
            where=str(file),
            mend=f"let it end with {', '.join(_FORMS)}",
        )
    check_new(file)
    part = file.with_name(file.name + ".part")
    try:
        with part.open("wb") as out:
            size = sum(
                map(out.write, _told(client.stream("/v1/readings", asked | {"format": form})))
            )
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    if screen.as_json:
        screen.json({"file": str(file), "bytes": size})
    else:
        screen.text(f"{file}: {size} bytes")


def _told(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pass pieces on, and tell a person at a terminal how many bytes came."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield from pieces
        return
    size = 0
    with console.status("asking") as status:
        for piece in pieces:
            size += len(piece)
            status.update(f"{size / 1e6:.1f} MB")
            yield piece


def _table(series: SeriesView) -> Iterator[tuple[object, ...]]:
    clocks = [run.state for run in series.clocks for _ in range(run.count)]
    names = (series.agent, series.device, series.point)
    for row, (time, value) in enumerate(zip(series.times, series.values, strict=True)):
        if series.counts:
            band = (_short(value), series.lows[row], series.highs[row], series.unit)
            yield time, *names, *band, series.counts[row], series.goods[row], clocks[row]
        else:
            yield time, *names, value, series.unit, series.qualities[row], clocks[row]


def _in_time(row: tuple[object, ...]) -> tuple[str, ...]:
    return tuple(str(part) for part in row[:4])


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"


def _title(series: SeriesView, view: ReadingsView) -> str:
    unit = f" in {series.unit}" if series.unit else ""
    what = "readings"
    if view.width_s:
        what = _WIDTHS.get(view.width_s, f"bands of {span(timedelta(seconds=view.width_s))}")
    counts: dict[str, int] = {}
    for run in series.clocks:
        counts[run.state] = counts.get(run.state, 0) + run.count
    least = max((run.err_ms for run in series.clocks), default=0)
    sure = ", ".join(f"{state} {count}" for state, count in counts.items())
    within = f" within {least} ms" if least else ""
    return (
        f"{series.agent} {series.device} {series.point}{unit}, {len(series.values)} {what};"
        f" clock: {sure}{within}"
    )
