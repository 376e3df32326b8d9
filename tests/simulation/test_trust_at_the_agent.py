"""What an agent does about orders, with its real stores: only what is allowed, even if signed.

The coordinator of these tests may lie in every way its director's key allows, and disks are lost
and put back. The rules alone are tested in `tests/unit/test_trust_*`; here they are in force.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from agent.core.uplink import Answered, Delivered, LinkFailed
from agent.store.jobs_file import COUNTERS_NAME, NAME, begin_counters
from shared import limits
from shared.errors import Reason
from shared.model.job import ExecutionState, JobSpec, Step
from shared.model.plan import PostCheck
from shared.sync.body import Part, PartKind, decode_body, encode_body
from shared.sync.incoming import Chain
from shared.trust.counters import Counters
from shared.trust.keyset import Trust, Vouched
from shared.wire.codec import pack
from shared.wire.messages import Grant
from tests.agent_coordinator import Brain, pump_catalog
from tests.agent_parts import NEVER, MemoryDevice, read_job, uid, write_job
from tests.property.test_agent_exchange import PUMPS, WHOLE, BadLink, Site
from tests.simulation.loop import World, simulate
from tests.unit.trust_world import changed, make_policy, seal_catalog, seal_policy

Scenario = Callable[[Site], Awaitable[None]]


@dataclass
class Liar(BadLink):
    """Carries answers that say less, more or something else than they should."""

    withheld: set[PartKind] = field(default_factory=set)
    extra: bytes | None = None
    """A bundle to come with each answer instead of its own."""
    instead: bytes | None = None

    async def exchange(self, body: bytes, *, wait_s: int, keep: bool) -> Delivered | LinkFailed:
        got = await super().exchange(body, wait_s=wait_s, keep=keep)
        assert isinstance(got, Delivered)
        parts = [
            part for part in decode_body(got.body, bound=1 << 20) if part.kind not in self.withheld
        ]
        if self.extra is not None:
            parts = [part for part in parts if part.kind is not PartKind.BUNDLE]
            parts.append(Part(PartKind.BUNDLE, self.extra))
        return Delivered(body=self.instead or encode_body(parts))


async def stage(world: World, *, scenario: Scenario, folder: Path) -> None:
    """Play a scenario with one enrolled gateway."""
    for name in ("data", "run"):
        (folder / name).mkdir(parents=True)
    pumps = {one.id: MemoryDevice(one.id) for one in PUMPS}
    begin_counters(folder / "data", Counters(epoch=1, root_version=1))
    site = Site(world, folder, Liar(Brain(), world), pumps)
    await site.boot()
    try:
        await scenario(site)
    finally:
        await stop(site)


async def stop(site: Site) -> None:
    """End the process in an orderly way; its files are free then."""
    site.work.cancel()
    with suppress(asyncio.CancelledError):
        await site.work
    await site.close_files()


def liar(site: Site) -> Liar:
    """Return the coordinator's way to the gateway, which may lie."""
    assert isinstance(site.link, Liar)
    return site.link


async def meet(site: Site, *, times: int = 1) -> None:
    for _ in range(times):
        end = await site.guarded(partial(site.meet, WHOLE))
        assert isinstance(end, Answered), end


async def refusals(site: Site) -> dict[str, int]:
    return dict((await site.store.standing()).refusals)


def written(site: Site) -> list[object]:
    return [value for pump in site.pumps.values() for _, value in pump.written]


def told(site: Site, number: int) -> tuple[ExecutionState, int]:
    """Return what the coordinator heard last of an execution."""
    facts = [
        r for r in site.link.brain.receipts.values() if r.execution == uid(number) and not r.device
    ]
    return ExecutionState(facts[-1].state), facts[-1].reason


def with_catalog(trust: Trust, **changes: object) -> Trust:
    catalog = pump_catalog(**changes)
    return Trust(
        root=trust.root,
        root_envelope=trust.root_envelope,
        catalog=Vouched(catalog, seal_catalog(catalog)),
        policy=trust.policy,
    )


def with_policy(trust: Trust, **changes: object) -> Trust:
    policy = make_policy(**{"issued_ms": 0, **changes})
    return Trust(
        root=trust.root,
        root_envelope=trust.root_envelope,
        catalog=trust.catalog,
        policy=Vouched(policy, seal_policy(policy)),
    )


def play(scenario: Scenario, folder: Path) -> None:
    simulate(partial(stage, scenario=scenario, folder=folder / "life-0"), seed=1)


@pytest.mark.parametrize(
    ("job", "job_class", "reason"),
    [
        (write_job(5001), "operate", Reason.OUT_OF_BOUNDS),
        (write_job(4000), "observe", Reason.CLASS_EXCEEDED),
        (write_job(4000), "guarded", Reason.APPROVALS_MISSING),
        (write_job(4000), "anything", Reason.UNKNOWN_CLASS),
    ],
)
def test_an_order_that_is_not_allowed_is_refused_although_the_director_signed_it(
    job: JobSpec, job_class: str, reason: Reason, tmp_path: Path
):
    async def scenario(site: Site) -> None:
        site.link.brain.jobs[uid(1)] = Grant(uid(1), pack(job), NEVER, job_class)
        site.link.brain.submit(uid(2), write_job(77))
        await meet(site, times=3)
        assert written(site) == [77, 77], "the rest of the bundle stands"
        assert told(site, 1) == (ExecutionState.REJECTED, reason)

    play(scenario, tmp_path)


