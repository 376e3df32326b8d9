"""`outstation readings` against a coordinator that serves: lists, bands, files."""

import asyncio
import csv
import json
import time
from importlib import import_module

import pytest

from coordinator.cli.__main__ import main
from coordinator.contract.common import to_time
from coordinator.core.rollup import DAY_MS
from shared.errors import Reason
from shared.wire.messages import LossRow
from tests.system.coordinator_world import HOST, NOW_MS, SCHEMA, open_world

START = NOW_MS // 3_600_000 * 3_600_000
_RANGE = (
    f"--start={to_time(START).isoformat()}",
    f"--end={to_time(START + 7_200_000).isoformat()}",
)


@pytest.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as opened:
        gateway = await opened.gateway("pump-station")
        values = [float(row % 60) for row in range(600)]
        await gateway.contact(
            blocks={1: gateway.block(*values, at_ms=START)}, schemas=[SCHEMA.encode()]
        )
        await rolled_up(opened)
        yield opened


async def rolled_up(world):
    """Wait until the coordinator has rolled everything up."""
    async with asyncio.timeout(30):
        while not (await world.read("/v1/readings?resolution=1h"))["series"]:
            await asyncio.sleep(0.01)


async def run(world, *arguments):
    # The file that `init` wrote names the port of a coordinator that never ran here.
    written = world.place.directory.admin.read_text()
    config = world.place.directory.path.parent / "admin.toml"
    config.write_text(written.replace(f"https://{HOST}:1", world.url))
    return await asyncio.to_thread(main, [*arguments, "--config", str(config)])


async def test_the_newest_readings_are_listed_with_their_clock(world, capsys):
    assert await run(world, "readings", "list", "pump-*", "--limit", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        *("TIME", "(UTC)", "AGENT", "DEVICE", "POINT", "VALUE", "UNIT", "QUALITY", "CLOCK")
    ]
    assert len(lines) == 5
    assert lines[3].split()[-4:] == ["59.0", "A", "good", "synced"]
    assert "ask again with --end" in lines[4]
    assert "T" in lines[4].split()[-1], "one word for a shell"


async def test_a_token_that_is_not_accepted_names_the_next_step(world, capsys):
    admin = world.place.directory.admin
    admin.write_text(admin.read_text().replace('token = "ost_', 'token = "ost_0'))
    assert await run(world, "readings", "list") == 4
    assert "outstation tokens create" in capsys.readouterr().err


async def test_what_nothing_matches_is_said_instead_of_an_empty_table(world, capsys):
    assert await run(world, "readings", "list", "pump-*", "no-such-device") == 0
    assert capsys.readouterr().out.startswith("there are no such readings")
    assert await run(world, "readings", "plot", "pump-station", "no-such-device") == 3


async def test_minutes_have_a_mean_and_a_band(world, capsys):
    assert await run(world, "readings", "list", "--resolution", "1m", "--json") == 0
    (series,) = json.loads(capsys.readouterr().out)["series"]
    assert (series["values"], series["lows"], series["highs"]) == (
        [29.5] * 10,
        [0.0] * 10,
        [59.0] * 10,
    )
    assert series["counts"] == series["goods"] == [60] * 10
    assert await run(world, "readings", "list", "--resolution", "1h") == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-7:] == [
        *("29.5", "0.0", "59.0", "A", "600", "600", "synced")
    ]


async def test_a_plot_says_unit_width_and_clock(world, capsys):
    command = ("readings", "plot", "pump-station", "pump-1", *_RANGE)
    assert await run(world, *command) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "pump-station pump-1 current in A, 14 bands of 45 s; clock: synced 14"
    assert lines[0].split()[0] == "59"
    assert await run(world, *command, "--resolution", "raw") == 0
    assert "600 readings; clock: synced 600 within 5 ms" in capsys.readouterr().out


async def test_files_of_every_form_have_the_same_readings(world, tmp_path, capsys):
    found = {}
    for form in ("csv", "jsonl", "parquet"):
        file = tmp_path / f"out.{form}"
        assert await run(world, "readings", "export", str(file), "--json") == 0
        assert json.loads(capsys.readouterr().out)["bytes"] == file.stat().st_size
        found[form] = file
    with found["csv"].open() as lines:
        values = [float(row["value"]) for row in csv.DictReader(lines)]
    assert values == [float(row % 60) for row in range(600)]
    assert [json.loads(one)["value"] for one in found["jsonl"].read_text().splitlines()] == values
    table = import_module("pyarrow.parquet").read_table(found["parquet"])
    assert table["value"].to_pylist() == values
    assert not list(tmp_path.glob("*.part"))


