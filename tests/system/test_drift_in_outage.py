"""A validation that stands on a gateway finds a drift while the link is down: real processes."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.system.fleet import Fleet, set_pumps
from tests.system.fleet_parts import ASK_S, Gateway, until
from tests.system.maintained import add_site, history, reported, turn
from tests.system.test_fleet_standing import cut

EVERY_S = 2
WANTED, TURNED = 1500, 900
CHECK = {"id": "check", "action": "device.validate", "params": {"setpoint": WANTED}}
WISH = "often/check"


async def drift(fleet: Fleet, device: str, *, missed: bool) -> dict[str, Any]:
    """Wait until a device is told to be missed, or not to be, and return its line."""

    async def told() -> dict[str, Any] | None:
        lines = (await fleet.admin.get("/v1/drift", all="true"))["items"]
        (line,) = (one for one in lines if (one["device"], one["wish"]) == (device, WISH))
        return dict(line) if bool(line["missed"]) is missed else None

    return await until(f"the drift to be told, missed: {missed}", told, look_s=ASK_S)


async def looked(gateway: Gateway, device: str, more: int = 1) -> None:
    """Wait until the schedule has looked at a device: nothing else reads what it is set to."""

    def looks() -> int:
        return gateway.record(device).summary.reads(1, "setpoint")

    goal = looks() + more

    async def reached() -> bool | None:
        gateway.check()
        return looks() >= goal or None

    await until(f"{more} looks at {device}", reached)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.slow
async def test_a_drift_in_an_outage_is_told_since_it_was_seen_and_who_mended_it(
    fleet: Fleet,
) -> None:
    await fleet.start_coordinator()
    north = await add_site(fleet, "north", "pump-1", "pump-2")
    await fleet.admin.finished(await fleet.submit(set_pumps(WANTED, selector="site=north")))
    job: dict[str, object] = {
        "name": "often",
        "targets": {"selector": "site=north", "device_selector": "kind=pump"},
        "steps": [CHECK],
        "schedule": {"interval_s": EVERY_S, "misfire": "all", "max_catchup": 5},
    }
    standing = await fleet.submit(job)
    well = max(moment(one["last_at"]) for one in await history(fleet, standing, least=3))
    assert (await reported(fleet, "drift"))[0] == 0
    cut(north)
    await turn(north, "pump-2", TURNED)
    await looked(north, "pump-2")
    seen = datetime.now(UTC)
    await looked(north, "pump-2", more=2)
    assert (await reported(fleet, "drift"))[0] == 0, "nobody can know"
    north.link.set_target(("127.0.0.1", fleet.coordinator.port))
    line = await drift(fleet, "pump-2", missed=True)
    assert line["missed"] == {"setpoint": TURNED}
    # A nominal time lies before the look that it caused, and after those that were told as well.
    assert well < moment(line["since"]) < seen, "when it was seen, not told"
    status, (count,) = await reported(fleet, "compliance")
    assert (status, count["devices"], count["missing"]) == (1, 2, 1)
    assert [one["device"] for one in count["missing_devices"]] == ["pump-2"]

    configured = await fleet.submit(
        {
            "name": "mend",
            "targets": {"selector": "site=north", "device_selector": "id=pump-2"},
            "steps": [{"id": "mend", "action": "device.configure", "params": {"setpoint": WANTED}}],
        }
    )
    await fleet.admin.finished(configured)
    mended = await drift(fleet, "pump-2", missed=False)
    assert (mended["since"], mended["mended_by"]) == (None, configured)
    assert (await reported(fleet, "drift"))[0] == 0
    listed = await fleet.outstation("events", "list", "--type", "drift", "--json")
    events = sorted(json.loads(listed.out), key=lambda one: int(one["id"]))
    assert [one["type"] for one in events] == ["drift.began", "drift.ended"]
    assert {one["subject"].rpartition("/")[2] for one in events} == {"pump-2"}
    assert events[1]["data"]["detail"]["by"] == configured
    found = await history(fleet, standing)
    whole = [one for one in found if not one["device"]]
    first = min(moment(one["first_at"]) for one in whole)
    last = max(moment(one["last_at"]) for one in whole)
    nominal = (last - first) // timedelta(seconds=EVERY_S) + 1
    assert sum(one["count"] for one in whole) == nominal, "each of its times once"
