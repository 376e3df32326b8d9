"""mDNS on the loopback interface: a candidate address is found, a liar is not believed."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from agent.services.discovery import SERVICE, Candidate, endpoint_at, look
from agent.services.endpoint import parse_url
from agent.services.identity import load_enrolment
from coordinator.services.announce import Announcer
from firmware_sim.demo import processes
from shared.errors import MistakeError
from shared.ids import FleetId
from tests.system import warm
from tests.system.fleet import Fleet, open_fleet
from tests.system.fleet_checks import check_sentence, ends
from tests.system.fleet_parts import free_port

OK, MISTAKE, DENIED, UNREACHABLE = 0, 2, 4, 5
LOOPBACK = "127.0.0.1"
FLEET = FleetId(bytes(range(16)))


@contextlib.asynccontextmanager
async def announced(fleet: bytes, port: int, name: str) -> AsyncIterator[None]:
    """Anybody announces anything."""
    responder = AsyncZeroconf(interfaces=[LOOPBACK])
    info = AsyncServiceInfo(
        SERVICE,
        f"{name}.{SERVICE}",
        port=port,
        parsed_addresses=[LOOPBACK],
        properties={"fleet": fleet.hex()[:16]},
        server=f"{name}.local.",
    )
    try:
        await (await responder.async_register_service(info))
        yield
    finally:
        await responder.async_unregister_all_services()
        await responder.async_close()


async def candidates(fleet: bytes) -> list[Candidate]:
    return await look(fleet, look_s=1, interfaces=[LOOPBACK])


async def test_a_coordinator_is_found_by_its_fleet_and_not_by_anothers() -> None:
    async with announced(bytes(16), 1, "stranger"):
        task = asyncio.create_task(Announcer(FLEET, host=LOOPBACK, port=8443).run())
        try:
            found: list[Candidate] = []
            while not found and not task.done():
                found = await candidates(FLEET)
            assert found == [Candidate(LOOPBACK, 8443)]
        finally:
            task.cancel()
            await asyncio.wait((task,))
        assert task.cancelled()
        assert await candidates(FLEET) == [], "it said goodbye"


def test_a_candidate_needs_https_and_the_fleets_own_ca() -> None:
    for url, ca_pem in (("http://127.0.0.1:1", "pem"), ("https://coordinator.example", "")):
        endpoint = parse_url(url, where="claim")
        with pytest.raises(MistakeError, match="https and the fleet's own CA"):
            endpoint_at(endpoint, Candidate(LOOPBACK, 1), ca_pem=ca_pem, where="--discover")
    endpoint = parse_url("https://coordinator.example", where="claim")
    at = endpoint_at(endpoint, Candidate("192.0.2.7", 9), ca_pem="pem", where="--discover")
    assert (at.host, at.at, at.port) == ("coordinator.example", "192.0.2.7", 9)


async def discover(data: Path, claim: Path) -> processes.Outcome:
    return await ends(
        processes.command(
            *("agent", "enroll", "--claim", str(claim), "--data", str(data)),
            # Nobody is there: only the announcement leads to the coordinator.
            *("--coordinator", f"https://{LOOPBACK}:{free_port()}"),
            *("--discover", "--interface", LOOPBACK),
        )
    )


async def test_a_box_finds_its_coordinator_and_a_liar_gets_nothing(
    fleet: Fleet, tmp_path: Path
) -> None:
    await fleet.coordinator.init(fleet.founded)
    claim = await fleet.coordinator.claim(tmp_path / "claim.json", site="north")
    outcome = await discover(tmp_path / "data", claim)
    check_sentence(outcome, UNREACHABLE, "nobody announces")
    fleet_id = bytes.fromhex(json.loads(claim.read_text())["fleet"])
    async with open_fleet(tmp_path / "liars") as liars:
        liars.folder.mkdir()
        await liars.start_coordinator()
        async with announced(fleet_id, liars.coordinator.port, "liar"):
            outcome = await discover(tmp_path / "data", claim)
            check_sentence(outcome, DENIED, "does not prove to be the coordinator")
            assert load_enrolment(tmp_path / "data") is None
            data, port = str(fleet.coordinator.data), fleet.coordinator.port
            run = ("run", "--data", data, "--listen", f"{LOOPBACK}:{port}", "--announce")
            child = await warm.start(
                "announcer", fleet.coordinator.command(*run), tmp_path, ready=True
            )
            try:
                outcome = await discover(tmp_path / "data", claim)
                assert (outcome.status, outcome.err) == (OK, ""), outcome
                assert f"found the coordinator at {LOOPBACK}:{port}" in outcome.out
            finally:
                await child.stop()
    assert load_enrolment(tmp_path / "data") is not None
