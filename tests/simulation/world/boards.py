"""A gateway whose sensor node gets other firmware while power, processes and lines fail.

Owns the board on its wire, the story, and the judgement as it ends: there is always an image that
starts, what is said to run does, and one execution lets the board into its image once. The file is
on the gateway's shelf: how it comes there is `tests/simulation/test_artifacts.py`'s matter.
Leaves out every single cut of the power (`tests/simulation/test_firmware.py`).
"""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from agent.buses.connection import Connection
from agent.buses.udp import UdpBus
from agent.core.ports import Bus
from agent.store.artifacts import FOLDER
from coordinator.core.reconcile import OPEN_BELOW
from coordinator.transactions.artifacts import Artifact, announce, complete
from firmware_sim.bootloader import Slot
from firmware_sim.clock import SimTime
from firmware_sim.device import Device
from firmware_sim.ledger import Ledger
from firmware_sim.mcuboot import read_image
from firmware_sim.models import find_model
from firmware_sim.smp.node import Medium, Node
from shared import limits
from shared.errors import Reason, WorldError
from shared.model.job import ExecutionState
from shared.wire.codec import unpack
from tests.simulation.world.guests import join
from tests.simulation.world.life import Process
from tests.simulation.world.people import Asked
from tests.simulation.world.plant import TrueTicks
from tests.simulation.world.scene import Scene
from tests.simulation.world.site import Site
from tests.smp_parts import image, loader
from tests.smp_site import PROFILE

BOARD = "soil-1"
_THINKS_S = 0.3
"""A slow board: an update takes half a minute, so that something befalls it."""
_BEGINS_S = 3_000
_ENDS_S = 3 * 3_600
_LOOK_S = 300
_TROUBLES = ("kill", "commit", "supply", "silence", "line", "cut in flash")
_STATE = "SELECT state FROM execution WHERE job_id = $1 AND agent_id = $2"
_RESULT = (
    "SELECT t.result FROM task t JOIN execution e ON e.agent_id = t.agent_id"
    " AND e.execution_id = t.execution_id WHERE e.job_id = $1 AND e.agent_id = $2"
)
_NEW = image("2.0.0")
_UNWELL = image("2.0.0", body=b"outstation-sim: self-check=fails")


class Boots(Ledger):
    """What the board did at each of its starts, in memory."""

    def __init__(self) -> None:
        self.tests: list[str] = []
        """The images that it let itself into, by their hashes."""

    def note(self, entry: Mapping[str, object]) -> None:
        """Take one entry."""
        if entry.get("event") == "boot" and entry["swap"] in {"test", "permanent"}:
            self.tests.append(str(entry["hash"]))


class BoardSite(Site):
    """A gateway with a sensor node beside its pump."""

    def __init__(self, scene: Scene, name: str) -> None:
        super().__init__(scene.ground, scene.sites[0].disks, name, scene.centre)
        self.boots, time = Boots(), SimTime(TrueTicks(scene.ground))
        self.node = Node(
            loader(),
            Device(find_model("soil")),
            medium=Medium.UDP,
            time=time,
            ledger=self.boots,
            seed=scene.ground.chance("board", name).randrange(1 << 30),
        )

    def bus_of(self, settings: Any, process: Process) -> Bus:
        """Return the wire that stands behind a bus of the agent."""
        if settings.url.startswith("udp:"):
            return _BoardBus(settings, self, process)
        return super().bus_of(settings, process)

    def _write_config(self) -> None:
        super()._write_config()
        (self.folder / "soil.toml").write_text(PROFILE.replace("soak_s = 0", "soak_s = 20"))
        with (self.folder / "agent.toml").open("a") as file:
            file.write(
                '[[bus]]\nname = "board"\nurl = "udp://10.0.0.2:1337"\n'
                f'[[device]]\nid = "{BOARD}"\nbus = "board"\naddress = 0\n'
                f'profile = "soil.toml"\npoll_interval_s = {self.poll_s}\n'
            )

    def put_on_shelf(self, data: bytes) -> Mapping[str, Any]:
        """Let the gateway have a file; return the parameters that name it."""
        digest = sha256(data).hexdigest()
        folder = self.folder / "data" / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / digest).write_bytes(data)
        return {"artifact": f"sha256:{digest}", "size": len(data)}

    def lose_supply(self) -> None:
        """Switch the board off, and on again."""
        self.node.board.lose_power(self.node.time.ticks.mono_ms())


