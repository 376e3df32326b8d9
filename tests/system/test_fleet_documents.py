"""Real agents under documents that change: they follow, go on working, and drop what is void."""

import json
from pathlib import Path

from coordinator.keys.file_keys import FileSigner
from tests.system import warm
from tests.system.fleet import Fleet, set_pumps
from tests.system.fleet_checks import check_account, settle
from tests.system.fleet_parts import ASK_S, TCP_PUMP, Gateway, until


async def typed(fleet: Fleet, *words: str) -> None:
    """Type a command at the coordinator's own terminal, while it runs."""
    coordinator = fleet.coordinator
    await warm.run(coordinator.command(*words, "--data", str(coordinator.data)))


async def follows(gateway: Gateway, **wanted: int) -> None:
    """Wait until a running agent has said that it holds documents of these versions."""
    assert gateway.agent is not None
    log = gateway.agent.log

    async def there() -> bool | None:
        gateway.check()
        events = map(json.loads, log.read_text().splitlines())
        moves = [event for event in events if event["event"] == "trust_moved_on"]
        return True if any(wanted.items() <= move.items() for move in moves) else None

    await until(f"{gateway.site.name} to hold {wanted}", there, look_s=ASK_S)


async def done(fleet: Fleet, job: str) -> None:
    async def ended() -> bool | None:
        view = await fleet.admin.get(f"/v1/jobs/{job}")
        return True if view["state"] == "COMPLETED" else None

    await until("the job to end", ended, look_s=ASK_S)


async def test_an_agent_goes_on_through_every_change_of_keys(fleet: Fleet, tmp_path: Path) -> None:
    await fleet.start_coordinator()
    claim = await fleet.claim(tmp_path / "claim.json", site="north")
    await typed(fleet, "rotate", "director")
    await typed(fleet, "rotate", "root")
    gateway = await fleet.add_gateway("north", TCP_PUMP, enrol=False, start=False)
    await gateway.enrol(claim)
    await gateway.start()
    await done(fleet, await fleet.submit(set_pumps(1000, selector="site=north")))
    await typed(fleet, "rotate", "director")
    await typed(fleet, "rotate", "release")
    await follows(gateway, root=5, catalog=2, policy=2)
    await done(fleet, await fleet.submit(set_pumps(2000, selector="site=north")))

    (stolen,) = (fleet.coordinator.data / "keys").glob("director*.pem")
    key = FileSigner(stolen)
    await typed(fleet, "revoke", stolen.stem.removeprefix("director-"))
    await follows(gateway, root=6, catalog=1, policy=1)
    await done(fleet, await fleet.submit(set_pumps(3000, selector="site=north")))
    assert gateway.writes() == 3
    assert not key.path.exists()
    await settle(fleet, gateway)
    await check_account(fleet, gateway)
