"""A profile made of what a SunSpec device tells, and held against the same device."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main
from agent.core.sunspec_model import sunspec_model
from agent.services.profile_trial import Place, try_profile
from agent.services.sunspec_import import Dump, import_dump, import_sunspec
from shared import limits
from shared.errors import MistakeError
from shared.model.profile import parse_profile
from tests.contract.slave import Slave, serving
from tests.contract.wires import plugged

UNSCALED, NO_UINT, NO_INT = 0, 0xFFFF, 0x8000


def text(said: bytes, size: int) -> list[int]:
    return list(struct.unpack(f">{size}H", said.ljust(2 * size, b"\0")))


def common() -> list[int]:
    told = text(b"Acme", 16) + text(b'INV "10"', 16) + text(b"", 8) + text(b"3.1", 8)
    return [1, 66, *told, *text(b"SUN-77", 16), 1, 0]


def inverter() -> list[int]:
    """Model 103: 23.4 A, 230.1 V of phase A, -1500 W, 50.01 Hz, 123456 Wh; the rest not there."""
    words = [NO_UINT] * 50
    for at in (12, 16, 18, 20, 29, 31, 32, 33, 34):
        words[at] = NO_INT
    words[22:24] = [1, 57_920]
    words[0], words[4] = 234, 0xFFFF
    words[8], words[11] = 2_301, 0xFFFF
    words[12], words[13] = 0x10000 - 150, 1
    words[14], words[15] = 5_001, 0xFFFE
    words[24] = 0
    words[36] = 4
    return [103, 50, *words]


def trackers() -> list[int]:
    head = [0xFFFE, 0xFFFF, 0, 0, 0, 0, 2, 0]
    one = [1, *text(b"east", 8), 512, 4_003, 205, 0, 900, 0, 0, 25, 4, 0, 0]
    return [160, 48, *head, *one, *one]


MAP = [0x5375, 0x6E53, *common(), *inverter(), 64_001, 3, 1, 2, 3, *trackers(), 0xFFFF, 0]


@pytest.fixture(params=[40_000, 50_000, 0])
async def device(request, tmp_path: Path) -> AsyncIterator[tuple[Slave, Place]]:
    """A device with a map, at each place where one may begin."""
    async with plugged("tcp", tmp_path) as wire, serving(wire, "tcp") as slave:
        for number, word in enumerate(MAP):
            slave.cells["holding", request.param + number] = word
        yield slave, Place(url=wire.url, address=1, timeout_ms=500)


async def test_the_profile_reads_what_the_device_means(device):
    _, place = device
    made = await import_sunspec(place)
    profile = parse_profile(made, source="made")
    assert profile.name == "acme-inv-10"
    verdict = await try_profile(profile, place)
    assert {one.point: one.value for one in verdict.points} == {
        "current": 23.4,
        "voltage_a": 230.1,
        "power": -1500,
        "frequency": 50.01,
        "energy": 123_456,
        "state": 4,
        **{f"mppt{n}_current": 5.12 for n in (1, 2)},
        **{f"mppt{n}_voltage": 400.3 for n in (1, 2)},
        **{f"mppt{n}_power": 205 for n in (1, 2)},
        **{f"mppt{n}_energy": 900 for n in (1, 2)},
    }
    assert verdict.wrong == 0
    told = {"vendor": "Acme", "model": 'INV "10"'}
    assert profile.match.fit(told, profile.identity) == 2


async def test_a_map_that_never_ends_ends(tmp_path):
    async with plugged("tcp", tmp_path) as wire, serving(wire, "tcp") as slave:
        slave.cells |= {("holding", n): 0 for n in range(40_000, 40_400)}
        slave.cells |= {("holding", 40_000): 0x5375, ("holding", 40_001): 0x6E53}
        with pytest.raises(MistakeError, match="no model of an inverter"):
            await import_sunspec(Place(url=wire.url, address=1, timeout_ms=500))


async def test_a_device_without_a_map_is_one_sentence_and_a_file_is_written(device, tmp_path):
    slave, place = device
    out = tmp_path / "made.toml"
    call = ["profile", "import-sunspec", "--url", place.url, "--address", "1"]
    assert await asyncio.to_thread(main, [*call, "-o", str(out)]) == 0
    assert parse_profile(out.read_text(), source="out").kind == "inverter"
    slave.cells.clear()
    with pytest.raises(MistakeError, match="no SunSpec map"):
        await import_sunspec(place)


THING: Any = {
    "id": 64_001,
    "group": {
        "name": "thing",
        "points": [
            {"name": "ID", "type": "uint16"},
            {"name": "L", "type": "uint16"},
            {"name": "Power", "type": "int16", "sf": "P_SF", "units": "W"},
            {"name": "Mode", "type": "enum16"},
            {"name": "P_SF", "type": "sunssf"},
        ],
    },
}


async def test_a_definition_from_a_file_adds_the_model_it_defines(device, tmp_path):
    _, place = device
    file, out = tmp_path / "model_64001.json", tmp_path / "made.toml"
    file.write_text(json.dumps(THING))
    call = ["profile", "import-sunspec", str(file), "--url", place.url, "-o", str(out)]
    assert await asyncio.to_thread(main, call) == 0
    profile = parse_profile(out.read_text(), source="out")
    verdict = await try_profile(profile, place)
    told = {one.point: one.value for one in verdict.points}
    assert (told["power"], told["m64001_power"], told["mode"]) == (-1500, 1000, 2)
    assert verdict.wrong == 0


def dump_of(*models: list[int]) -> Dump:
    words = [0x5375, 0x6E53, *common(), *(word for model in models for word in model), 0xFFFF, 0]
    return Dump({40_000 + number: word for number, word in enumerate(words)}, source="dump")


def thing(power: int) -> list[int]:
    return [64_001, 3, power, 2, 0]


async def test_a_model_may_stand_there_several_times():
    definition = sunspec_model(json.dumps(THING).encode(), source="thing")
    made = await import_dump(dump_of(*(thing(power) for power in range(4))), [definition])
    places = {p.name: p.register.address for p in parse_profile(made, source="made").points}
    begins = ["", "m64001_", "m64001_3_", "m64001_4_"]
    assert places == {
        f"{begin}{name}": 40_072 + 5 * number + at
        for number, begin in enumerate(begins)
        for at, name in enumerate(["power", "mode"])
    }


async def test_a_second_inverter_is_no_other_form_of_the_first_one():
    floats = [113, 60, *[0x7FC0, 0] * 30]
    floats[2:4] = struct.unpack(">2H", struct.pack(">f", 23.4))
    made = await import_dump(dump_of(inverter(), floats, inverter(), floats))
    named = [point.name for point in parse_profile(made, source="made").points]
    assert [name for name in named if name.endswith("current")] == ["current", "m103_current"]
    assert len(named) == 2 * 6


async def test_names_that_are_too_long_stay_apart():
    inner = {
        "name": "a_very_long_name_of_a_group_of_a_model",
        "count": 3,
        "points": [{"name": f"current_{phase}", "type": "int16"} for phase in "abc"],
    }
    group = {**THING["group"], "points": THING["group"]["points"][:2], "groups": [inner]}
    text = json.dumps({"id": 64_001, "group": group}).encode()
    definition = sunspec_model(text, source="thing")
    made = await import_dump(dump_of([64_001, 9, *range(1, 10)]), [definition])
    points = parse_profile(made, source="made").points
    assert [point.register.address for point in points] == [*range(40_072, 40_081)]
    assert {point.name[-9:] for point in points} >= {"current_b", "current_c"}


async def test_what_has_no_room_in_a_profile_is_counted():
    inner = {"name": "c", "count": 0, "points": [{"name": "v", "type": "int16"}]}
    group = {**THING["group"], "points": THING["group"]["points"][:2], "groups": [inner]}
    text = json.dumps({"id": 64_001, "group": group}).encode()
    words = [64_001, limits.POINTS + 7, *[1] * (limits.POINTS + 7)]
    made = await import_dump(dump_of(words), [sunspec_model(text, source="thing")])
    assert len(parse_profile(made, source="made").points) == limits.POINTS
    assert "# 7 of its points have no room here." in made


@pytest.mark.parametrize("first", [0, 1])
async def test_registers_in_a_file_make_the_profile_that_the_device_itself_makes(
    device, first, tmp_path, capsys
):
    slave, place = device
    file, live = tmp_path / "registers.csv", tmp_path / "live.toml"
    cells = {at + first: word for (_, at), word in slave.cells.items()}
    file.write_text("".join(f"{at},{word}\n" for at, word in sorted(cells.items())))
    live.write_text(await import_sunspec(place))
    call = ["profile", "import-sunspec", str(file)]
    assert await asyncio.to_thread(main, call) == 0
    assert capsys.readouterr().out == live.read_text()


def test_models_alone_do_not_say_where_they_are(tmp_path, capsys):
    file = tmp_path / "model_64001.json"
    file.write_text(json.dumps(THING))
    assert main(["profile", "import-sunspec", str(file)]) == 2
    assert "name either its --url or one file with its registers" in capsys.readouterr().err
    (tmp_path / "dump.csv").write_text("1,2\n")
    both = [str(file), str(tmp_path / "dump.csv"), "--url", "tcp://127.0.0.1:1"]
    assert main(["profile", "import-sunspec", *both]) == 2
    assert main(["profile", "import-sunspec", str(tmp_path / "dump.csv")]) == 2
    assert "there is no SunSpec map" in capsys.readouterr().err
