"""A fleet's firmware in real processes: 20 boards behind 3 gateways, faults and all."""

from typing import Any

import pytest

from firmware_sim.flash import FlashTiming
from shared.errors import WorldError
from shared.model.artifact import parse_artifact
from tests.smp_parts import STRANGER, image
from tests.system.firmware_fleet import (
    CLASS,
    FirmwareSite,
    add_site,
    listed,
    pushed,
    told,
    update_job,
)
from tests.system.fleet import Fleet
from tests.system.fleet_parts import ASK_S, until

BOARDS = {"east": 7, "north": 7, "west": 6}
STAGES = [
    {"name": "canary", "percentage": 1, "min_targets": 1},
    {"name": "second", "percentage": 66},
    {"name": "fleet", "percentage": 100},
]
NEW = image("2.0.0", size=6_000)


async def test_a_rollout_over_twenty_boards_survives_what_boards_do(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    sites = {name: await add_site(fleet, name, count) for name, count in BOARDS.items()}
    new = await pushed(fleet, "node-2.0.0", NEW)
    careful = {"max_parallel": 4, "canary": 1, "tolerate": 0.2}
    plan = {"stages": STAGES, "seed": "boards"}
    job = update_job(
        new, *sites, params={"version": "2.0.0"}, batch=careful, rollout=plan,
        gate={"min_executed": 1},
    )  # fmt: skip
    first, second, third = await _order(fleet, job, sites)
    # One board's sensor does not work with the new image, one loses its supply in mid-flash, and
    # the very first of the second site does not come back from its reset.
    first.boards[-1].hold(0)
    first.boards[-2].node.add_faults("power-cut=30")
    second.boards[0].node.add_faults("brick")
    number = await fleet.submit(job)

    stopped = await _rollout(fleet, number, "PAUSED")
    assert "1 of 2 failed" in stopped["why"][0] or "1 of 1 failed" in stopped["why"][0], stopped
    by_site = await _by_site(fleet, number)
    assert set(by_site) == {first.gateway.site.name, second.gateway.site.name}
    _check_first(first, by_site[first.gateway.site.name])
    _check_second(second, by_site[second.gateway.site.name])
    assert set(third.versions()) == {"1.0.0"}, "the last stage never began"
    assert not any(board.offsets for board in third.boards)
    shown = await fleet.outstation("jobs", "show", number)
    assert "firmware_lost" in shown.out or "has not come back" in shown.out

    # Somebody drives to both sites. Whoever runs the new image already is left alone.
    first.boards[-1].hold(0.2)
    await second.boards[0].replace()
    again = await fleet.submit(update_job(new, *sites))
    for execution in await fleet.admin.finished(again):
        assert execution["state"] == "SUCCEEDED", execution
    for site in sites.values():
        assert set(site.versions()) == {"2.0.0"}
    assert all(board.boots().count("test") == 1 for board in first.boards[:-2])


async def _order(fleet: Fleet, job: dict[str, Any], sites: dict[str, FirmwareSite]) -> Any:
    """The sites in the order of their stages, which a preview tells."""
    preview = await fleet.admin._call("POST", "/v1/rollouts/preview", json=job)
    names = {agent["id"]: site for site, agent in (await fleet.admin.agents()).items()}
    return [sites[names[stage["sample"][0]]] for stage in preview["stages"]]


async def _rollout(fleet: Fleet, job: str, state: str) -> dict[str, Any]:
    async def there() -> dict[str, Any] | None:
        view = await fleet.admin.get(f"/v1/rollouts/{job}")
        return dict(view) if view["state"] == state else None

    return await until(f"the rollout to be {state}", there, look_s=ASK_S)


async def _by_site(fleet: Fleet, job: str) -> dict[str, dict[str, Any]]:
    names = {agent["id"]: site for site, agent in (await fleet.admin.agents()).items()}
    return {names[one["agent"]]: one for one in await fleet.admin.finished(job)}


def _check_first(site: FirmwareSite, execution: dict[str, Any]) -> None:
    """All but one run the new image; the one whose sensor failed went back by itself."""
    *good, bad = site.boards
    assert execution["state"] == "SUCCEEDED", execution
    assert told(execution) == {
        **{board.id: ("DONE", None) for board in good},
        bad.id: ("FAILED", "firmware_reverted"),
    }
    assert {board.version for board in good} == {"2.0.0"}
    assert bad.version == "1.0.0"
    assert bad.boots() == ["none", "test", "revert"]
    (detail,) = [task["detail"] for task in execution["tasks"] if task["device"] == bad.id]
    assert "moisture read 0" in detail


def _check_second(site: FirmwareSite, execution: dict[str, Any]) -> None:
    """The first board is lost, and so no other one of the site was begun with."""
    lost, *spared = site.boards
    assert execution["state"] == "FAILED", execution
    states = told(execution)
    assert states.pop(lost.id) == ("FAILED", "firmware_lost")
    assert {reason for _, reason in states.values()} == {"canary_failed"}
    assert lost.version == ""
    assert {board.version for board in spared} == {"1.0.0"}
    assert not any(board.offsets for board in spared)


async def test_kill_9_of_the_gateway_in_mid_upload_costs_no_second_transfer(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await add_site(fleet, "north", 2, timing=FlashTiming(erase_us=0, page_us=60_000))
    new = await pushed(fleet, "node-2.0.0", NEW)
    number = await fleet.submit(update_job(new, "north"))

    async def under_way() -> bool | None:
        site.gateway.check()
        return True if any(max(b.offsets, default=0) > 2_000 for b in site.boards) else None

    async def told_so() -> bool | None:
        site.gateway.check()
        moving = (await fleet.agent_view(site.gateway))["health"]["moving"]
        return True if moving and moving["images"] else None

    await until("half an image to be there", under_way)
    for board in site.boards:
        board.node.add_faults("lost-reply")
    await until("the coordinator to hear that it is on its way", told_so)
    await site.gateway.kill()
    for board in site.boards:
        board.node.clear_faults()
    before = [board.offsets[-1] for board in site.boards]
    await site.gateway.start()
    (execution,) = await fleet.admin.finished(number)
    assert execution["state"] == "SUCCEEDED", execution
    assert site.versions() == ["2.0.0", "2.0.0"]
    for board, reached in zip(site.boards, before, strict=True):
        resumed = board.offsets[board.offsets.index(reached) + 1 :]
        assert min(at for at in resumed if at) >= reached, "it went on where the board was"
        assert board.boots() == ["none", "test"]


async def test_what_must_not_be_installed_is_one_sentence_and_no_board_is_touched(
    fleet: Fleet,
) -> None:
    await fleet.start_coordinator()
    site = await add_site(fleet, "north", 1)
    (board,) = site.boards
    bad = {
        "another-board": (image("2.0.0", size=5_000), "another board than soil-node"),
        "wrong-key": (image("2.0.0", key=STRANGER), "not signed with the key"),
        "truncated": (NEW[:-50], "cut off"),
        "altered": (NEW[:300] + b"\0\0" + NEW[302:], "it was altered"),
        "older": (image("0.9.0"), "0.9.0 is older than 1.0.0, and allow_downgrade is false"),
    }
    images = {name: await pushed(fleet, name, data) for name, (data, _) in bad.items()}
    entries = [
        (one, "rain-node" if name == "another-board" else CLASS) for name, one in images.items()
    ]
    await listed(fleet, *entries)
    unknown = await pushed(fleet, "unknown", image("3.0.0"))
    for name, one in [*images.items(), ("unknown", unknown)]:
        (execution,) = await fleet.admin.finished(await fleet.submit(update_job(one, "north")))
        (task,) = execution["tasks"]
        said = (
            bad[name][1]
            if name in bad
            else f"no image {parse_artifact(one['artifact'], where='')[:8].hex()}"
        )
        assert execution["state"] == "FAILED", (name, execution)
        assert said in task["detail"], (name, task)
        assert "\n" not in task["detail"]
        assert (board.version, board.offsets, board.boots()) == ("1.0.0", [], ["none"]), name
    allowed = update_job(images["older"], "north", params={"allow_downgrade": True})
    (execution,) = await fleet.admin.finished(await fleet.submit(allowed))
    assert (execution["state"], board.version) == ("SUCCEEDED", "0.9.0"), execution
    # What the coordinator knows to be lower is refused where it is written.
    for query in ("", "?validate_only=true"):
        with pytest.raises(WorldError, match=r"422 .*soil-1 of .* has release 5 of soil-node"):
            await fleet.admin._call(
                "POST", f"/v1/jobs{query}", json=update_job(images["altered"], "north")
            )


async def test_a_file_that_was_altered_at_the_coordinator_touches_no_board(fleet: Fleet) -> None:
    await fleet.start_coordinator()
    site = await add_site(fleet, "north", 1)
    new = await pushed(fleet, "node-2.0.0", NEW)
    digest = new["artifact"].removeprefix("sha256:")
    stored = fleet.coordinator.data / "artifacts" / digest[:2] / digest[2:]
    stored.write_bytes(NEW[:-1] + b"!")
    (execution,) = await fleet.admin.finished(await fleet.submit(update_job(new, "north")))
    (task,) = execution["tasks"]
    assert (task["state"], task["reason"]) == ("FAILED", "artifact_altered")
    assert (site.versions(), site.boards[0].offsets) == (["1.0.0"], [])