def test_an_action_outside_the_catalog_is_refused_although_the_director_signed_it(tmp_path: Path):
    async def scenario(site: Site) -> None:
        brain = site.link.brain
        reads_only = {"device.read": pump_catalog().actions["device.read"]}
        brain.world.trust = with_catalog(brain.world.trust, actions=reads_only)
        brain.submit(uid(1), write_job(1))
        brain.submit(uid(2), read_job("flow"))
        await meet(site, times=3)
        assert written(site) == []
        assert told(site, 1) == (ExecutionState.REJECTED, Reason.ACTION_NOT_ALLOWED)
        assert told(site, 2)[0] is ExecutionState.SUCCEEDED

    play(scenario, tmp_path)


def test_a_bundle_before_its_catalog_is_refused_and_runs_once_the_catalog_came(tmp_path: Path):
    async def scenario(site: Site) -> None:
        brain = site.link.brain
        await meet(site)
        brain.world.trust = with_catalog(brain.world.trust, version=2)
        liar(site).withheld = {PartKind.CATALOG}
        brain.submit(uid(1), write_job(7))
        await meet(site)
        assert await refusals(site) == {"wrong_catalog_version": 1}
        assert written(site) == []
        liar(site).withheld = set()
        await meet(site, times=2)
        assert written(site) == [7, 7]
        assert await refusals(site) == {"wrong_catalog_version": 1}

    play(scenario, tmp_path)


def test_a_catalog_that_the_release_key_did_not_sign_changes_nothing(tmp_path: Path):
    async def scenario(site: Site) -> None:
        brain = site.link.brain
        await meet(site)
        good = brain.world.trust
        forged = pump_catalog(version=2, any_profile=True)
        envelope = seal_catalog(forged, by="director")
        brain.world.trust = Trust(
            good.root, good.root_envelope, Vouched(forged, envelope), good.policy
        )
        brain.submit(uid(1), write_job(9999))
        await meet(site, times=2)
        assert written(site) == []
        assert (await refusals(site))["threshold_not_met"] == 2
        assert (await site.guard.held()).trust.catalog_version == 1

    play(scenario, tmp_path)


def test_an_agent_that_lost_both_copies_of_its_counters_runs_nothing_until_it_is_told(
    tmp_path: Path,
):
    async def scenario(site: Site) -> None:
        brain = site.link.brain
        brain.submit(uid(1), write_job(1))
        await meet(site, times=3)
        before = list(brain.signed)
        await stop(site)
        data = site.folder / "data"
        for lost in data.glob(f"{NAME}*"):
            lost.unlink()
        (data / COUNTERS_NAME).unlink()
        await site.boot()
        await site.guard.load()
        assert (await site.guard.held()).counters is None
        assert "lost" in site.guard.trouble
        brain.submit(uid(2), write_job(2))
        liar(site).extra = before[-1]
        await site.poll()
        await meet(site)
        assert (await refusals(site)).keys() <= {"wrong_store", "wrong_catalog_version"}
        assert written(site) == [1, 1], "it acquires and reports, and admits nothing"
        counters = (await site.guard.held()).counters
        assert counters is not None, "the answer told it where to go on"
        assert counters.bundle_seq == brain.seq
        liar(site).extra = None
        await meet(site, times=3)
        assert site.guard.trouble == ""
        assert sorted(map(str, written(site))) == ["1", "1", "2", "2"]
        assert sorted(brain.readings) == sorted(site.recorded)
        assert brain.chains[Chain.CLONE] == 0

    play(scenario, tmp_path)


def test_an_old_database_beside_the_newer_counters_runs_no_old_order(tmp_path: Path):
    async def scenario(site: Site) -> None:
        brain = site.link.brain
        await meet(site, times=2)
        await stop(site)
        image = site.folder.with_name("image")
        shutil.copytree(site.folder / "data", image)
        await site.boot()
        brain.submit(uid(1), write_job(1))
        await meet(site, times=2)
        assert written(site) == [1, 1]
        await stop(site)
        for name in [path.name for path in image.glob(f"{NAME}*")]:
            shutil.copy(image / name, site.folder / "data" / name)
        await site.boot()
        assert (await site.guard.held()).counters is not None
        assert (await site.store.standing()).bundle_seq == brain.seq
        liar(site).extra = brain.signed[0]
        brain.jobs.clear()
        await meet(site)
        assert await refusals(site) == {"replayed": 1}
        assert written(site) == [1, 1], "what was done is not done again"
        assert brain.quarantined, "and the coordinator sees a gateway that was set back"

    play(scenario, tmp_path)


