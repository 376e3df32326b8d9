"""`outstation readings`: what the devices measured, as a table, as CSV, or drawn."""

from datetime import UTC, datetime, timedelta

from coordinator.cli.client import CallError, Client, Exit
from coordinator.cli.plot import draw
from coordinator.cli.show import Screen
from coordinator.contract.readings import ReadingsView, SeriesView
from shared.errors import MistakeError

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_PLOT_HEIGHT = 16


def parse_moment(text: str, *, where: str, now: datetime) -> datetime | None:
    """Return a moment given as RFC 3339 or as a length before `now` (``90s``, ``2h``, ``7d``).

    >>> str(parse_moment("2h", where="--start", now=datetime(2026, 1, 1, 6, tzinfo=UTC)))
    '2026-01-01 04:00:00+00:00'
    """
    if not text:
        return None
    number = text.rstrip("smindh")
    unit = text[len(number) :]
    if number.isdecimal() and unit in _UNITS:
        return now - timedelta(seconds=int(number) * _UNITS[unit])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MistakeError(
            f"{text!r} is no time", where=where, mend="write 2h, 7d or 2026-11-22T10:00:00Z"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def query(
    *, agent: str, device: str, point: str, start: str, end: str, limit: int
) -> dict[str, object]:
    """Return the query of ``GET /v1/readings`` for what was asked on the command line."""
    now = datetime.now(UTC)
    moments = {
        "start": parse_moment(start, where="--start", now=now),
        "end": parse_moment(end, where="--end", now=now),
    }
    asked: dict[str, object] = {"agent": agent, "device": device, "point": point, "limit": limit}
    return asked | {key: value.isoformat() for key, value in moments.items() if value is not None}


def get(client: Client, screen: Screen, asked: dict[str, object], *, csv: bool) -> None:
    """Print readings as a table, or as CSV for other programs."""
    if csv:
        print(client.get_raw("/v1/readings", {**asked, "format": "csv"}).decode(), end="")
        return
    view = client.get("/v1/readings", ReadingsView, asked)
    if screen.as_json:
        screen.json(view)
        return
    rows = sorted(
        (time, series.agent, series.device, series.point, value, series.unit, quality)
        for series in view.series
        for time, value, quality in zip(series.times, series.values, series.qualities, strict=True)
    )
    screen.table(
        ("TIME (UTC)", "AGENT", "DEVICE", "POINT", "VALUE", "UNIT", "QUALITY"),
        [(f"{time:%Y-%m-%d %H:%M:%S.%f}"[:-3], *rest) for time, *rest in rows],
    )
    if view.truncated:
        screen.text(f"there are earlier ones: ask again with --end {view.complete_from}")


def plot(client: Client, screen: Screen, asked: dict[str, object]) -> None:
    """Draw each series that was asked for."""
    view = client.get("/v1/readings", ReadingsView, asked)
    if screen.as_json:
        screen.json(view)
        return
    if not view.series:
        raise CallError("there are no such readings; see: outstation readings get", Exit.NOT_FOUND)
    for series in view.series:
        screen.text(_title(series))
        lines = draw(series.times, series.values, width=screen.width, height=_PLOT_HEIGHT)
        for line in lines:
            screen.text(line)


def _title(series: SeriesView) -> str:
    unit = f" in {series.unit}" if series.unit else ""
    return f"{series.agent} {series.device} {series.point}{unit}, {len(series.values)} readings"
