"""Plots: jobs of every kind, how their steps go, and what befalls their agent."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from agent.core.ports import StepOutcome
from shared.clock import WallMs
from shared.errors import Reason
from shared.ids import uuid_text
from shared.model.job import JobSpec, Retry, Step, Targets
from shared.model.plan import CONTINUE, FAIL, Batch, Dependency, PostCheck
from shared.model.spec_check import check_spec
from tests.agent_parts import uid
from tests.simulation.cuts import HARMLESS, HAZARDOUS
from tests.simulation.loop import START_WALL_MS

DAY = 86_400
NOT_AFTER_MS = WallMs(START_WALL_MS + 5 * DAY * 1000)
OK = StepOutcome()
SILENT = StepOutcome(Reason.DEVICE_SILENT, "no answer")
REFUSED = StepOutcome(Reason.DEVICE_EXCEPTION, "it said no")


@dataclass(frozen=True)
class Event:
    """Something that happens to the agent."""

    at_s: float
    kind: str
    """``cancel``, ``kill``, ``power`` or ``stop``."""
    job: int = 0


@dataclass
class Plot:
    """Jobs, how their steps go, and what befalls the agent."""

    jobs: list[JobSpec]
    starts_s: list[int]
    ends: dict[str, list[StepOutcome]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    cuts: dict[int, bool] = field(default_factory=dict)
    """Commit -> whether the power went too."""
    flow: float = 7


@st.composite
def jobs(draw: Any, number: int, plot: Plot) -> JobSpec:
    def steps(prefix: str, most: int, *, least: int = 0) -> list[Step]:
        made = []
        for index in range(draw(st.integers(least, most))):
            name = f"j{number}{prefix}{index}"
            action = draw(st.sampled_from([HAZARDOUS, HAZARDOUS, HARMLESS]))
            step = Step(
                name,
                action,
                {"points": ["flow"]} if action == HAZARDOUS else {"setpoint": 1},
                retries=draw(st.sampled_from([0, 0, 1])),
                on_failure=draw(st.sampled_from([FAIL, FAIL, CONTINUE])),
            )
            made.append(step)
            plot.ends[name] = draw(st.lists(st.sampled_from([OK, OK, SILENT, REFUSED]), max_size=3))
            if draw(st.integers(0, 7)) == 0:
                plot.seconds[name] = draw(st.sampled_from([50, 70]))
        return made

    check = PostCheck("device.flow > 5", soak_s=draw(st.sampled_from([0, 300])), every_s=60)
    after = None
    if number and draw(st.booleans()):
        outcome = draw(st.sampled_from(["ANY", "SUCCEEDED"]))
        after = Dependency(uuid_text(uid(draw(st.integers(1, number)))), outcome)
    return JobSpec(
        name=f"j{number}",
        steps=steps("s", 3, least=1),
        targets=Targets(device_selector=draw(st.sampled_from(["", "id=pump-1"]))),
        retry=Retry(failed=draw(st.integers(0, 2)), initial_s=60, max_s=600),
        delay_s=draw(st.sampled_from([0, 0, 100])),
        final_steps=steps("f", 2),
        post_check=draw(st.sampled_from([None, check])),
        compensation=steps("c", 2),
        batch=Batch(
            max_parallel=draw(st.integers(0, 1)),
            canary=draw(st.integers(0, 1)),
            tolerate_ppm=draw(st.sampled_from([0, 500_000])),
        ),
        timeout_s=draw(st.sampled_from([0, 0, 90])),
        priority=draw(st.integers(0, 3)),
        conflict_key=draw(st.sampled_from(["", "", "k"])),
        after=after,
    )


EVENTS = st.builds(
    Event,
    st.integers(0, 900),
    st.sampled_from(["cancel", "kill", "power", "stop"]),
    st.integers(0, 2),
)


@st.composite
def plots(draw: Any) -> Plot:
    plot = Plot([], [])
    for number in range(draw(st.integers(1, 3))):
        plot.jobs.append(draw(jobs(number, plot)))
        plot.starts_s.append(draw(st.integers(0, 300)))
        check_spec(plot.jobs[-1])
    # What is called off before it comes is a case of its own, for which there is a unit test.
    plot.starts_s.sort()
    plot.events = [
        one
        for one in draw(st.lists(EVENTS, max_size=5))
        if one.kind != "cancel" or (one.job < len(plot.jobs) and one.at_s > plot.starts_s[one.job])
    ]
    plot.cuts = draw(st.dictionaries(st.integers(1, 60), st.booleans(), max_size=5))
    plot.flow = draw(st.sampled_from([7, 7, 3]))
    return plot