async def test_a_file_of_unknown_form_or_that_exists_is_not_written(world, tmp_path, capsys):
    taken = tmp_path / "taken.csv"
    taken.write_text("mine")
    assert await run(world, "readings", "export", str(taken)) == 2
    assert taken.read_text() == "mine"
    assert await run(world, "readings", "export", str(tmp_path / "x.xls")) == 2
    assert "let it end with" in capsys.readouterr().err
    assert await run(world, "readings", "export", str(tmp_path / "none" / "x.csv")) == 2
    assert "cannot be written; make its folder first" in capsys.readouterr().err


async def test_a_bundle_that_could_not_be_kept_is_not_asked_for(world, tmp_path, capsys):
    file = str(tmp_path / "none" / "bundle")
    assert await run(world, "agents", "diagnose", "pump-station", "-o", file) == 2
    assert "cannot be written; make its folder first" in capsys.readouterr().err
    assert (await world.read("/v1/jobs"))["items"] == []


async def test_a_failure_of_this_machine_is_one_sentence(world, tmp_path, capsys):
    (tmp_path / "x.csv.part").mkdir()
    assert await run(world, "readings", "export", str(tmp_path / "x.csv")) == 1
    assert capsys.readouterr().err == f"outstation: {tmp_path}/x.csv.part: Is a directory\n"


async def test_an_answer_that_is_known_already_is_not_sent_again(world):
    first = await world.get("/v1/readings?resolution=1m&points=3")
    tag = {"If-None-Match": first.headers["ETag"]}
    again = await world.get("/v1/readings?resolution=1m&points=3", headers=tag)
    assert (again.status, again.body) == (304, b"")


async def test_a_year_in_few_points_is_read_from_hours(world):
    query = "resolution=auto&points=400&start=2026-01-01T00:00:00Z&end=2027-01-01T00:00:00Z"
    view = await world.read(f"/v1/readings?{query}")
    assert (view["resolution"], view["width_s"]) == ("1h", 22 * 3_600)
    (series,) = view["series"]
    assert (series["lows"], series["highs"], series["counts"]) == ([0.0], [59.0], [600])


async def test_a_short_time_in_few_points_is_bands_of_single_readings(world):
    start, end = to_time(START).isoformat(), to_time(START + 60_000).isoformat()
    query = f"resolution=auto&points=7&start={start}&end={end}".replace("+", "%2B")
    view = await world.read(f"/v1/readings?{query}")
    assert (view["resolution"], view["width_s"]) == ("raw", 10)
    assert view["series"][0]["highs"] == [9.0, 19.0, 29.0, 39.0, 49.0, 59.0]


async def test_accept_chooses_the_form(world):
    for wanted, start in (("text/csv", b"time,"), ("application/vnd.apache.parquet", b"PAR1")):
        answered = await world.get("/v1/readings", headers={"Accept": f"{wanted};q=0.9, */*"})
        assert answered.headers["Content-Type"].startswith(wanted)
        assert answered.body.startswith(start)


async def test_the_wait_for_rollups_is_a_metric(world):
    assert b"outstation_rollup_lag_seconds 0.0" in (await world.get("/metrics")).body


async def test_the_gap_map_tells_what_is_missing_given_up_and_lost(world, tmp_path, capsys):
    gateway = await world.gateway("leaky")
    # In the middle of slices, which move on with the clock before they are asked for.
    noon_ms = int(time.time() * 1000) + DAY_MS // 2
    blocks = {
        seq: gateway.block(1.0, 2.0, seq=seq, at_ms=noon_ms - (9 - seq) * DAY_MS)
        for seq in (1, 2, 5)
    }
    loss = LossRow(1, Reason.STORE_QUOTA, noon_ms - 7 * DAY_MS, noon_ms - 6 * DAY_MS, 40, True)
    await gateway.contact(
        blocks=blocks, schemas=[SCHEMA.encode()], ledger=[loss], gone=[(3, 3)], next_block=8
    )
    view = await world.read("/v1/agents/leaky/gaps?days=10&slices=10")
    (store,) = view["stores"]
    assert (store["blocks_made"], store["blocks_received"]) == (7, 3)
    assert (store["blocks_missing"], store["blocks_gone"]) == (3, 1)
    assert [(one["first"], one["last"]) for one in store["missing"]] == [(4, 4), (6, 7)]
    assert store["missing"][1]["before"] is None
    assert store["gone"] == [[3, 3]]
    ((reason, lost),) = [(one["reason"], one["readings"]) for one in store["losses"]]
    assert (reason, lost) == ("store_quota", 40)
    assert [one["readings"] for one in view["slices"]] == [0, 0, 2, 2, 0, 0, 2, 0, 0, 0]
    assert sum(one["lost"] for one in view["slices"]) == 40
    assert await run(world, "agents", "gaps", "leaky", "--days", "10") == 0
    text = capsys.readouterr().out
    assert "\u2588" in text
    assert "\u00d7" in text
    assert "about 40 readings, store_quota" in text
    assert await run(world, "agents", "gaps", "nobody") == 3
