"""What a person gets wrong at a gateway: one sentence, the right exit status, nothing half done."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.demo import processes
from firmware_sim.demo.layout import profile_text
from firmware_sim.demo.processes import Outcome
from tests.system.fleet import Fleet
from tests.system.fleet_checks import check_sentence, ends
from tests.system.fleet_parts import RTU_PUMP, TCP_PUMP, Gateway

OK, MISTAKE, DENIED, UNREACHABLE = 0, 2, 4, 5

CONFIG = """\
[agent]
data_dir = "data"
runtime_dir = "run"
[uplink]
sync_interval_s = 1
[[bus]]
name = "line"
url = "tcp://127.0.0.1:1"
[[device]]
id = "pump-1"
bus = "line"
address = 1
profile = "pump.toml"
"""
PROFILE = profile_text("pump")
PRESSURE = 'at = { table = "input", address = 0, type = "uint16" }'


async def said(*arguments: str) -> Outcome:
    """Run `outstation-agent`, which is expected to end by itself."""
    return await ends(processes.command("agent", *arguments))


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("agent.toml", "sync_interval_s = 1", "sync_intervall_s = 1", ["sync_intervall_s"]),
        ("agent.toml", "address = 1", "adress = 1", ["adress"]),
        ("agent.toml", 'bus = "line"', 'bus = "lien"', ["lien", "line"]),
        ("agent.toml", '"tcp://127.0.0.1:1"', '"serial:///dev/ttyS0"', ["line", "speed"]),
        ("agent.toml", "pump.toml", "pmup.toml", ["pmup.toml", "No such file"]),
        ("agent.toml", "[agent]", "[agent", ["agent.toml"]),
        ("pump.toml", PRESSURE, PRESSURE.replace("= 0", "= 1"), ["overlap", "flow"]),
        ("pump.toml", PRESSURE, PRESSURE.replace("= 0", "= 70000"), ["70000"]),
        ("pump.toml", "address = 10,", "address = 65535,", ["65535"]),
    ],
)
async def test_a_mistake_in_a_file_is_told_before_anything_is_made(
    tmp_path: Path, file: str, old: str, new: str, words: list[str]
) -> None:
    texts = {"agent.toml": CONFIG, "pump.toml": PROFILE}
    assert old in texts[file]
    texts[file] = texts[file].replace(old, new, 1)
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    outcome = await said("run", "--config", str(tmp_path / "agent.toml"))
    check_sentence(outcome, MISTAKE, *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(texts), "nothing was made"


async def test_a_second_agent_on_the_same_data_is_told_who_was_first(fleet: Fleet) -> None:
    first = await fleet.add_gateway("first", TCP_PUMP, enrol=False)
    await first.polled(3)
    assert first.agent is not None
    outcome = await said("run", "--config", str(first.config))
    check_sentence(outcome, MISTAKE, "already used by process", str(first.agent.process.pid))
    await first.polled(3)
    await first.stop()
    assert (await first.status())["tally"]["stored"] == first.record("pump-2").sampled()


async def test_a_port_of_another_program_is_left_alone_and_taken_once_it_is_free(
    fleet: Fleet,
) -> None:
    first = await fleet.add_gateway("first", RTU_PUMP, enrol=False)
    await first.polled(3)
    second = await copy_of(fleet, first, "second")
    await second.start()
    problem = await second.says("what is wrong with the bus", bus_problem)
    assert "in use by another program" in problem
    await first.polled(5)
    before = first.record("pump-1").sampled()
    await first.stop()
    # The second may have taken the port the moment the first let go of it.
    after = first.record("pump-1").sampled()
    assert before <= (await first.status())["tally"]["stored"] <= after
    await second.polled(3)
    await second.stop()
    heard = second.record("pump-1").summary
    assert (heard.malformed, heard.failed) == (0, 0), "neither disturbed the other"


async def test_a_serial_port_that_does_not_exist_stops_no_other_device(fleet: Fleet) -> None:
    gateway = await fleet.add_gateway("site", TCP_PUMP, RTU_PUMP, enrol=False, start=False)
    tty = gateway.folder / "pump-1.tty"
    unplugged = tty.rename(tty.with_suffix(".unplugged"))
    await gateway.start()
    problem = await gateway.says("what is wrong with the bus", bus_problem)
    assert str(tty) in problem
    assert "does not exist" in problem
    await gateway.polled(3, "pump-2")
    unplugged.rename(tty)
    await gateway.polled(3)


def bus_problem(status: dict[str, Any]) -> str | None:
    """Return what a running agent says of the first bus that has a problem."""
    return next((bus["problem"] for bus in status["buses"] if bus["problem"]), None)


async def copy_of(fleet: Fleet, gateway: Gateway, name: str) -> Gateway:
    """Return another gateway that is configured for the same devices, not started."""
    twin = await fleet.add_gateway(name, enrol=False, start=False)
    text = gateway.config.read_text()
    twin.config.write_text(
        text.replace(str(gateway.data), str(twin.data)).replace(
            str(gateway.runtime), str(twin.runtime)
        )
    )
    for profile in gateway.folder.glob("*.toml"):
        if profile != gateway.config:
            (twin.folder / profile.name).write_text(profile.read_text())
    twin.site, twin.records = gateway.site, gateway.records
    return twin


# --- databases ----------------------------------------------------------------------------------
async def test_a_store_from_a_newer_version_is_left_alone(fleet: Fleet) -> None:
    site = await fleet.add_gateway("site", TCP_PUMP, enrol=False)
    await site.polled(3)
    await site.stop()
    kept = (await site.status())["tally"]["stored"]
    for name in ("telemetry.db", "jobs.db"):
        version = change_version(site.data / name, 999)
        before = sorted(path.name for path in site.data.glob("*.db*"))
        outcome = await said("run", "--config", str(site.config))
        check_sentence(outcome, MISTAKE, name, "schema version 999")
        assert sorted(path.name for path in site.data.glob("*.db*")) == before, "nothing set aside"
        change_version(site.data / name, version)
    assert (await site.status())["tally"]["stored"] == kept


def change_version(database: Path, version: int) -> int:
    """Let a database be of another version, as a later program would; return its own."""
    with closing(sqlite3.connect(database)) as db:
        (before,) = db.execute("PRAGMA user_version").fetchone()
        db.execute("DELETE FROM schema_migration WHERE version > ?", (version,))
        if version > before:
            db.execute("INSERT INTO schema_migration VALUES (?, 'later', x'00')", (version,))
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
        return int(before)
