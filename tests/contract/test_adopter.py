"""Attaching a device from afar: what is looked at before anything changes, and what goes first."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from agent.buses.factory import open_bus
from agent.config import load_config
from agent.core.adopted import Adopted
from agent.core.ports import BusSettings, StepOutcome
from agent.core.queue import Problem
from agent.services.adopter import Adopter
from agent.services.self_config import NAME, SelfConfig, load_remote
from shared import limits
from shared.errors import MistakeError, Reason, RefusedError
from shared.model.action_parameters import AdoptParameters
from shared.trust.bounds import check_adoption
from shared.trust.catalog import Catalog, ProfileBounds
from shared.trust.starter import first_catalog
from tests.contract.patience import HASTY_MS, PATIENT_MS, waited_for
from tests.contract.slave import Slave, serving
from tests.contract.wires import plugged

PROFILE = """profile = 1
name = "pump"
kind = "pump"
protocol = "modbus"
[[point]]
name = "flow"
at = { table = "input", address = 0, type = "int16" }
"""
SAYS = {0: b"Acme", 1: b"P-100", 2: b"2.1", 0x80: b"SN-0042"}


@dataclass
class Shelf:
    """Files by their content, in a folder."""

    folder: Path

    def given(self, digest: bytes, size: int) -> int:
        return 0

    async def obtain(self, digest: bytes, size: int) -> Path:
        return self.folder / digest.hex()

    def put(self, text: str) -> dict[str, str | int]:
        data = text.encode()
        (self.folder / sha256(data).hexdigest()).write_bytes(data)
        return {"artifact": f"sha256:{sha256(data).hexdigest()}", "size": len(data)}


@dataclass
class Gateway:
    """One, with a device on its line that is not in its file."""

    folder: Path
    slave: Slave
    shelf: Shelf
    adopter: Adopter
    left: asyncio.Event
    file: Path

    def wish(self, text: str = PROFILE, **more: object) -> AdoptParameters:
        named = self.shelf.put(text)
        members = {"device": "pump-7", "bus": "line", "address": 7, **named, **more}
        return AdoptParameters(**members)  # type: ignore[arg-type]  # of a dict, checked inside

    async def adopt(self, wish: AdoptParameters, *, dry_run: bool = False) -> StepOutcome | None:
        """Return the outcome, None where the process would begin again."""
        doing = asyncio.create_task(self.adopter.adopt("mark", wish, dry_run=dry_run))
        leaving = asyncio.create_task(self.left.wait())
        await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
        outcome = doing.result() if doing.done() else None
        for task in (doing, leaving):
            task.cancel()
        await asyncio.wait((doing, leaving))
        return outcome


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    shelf = Shelf(tmp_path / "shelf")
    shelf.folder.mkdir()
    async with plugged("tcp", tmp_path) as wire, serving(wire, "tcp") as slave:
        slave.cells["input", 0], slave.says = 42, SAYS
        file = tmp_path / "agent.toml"
        file.write_text(f'[agent]\ndata_dir = "."\n[[bus]]\nname = "line"\nurl = "{wire.url}"\n')
        bus = open_bus(
            BusSettings(name="line", url=wire.url, response_timeout_ms=PATIENT_MS, retries=0)
        )
        left = asyncio.Event()

        async def readings() -> int:
            return 0

        settings = SelfConfig(
            tmp_path,
            in_force={},
            attempt=lambda wanted: load_config(file, remote=wanted),
            facts=dict,
            readings=readings,
            leave=left.set,
        )
        adopter = Adopter(
            data_dir=tmp_path,
            buses={"line": bus},
            shelf=shelf,
            settings=settings,
            may_adopt=lambda _: None,
        )
        try:
            yield Gateway(tmp_path, slave, shelf, adopter, left, file)
        finally:
            await bus.close()


async def test_a_device_that_answers_is_on_trial_beside_the_local_file(gateway):
    before = gateway.file.read_text()
    assert await gateway.adopt(gateway.wish(serial="SN-0042", poll_interval_s=5)) is None
    assert gateway.file.read_text() == before
    trial = load_remote(gateway.folder).trial
    assert trial is not None
    (device,) = load_config(gateway.file).devices
    assert (device.id, device.address, device.poll_interval_ms) == ("pump-7", 7, 5_000)
    assert device.profile.name == "pump"


async def test_what_the_site_leaves_alone_is_not_adopted(
    gateway: Gateway,
) -> None:
    gateway.adopter = replace(gateway.adopter, aside=("pump-7",))
    outcome = await gateway.adopt(gateway.wish())
    assert outcome is not None
    assert outcome.reason is Reason.ACTION_NOT_ALLOWED
    assert "agent.toml says [discovery] aside: pump-7 is left alone" in outcome.detail
    assert not (gateway.folder / NAME).exists()
    assert await gateway.adopt(gateway.wish(device="pump-8")) is None, "others are on trial"


@pytest.mark.parametrize(
    ("wish", "reason", "part"),
    [
        ({"serial": "SN-0001"}, Reason.VERIFY_MISMATCH, "SN-0042"),
        ({"bus": "lne"}, Reason.PROFILE_INVALID, "there is no bus 'lne'"),
        ({"text": "profile = 1"}, Reason.PROFILE_INVALID, "line 1"),
        ({"text": PROFILE.replace("modbus", "smp")}, Reason.PROFILE_INVALID, "line 7"),
    ],
)
async def test_what_does_not_fit_is_one_sentence_and_nothing_changes(gateway, wish, reason, part):
    outcome = await gateway.adopt(gateway.wish(**wish))
    assert outcome is not None
    assert outcome.reason is reason
    assert part in outcome.detail
    assert not (gateway.folder / NAME).exists()


async def test_nobody_there_is_told_and_nothing_changes(gateway):
    gateway.slave.mute = True
    waited_for(gateway.adopter.buses["line"], gateway.wish().address, ms=HASTY_MS)
    outcome = await gateway.adopt(gateway.wish())
    assert outcome is not None
    assert outcome.reason is Reason.DEVICE_SILENT
    assert not (gateway.folder / NAME).exists()


async def test_the_catalog_is_asked_before_the_device_is(gateway):
    refused = Problem(Reason.PROFILE_NOT_ALLOWED, "not this one")
    gateway.adopter = replace(gateway.adopter, may_adopt=lambda _: refused)
    outcome = await gateway.adopt(gateway.wish())
    assert outcome is not None
    assert outcome.reason is Reason.PROFILE_NOT_ALLOWED
    assert gateway.slave.heard == []


async def test_a_dry_run_changes_nothing(gateway):
    outcome = await gateway.adopt(gateway.wish(), dry_run=True)
    assert outcome is not None
    assert outcome.reason is None
    assert not (gateway.folder / NAME).exists()


# --- the local file goes first -------------------------------------------------------------------
LOCAL = '[[device]]\nid = "{id}"\nbus = "line"\naddress = {address}\nprofile = "pump.toml"\n'


@pytest.mark.parametrize(("name", "address"), [("pump-7", 9), ("mine", 7)])
async def test_a_local_device_puts_one_from_afar_aside(gateway, name: str, address: int):
    assert await gateway.adopt(gateway.wish()) is None
    (gateway.folder / "pump.toml").write_text(PROFILE)
    section = LOCAL.format(id=name, address=address)
    gateway.file.write_text(gateway.file.read_text() + section)
    assert [one.id for one in load_config(gateway.file).devices] == [name]
    trial = load_remote(gateway.folder).trial
    assert trial is not None
    with pytest.raises(MistakeError):
        load_config(gateway.file, remote=trial.settings)


async def test_a_profile_that_is_gone_takes_no_other_setting_with_it(gateway):
    assert await gateway.adopt(gateway.wish()) is None
    trial = load_remote(gateway.folder).trial
    assert trial is not None
    settings = {**trial.settings, "telemetry.commit_interval_s": 600}
    document = load_remote(gateway.folder)
    kept = type(document)(settings=settings)
    (gateway.folder / NAME).write_bytes(msgspec.json.encode(kept))
    for path in (gateway.folder / "profiles").iterdir():
        path.unlink()
    config = load_config(gateway.file)
    assert config.devices == ()
    assert config.telemetry.commit_interval_ms == 600_000


def test_what_is_kept_of_a_device_is_bounded_by_its_shape():
    one = Adopted(bus="line", address=7, profile="ab", poll_interval_ms=1_000)
    assert len(one.text()) < limits.RESULT_BYTES


# --- the catalog ---------------------------------------------------------------------------------
HASH = b"h" * 32


def catalog(*, any_profile: bool, listed: bool) -> Catalog:
    first = first_catalog(fleet=bytes(16), issued_ms=0, expires_ms=1)
    profiles = [ProfileBounds(HASH, [])] if listed else []
    return msgspec.structs.replace(first, any_profile=any_profile, profiles=profiles)


@pytest.mark.parametrize(
    ("any_profile", "listed", "names_a_key", "allowed"),
    [
        *[(True, False, False, True), (True, False, True, False), (True, True, True, True)],
        *[(False, False, False, False), (False, True, False, True), (False, True, True, True)],
    ],
)
def test_a_profile_from_afar_is_one_that_the_catalog_allows(
    any_profile, listed, names_a_key, allowed
):
    asked = catalog(any_profile=any_profile, listed=listed)
    if allowed:
        check_adoption(asked, profile=HASH, names_a_key=names_a_key)
        return
    with pytest.raises(RefusedError) as refused:
        check_adoption(asked, profile=HASH, names_a_key=names_a_key)
    assert refused.value.reason is Reason.PROFILE_NOT_ALLOWED
