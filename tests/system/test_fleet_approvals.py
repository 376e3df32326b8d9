"""Two people agree to a write, with real programs end to end: keys, policy, signatures, pump."""

import json
import re

from firmware_sim.demo.processes import Outcome
from tests.system import warm
from tests.system.fleet import Fleet, set_pumps
from tests.system.fleet_parts import TCP_PUMP

ORDERED = 4200
OK, FAILED, USAGE, CONFLICT, TIMED_OUT = 0, 1, 2, 6, 7


async def office(fleet: Fleet, *arguments: str) -> Outcome:
    """Run a command of the coordinator at its own terminal."""
    data = ("--data", str(fleet.coordinator.data))
    return await warm.outcome(fleet.coordinator.command(*arguments, *data))


async def guarded(fleet: Fleet) -> dict[str, str]:
    """Make keys for two people and publish a policy that asks both of them; return their files."""
    files, lines = {}, []
    for name in ("anna", "ben"):
        files[name] = str(fleet.folder / f"{name}.pem")
        made = await fleet.outstation("keys", "create", files[name], "--name", name)
        assert made.status == OK, made
        lines.append(made.out)
    shown = await office(fleet, "policy", "show")
    assert shown.status == OK, shown
    text, count = re.subn(
        r"(\[class\.operate\]\n)approvals = 0\napprovers = \[\]",
        r'\1approvals = 2\napprovers = ["anna", "ben"]',
        shown.out,
    )
    assert count == 1, shown.out
    first_class = text.index("[class.")
    file = fleet.folder / "policy.toml"
    file.write_text(text[:first_class] + "\n".join(lines) + "\n" + text[first_class:])
    published = await office(fleet, "policy", "publish", str(file))
    assert published.status == OK, published
    return files


async def test_a_guarded_write_reaches_the_pump_once_two_people_signed_it(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    north = await fleet.add_gateway("north", TCP_PUMP)
    keys = await guarded(fleet)
    tokens = {}
    for name, scope in (("olga", "operator"), ("anna", "approver"), ("ben", "approver")):
        made = await fleet.outstation("tokens", "create", name, "--scope", scope)
        assert made.status == OK, made
        tokens[name] = {"OUTSTATION_TOKEN": made.out.strip()}
    file = fleet.folder / "job.json"
    file.write_text(json.dumps(set_pumps(ORDERED, selector="site=north")))

    handed = await fleet.outstation(
        "jobs", "submit", str(file), "--json", environment=tokens["olga"]
    )
    job = json.loads(handed.out)
    assert (job["state"], job["author"], job["job_class"]) == (
        "PENDING_APPROVAL",
        "olga",
        "operate",
    )
    waited = await fleet.outstation("jobs", "wait", job["id"], "--timeout", "1")
    assert waited.status == TIMED_OUT
    assert north.record(TCP_PUMP.id).setpoints() == []

    sign = ("approvals", "sign", job["id"], "--yes", "--key")
    first = await fleet.outstation(*sign, keys["anna"], environment=tokens["anna"])
    assert (first.status, "1 of 2, by anna" in first.out) == (OK, True), first
    again = await fleet.outstation(*sign, keys["anna"], environment=tokens["ben"])
    assert (again.status, "1 of 2, by anna" in again.out) == (OK, True), "a person, not a paper"
    second = await fleet.outstation(*sign, keys["ben"], environment=tokens["ben"])
    assert (second.status, "2 of 2, by anna and ben" in second.out) == (OK, True), second

    done = await fleet.outstation("jobs", "wait", job["id"], "--json")
    assert done.status == OK, done
    assert [one["state"] for one in json.loads(done.out)["executions"]] == ["SUCCEEDED"]
    assert north.record(TCP_PUMP.id).setpoints() == [ORDERED]

    late = await fleet.outstation("approvals", "deny", job["id"], "--reason", "late")
    assert late.status == CONFLICT, late
    log = await fleet.outstation("audit", "list", "--object", f"job:{job['id']}", "--json")
    actions = [entry["action"] for entry in json.loads(log.out)]
    assert actions == ["job.release", *["approval.sign"] * 3, "job.submit"]
    whole = await office(fleet, "verify-audit")
    assert whole.status == OK, whole
    assert "none of them changed" in whole.out
