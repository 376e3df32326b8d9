"""Files into a sensor node and out of it, cut anywhere, on virtual time."""

import asyncio
import zlib
from contextlib import suppress
from hashlib import sha256
from typing import Any

import pytest

from agent.actions.files import GetFileAction, PutFileAction
from agent.core.ports import StepOutcome
from shared import limits
from shared.errors import MistakeError, Reason
from shared.model.action import check_parameters
from shared.model.job import Step
from tests.agent_parts import device
from tests.simulation.loop import simulate
from tests.smp_world import Bench, NodeBus

PATH = "/lfs/calibration"
DATA = bytes(range(256)) * 20


class Site(Bench):
    """A bench whose gateway keeps what it reads."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.kept: dict[str, bytes] = {}

    async def bring(self, name: str, data: bytes, upload: str) -> bool:
        self.kept[name] = data
        return upload == "always"

    async def put(self, data: bytes = DATA, *, path: str = PATH, dry_run=False) -> StepOutcome:
        step = Step("put", "device.put_file", {**self.shelf.put(data), "path": path})
        hand = self.hand(dry_run=dry_run, bring=self.bring)
        assert PutFileAction().check(step, hand.settings) is None
        return await PutFileAction().run(step, hand)

    async def get(self, *, path: str = PATH, upload="always", dry_run=False) -> StepOutcome:
        step = Step("get", "device.get_file", {"path": path, "upload": upload})
        return await GetFileAction().run(step, self.hand(dry_run=dry_run, bring=self.bring))


def play(tmp_path, scenario) -> Any:
    async def run(world):
        return await scenario(Site(world, tmp_path))

    return simulate(run, seed=1)


def test_a_file_goes_in_once_and_comes_out_as_it_was(tmp_path):
    async def scenario(site):
        first, again = await site.put(), await site.put()
        got = await site.get()
        return first, again, got, site.kept

    first, again, got, kept = play(tmp_path, scenario)
    assert first.reason is None
    assert first.result == {
        "bytes": len(DATA),
        "_skipped": False,
        "_sent": len(DATA),
        "_checked": "crc32",
        "crc32": zlib.crc32(DATA),
    }
    assert (again.result["_skipped"], again.result["_sent"]) == (True, 0)
    digest = sha256(DATA).hexdigest()
    assert (got.result["sha256"], got.result["upload"]) == (digest, True)
    assert kept == {got.result["file"]: DATA}


def test_a_dry_run_only_looks(tmp_path):
    async def scenario(site):
        return await site.put(dry_run=True), await site.get(dry_run=True), site.kept

    put, get, kept = play(tmp_path, scenario)
    assert (put.result["_dry_run"], put.result["_skipped"]) == (True, False)
    assert (get.result["_found"], kept) == (False, {})


def test_another_content_takes_the_place_of_a_file(tmp_path):
    async def scenario(site):
        await site.put()
        await site.put(DATA[:300] + b"!")
        shorter = await site.get()
        await site.put(DATA)
        return shorter.result["bytes"], (await site.get()).result["crc32"]

    assert play(tmp_path, scenario) == (301, zlib.crc32(DATA))


def test_what_was_cut_at_any_request_goes_on_behind_what_is_there(tmp_path):
    """The gateway loses its supply again and again, each time one request later."""

    async def scenario(site):
        sent = lives = 0
        for cut in range(1, 60):
            site.bus.cut_after = cut
            lives += 1
            with suppress(asyncio.CancelledError):
                outcome = await site.put()
                sent += outcome.result["_sent"]
                break
        site.bus.cut_after = None
        return lives, sent, (await site.get()).result["crc32"]

    lives, sent, crc32 = play(tmp_path, scenario)
    assert (lives > 3, sent < len(DATA), crc32) == (True, True, zlib.crc32(DATA))


@pytest.mark.parametrize("fault", ["silence:p=0.2", "lost-reply:p=0.2"])
def test_a_bad_line_costs_time_and_nothing_else(tmp_path, fault):
    async def scenario(site):
        site.node.add_faults(fault)
        return await site.put(), await site.get()

    put, got = play(tmp_path, scenario)
    assert put.reason is None, put
    assert got.result["crc32"] == zlib.crc32(DATA)


@pytest.mark.parametrize(
    ("fault", "reason", "said"),
    [
        ("flash-full", Reason.DEVICE_EXCEPTION, "the device says: the file cannot be written"),
        ("silence", Reason.DEVICE_SILENT, "no answer"),
    ],
)
def test_a_device_that_does_not_take_it_is_one_sentence(tmp_path, fault, reason, said):
    async def scenario(site):
        site.node.add_faults(fault)
        return await site.put()

    outcome = play(tmp_path, scenario)
    assert outcome.reason is reason
    assert said in outcome.detail


def test_a_file_that_is_nowhere_or_too_long_is_not_taken(tmp_path, monkeypatch):
    async def scenario(site):
        gone = await site.get(path="/lfs/gone")
        elsewhere = await site.put(path="/sd/x")
        await site.put()
        monkeypatch.setattr(limits, "FILE_TAKEN_BYTES", 100)
        return gone, elsewhere, await site.get(), site.kept

    gone, elsewhere, long, kept = play(tmp_path, scenario)
    assert gone.detail == "the device says: no such file"
    assert elsewhere.detail == "the device says: no such file system"
    assert long.detail == f"the file has {len(DATA)} bytes, at most 100 are taken"
    assert kept == {}


class Flipping(NodeBus):
    """A bus on which one bit of a file's third piece is another one."""

    pieces = 0

    async def _carry(self, frame: bytes) -> bytes | None:
        if frame[-64:] in DATA:
            self.pieces += 1
            if self.pieces == 3:
                frame = frame[:-1] + bytes([frame[-1] ^ 1])
        return await super()._carry(frame)


def test_a_device_that_has_another_content_in_the_end_is_no_success(tmp_path):
    async def scenario(site):
        site.bus = Flipping(site.node)
        spoiled = await site.put()
        return spoiled, await site.put()

    spoiled, mended = play(tmp_path, scenario)
    assert spoiled.reason is Reason.VERIFY_MISMATCH
    assert spoiled.detail == "the device has another content"
    assert (mended.reason, mended.result["_sent"]) == (None, len(DATA))


def test_a_device_of_another_protocol_has_no_files():
    step = Step("put", "device.get_file", {"path": PATH})
    problem = GetFileAction().check(step, device("pump-1"))
    assert problem is not None
    assert problem.detail == "put: pump-1 speaks modbus, which knows no files"


@pytest.mark.parametrize("path", ["", "calibration", "/lfs/../x y", "/lfs", "/lfs/" + "x" * 60])
def test_a_path_that_is_none_is_refused_where_it_is_written(path):
    with pytest.raises(MistakeError, match="is no path in a device"):
        check_parameters(Step("get", "device.get_file", {"path": path}), "steps[0]")
