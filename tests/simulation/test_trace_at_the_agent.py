"""The trace of a request, as an agent with real stores keeps it: its log says it, nobody else."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shared.errors import Reason
from shared.model.job import ExecutionState, JobSpec, Step, Targets
from shared.model.plan import Alarm, Rule
from shared.model.schedule import Schedule
from shared.wire.codec import pack
from shared.wire.messages import Grant
from tests.agent_parts import NEVER, uid, write_job
from tests.property.test_agent_exchange import Site
from tests.simulation.loop import simulate
from tests.simulation.shop import Shop, play
from tests.simulation.test_trust_at_the_agent import meet, stage, told, written

TRACE = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")


def grant(number: int, trace: bytes, **job: Any) -> Grant:
    return Grant(uid(number), pack(write_job(77, **job)), NEVER, "operate", trace=trace)


def ends(caplog: pytest.LogCaptureFixture, event: str = "attempt_ended") -> list[Any]:
    """Return the trace that each attempt's end, or another event, was logged with."""
    said = [getattr(record, "outstation_fields", {}) for record in caplog.records]
    return [
        fields["trace"]
        for record, fields in zip(caplog.records, said, strict=True)
        if record.msg == event
    ]


async def ordered(site: Site, *grants: Grant) -> None:
    for one in grants:
        site.link.brain.jobs[one.execution] = one
    await meet(site, times=3)


@pytest.mark.parametrize(("trace", "said"), [(TRACE, TRACE), (b"", None)])
def test_the_log_names_the_trace_that_a_job_came_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trace: bytes, said: bytes | None
) -> None:
    async def scenario(site: Site) -> None:
        await ordered(site, grant(1, trace))
        assert told(site, 1)[0] is ExecutionState.SUCCEEDED

    with caplog.at_level("INFO"):
        simulate(partial(stage, scenario=scenario, folder=tmp_path / "life-0"), seed=1)
    assert ends(caplog) == [said, said], "one for each pump"


@pytest.mark.parametrize("size", [1, 15, 17, 64])
def test_a_trace_of_another_size_is_refused_alone(tmp_path: Path, size: int) -> None:
    async def scenario(site: Site) -> None:
        await ordered(site, grant(1, b"t" * size), grant(2, TRACE))
        assert told(site, 1) == (ExecutionState.REJECTED, Reason.BAD_SCHEMA)
        assert told(site, 2)[0] is ExecutionState.SUCCEEDED
        assert written(site) == [77, 77]

    simulate(partial(stage, scenario=scenario, folder=tmp_path / "life-0"), seed=1)


@pytest.mark.parametrize(("trace", "said"), [(TRACE, TRACE), (b"", None)])
def test_the_log_names_the_trace_of_what_fires_also_after_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trace: bytes, said: bytes | None
) -> None:
    look = [Step("look", "device.read", {"points": ["flow"]})]
    pump = Targets(device_selector="id=pump-1")

    async def scenario(shop: Shop) -> None:
        every = JobSpec("every", look, targets=pump, schedule=Schedule(interval_s=600))
        rule = Rule("device.level > 3", alarm=Alarm("high"))
        await shop.order(1, every, trace=trace)
        await shop.order(2, JobSpec("high", [], targets=pump, rule=rule), trace=trace)
        await asyncio.sleep(700)
        await shop.close()
        await shop.open()
        await asyncio.sleep(600)
        shop.poll("pump-1", level=4)
        await asyncio.sleep(1)

    with caplog.at_level("INFO"):
        play(tmp_path, scenario)
    assert ends(caplog, "schedule_fired") == [said, said]
    assert ends(caplog, "rule_fired") == [said]
