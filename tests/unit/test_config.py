"""The agent's configuration: what it means, and the sentence for whatever is wrong with it."""

import re
from pathlib import Path

import pytest

from agent.config import default_runtime_dir, load_config
from agent.core.settings import TelemetrySettings, UplinkSettings
from shared import limits
from shared.errors import MistakeError

PUMP = """
profile = 1
name = "pump"
kind = "pump"
protocol = "modbus"
[limits]
silence_ms = 40
[[point]]
name = "pressure"
at = { table = "input", address = 0, type = "uint16" }
[[point]]
name = "setpoint"
poll = false
writable = true
at = { table = "holding", address = 0, type = "uint16" }
"""

FULL = """
[agent]
data_dir = "state"
runtime_dir = "/run/somewhere"
labels = { role = "pump", "outstation.io/tier" = "gold" }
[uplink]
sync_interval_s = 60
long_poll = true
[telemetry]
commit_interval_s = 120
storage_max_mb = 64
[[bus]]
name = "rs485"
url = "serial:///dev/ttyUSB0?baud=9600&parity=E"
response_timeout_ms = 700
retries = 2
inter_frame_ms = 8
[[bus]]
name = "lan"
url = "tcp://Meter.example:502"
[[device]]
id = "pump-1"
bus = "rs485"
address = 1
profile = "profiles/pump.toml"
poll_interval_s = 0.5
labels = { line = "a" }
[[device]]
id = "meter"
bus = "lan"
address = 255
profile = "profiles/pump.toml"
"""

LINE = '[[bus]]\nname = "line"\nurl = "serial:///dev/ttyS9?baud=9600"\n'
DEVICE = '[[device]]\nid = "pump-1"\nbus = "line"\naddress = 1\nprofile = "profiles/pump.toml"\n'


