"""Who is let in: a claim once, unaltered, in time, by the coordinator that made it."""

import asyncio
import json
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from agent.services.identity import load_enrolment
from firmware_sim.demo import processes
from firmware_sim.demo.processes import Outcome
from tests.system.answers import shown
from tests.system.fleet import Fleet, open_fleet
from tests.system.fleet_checks import check_account, check_sentence, ends, settle
from tests.system.fleet_parts import TCP_PUMP, free_port

OK, MISTAKE, DENIED, UNREACHABLE = 0, 2, 4, 5

in_module = pytest.mark.asyncio(loop_scope="module")


async def enrol(data: Path, claim: Path, url: str) -> Outcome:
    """Enrol an agent whose files are in `data`."""
    where = ("--coordinator", url, "--claim", str(claim), "--data", str(data))
    return await ends(processes.command("agent", "enroll", *where))


def sites(fleet: Fleet) -> list[str]:
    """Return the site of every agent that was let in."""
    return [agent["site"] for agent in shown(fleet, "/v1/agents")["items"]]


@in_module
async def test_enrolment_without_anyone_there_can_simply_be_repeated(
    served: Fleet, tmp_path: Path
) -> None:
    claim = await served.coordinator.claim(tmp_path / "claim.json", site="alone")
    outcome = await enrol(tmp_path / "data", claim, f"https://127.0.0.1:{free_port()}")
    check_sentence(outcome, UNREACHABLE, "https://127.0.0.1:")
    assert "alone" not in sites(served)
    outcome = await enrol(tmp_path / "data", claim, served.coordinator.url)
    assert (outcome.status, outcome.err) == (OK, "")
    assert sites(served).count("alone") == 1


@in_module
async def test_a_claim_that_is_no_good_enrols_nobody(served: Fleet, tmp_path: Path) -> None:
    good = await served.coordinator.claim(tmp_path / "claim.json", site="good")
    over = await served.coordinator.claim(tmp_path / "over.json", site="over")
    end_claim(served.coordinator.data / "coordinator.db", over)
    claim = json.loads(good.read_text())
    torn = claim["root"][:-8] + "AAAAAAA="
    bad = {
        "JSON": ("claim = 1", MISTAKE),
        "outstation_claim": ("{}", MISTAKE),
        "was good until 2001": ({**claim, "expires": "2001-01-01T00:00:00Z"}, MISTAKE),
        "the claim is over": (json.loads(over.read_text()), DENIED),
        "nobody made this claim": ({**claim, "secret": "00" * 32}, DENIED),
        "root document": ({**claim, "root": torn}, MISTAKE),
        "ca_pem": ({**claim, "ca_pem": "nothing"}, MISTAKE),
    }
    tries = [enrol(tmp_path / "data", tmp_path / "nowhere.json", served.coordinator.url)]
    for number, (content, _) in enumerate(bad.values()):
        file = tmp_path / f"bad-{number}.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        tries.append(enrol(tmp_path / f"data-{number}", file, served.coordinator.url))
    nowhere, *outcomes = await asyncio.gather(*tries)
    check_sentence(nowhere, MISTAKE, "nowhere.json")
    for (words, (_, status)), outcome in zip(bad.items(), outcomes, strict=True):
        check_sentence(outcome, status, words)
    assert not {"good", "over"} & set(sites(served))
    assert (await enrol(tmp_path / "data", good, served.coordinator.url)).status == OK
    assert sites(served).count("good") == 1, "the bad ones had not used it up"


def end_claim(database: Path, claim: Path) -> None:
    """Let a claim's time be over, as a week's patience would."""
    secret = bytes.fromhex(json.loads(claim.read_text())["secret"])
    with closing(sqlite3.connect(database)) as db, db:
        changed = db.execute(
            "UPDATE claim SET expires_ms = 1 WHERE secret_hash = ?", (sha256(secret).digest(),)
        )
        assert changed.rowcount == 1


@in_module
async def test_a_claim_for_one_does_not_let_two_in(served: Fleet, tmp_path: Path) -> None:
    claim = await served.coordinator.claim(tmp_path / "claim.json", site="single")
    assert (await enrol(tmp_path / "one", claim, served.coordinator.url)).status == OK
    second = await enrol(tmp_path / "two", claim, served.coordinator.url)
    check_sentence(second, DENIED, "used up")
    assert load_enrolment(tmp_path / "one") is not None
    assert load_enrolment(tmp_path / "two") is None
    assert sites(served).count("single") == 1


async def test_a_coordinator_of_another_fleet_gets_nothing(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await fleet.add_gateway("site", TCP_PUMP, start=False)
    async with open_fleet(fleet.folder / "strangers") as strangers:
        (strangers.folder).mkdir()
        await strangers.start_coordinator()
        site.link.set_target(("127.0.0.1", strangers.coordinator.port))
        late = await fleet.add_gateway("late", TCP_PUMP, enrol=False, start=False)
        claim = await fleet.claim(late.folder / "claim.json", site="late")
        outcome = await enrol(late.data, claim, strangers.coordinator.url)
        check_sentence(outcome, DENIED, "prove")
        await site.start()
        await site.polled(3)
        fault = await site.says(
            "why it tells them nothing", lambda status: status["link"]["fault"] or None
        )
        assert fault == "untrusted"
        assert await strangers.admin.agents() == {}
        await site.stop()
    site.link.set_target(("127.0.0.1", fleet.coordinator.port))
    await site.start()
    await fleet.delivered(site)
    await settle(fleet, site)
    await check_account(fleet, site)