def test_an_admitted_job_is_called_off_when_a_newer_catalog_forbids_it(tmp_path: Path):
    async def scenario(site: Site) -> None:
        brain = site.link.brain
        brain.submit(uid(1), write_job(4000, delay_s=3600))
        await meet(site, times=2)
        lower = pump_catalog().profiles[0]
        points = [changed(point, high=100) for point in lower.points]
        tight = with_catalog(brain.world.trust, version=2, profiles=[changed(lower, points=points)])
        brain.world.trust = tight
        await meet(site)
        await asyncio.sleep(3700)
        await meet(site, times=2)
        assert written(site) == []
        assert told(site, 1) == (ExecutionState.REJECTED, Reason.OUT_OF_BOUNDS)

    play(scenario, tmp_path)


@pytest.mark.parametrize("holds", [True, False])
def test_what_is_begun_comes_to_its_end_when_the_time_to_begin_is_over(tmp_path: Path, holds: bool):
    async def scenario(site: Site) -> None:
        brain, end_ms = site.link.brain, site.world.clock.wall_ms() + 600_000
        undo, last = (Step(f"to-{n}", "device.write", {"setpoint": n}) for n in (8, 9))
        soak = PostCheck("device.setpoint < 5", within_s=60, soak_s=1200)
        job = changed(write_job(1), post_check=soak, compensation=[undo], final_steps=[last])
        brain.submit(uid(1), job, not_after=end_ms)
        await meet(site, times=2)
        await asyncio.sleep(700)
        await meet(site)
        assert (await site.guard.held()).earliest_ms > end_ms
        for pump in site.pumps.values():
            pump.values["setpoint"] = 1 if holds else 6
        await asyncio.sleep(1200)
        await meet(site, times=2)
        ended = ExecutionState.SUCCEEDED if holds else ExecutionState.ROLLED_BACK
        assert told(site, 1)[0] is ended
        undone = [9] if holds else [8, 9]
        assert sorted(map(str, written(site))) == sorted(map(str, [1, *undone] * 2))

    play(scenario, tmp_path)


def test_a_device_whose_profile_the_catalog_does_not_list_is_not_written(tmp_path: Path):
    async def scenario(site: Site) -> None:
        brain = site.link.brain
        (listed,) = pump_catalog().profiles
        other = [changed(listed, profile=bytes(32))]
        brain.world.trust = with_catalog(brain.world.trust, profiles=other)
        brain.submit(uid(1), write_job(4000))
        brain.submit(uid(2), read_job("flow"))
        await meet(site, times=3)
        assert written(site) == []
        assert told(site, 1) == (ExecutionState.REJECTED, Reason.PROFILE_NOT_ALLOWED)
        assert told(site, 2)[0] is ExecutionState.SUCCEEDED

    play(scenario, tmp_path)


def test_a_job_does_not_begin_after_its_class_grace_of_silence(tmp_path: Path):
    async def scenario(site: Site) -> None:
        brain = site.link.brain
        rules = make_policy().classes.items()
        short = {name: changed(rule, offline_grace_s=600) for name, rule in rules}
        brain.world.trust = with_policy(brain.world.trust, classes=short)
        brain.submit(uid(1), write_job(1, delay_s=300))
        brain.submit(uid(2), write_job(2, delay_s=1200))
        await meet(site, times=2)
        await asyncio.sleep(1300)
        assert written(site) == [1, 1]
        await meet(site, times=2)
        assert told(site, 2) == (ExecutionState.REJECTED, Reason.OUT_OF_TOUCH)

    play(scenario, tmp_path)


def test_silence_is_remembered_over_restarts_of_the_machine(tmp_path: Path):
    async def scenario(site: Site) -> None:
        await meet(site, times=2)
        await site.store.keep_time(site.guard.kept)
        await stop(site)
        site.world.clock.reboot(keeps_time=False)
        await site.boot()
        held = await site.guard.held()
        assert held.silent_ms >= limits.POWERED_SAVE_MS
        assert held.now_ms is None
        await meet(site)
        assert (await site.guard.held()).silent_ms < 1000

    play(scenario, tmp_path)


@pytest.mark.parametrize(
    "kinds",
    [
        [],
        [PartKind.CATALOG],
        [PartKind.REPLY, PartKind.REPLY],
        [PartKind.CATALOG, PartKind.REPLY],
        [PartKind.REPLY, PartKind.BUNDLE, PartKind.CATALOG],
        [PartKind.REPLY, PartKind.ROOT],
        [PartKind.REPLY, PartKind.REPORT],
    ],
)
def test_an_answer_in_another_order_is_no_answer(kinds: list[PartKind], tmp_path: Path):
    async def scenario(site: Site) -> None:
        await meet(site)
        liar(site).instead = encode_body([Part(kind, b"x") for kind in kinds])
        end = await site.guarded(partial(site.meet, WHOLE))
        assert not isinstance(end, Answered)
        assert await refusals(site) == {"body_malformed": 1}

    play(scenario, tmp_path)
