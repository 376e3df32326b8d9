"""A gateway that never has a link: readings and a job travel on sticks, between real programs."""

import json
from pathlib import Path
from typing import Any

from firmware_sim.demo.processes import Outcome
from tests.system import warm
from tests.system.fleet import Fleet, set_pumps
from tests.system.fleet_checks import check_account
from tests.system.fleet_parts import RTU_PUMP, Gateway


async def test_readings_and_a_job_travel_on_sticks_only(fleet: Fleet, tmp_path: Path) -> None:
    await fleet.start_coordinator()
    north = await fleet.add_gateway("north", RTU_PUMP, start=False)
    north.link.black_hole(True)
    await north.start()
    await north.polled(10)

    assert "no work" in (await back(fleet, north, tmp_path / "early.stick")).out
    first = await export(north, tmp_path / "1.stick")
    assert first["blocks"] >= 1
    (brought,) = await bring(fleet, tmp_path / "1.stick")
    assert (brought["blocks"], brought["refused"]) == (first["blocks"], 0)

    job = await fleet.submit(set_pumps(2000, selector="site=north"))
    assert "1 execution and" in (await back(fleet, north, tmp_path / "2.stick")).out
    assert (await take(north, tmp_path / "early.stick"))["bundles"] == 0
    told = await take(north, tmp_path / "2.stick")
    assert (told["bundles"], told["blocks"]) == (1, first["blocks"])
    assert (await take(north, tmp_path / "2.stick"))["bundles"] == 0, "an order comes once"
    await succeeds(north)

    await export(north, tmp_path / "3.stick")
    await north.stop()
    at_rest = await export(north, tmp_path / "4.stick")
    assert at_rest["blocks"] >= 1, "also when the agent does not run"
    # In the wrong order, twice, with an old one, and as a folder.
    folder = tmp_path / "box"
    folder.mkdir()
    for name in ("4", "3", "1", "4-again"):
        data = (tmp_path / f"{name[0]}.stick").read_bytes()
        (folder / f"{9 - int(name[0])}{name}.stick").write_bytes(data)
    views = await bring(fleet, folder)
    assert sum(view["refused"] for view in views) == 0
    (execution,) = await fleet.admin.finished(job)
    assert execution["state"] == "SUCCEEDED"
    assert north.record("pump-1").setpoints() == [2000]
    await check_account(fleet, north)
    view = await fleet.agent_view(north)
    assert view["state"] == "ONLINE"
    assert view["tally"]["stored"] == 0, "everything arrived"
    assert view["missing_blocks"] == []

    # The link comes at last: nothing of what the sticks did is held against the agent.
    north.link.black_hole(False)
    await north.start()
    await fleet.delivered(north, at_least=view["tally"]["delivered"] + 1)
    view = await fleet.agent_view(north)
    assert view["state"] == "ONLINE"
    assert view["refused_here"] == {}


async def test_bad_sticks_are_told_in_a_sentence_and_change_nothing(
    fleet: Fleet, tmp_path: Path
) -> None:
    await fleet.start_coordinator()
    north = await fleet.add_gateway("north", RTU_PUMP, start=False)
    south = await fleet.add_gateway("south", RTU_PUMP, start=False)
    north.link.black_hole(True)
    await north.start()
    await north.polled(3)
    stick, letter, photo = tmp_path / "up", tmp_path / "down", tmp_path / "photo.jpg"
    await export(north, stick)
    photo.write_bytes(b"\xff\xd8\xff" + bytes(5_000))
    cut, altered = tmp_path / "cut", tmp_path / "altered"
    data = stick.read_bytes()
    cut.write_bytes(data[:-9])
    altered.write_bytes(data[:200] + bytes([data[200] ^ 1]) + data[201:])
    for file, words in (
        (photo, "is no stick"),
        (cut, "it was cut off; nothing was taken in"),
        (altered, "a parcel was refused"),
        (tmp_path / "nowhere", "cannot be read"),
    ):
        ended = await fleet.outstation("import", str(file))
        assert ended.status in {1, 2}, ended
        assert words in ended.err
        assert "Traceback" not in ended.err
    assert (await fleet.agent_view(north))["blocks_received"] == 0

    told = json.loads((await back(fleet, north, letter, "--json")).out)
    assert told["executions"] is None, "nobody knows what its store remembers"
    for file, gateway, words in (
        (photo, north, "is no stick"),
        (stick, north, "is on its way to the coordinator"),
        (letter, south, "is for another agent"),
        (tmp_path / "nowhere", north, "cannot be read"),
    ):
        ended = await warm.outcome(command(gateway, "import", file))
        assert ended.status == 2, ended
        assert words in ended.err
        assert "Traceback" not in ended.err
    ended = await warm.outcome(command(north, "export", tmp_path / "no" / "such" / "folder"))
    assert ended.status == 2
    assert "cannot be written" in ended.err
    ended = await warm.outcome(command(north, "export", tmp_path / "tiny", "--size", "100"))
    assert ended.status == 2
    assert "not even a report fits into 100 bytes" in ended.err
    ended = await warm.outcome(command(north, "export", tmp_path / "tiny", "--size", "-5"))
    assert (ended.status, "--size: -5 bytes are no room" in ended.err) == (2, True)
    assert not (tmp_path / "tiny").exists()


def command(gateway: Gateway, verb: str, *arguments: Path | str) -> list[str]:
    words = [str(one) for one in arguments]
    return gateway.command(verb, "--config", str(gateway.config), "--json", *words)


async def export(gateway: Gateway, file: Path) -> dict[str, Any]:
    return dict(json.loads(await warm.run(command(gateway, "export", file))))


async def take(gateway: Gateway, file: Path) -> dict[str, Any]:
    return dict(json.loads(await warm.run(command(gateway, "import", file))))


async def bring(fleet: Fleet, place: Path) -> list[dict[str, Any]]:
    ended = await fleet.outstation("import", str(place), "--json")
    assert ended.status == 0, ended
    return list(json.loads(ended.out))


async def succeeds(gateway: Gateway) -> None:
    """Wait until the only job that a gateway has is done there."""
    await gateway.says("the job", lambda told: told["queue"]["executions"].get("SUCCEEDED"))


async def back(fleet: Fleet, gateway: Gateway, file: Path, *words: str) -> Outcome:
    name = (await fleet.agent_view(gateway))["id"]
    ended = await fleet.outstation("export", "--agent", name, str(file), *words)
    assert ended.status == 0, ended
    return ended
