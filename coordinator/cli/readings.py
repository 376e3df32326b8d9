"""`outstation readings`: what the devices measured."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from coordinator.cli import readings_show as show
from coordinator.cli.options import DEFAULT, Common, with_client
from coordinator.contract.readings import Resolution

app = App(name="readings", help="What the devices measured.")


@Parameter(name="*")
@dataclass(frozen=True)
class Which:
    """Options that choose readings."""

    selector: Annotated[str, Parameter(help='label selector, e.g. "site=north,role=pump"')] = ""
    start: Annotated[str, Parameter(help="from then on: 90s, 2h, 7d ago, or RFC 3339")] = ""
    end: Annotated[str, Parameter(help="until then; same forms")] = ""
    clock: Annotated[
        Literal["any", "sure"], Parameter(help="sure leaves out times that nothing confirmed")
    ] = "any"


_ALL = Which()


@app.command(name=["list", "get"])
def readings_list(
    agent: str = "",
    device: str = "",
    point: str = "",
    /,
    *,
    which: Which = _ALL,
    resolution: Resolution = "raw",
    limit: int = 1_000,
    csv: bool = False,
    common: Common = DEFAULT,
) -> None:
    """Print readings, newest `limit` of them, oldest first; names may be patterns with * and ?.

    Parameters
    ----------
    resolution
        Single readings, minutes, hours, or what fits the stretch of time.
    limit
        At most so many.
    csv
        As CSV, for other programs.
    """
    names = {"agent": agent, "device": device, "point": point, "resolution": resolution}
    asked = show.query(names | {"limit": limit} | asdict(which))
    with_client(common, lambda c, s: show.get(c, s, asked, csv=csv))


@app.command(name="plot")
def readings_plot(
    agent: str,
    device: str,
    point: str = "",
    /,
    *,
    which: Which = _ALL,
    resolution: Resolution = "auto",
    common: Common = DEFAULT,
) -> None:
    """Draw readings in the terminal, from lowest to highest: spikes are never averaged away.

    Parameters
    ----------
    resolution
        Single readings, minutes, hours, or what fits the stretch of time and the screen.
    """
    names = {"agent": agent, "device": device, "point": point, "resolution": resolution}
    asked = show.query(names | asdict(which))
    with_client(common, lambda c, s: show.plot(c, s, asked))


@app.command(name="export")
def readings_export(
    file: Path,
    agent: str = "",
    device: str = "",
    point: str = "",
    /,
    *,
    which: Which = _ALL,
    resolution: Resolution = "raw",
    common: Common = DEFAULT,
) -> None:
    """Write readings to a file: .csv, .jsonl or .parquet. Any number of them.

    Parameters
    ----------
    resolution
        Single readings, minutes or hours.
    """
    names = {"agent": agent, "device": device, "point": point, "resolution": resolution}
    asked = show.query(names | asdict(which))
    with_client(common, lambda c, s: show.export(c, s, asked, file))
