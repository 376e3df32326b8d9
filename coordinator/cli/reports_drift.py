"""`outstation reports drift` and `compliance`: devices beside what is wished of them."""

import sys
from datetime import datetime

import msgspec

from coordinator.cli.client import Client, Exit
from coordinator.cli.options import DEFAULT, Common, with_client
from coordinator.cli.show import Screen
from coordinator.cli.tables import AS_CSV, print_lines
from coordinator.contract.drift import Compliance, ComplianceLine, DriftView
from shared import limits


class DriftLine(msgspec.Struct, frozen=True, kw_only=True):
    """A device and one thing that is wished of it."""

    agent: str
    device: str
    wish: str
    desired: str
    missed: list[str]
    """What is otherwise, with what it is."""
    since: datetime | None
    observed_at: datetime
    mended_at: datetime | None
    mended_by: str


class CountLine(msgspec.Struct, frozen=True, kw_only=True):
    """How many devices of a group are as wished."""

    group: str
    wish: str
    desired: str
    devices: int
    missing: int
    oldest_since: datetime | None
    oldest_word: datetime


def drift(
    *,
    agent: str = "",
    selector: str = "",
    every: bool = False,
    as_csv: AS_CSV = False,
    common: Common = DEFAULT,
) -> Exit:
    """List devices that are not as wished, and since when; exit status 1 if there is one.

    Parameters
    ----------
    agent
        Of this gateway only.
    selector
        Only of gateways that match.
    every
        Those too that are as wished, and who mended them.
    """

    def show(client: Client, screen: Screen) -> Exit:
        query = {"agent": agent, "selector": selector, "all": "true" if every else ""}
        found = list(client.pages("/v1/drift", DriftView, query, most=sys.maxsize))
        print_lines(screen, [line_of(one) for one in found], DriftLine, as_csv=as_csv)
        return Exit.FAILED if any(one.missed for one in found) else Exit.OK

    return with_client(common, show)


def compliance(
    *, selector: str = "", by: str = "site", as_csv: AS_CSV = False, common: Common = DEFAULT
) -> Exit:
    """Count devices that are as wished, by group; exit status 1 if one is not.

    Of those that are not the first 100 of each group are listed; `reports drift` lists all.

    Parameters
    ----------
    selector
        Only of gateways that match.
    by
        Label that makes the groups.
    """

    def show(client: Client, screen: Screen) -> Exit:
        query = {"selector": selector, "by": by}
        lines = client.get("/v1/compliance", Compliance, query).items
        missing = sum(line.missing for line in lines)
        if screen.as_json:
            screen.json(lines)
        else:
            print_lines(screen, [count_of(line) for line in lines], CountLine, as_csv=as_csv)
        if missing and not screen.as_json and not as_csv:
            asked = {"selector": selector}
            found = list(client.pages("/v1/drift", DriftView, asked, most=limits.MISSING_NAMED))
            screen.text()
            print_lines(screen, [line_of(one) for one in found], DriftLine, as_csv=False)
            if missing > len(found):
                screen.text(f"and {missing - len(found)} more: outstation reports drift")
        return Exit.FAILED if missing else Exit.OK

    return with_client(common, show)


def count_of(line: ComplianceLine) -> CountLine:
    """Return how many are as wished, without their names."""
    return CountLine(**{name: getattr(line, name) for name in CountLine.__struct_fields__})


def line_of(view: DriftView) -> DriftLine:
    """Return a comparison as one line."""
    return DriftLine(
        agent=view.agent,
        device=view.device,
        wish=view.wish,
        desired=view.desired,
        missed=[f"{name}={value}" for name, value in view.missed.items()],
        since=view.since,
        observed_at=view.observed_at,
        mended_at=view.mended_at,
        mended_by=view.mended_by,
    )
