"""Boxes come in without a claim: real processes, what a person types, each mistake's sentence."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.services.identity import load_enrolment
from firmware_sim.demo import processes
from tests.system import warm
from tests.system.fleet import Fleet, open_fleet
from tests.system.fleet_checks import check_sentence, ends
from tests.system.fleet_parts import free_port, until

OK, MISTAKE, DENIED, UNREACHABLE, WAITING = 0, 2, 4, 5, 7

in_module = pytest.mark.asyncio(loop_scope="module")


async def trust_file(fleet: Fleet, file: Path) -> Path:
    data, url = str(fleet.coordinator.data), fleet.coordinator.url
    command = fleet.coordinator.command("trust", "--data", data, "--url", url, str(file))
    await warm.run(command)
    return file


def enroll(data: Path, trust: Path, *more: str) -> list[str]:
    where = ("enroll", "--trust", str(trust), "--data", str(data))
    return processes.command("agent", *where, *more)


async def fingerprint(data: Path) -> str:
    outcome = await ends(processes.command("agent", "fingerprint", "--data", str(data)))
    assert outcome.status == OK, outcome
    return outcome.out.strip()


@contextlib.asynccontextmanager
async def waiting(data: Path, trust: Path, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Let a box ask until it is accepted."""
    process = await asyncio.create_subprocess_exec(
        *enroll(data, trust, *more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def pending(fleet: Fleet, mark: str) -> str:
    """Wait until a key waits, as an admin would see it; return its number."""

    async def seen() -> str | None:
        outcome = await fleet.outstation("agents", "list", "--state", "pending", "--json")
        rows = json.loads(outcome.out)
        return next((row["id"] for row in rows if row["fingerprint"] == mark), None)

    return await until("the box to ask", seen, look_s=0.3)


@in_module
async def test_a_registered_fingerprint_needs_a_trust_file_and_nothing_else(
    served: Fleet, tmp_path: Path
) -> None:
    trust = await trust_file(served, tmp_path / "trust.json")
    assert "secret" not in trust.read_text()
    mark = await fingerprint(tmp_path / "data")
    assert mark == await fingerprint(tmp_path / "data"), "the key is made once"
    told = await served.outstation("agents", "register", mark, "--site", "east", "--name", "east-1")
    assert (told.status, mark in told.out) == (OK, True)
    outcome = await ends(enroll(tmp_path / "data", trust, "--label", "role=pump"))
    assert (outcome.status, outcome.err) == (OK, "")
    enrolment = load_enrolment(tmp_path / "data")
    assert enrolment is not None
    assert (enrolment.agent, enrolment.labels) == ("east-1", {"role": "pump", "site": "east"})


@in_module
async def test_a_box_waits_until_a_person_accepts_its_fingerprint(
    served: Fleet, tmp_path: Path
) -> None:
    trust = await trust_file(served, tmp_path / "trust.json")
    mark = await fingerprint(tmp_path / "data")
    async with waiting(tmp_path / "data", trust, "--name", "well-7") as box:
        assert box.stdout is not None
        line = (await box.stdout.readline()).decode()
        assert mark in line
        assert "not accepted yet" in line
        number = await pending(served, mark)
        wrong = mark.replace(mark[:4], "0000")
        refused = await served.outstation(
            *("agents", "approve", number, "--fingerprint", wrong, "--site", "west")
        )
        check_sentence(refused, MISTAKE, "not the fingerprint")
        told = await served.outstation(
            *("agents", "approve", number, "--fingerprint", mark, "--site", "west")
        )
        assert told.status == OK, told
        out, _ = await box.communicate()
        assert (box.returncode, b"enrolled as well-7" in out) == (OK, True)


@in_module
async def test_a_box_that_nobody_accepts_can_leave_off_and_one_that_is_rejected_is_told(
    served: Fleet, tmp_path: Path
) -> None:
    trust = await trust_file(served, tmp_path / "trust.json")
    mark = await fingerprint(tmp_path / "data")
    outcome = await ends(enroll(tmp_path / "data", trust, "--wait", "0"))
    check_sentence(outcome, WAITING, "not accepted yet")
    assert mark in outcome.out
    assert load_enrolment(tmp_path / "data") is None
    assert (await served.outstation("agents", "reject", await pending(served, mark))).status == OK
    outcome = await ends(enroll(tmp_path / "data", trust, "--wait", "0"))
    check_sentence(outcome, DENIED, "an admin did not let this key in")


@in_module
async def test_a_name_is_given_once(served: Fleet, tmp_path: Path) -> None:
    mark = await fingerprint(tmp_path / "one")
    taken = await served.outstation("agents", "register", mark, "--site", "s", "--name", "twin")
    assert taken.status == OK
    other = await fingerprint(tmp_path / "two")
    taken = await served.outstation("agents", "register", other, "--site", "s", "--name", "twin")
    check_sentence(taken, MISTAKE, "'twin' is taken")
    claim = await served.coordinator.claim(tmp_path / "claim.json", site="s")
    where = ("--coordinator", served.coordinator.url, "--claim", str(claim), "--name", "twin")
    outcome = await ends(
        processes.command("agent", "enroll", *where, "--data", str(tmp_path / "three"))
    )
    assert (outcome.status, outcome.err) == (OK, "")
    assert "'twin' was taken" in outcome.out


@in_module
async def test_trust_that_is_none_is_one_sentence(served: Fleet, tmp_path: Path) -> None:
    trust = await trust_file(served, tmp_path / "trust.json")
    good = json.loads(trust.read_text())
    bad = {
        "no trust file": "trust = 1",
        "outstation_trust": json.dumps({"outstation_claim": 1}),
        "version 2": json.dumps({**good, "outstation_trust": 2}),
        "root document": json.dumps({**good, "root": good["root"][:-8] + "AAAAAAA="}),
        "another fleet's": json.dumps({**good, "fleet": "00" * 16}),
        "ca_pem": json.dumps({**good, "ca_pem": "nothing"}),
    }
    for words, text in bad.items():
        trust.write_text(text)
        check_sentence(await ends(enroll(tmp_path / "data", trust)), MISTAKE, words)
    again = await ends(
        served.coordinator.command(
            "trust", "--data", str(served.coordinator.data), str(tmp_path / "trust.json")
        )
    )
    check_sentence(again, MISTAKE, "exists already")


@in_module
async def test_a_coordinator_with_another_ca_or_of_another_fleet_is_not_asked_twice(
    served: Fleet, tmp_path: Path
) -> None:
    trust = await trust_file(served, tmp_path / "trust.json")
    async with open_fleet(tmp_path / "strangers") as strangers:
        strangers.folder.mkdir()
        await strangers.start_coordinator()
        other = await trust_file(strangers, tmp_path / "other.json")
        outcome = await ends(
            enroll(tmp_path / "data", trust, "--coordinator", strangers.coordinator.url)
        )
        check_sentence(outcome, DENIED, "does not prove to be the coordinator")
        mixed = {**json.loads(trust.read_text()), "ca_pem": json.loads(other.read_text())["ca_pem"]}
        other.write_text(json.dumps(mixed))
        outcome = await ends(
            enroll(tmp_path / "data", other, "--coordinator", strangers.coordinator.url)
        )
        check_sentence(outcome, DENIED, "another fleet's")
    assert load_enrolment(tmp_path / "data") is None


@in_module
async def test_the_command_line_knows_whom_nobody_knows(served: Fleet, tmp_path: Path) -> None:
    for verb in ("rekey", "revoke", "release", "decommission"):
        outcome = await served.outstation("agents", verb, "nobody")
        check_sentence(outcome, 3, "no agent 'nobody'; see: outstation agents list")
    outcome = await served.outstation("agents", "reject", "000000000000")
    check_sentence(outcome, MISTAKE, "nothing waits under")
    outcome = await served.outstation("agents", "register", "12 34", "--site", "north")
    check_sentence(outcome, MISTAKE, "no fingerprint")


async def test_nobody_there_is_one_sentence(tmp_path: Path, fleet: Fleet) -> None:
    await fleet.coordinator.init(fleet.founded)
    trust = await trust_file(fleet, tmp_path / "trust.json")
    url = f"https://127.0.0.1:{free_port()}"
    outcome = await ends(enroll(tmp_path / "data", trust, "--coordinator", url))
    check_sentence(outcome, UNREACHABLE, url)