@dataclass
class _Wire(asyncio.Transport):
    """The board's socket, as one process of the gateway has it."""

    site: BoardSite
    process: Process
    connection: Connection
    closing: bool = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.process.dead or (exchange := self.site.node.hear(bytes(data))) is None:
            return
        loop = self.site.ground.loop

        def answer() -> None:
            # What was sent is done, also for a process that is gone by now.
            reply = self.site.node.finish(exchange)
            said = reply.packet if reply.noise is None else reply.noise
            if said is not None and not self.closing:
                loop.call_later(reply.busy_ms / 1000, self.connection.data_received, said)

        loop.call_later(_THINKS_S + exchange.verdict.delay_ms / 1000, answer)

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        if not self.closing:
            self.closing = True
            self.site.ground.loop.call_soon(self.connection.connection_lost, None)


class _BoardBus(UdpBus):
    """The agent's own bus, on the board's wire."""

    def __init__(self, settings: Any, site: BoardSite, process: Process) -> None:
        super().__init__(settings)
        self._site, self._process = site, process

    async def _open(self, connection: Connection) -> None:
        if self._process.dead:
            raise WorldError(Reason.BUS_DOWN, "the process is gone")
        connection.connection_made(_Wire(self._site, self._process, connection))


async def firmware(scene: Scene, chance: random.Random) -> None:
    """A gateway joins, and its board gets an image; now and then one that is not well."""
    one = BoardSite(scene, f"board-{len(scene.guests)}")
    scene.guests.append(one)
    await join(scene, one)
    data = _UNWELL if chance.random() < 0.25 else _NEW
    spec = scene.people.wishes.firmware([one.agent], BOARD, one.put_on_shelf(data))
    one.start()
    await _hand_in(scene, data)
    put_back, asked = scene.restored, await scene.people.submit_spec(spec, [one.agent])
    scene.ground.hit("firmware", one.name)
    for _ in range(chance.randint(1, 4)):
        one.walk.began.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(one.walk.began.wait(), _BEGINS_S)
        await asyncio.sleep(chance.uniform(0, 60))
        await _befall(scene, one, chance)
    until_s, state = scene.ground.now_s + _ENDS_S, 0
    while state < OPEN_BELOW and scene.ground.now_s < until_s and scene.restored is put_back:
        await asyncio.sleep(_LOOK_S)
        state = next(iter(await scene.look(_STATE, asked.job, one.agent)), (0,))[0]
    await one.wait_up()
    await one.stop()
    await _judge(scene, one, asked, data, ExecutionState(state))


async def _hand_in(scene: Scene, data: bytes) -> None:
    """Let the coordinator know the file, as if all of it were there."""
    people, digest = scene.people, sha256(data).digest()
    who, now_ms = "user:zoe", people.now_ms
    file = Artifact(
        digest=digest,
        size=len(data),
        kind="firmware",
        name="image",
        version="",
        labels={},
        created_ms=now_ms,
        created_by=who,
    )
    await people.insist(partial(announce, file, actor=who, now_ms=now_ms))
    await people.insist(partial(complete, digest, image="", actor=who, now_ms=now_ms))


async def _befall(scene: Scene, one: BoardSite, chance: random.Random) -> None:
    trouble = chance.choice(_TROUBLES)
    scene.ground.hit(f"firmware: {trouble}", one.name)
    if trouble == "kill":
        one.kill()
    elif trouble == "commit":
        one.die_at(chance.randint(1, 4), before=chance.random() < 0.5)
    elif trouble == "supply":
        one.lose_supply()
    elif trouble == "line":
        one.line.state = "partition"
        await asyncio.sleep(chance.uniform(60, 2000))
        one.line.state = ""
    else:
        fault = "silence:p=0.5" if trouble == "silence" else f"power-cut={chance.randint(1, 40)}"
        one.node.add_faults(fault)
        await asyncio.sleep(chance.uniform(5, 200))
        one.node.clear_faults()


async def _judge(
    scene: Scene, one: BoardSite, asked: Asked, data: bytes, state: ExecutionState
) -> None:
    """Whatever befell it, the board starts; and what is told of it is so, after a start as well."""
    wanted = read_image(data)
    one.lose_supply()
    await asyncio.sleep(60)
    one.node.advance()
    runs = one.node.board.loader.image(Slot.PRIMARY)
    if one.node.board.dead or runs is None:
        scene.ground.wrong(f"{one.name}: its board has no image that starts")
        return
    if (times := one.boots.tests.count(wanted.digest.hex())) > 1:
        scene.ground.wrong(f"{one.name}: its board was let into one image {times} times")
    if state is not ExecutionState.SUCCEEDED:
        return
    found = await scene.look(_RESULT, asked.job, one.agent)
    if scene.restored and not found:
        return  # it was lost with the database that another one took the place of
    ((result,),) = found
    said = unpack(result, dict[str, Any], bound=limits.REPORT_BYTES)["a._version"]
    if runs.digest != wanted.digest or said != str(runs.version):
        scene.ground.wrong(f"{one.name}: its board is said to run {said}, and runs {runs.version}")
