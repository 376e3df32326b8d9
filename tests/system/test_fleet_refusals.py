"""What the coordinator refuses: a problem document with its place, an exit status, no effect."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.demo import forge
from firmware_sim.demo.middle import Exchange, Middle
from firmware_sim.demo.stolen import stolen_certificate
from shared import limits
from shared.sync.body import CONTENT_TYPE, PartKind
from tests.system.answers import Refusal, judge, refusal, shown
from tests.system.fleet import Fleet, set_pumps
from tests.system.fleet_checks import check_account, check_sentence, ends, settle
from tests.system.fleet_parts import RTU_PUMP, Coordinator, free_port, until

USAGE, DENIED, UNREACHABLE = 2, 4, 5


in_module = pytest.mark.asyncio(loop_scope="module")


@in_module
@pytest.mark.parametrize("token", [None, "nonsense", "ost_AAAAAAAA_BBBBBBBB_CCCC"])
async def test_nobody_gets_in_without_the_right_token(served: Fleet, token: str | None) -> None:
    for method, path in [("GET", "/v1/agents"), ("POST", "/v1/jobs"), ("POST", "/v1/claims")]:
        refused = refusal(served, method, path, token=token)
        assert (refused.status, refused.name) == (401, "unauthenticated")
    if token is not None:
        outcome = await served.outstation("status", environment={"OUTSTATION_TOKEN": token})
        check_sentence(outcome, DENIED)
        assert outcome.out == ""


STEP = {"id": "apply", "action": "device.write", "params": {"setpoint": 1}}
NORTH = {"selector": "site=north"}


@in_module
@pytest.mark.parametrize(
    ("job", "at"),
    [
        ({"targets": NORTH, "steps": [{**STEP, "action": "device.explode"}]}, "steps[0].action"),
        ({"targets": NORTH, "steps": [STEP, STEP]}, "steps[1].id"),
        (
            {"targets": NORTH, "steps": [{**STEP, "params": {"setpoint": "high"}}]},
            "steps[0].params",
        ),
        ({"targets": NORTH, "steps": [{**STEP, "params": {}}]}, "steps[0].params"),
        ({"targets": NORTH, "steps": [{**STEP, "param": {}}]}, "steps[0].param"),
        ({"targets": NORTH, "steps": []}, "steps"),
        ({"targets": NORTH, "steps": [STEP], "delay_s": -1}, "delay_s"),
        ({"targets": {"selector": "site in"}, "steps": [STEP]}, "targets.selector"),
        ({"targets": {"selector": "site=nowhere"}, "steps": [STEP]}, "targets.selector"),
        ({"targets": {"agents": ["nobody"]}, "steps": [STEP]}, "targets.agents[0]"),
        ({"targets": {}, "steps": [STEP]}, "targets"),
        ({"targets": NORTH, "steps": [STEP], "when": "now"}, "when"),
    ],
)
async def test_a_job_that_cannot_be_is_refused_where_it_is_wrong(
    served: Fleet, job: dict[str, Any], at: str
) -> None:
    whole = {"name": "bad", **job}
    refused = refusal(served, "POST", "/v1/jobs", body=json.dumps(whole).encode())
    assert refused.status in {400, 422}, refused
    assert refused.at == at, refused
    assert refused.detail
    assert shown(served, "/v1/jobs")["items"] == [], "no job was made"


@in_module
async def test_a_job_that_cannot_be_is_one_sentence_at_the_terminal(served: Fleet) -> None:
    nowhere = {"selector": "site=nowhere"}
    bad: dict[str, dict[str, Any]] = {
        "steps[0].action: there is no action": {"steps": [{**STEP, "action": "device.explode"}]},
        "steps[0].param: there is no 'param' here": {"steps": [{**STEP, "param": {}}]},
        "targets.selector: no agent matches": {"steps": [STEP], "targets": nowhere},
    }
    tries = []
    for number, job in enumerate(bad.values()):
        file = served.folder / f"bad-{number}.json"
        file.write_text(json.dumps({"name": "bad", "targets": NORTH, **job}))
        tries.append(served.outstation("jobs", "submit", str(file)))
    for words, outcome in zip(bad, await asyncio.gather(*tries), strict=True):
        check_sentence(outcome, USAGE, words)


@in_module
async def test_what_is_no_job_at_all_is_refused(served: Fleet) -> None:
    for body in (b"{", b"[]", b"\xff\xfe", b'{"name": 1}'):
        refused = refusal(served, "POST", "/v1/jobs", body=body)
        assert refused.status in {400, 422}, refused
    much = b'{"name": "' + b"x" * limits.REST_BODY_BYTES + b'"}'
    refused = refusal(served, "POST", "/v1/jobs", body=much)
    assert (refused.status, refused.name) == (413, "too-large")
    assert refusal(served, "GET", "/v1/nothing").status == 404
    assert refusal(served, "DELETE", "/v1/agents").status == 405
    assert refusal(served, "GET", "/v1/agents?selektor=x").at.startswith("query")
    assert shown(served, "/v1/jobs")["items"] == [], "no job was made"


@in_module
async def test_a_contact_that_is_none_is_refused(served: Fleet) -> None:
    too_much = b"x" * (limits.BODY_BYTES_UP + 1)
    for body, status in [(b"", 400), (b"nonsense", 400), (too_much, 413)]:
        refused = refusal(
            served, "POST", "/v1/sync", token=None, body=body, media_type=CONTENT_TYPE
        )
        assert refused.status == status, refused
    assert shown(served, "/v1/status")["readings"]["blocks"] == 0


@in_module
async def test_the_command_line_knows_its_own_coordinator(served: Fleet, tmp_path: Path) -> None:
    other = Coordinator(tmp_path / "other")
    await other.init()
    strange = {"OUTSTATION_CA": str(other.data / "ca.pem")}
    check_sentence(await served.outstation("status", environment=strange), DENIED, "prove")
    gone = {"OUTSTATION_URL": f"https://127.0.0.1:{free_port()}"}
    check_sentence(await served.outstation("status", environment=gone), UNREACHABLE)


@in_module
async def test_a_second_coordinator_is_refused_and_the_first_goes_on(
    served: Fleet, founded: Path, tmp_path: Path
) -> None:
    first, other = served.coordinator, Coordinator(tmp_path / "other")
    await other.init(founded)
    anywhere, taken = "127.0.0.1:0", f"127.0.0.1:{first.port}"
    nothing = tmp_path / "nothing"
    tries = {
        "already used by process": ("run", "--data", str(first.data), "--listen", anywhere),
        str(first.port): ("run", "--data", str(other.data), "--listen", taken),
        str(first.data): ("init", str(first.data), "--host", "127.0.0.1"),
        "no fleet was founded": ("run", "--data", str(nothing), "--listen", anywhere),
    }
    outcomes = await asyncio.gather(*(ends(other.command(*words)) for words in tries.values()))
    for words, outcome in zip(tries, outcomes, strict=True):
        check_sentence(outcome, USAGE, words)
    assert not nothing.exists()
    assert shown(served, "/v1/status")["agents"]


# --- hostile contacts ---------------------------------------------------------------------------
async def test_tampered_and_replayed_contacts_are_refused_and_change_nothing(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", RTU_PUMP, start=False)
    server = stolen_certificate(fleet.coordinator.data)
    middle = Middle(
        "site",
        fleet.coordinator.url,
        server=server,
        client=fleet.coordinator.tls(),
        seed=bytes(32),
    )
    await middle.start()
    fleet.stack.push_async_callback(middle.stop)
    site.link.set_target(("127.0.0.1", middle.port))
    await site.start()
    await fleet.delivered(site, at_least=50)

    async def two_contacts() -> bool | None:
        return True if len(middle.captured.requests) >= 3 else None

    await until("a few contacts to pass by", two_contacts)
    oldest, newest = middle.captured.requests[0], middle.captured.requests[-1]
    report = forge.part(newest, PartKind.REPORT)
    assert report is not None
    forged = forge.forged_report(report, middle.key)
    attempts = {
        "altered": (forge.request(forge.altered(report)), "threshold_not_met"),
        "forged": (forge.request(forged), "threshold_not_met"),
        "cut short": (newest[:-3], "body_malformed"),
    }
    before = await fleet.admin.get("/v1/status")
    for name, (body, reason) in attempts.items():
        refused = problem_of(await middle.send(body))
        assert (name, refused.reason) == (name, reason), refused
        assert refused.status in {400, 401, 403, 409}, refused
    replayed = await middle.send(oldest)
    assert replayed.status == 200, "whoever replays must not make the site look refused"
    assert forge.part(replayed.answer, PartKind.BUNDLE) is None
    after = await fleet.admin.get("/v1/status")
    assert sum(after["refused"].values()) > sum(before["refused"].values()), "they are counted"
    assert after["refused"]["report_stale"] == 1
    job = await fleet.submit(set_pumps(3000, selector="site=site"))
    (execution,) = await fleet.admin.finished(job)
    assert execution["state"] == "SUCCEEDED", "the real site was not locked out"
    await settle(fleet, site)
    await check_account(fleet, site)


def problem_of(exchange: Exchange) -> Refusal:
    return judge(exchange.status, json.loads(exchange.answer))


# --- its database -------------------------------------------------------------------------------
async def test_a_database_from_a_newer_version_is_left_alone(founded: Path, tmp_path: Path) -> None:
    coordinator = Coordinator(tmp_path / "coordinator")
    await coordinator.init(founded)
    database = coordinator.data / "coordinator.db"
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("PRAGMA user_version = 999")
    before = sorted(path.name for path in coordinator.data.iterdir())
    outcome = await ends(coordinator.command("run", "--data", str(coordinator.data)))
    check_sentence(outcome, USAGE, "coordinator.db", "schema version 999")
    claim = ("claim", "create", "--data", str(coordinator.data), "--site", "a")
    outcome = await ends(coordinator.command(*claim, str(tmp_path / "claim.json")))
    check_sentence(outcome, USAGE, "coordinator.db", "schema version 999")
    assert not (tmp_path / "claim.json").exists()
    assert set(before) <= {path.name for path in coordinator.data.iterdir()} <= {*before, "lock"}
