"""What jobs.db remembers of devices' releases, through any end of the process."""

from pathlib import Path

from agent.services.calendar import Calendar
from agent.store.devices import DeviceMemory
from agent.store.jobs_file import JobsFile
from shared import limits
from shared.ids import DeviceId
from tests.agent_parts import Fixed, HandClock

SOIL = DeviceId("soil-1")


async def opened(folder: Path) -> tuple[JobsFile, DeviceMemory]:
    file = await JobsFile(folder, Fixed()).open()
    return file, DeviceMemory(file, now=Calendar(HandClock()).now)


async def test_a_release_is_remembered_by_device_image_and_class(tmp_path: Path) -> None:
    file, memory = await opened(tmp_path)
    await memory.keep_release(SOIL, 0, "soil-node", 7)
    await memory.keep_release(SOIL, 1, "soil-node", 3)
    await memory.keep_release(SOIL, 0, "soil-node", 8)
    await file.close()
    file, memory = await opened(tmp_path)
    keys = [(SOIL, 0, "soil-node"), (SOIL, 1, "soil-node"), (SOIL, 0, "meter")]
    assert [await memory.release(*key) for key in keys] == [8, 3, None]
    assert await memory.release(DeviceId("soil-2"), 0, "soil-node") is None
    await file.close()


async def test_what_is_remembered_is_bounded_and_the_newest_stays(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(limits, "FIRMWARE_RELEASES", 3)
    file, memory = await opened(tmp_path)
    for number in range(4):
        await memory.keep_release(DeviceId(f"soil-{number}"), 0, "soil-node", number)
        await memory.keep_release(SOIL, 0, "soil-node", 7)
    kept = [await memory.release(DeviceId(f"soil-{n}"), 0, "soil-node") for n in range(4)]
    assert kept == [None, 7, 2, 3]
    await file.close()
