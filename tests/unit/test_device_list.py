"""`outstation-agent devices`: what is attached, whence, since when silent, and what was found."""

import json
from pathlib import Path

import msgspec
import pytest

from agent.__main__ import main
from agent.config import load_config
from agent.core.adopted import FOLDER, PREFIX, Adopted
from agent.core.candidates import Candidate
from agent.core.device_list import DeviceList, candidate_row, device_rows, lines_of
from agent.core.self_config import Remote
from agent.core.status import DeviceStatus
from agent.core.status_text import WIDTH, paint
from agent.services.lookout import NAME as CANDIDATES
from agent.services.lookout import Kept
from agent.services.self_config import NAME as REMOTE
from shared.errors import MistakeError

PROFILE = """profile = 1
name = "pump"
kind = "pump"
protocol = "modbus"
[[point]]
name = "flow"
at = { table = "input", address = 0, type = "int16" }
"""
LOCAL = """[agent]
data_dir = "."
runtime_dir = "."
[[bus]]
name = "line"
url = "serial:///dev/ttyUSB0?baud=9600"
[[device]]
id = "pump-1"
bus = "line"
address = 1
profile = "pump.toml"
"""
STRANGER = Candidate(
    way="modbus",
    place="line/9",
    vendor="Acme",
    model="M1",
    serial="SN-9",
    device="pump-7",
    first_ms=1,
    seen_ms=2,
    misses=9,
)


def site(folder: Path, extra: str = "") -> Path:
    """A gateway with one device of its file, one from afar, and a stranger that was found."""
    (folder / "pump.toml").write_text(PROFILE)
    (folder / FOLDER).mkdir()
    (folder / FOLDER / f"{'0' * 64}.toml").write_text(PROFILE)
    adopted = Adopted(bus="line", address=7, profile="0" * 64, poll_interval_ms=1000)
    remote = Remote(settings={f"{PREFIX}pump-7": adopted.text()})
    (folder / REMOTE).write_bytes(msgspec.json.encode(remote))
    (folder / CANDIDATES).write_bytes(msgspec.json.encode(Kept(candidates=[STRANGER])))
    file = folder / "agent.toml"
    file.write_text(LOCAL + extra)
    return file


def test_what_is_attached_and_found_is_listed_although_the_agent_does_not_run(tmp_path, capsys):
    assert main(["devices", "--json", "--config", str(site(tmp_path))]) == 0
    told = msgspec.json.decode(capsys.readouterr().out, type=DeviceList)
    rows = [(one.id, one.place, one.profile, one.whence, one.state) for one in told.devices]
    assert rows == [
        ("pump-1", "line/1", "pump", "file", "unknown"),
        ("pump-7", "line/7", "pump", "adopted", "unknown"),
    ]
    (found,) = told.candidates
    assert (found.place, found.serial, found.lost, found.says_it_is) == (
        *("line/9", "SN-9"),
        *(True, "pump-7"),
    )


def test_what_the_local_file_leaves_alone_is_not_attached_and_is_listed(tmp_path, capsys):
    file = site(tmp_path, '[discovery]\naside = ["pump-7"]\n')
    assert [device.id for device in load_config(file).devices] == ["pump-1"]
    assert main(["devices", "--config", str(file)]) == 0
    assert (
        "pump-7        left alone by agent.toml\n  line/7, from afar\n" in capsys.readouterr().out
    )
    assert main(["status", "--json", "--config", str(file)]) == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)["devices"]] == ["pump-1"]


def test_what_is_left_alone_keeps_its_order_and_lets_others_be_tried(tmp_path):
    file = site(tmp_path, '[discovery]\naside = ["pump-7"]\n')
    here = load_config(file)
    without = load_config(file, remote={})
    assert (here.aside, without.aside) == (("pump-7",), ())
    assert here != without, "letting it go is a change although nothing is polled either way"
    assert dict(here.remote), "the order stays: without the line in the file it is polled again"


def test_a_list_that_is_none_is_a_mistake_with_its_line(tmp_path):
    with pytest.raises(MistakeError, match='write aside = \\["pump-17"\\]'):
        load_config(site(tmp_path, '[discovery]\naside = "pump-7"\n'))


def test_how_devices_are_is_said_on_a_phone(tmp_path):
    devices = load_config(site(tmp_path)).devices
    well, sick = devices[0], devices[1]
    found = {
        "pump-1": DeviceStatus(id="pump-1", bus="line", polls=3),
        "pump-7": DeviceStatus(
            id="pump-7", bus="line", polls=9, failed=4, silent_s=7_500, problem="device_silent"
        ),
    }
    for standing, state in (("probing", "unasked"), ("unpolled", "unpolled")):
        fresh = msgspec.structs.replace(found["pump-1"], polls=0, standing=standing)
        assert [row.state for row in device_rows([well], {"pump-1": fresh}, {}, ())] == [state]
    rows = device_rows([well, sick], found, {}, ())
    text = paint(
        lines_of(DeviceList(devices=rows, candidates=[candidate_row(STRANGER)])), colours=False
    )
    assert max(map(len, text.splitlines())) <= WIDTH
    for said in ("pump-1        ok", "SILENT for 2 h 5 min", "line/9        Acme M1 SN-9 (LOST)"):
        assert said in text
