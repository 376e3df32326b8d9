"""Every command of docs/recovery.md, run as it is written there; each section keeps its promise."""

import asyncio
import importlib.util
import json
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.__main__ import main as agent_main
from coordinator.__main__ import main
from coordinator.keys.directory import DataDirectory
from coordinator.keys.file_keys import FileSigner
from coordinator.place import Place
from shared.errors import RefusedError
from shared.trust.admission import admit_reply
from shared.trust.documents import REPLY_TYP, Reply
from shared.trust.envelope import seal
from shared.wire.codec import pack
from tests.system.coordinator_world import (
    HOST,
    NOW_MS,
    World,
    body,
    client_of,
    serving,
)

PAGE = (Path(__file__).parents[2] / "docs" / "recovery.md").read_text()
PROGRAMS = ("outstation-coordinator", "outstation-agent", "outstation")


def sections() -> dict[str, list[list[str]]]:
    """The page's commands, word by word, by the heading they stand under."""
    found: dict[str, list[list[str]]] = {}
    for part in re.split(r"^## ", PAGE, flags=re.MULTILINE):
        title = part.partition("\n")[0]
        blocks = re.findall(r"^```\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
        found[title] = [line.split() for block in blocks for line in block.splitlines()]
    return found


SECTIONS = sections()


@dataclass
class Reader:
    """Somebody who follows the page, in a directory of files named as it names them."""

    folder: Path
    words: dict[str, str] = field(default_factory=dict)
    url: str = ""

    async def follow(self, title: str, first: int = 0, last: int | None = None) -> str:
        """Run a section's commands, or some of them; return what they printed."""
        said = [await self.type(*words) for words in SECTIONS[title][first:last]]
        return "".join(said)

    async def type(self, program: str, *written: str) -> str:
        assert program in PROGRAMS
        words = [self.words.get(word, word) for word in written]
        if words[:2] == ["office", "key"]:
            words.append("--plain")  # nobody is there to type a passphrase
        if words[:2] == ["office", "sign"]:
            words.append("--yes")  # nor that they have read it
        if program == "outstation":
            return await self._outstation(*words)
        run = agent_main if program == "outstation-agent" else main
        assert await asyncio.to_thread(run, words) == 0, words
        return ""

    async def _outstation(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "coordinator.cli", *words),
            *("--config", str(self.folder / "data" / "admin.toml")),
            env=os.environ | {"OUTSTATION_URL": self.url},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, words
        return out.decode()


def at(folder: Path) -> Place:
    directory = DataDirectory(folder)
    return Place(directory=directory, database=directory.database)


@pytest.fixture
def reader(tmp_path, monkeypatch, capsys):
    """A fleet that was founded by the ceremony: anna, ben and cara; dora releases."""
    monkeypatch.chdir(tmp_path)
    names = ("anna", "ben", "cara", "dora")
    commands = [
        ["init", "data", "--host", HOST, "--ceremony"],
        *(["office", "key", f"{name}.pem", "--plain"] for name in names),
        [
            *("office", "init", "data/request.json", "papers.json"),
            *(word for name in names[:3] for word in ("--root", f"{name}.pem.pub")),
            *("--release", "dora.pem.pub"),
        ],
        *(
            ["office", "sign", "papers.json", "--yes", "--key", f"{name}.pem"]
            for name in ("anna", "cara", "dora")
        ),
        ["adopt", "--data", "data", "papers.json"],
    ]
    for words in commands:
        assert main(words) == 0, words
    capsys.readouterr()
    return Reader(tmp_path)


@pytest.fixture
async def world(reader):
    place = at(reader.folder / "data")
    async with serving(place) as url, client_of(place, url) as made:
        reader.url = url
        yield made


async def shown(capsys):
    """The root document in force."""
    capsys.readouterr()
    words = ["root", "show", "--data", "data", "--json"]
    assert await asyncio.to_thread(main, words) == 0
    return json.loads(capsys.readouterr().out)


async def agent_state(world: World, name: str) -> str:
    return str((await world.read(f"/v1/agents/{name}"))["state"])


# --- the sections -------------------------------------------------------------------------------
async def test_the_keys_are_shown(reader, capsys):
    await reader.follow(next(iter(SECTIONS)))
    assert "director: 1 of 1" in capsys.readouterr().out


async def test_an_officers_key_is_replaced(reader, world, capsys):
    gateway = await world.gateway()
    await gateway.contact()
    stolen = FileSigner(Path("cara.pem")).public_key
    officers = (await shown(capsys))["roles"]["root"]["keys"]
    before = {key["public"]: key["id"] for key in officers}
    reader.words["OFFICER"] = before[stolen.hex()]
    await reader.follow("An officer's key is lost or stolen")
    after = [key["public"] for key in (await shown(capsys))["roles"]["root"]["keys"]]
    assert stolen.hex() not in after
    assert FileSigner(Path("new.pem")).public_key.hex() in after
    await gateway.contact()
    assert (gateway.root.version, gateway.root.epoch) == (2, 1)
    warnings = (await world.read("/v1/status"))["warnings"]
    assert not any("lies on this machine" in warning for warning in warnings)


async def test_a_stolen_director_is_ended(reader, world, capsys):
    gateway = await world.gateway()
    await gateway.contact()
    thief = FileSigner(world.place.directory.director_key)
    (director,) = (await shown(capsys))["roles"]["director"]["keys"]
    reader.words["DIRECTOR"] = director["id"]
    await reader.follow("The director's key is stolen")
    await gateway.contact()
    assert (gateway.root.version, gateway.root.epoch) == (2, 2)
    lie = Reply(gateway.name, bytes(32), 1, 0)
    with pytest.raises(RefusedError, match="threshold_not_met"):
        admit_reply(seal(REPLY_TYP, pack(lie), [thief]), gateway.held, report_hash=bytes(32))
    assert not world.place.directory.director_key.exists()
    await world.submit(gateway.name)
    assert (await gateway.ordered()).jobs


@pytest.mark.skipif(
    importlib.util.find_spec("coordinator.commands.backup") is None,
    reason="this tree has no backup yet",
)
async def test_a_coordinator_comes_back_from_its_copy(reader, world):
    title = "The coordinator's disk is lost"
    gateway = await world.gateway()
    await gateway.contact()
    await reader.follow(title, 0, 1)
    await gateway.contact()
    await reader.follow(title, 1, 2)
    *_, run = SECTIONS[title]
    assert run == ["outstation-coordinator", "run", "--data", "restored"]
    place = at(reader.folder / "restored")
    async with serving(place) as url, client_of(place, url) as restored:
        gateway.client = restored
        await gateway.contact()
        assert await agent_state(restored, gateway.name) == "ONLINE"
        await restored.submit(gateway.name)
        assert (await gateway.ordered()).jobs


async def test_a_stolen_gateway_is_shut_out(reader, world):
    gateway = await world.gateway()
    await gateway.contact()
    reader.words["AGENT"] = gateway.name
    await reader.follow("A gateway is stolen")
    assert await agent_state(world, gateway.name) == "REVOKED"
    assert (await world.sync(body(gateway.report()))).status == 403


async def test_an_honest_card_is_released_from_quarantine(reader, world):
    gateway = await world.gateway()
    await gateway.contact()
    first, second = (gateway.report(wall_ms=NOW_MS + shift) for shift in (1, 2))
    for report in (first, second):
        await world.sync(body(report))
    assert await agent_state(world, gateway.name) == "QUARANTINED"
    await world.submit(gateway.name)
    reader.words["AGENT"] = gateway.name
    said = await reader.follow("A clone alarm")
    assert f"outstation agents release {gateway.name}" in " ".join(said.split())
    assert await agent_state(world, gateway.name) != "QUARANTINED"
    assert (await gateway.ordered()).jobs


async def test_another_fleet_takes_the_boxes_over(reader, capsys):
    title = "All officers' keys are lost"
    await reader.follow(title, 0, -1)
    place = at(reader.folder / "new")
    async with serving(place) as url, client_of(place, url) as new:
        reader.words["URL"] = url
        await reader.follow(title, -1)
        (agent,) = (await new.read("/v1/agents"))["items"]
        assert agent["id"].startswith("north")


def test_every_section_with_commands_is_walked():
    source = Path(__file__).read_text()
    titles = [title for title, commands in SECTIONS.items() if commands]
    assert len(titles) == 7
    for title in titles[1:]:
        assert f'"{title}"' in source, title
