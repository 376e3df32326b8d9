"""An agent that changes its own settings: each restart is another process over the same files."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.config import load_config
from agent.core.adopted import PREFIX
from agent.core.ports import StepOutcome
from agent.services.self_config import NAME, SelfConfig, load_remote
from shared import limits
from shared.errors import MistakeError, Reason
from shared.model.action import check_parameters
from shared.model.job import Step
from tests.simulation.loop import World, simulate

LOCAL = '[agent]\ndata_dir = "."\n[telemetry]\ncommit_interval_s = 60\n'
COMMIT = {"telemetry.commit_interval_s": 600}
LINK = {"uplink.sync_interval_s": 60}


@dataclass
class House:
    """One gateway over its processes."""

    folder: Path
    reads: bool = True
    hears: bool = True
    polls: bool = True
    sampled: int = 0
    lives: int = 0
    intervals_ms: list[int] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.folder / "agent.toml"

    async def readings(self) -> int:
        self.sampled += int(self.reads)
        return self.sampled

    def facts(self) -> dict[str, Any]:
        return {"link.silent_s": 0} if self.hears else {}

    async def live(
        self, change: Mapping[str, Any], *, mark: str = "a", dry_run: bool = False
    ) -> StepOutcome:
        """Let processes follow each other until one of them knows the outcome of a step."""
        while True:
            self.lives += 1
            assert self.lives < 9, "it restarts for ever"
            left = asyncio.Event()
            config = load_config(self.path)
            self.intervals_ms.append(config.telemetry.commit_interval_ms)
            service = SelfConfig(
                self.folder,
                in_force=config.remote,
                attempt=lambda settings: load_config(self.path, remote=settings),
                facts=self.facts,
                readings=self.readings,
                leave=left.set,
                polls=self.polls,
            )
            tasks: list[asyncio.Task[Any]] = [
                asyncio.create_task(service.run()),
                asyncio.create_task(
                    service.configure(mark, change, confirm_within_s=30, dry_run=dry_run)
                ),
                asyncio.create_task(left.wait()),
            ]
            await asyncio.wait(tasks[1:], return_when=asyncio.FIRST_COMPLETED)
            done, step = tasks[1].done(), tasks[1]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            if done:
                return step.result()


def play(tmp_path: Path, scenario: Any) -> None:
    async def run(world: World) -> None:
        house = House(tmp_path)
        house.path.write_text(LOCAL)
        await scenario(house)

    simulate(run, seed=1)


def test_a_change_that_works_is_confirmed_by_the_next_process(tmp_path: Path):
    async def scenario(house: House) -> None:
        outcome = await house.live(COMMIT)
        assert outcome.reason is None
        assert outcome.result["telemetry.commit_interval_s"] == 600
        assert outcome.result["_skipped"] is False
        assert house.intervals_ms == [60_000, 600_000]
        assert load_remote(tmp_path).settings == COMMIT
        assert house.path.read_text() == LOCAL, "the local file is its owner's"

    play(tmp_path, scenario)


def test_what_is_so_already_is_skipped_without_a_restart(tmp_path: Path):
    async def scenario(house: House) -> None:
        first = await house.live(COMMIT)
        again = await house.live(COMMIT, mark="b")
        assert (again.result["_skipped"], again.result["_hash"]) == (True, first.result["_hash"])
        same_as_local = await house.live({"uplink.long_poll": False}, mark="c")
        assert same_as_local.result["_skipped"] is True
        assert house.lives == 4

    play(tmp_path, scenario)


def test_a_change_without_readings_rolls_back_by_itself_and_the_step_says_so(tmp_path: Path):
    async def scenario(house: House) -> None:
        house.reads = False
        outcome = await house.live(COMMIT)
        assert outcome.reason is Reason.NOT_CONFIRMED
        assert house.intervals_ms == [60_000, 600_000, 60_000]
        assert load_remote(tmp_path).in_force == {}

    play(tmp_path, scenario)


@pytest.mark.parametrize(("hears", "waits_s"), [(True, 1), (False, 30)])
def test_where_nothing_is_polled_a_contact_is_enough_or_that_the_process_lasts(
    tmp_path: Path, hears: bool, waits_s: int
):
    async def scenario(house: House) -> None:
        house.reads, house.polls, house.hears = False, False, hears
        began_s = asyncio.get_running_loop().time()
        outcome = await house.live(COMMIT)
        assert outcome.reason is None
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(waits_s, abs=0.5)
        assert load_remote(tmp_path).settings == COMMIT

    play(tmp_path, scenario)


def test_where_nothing_is_polled_a_change_of_the_link_needs_a_contact_all_the_same(tmp_path: Path):
    async def scenario(house: House) -> None:
        house.reads, house.polls, house.hears = False, False, False
        assert (await house.live(LINK)).reason is Reason.NOT_CONFIRMED
        assert load_remote(tmp_path).settings == {}

    play(tmp_path, scenario)


@pytest.mark.parametrize("hears", [True, False])
def test_a_change_of_the_link_needs_a_contact(tmp_path: Path, hears: bool):
    async def scenario(house: House) -> None:
        house.hears = hears
        outcome = await house.live(LINK)
        assert outcome.reason is (None if hears else Reason.NOT_CONFIRMED)
        assert load_remote(tmp_path).settings == (LINK if hears else {})

    play(tmp_path, scenario)


def test_an_address_where_nobody_answers_is_taken_back_by_itself(tmp_path: Path):
    async def scenario(house: House) -> None:
        house.hears = False
        moved = {"uplink.endpoint": "https://b.example:8443"}
        assert (await house.live(moved)).reason is Reason.NOT_CONFIRMED
        assert load_config(house.path).uplink.endpoint == ""
        house.hears = True
        assert (await house.live(moved, mark="b")).reason is None
        assert load_config(house.path).uplink.endpoint == "https://b.example:8443"

    play(tmp_path, scenario)


def test_an_address_that_would_send_in_clear_text_is_refused_before_it_is_tried(tmp_path: Path):
    async def scenario(house: House) -> None:
        clear = await house.live({"uplink.endpoint": "http://b.example"})
        assert clear.reason is Reason.BAD_PARAMETERS
        assert "clear text" in clear.detail
        assert not (tmp_path / NAME).exists()

    play(tmp_path, scenario)


def test_a_rollback_keeps_what_was_confirmed_before(tmp_path: Path):
    async def scenario(house: House) -> None:
        await house.live(COMMIT)
        house.hears = False
        assert (await house.live(LINK, mark="b")).reason is Reason.NOT_CONFIRMED
        assert load_remote(tmp_path).in_force == COMMIT

    play(tmp_path, scenario)


def test_settings_that_take_every_process_down_are_rolled_back(tmp_path: Path):
    async def scenario(house: House) -> None:
        remote = load_remote(tmp_path).on_trial("a", COMMIT, 30)
        for _ in range(limits.TRIAL_STARTS):
            remote = remote.begun()
        (tmp_path / NAME).write_bytes(msgspec.json.encode(remote))
        assert (await house.live(COMMIT)).reason is Reason.NOT_CONFIRMED
        assert load_remote(tmp_path).in_force == {}

    play(tmp_path, scenario)


def test_a_dry_run_and_a_change_that_cannot_be_leave_no_document(tmp_path: Path):
    async def scenario(house: House) -> None:
        dry = await house.live(COMMIT, dry_run=True)
        assert dry.result["telemetry.commit_interval_s.new"] == 600
        wrong = await house.live({"uplink.long_poll": True, "uplink.metered": True})
        assert wrong.reason is Reason.BAD_PARAMETERS
        assert "metered" in wrong.detail
        assert not (tmp_path / NAME).exists()
        assert house.lives == 2

    play(tmp_path, scenario)


def test_a_damaged_document_leaves_the_local_file_in_force(tmp_path: Path):
    async def scenario(house: House) -> None:
        (tmp_path / NAME).write_bytes(b"{")
        assert load_config(house.path).remote == {}
        (tmp_path / NAME).write_text('{"settings": {"telemetry.commit_interval_s": 0}}')
        assert load_config(house.path).telemetry.commit_interval_ms == 60_000

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "params",
    [
        {"uplink.endpoint": 1},
        {"uplink.metered": "yes"},
        {"telemetry.speed": 1},
        {"agent.data_dir": 1},
        {**COMMIT, "confirm_within_s": 31},
        COMMIT,
    ],
)
def test_what_no_job_may_change_or_confirm_in_time_is_refused_at_submission(params):
    with pytest.raises(MistakeError, match=r"steps\[0\].params"):
        check_parameters(Step("s", "agent.configure", params), "steps[0]")


def test_an_outcome_names_the_settings_that_hold_and_those_that_were_wanted(tmp_path: Path):
    async def scenario(house: House) -> None:
        given = (await house.live(COMMIT)).result["_settings"]
        assert (await house.live({"uplink.long_poll": False}, mark="b")).result[
            "_settings"
        ] == given, "what is skipped is not kept"
        house.reads = False
        failed = await house.live({"telemetry.commit_interval_s": 900}, mark="c")
        assert failed.reason is Reason.NOT_CONFIRMED
        assert failed.result["_settings"] == given
        assert failed.result["telemetry.commit_interval_s"] == 600, "what holds instead"
        house.reads = True
        again = await house.live({"telemetry.commit_interval_s": 900}, mark="d")
        assert again.result["_settings"] == failed.result["_wanted"] != given

    play(tmp_path, scenario)


def test_a_device_that_was_adopted_is_no_setting_that_somebody_could_miss(tmp_path: Path):
    def named(**devices: str) -> str:
        remote = {"settings": {**COMMIT, **{f"{PREFIX}{id_}": d for id_, d in devices.items()}}}
        (tmp_path / NAME).write_bytes(msgspec.json.encode(remote))
        service = SelfConfig(
            tmp_path,
            in_force={},
            attempt=dict,
            facts=dict,
            readings=House(tmp_path).readings,
            leave=lambda: None,
        )
        return service.fingerprint

    assert named() == named(pump="at one place") == named(pump="at another")