@pytest.fixture
def write(tmp_path):
    """Write a configuration beside its profiles; returns its path."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "pump.toml").write_text(PUMP)

    def write_config(text: str) -> Path:
        path = tmp_path / "agent.toml"
        path.write_text(text)
        return path

    return write_config


@pytest.fixture
def complaint(write):
    """Load a configuration that cannot be used; returns the sentence without the folder."""

    def complain(text: str) -> str:
        path = write(text)
        with pytest.raises(MistakeError) as refused:
            load_config(path)
        return str(refused.value).replace(f"{path.parent}/", "")

    return complain


def test_a_metered_link_calls_every_six_hours_unless_somebody_chose(write):
    silent = load_config(write("[uplink]\nmetered = true\n")).uplink
    assert silent == UplinkSettings(metered=True, sync_interval_ms=6 * 3_600_000)
    chosen = load_config(write("[uplink]\nmetered = true\nsync_interval_s = 60\n")).uplink
    assert chosen.sync_interval_ms == 60_000


def test_the_zone_of_the_site_is_a_label(write):
    zoned = load_config(write('[uplink]\ntime_zone = "Europe/Berlin"\n'))
    assert zoned.labels == {"time_zone": "Europe.Berlin"}
    assert load_config(write("")).labels == {}


def test_everything_that_can_be_said_has_its_place(write, tmp_path):
    config = load_config(write(FULL))
    assert config.data_dir == tmp_path / "state"
    assert config.runtime_dir == Path("/run/somewhere")
    assert config.labels == {"role": "pump", "outstation.io/tier": "gold"}
    assert config.uplink == UplinkSettings(sync_interval_ms=60_000, long_poll=True)
    assert config.telemetry == TelemetrySettings(
        commit_interval_ms=120_000, storage_max_bytes=64 << 20
    )
    serial, lan = config.buses
    assert (serial.name, serial.response_timeout_ms, serial.retries) == ("rs485", 700, 2)
    assert (lan.response_timeout_ms, lan.retries) == (None, 1)
    pump, meter = config.devices
    assert (pump.id, pump.bus, pump.address, pump.poll_interval_ms) == ("pump-1", "rs485", 1, 500)
    assert pump.labels == {"line": "a"}
    assert pump.profile.name == "pump"
    assert (meter.address, meter.poll_interval_ms, meter.labels) == (255, 60_000, {})


def test_a_port_keeps_the_longest_silence_that_a_device_on_it_asks_for(write):
    serial, lan = load_config(write(FULL)).buses
    assert (serial.inter_frame_ms, lan.inter_frame_ms) == (40, 40)


@pytest.mark.parametrize(
    ("text", "interval_ms"), [("0.1", 100), ("0.001e2", 100), ("86400", 86_400_000)]
)
def test_the_shortest_and_the_longest_time_are_times(write, text, interval_ms):
    config = load_config(write(f"{LINE}{DEVICE}poll_interval_s = {text}\n"))
    assert config.devices[0].poll_interval_ms == interval_ms


def test_an_empty_file_is_an_agent_that_only_meets_its_coordinator(write):
    config = load_config(write(""))
    assert config.data_dir == Path("/var/lib/outstation")
    assert config.uplink == UplinkSettings()
    assert config.telemetry == TelemetrySettings()
    assert (config.buses, config.devices) == ((), ())


@pytest.fixture
def no_system_folder(monkeypatch, tmp_path):
    """A machine on which nobody made /run/outstation."""
    monkeypatch.setattr("agent.config.SYSTEM_RUNTIME_DIR", tmp_path / "run" / "outstation")
    return tmp_path / "run" / "outstation"


def test_the_folder_that_the_system_made_is_the_runtime_directory(no_system_folder, tmp_path):
    no_system_folder.mkdir(parents=True)
    assert default_runtime_dir(tmp_path / "a", {}) == no_system_folder


@pytest.mark.usefixtures("no_system_folder")
def test_a_runtime_directory_is_in_memory_and_one_per_data_directory(tmp_path):
    user = {"XDG_RUNTIME_DIR": str(tmp_path)}
    first, second = (default_runtime_dir(tmp_path / name, user) for name in ("a", "b"))
    assert first.parent == second.parent == tmp_path
    assert first != second
    assert default_runtime_dir(tmp_path / "a", user) == first


@pytest.mark.usefixtures("no_system_folder")
def test_a_runtime_directory_that_cannot_be_written_is_not_chosen(tmp_path):
    user = {"XDG_RUNTIME_DIR": str(tmp_path / "not-there")}
    assert default_runtime_dir(tmp_path / "a", user).parent == Path("/dev/shm")


MISTAKES = {
    "unknown key": (
        "[uplink]\nsync_intervall_s = 5\n",
        "agent.toml line 2: unknown key 'sync_intervall_s'; did you mean 'sync_interval_s'?",
    ),
    "unknown section": (
        "[uplnk]\n",
        "agent.toml line 1: unknown key 'uplnk'; did you mean 'uplink'?",
    ),
    "no toml": ("[agent\n", "agent.toml line 1: this is no TOML"),
    "time too short": (
        "[uplink]\nsync_interval_s = 0\n",
        "agent.toml line 2: sync_interval_s = 0 is not a time from 1 to 604800 seconds",
    ),
    "time not in milliseconds": (
        f"{LINE}{DEVICE}poll_interval_s = 0.1234\n",
        "agent.toml line 9: poll_interval_s = 0.1234 is not a time from 0.1 to 86400 seconds",
    ),
    "time beyond every number": (
        "[telemetry]\ncommit_interval_s = 1e999999\n",
        "agent.toml line 2: commit_interval_s = 1E+999999 is not a time from 1 to 3600 seconds",
    ),
    "time as a flag": (
        "[telemetry]\ncommit_interval_s = true\n",
        "agent.toml line 2: commit_interval_s = True is not a number",
    ),
    "storage": (
        "[telemetry]\nstorage_max_mb = 0\n",
        "agent.toml line 2: storage_max_mb = 0 is not a whole number from 1 to 1048576",
    ),
    "long poll on a metered link": (
        "[uplink]\nmetered = true\nlong_poll = true\n",
        "agent.toml line 3: a metered link has no long_poll",
    ),
    "bus name": (
        '[[bus]]\nname = "Line 1"\nurl = "tcp://h:1"\n',
        "agent.toml line 2: name = 'Line 1' is no name; use 1 to 40 lower case letters",
    ),
    "bus twice": (f"{LINE}{LINE}", "agent.toml line 5: a bus 'line' exists already"),
    "port twice": (
        f'{LINE}[[bus]]\nname = "other"\nurl = "serial:///dev/../dev/ttyS9?baud=1200"\n',
        "agent.toml line 6: /dev/ttyS9 is already the port of bus 'line'; one bus owns a port",
    ),
    "host twice": (
        '[[bus]]\nname = "a"\nurl = "tcp://GW:502"\n[[bus]]\nname = "b"\nurl = "rtu+tcp://gw:502"\n',
        "agent.toml line 6: gw:502 is already the port of bus 'a'",
    ),
    "host twice, once without its port": (
        '[[bus]]\nname = "a"\nurl = "tcp://gw"\n[[bus]]\nname = "b"\nurl = "tcp://gw:502"\n',
        "agent.toml line 6: gw:502 is already the port of bus 'a'",
    ),
    "no scheme": (
        '[[bus]]\nname = "a"\nurl = "/dev/ttyS0"\n',
        "agent.toml line 3: url '/dev/ttyS0' is of no known kind; write serial:///dev/ttyUSB0",
    ),
    "serial without a path": (
        '[[bus]]\nname = "a"\nurl = "serial://ttyS0"\n',
        "agent.toml line 3: url 'serial://ttyS0' names no serial port",
    ),
    "no port number": (
        '[[bus]]\nname = "a"\nurl = "rtu+tcp://gw"\n',
        "agent.toml line 3: url 'rtu+tcp://gw' lacks a host or a port",
    ),
    "port number": (
        '[[bus]]\nname = "a"\nurl = "tcp://gw:99999"\n',
        "agent.toml line 3: url 'tcp://gw:99999' cannot be read",
    ),
    "zero byte in a url": (
        '[[bus]]\nname = "a"\nurl = "serial:///dev/\\u0000"\n',
        "agent.toml line 3: url holds a zero byte",
    ),
    "no bus at all": (DEVICE, "agent.toml line 1: device 'pump-1' has no bus to be on"),
    "unknown bus": (
        LINE + DEVICE.replace('"line"', '"lime"'),
        "agent.toml line 6: bus cannot be 'lime'; did you mean 'line'?",
    ),
    "device twice": (
        LINE + DEVICE + DEVICE.replace("address = 1", "address = 2"),
        "agent.toml line 10: a device 'pump-1' exists already, agent.toml line 4",
    ),
    "address twice": (
        LINE + DEVICE + DEVICE.replace("pump-1", "pump-2"),
        "agent.toml line 12: address 1 on bus 'line' is device 'pump-1' already",
    ),
    "serial address": (
        LINE + DEVICE.replace("address = 1", "address = 248"),
        "agent.toml line 7: address = 248 is not a whole number from 1 to 247",
    ),
    "device without profile": (
        LINE + DEVICE.replace('profile = "profiles/pump.toml"\n', ""),
        "agent.toml line 4: profile is missing",
    ),
    "profile missing": (
        LINE + DEVICE.replace("pump.toml", "pumm.toml"),
        "agent.toml line 8: the profile profiles/pumm.toml cannot be read (No such file",
    ),
    "profile is a folder": (
        LINE + DEVICE.replace("profiles/pump.toml", "profiles"),
        "agent.toml line 8: the profile profiles cannot be read (Is a directory)",
    ),
    "label": (
        '[agent]\nlabels = { role = "big pump" }\n',
        "agent.toml line 2: 'role' = 'big pump' is no label",
    ),
    "label that is a number": ("[agent]\nlabels = { n = 5 }\n", "agent.toml line 2: n is a text"),
    "labels that are a text": (
        '[agent]\nlabels = "pump"\n',
        "agent.toml line 2: labels is a table",
    ),
    "data directory": ('[agent]\ndata_dir = ""\n', "agent.toml line 2: data_dir = '' is no path"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_a_sentence_that_says_where(complaint, name):
    text, sentence = MISTAKES[name]
    assert complaint(text).startswith(sentence)


def test_a_mistake_in_a_profile_points_into_the_profile(write, complaint, tmp_path):
    (tmp_path / "profiles" / "pump.toml").write_text(PUMP.replace("uint16", "uint17"))
    sentence = complaint(LINE + DEVICE)
    assert re.match(r"profiles/pump\.toml line \d+: type cannot be 'uint17'", sentence)


def test_more_points_than_a_schema_has_room_for_are_refused(write, complaint, tmp_path):
    points = "".join(
        f'[[point]]\nname = "p{n}"\nat = {{ table = "input", address = {n}, type = "uint16" }}\n'
        for n in range(limits.POINTS)
    )
    head = PUMP[: PUMP.index("[limits]")]
    (tmp_path / "profiles" / "pump.toml").write_text(head + points)
    devices = "".join(
        DEVICE.replace("pump-1", f"pump-{n}").replace("address = 1", f"address = {n}")
        for n in (1, 2, 3)
    )
    sentence = complaint(LINE + devices)
    assert "1536 polled points and aggregates, one agent has room for 1024" in sentence


def test_more_devices_than_an_agent_has_are_refused(complaint):
    assert "257 devices, at most 256" in complaint(LINE + DEVICE * 257)


def test_more_buses_than_an_agent_has_are_refused(complaint):
    assert "33 buses, at most 32" in complaint(LINE * 33)


def test_too_many_labels_are_refused(complaint):
    labels = "\n".join(f'l{n} = "x"' for n in range(33))
    assert "33 labels, at most 32" in complaint(f"[agent.labels]\n{labels}\n")


def test_a_configuration_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(MistakeError, match="cannot be read") as refused:
        load_config(tmp_path / "agent.toml")
    assert "--config" in refused.value.mend


def test_a_configuration_that_is_no_text_is_one_sentence(write):
    path = write("")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MistakeError, match="not UTF-8"):
        load_config(path)


def test_a_configuration_longer_than_any_is_refused(write):
    with pytest.raises(MistakeError, match="longer than"):
        load_config(write("#" * (limits.CONFIG_BYTES + 1)))


def test_a_line_that_cannot_keep_up_is_refused_with_the_arithmetic(write, complaint):
    one = (
        '[[device]]\nid = "pump-{0}"\nbus = "line"\naddress = {0}\nprofile = "profiles/pump.toml"\n'
    )
    slow = LINE.replace("9600", "1200")
    text = slow + "".join(one.format(n) + "poll_interval_s = 0.5\n" for n in range(1, 7))
    # 15 characters of 10 bits at 1200 baud, 40 ms of the profile's silence, 29 ms of turnaround.
    assert complaint(text) == (
        "agent.toml line 1: bus 'line' would be busy 233% of the time, 90% is the most that leaves "
        "room for repeats and commands: pump-1 takes 194 ms every 0.5 s (39%), pump-2 takes 194 ms "
        "every 0.5 s (39%), pump-3 takes 194 ms every 0.5 s (39%) and 3 more; poll all of them 2.6 "
        "times less often, poll fewer points, or raise the line's speed"
    )
    fits = load_config(write(text.replace("0.5", "1.5")))
    assert [(load.bus, round(load.share, 2)) for load in fits.loads] == [("line", 0.78)]
