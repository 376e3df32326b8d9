"""The supervisor on virtual time: order, restarts, back-off, and an honest record."""

import asyncio
import itertools

import pytest

from shared import limits
from shared.runtime.service import Health, State, Supervisor
from tests.simulation.loop import World, simulate


class Recorder:
    """A service that writes down when it starts and ends, and crashes as often as it is told."""

    def __init__(self, world: World, name: str, *, crashes: int = 0, lasts_s: float = 0.0) -> None:
        self.world, self._name = world, name
        self.crashes, self.lasts_s = crashes, lasts_s

    @property
    def name(self) -> str:
        return self._name

    async def run(self) -> None:
        self.world.note("start", self.name)
        try:
            if self.crashes:
                self.crashes -= 1
                await asyncio.sleep(self.lasts_s)
                raise ConnectionError("the port is gone")
            await asyncio.Event().wait()
        finally:
            self.world.note("end", self.name)


class Errand(Recorder):
    """A service that has one thing to do."""

    async def run(self) -> None:
        self.world.note("start", self.name)


def supervisor(world: World, *services: Recorder) -> Supervisor:
    return Supervisor(services, clock=world.clock, entropy=world.entropy)


def events(world: World) -> list[str]:
    return [what for _, what in world.trace]


def starts(world: World) -> list[float]:
    return [when for when, what in world.trace if what.startswith("'start'")]


def test_services_start_in_order_and_stop_in_reverse_order():
    async def scenario(world: World) -> None:
        services = [Recorder(world, name) for name in ("store", "bus", "uplink")]
        async with supervisor(world, *services) as running:
            await asyncio.sleep(1)
            assert {one.state for one in running.health.values()} == {State.RUNNING}
        assert events(world) == [
            *(f"'start' '{name}'" for name in ("store", "bus", "uplink")),
            *(f"'end' '{name}'" for name in ("uplink", "bus", "store")),
        ]
        assert {one.state for one in running.health.values()} == {State.STOPPED}

    simulate(scenario, seed=1)


def test_starting_and_stopping_twice_is_harmless():
    async def scenario(world: World) -> None:
        running = supervisor(world, Recorder(world, "one"))
        await running.stop()
        await running.start()
        await running.start()
        await asyncio.sleep(1)
        await running.stop()
        await running.stop()
        assert len(starts(world)) == 1
        await running.start()
        await asyncio.sleep(1)
        await running.stop()
        assert len(starts(world)) == 2

    simulate(scenario, seed=1)


def test_stopping_at_once_ends_what_began():
    async def scenario(world: World) -> None:
        running = supervisor(world, Recorder(world, "one"))
        await running.start()
        await running.stop()
        assert events(world) == ["'start' 'one'", "'end' 'one'"]
        assert running.health["one"] == Health(state=State.STOPPED)

    simulate(scenario, seed=1)


def test_a_crashed_service_is_restarted_and_counted_and_the_others_go_on():
    async def scenario(world: World) -> None:
        async with supervisor(
            world, Recorder(world, "shaky", crashes=3), Recorder(world, "calm")
        ) as running:
            await asyncio.sleep(600)
            shaky, calm = running.health["shaky"], running.health["calm"]
            assert (shaky.state, shaky.crashes, shaky.failures_in_row) == (State.RUNNING, 3, 3)
            assert shaky.last_error == "ConnectionError: the port is gone"
            assert shaky.last_crash_mono_ms is not None
            assert calm == Health(state=State.RUNNING)
        assert events(world).count("'start' 'shaky'") == 4
        assert events(world).count("'start' 'calm'") == 1

    simulate(scenario, seed=1)


def test_a_service_that_crashes_for_ever_is_tried_for_ever_within_the_bound():
    async def scenario(world: World) -> list[float]:
        async with supervisor(world, Recorder(world, "hopeless", crashes=10**6)):
            await asyncio.sleep(86_400)
        times = starts(world)
        return [after - before for before, after in itertools.pairwise(times)]

    waits = simulate(scenario, seed=1)
    assert max(waits) <= limits.RESTART_MAX_S
    assert max(waits) > limits.RESTART_MAX_S * 0.9, "the bound is reached"
    assert waits[0] <= limits.RESTART_INITIAL_S
    mean_s = sum(waits[10:]) / len(waits[10:])
    assert limits.RESTART_MAX_S * 0.4 < mean_s < limits.RESTART_MAX_S * 0.6, "full jitter"


def test_failures_are_forgotten_after_a_long_run():
    async def scenario(world: World) -> None:
        shaky = Recorder(world, "shaky", crashes=6, lasts_s=limits.RESTART_MAX_S + 1)
        async with supervisor(world, shaky) as running:
            await asyncio.sleep(6 * (limits.RESTART_MAX_S + 3))
            assert running.health["shaky"].crashes == 6
            assert running.health["shaky"].failures_in_row == 1

    simulate(scenario, seed=1)


def state(running: Supervisor) -> State:
    return running.health["shaky"].state


def test_a_waiting_service_says_so_and_can_be_stopped():
    async def scenario(world: World) -> None:
        running = supervisor(world, Recorder(world, "shaky", crashes=10**6))
        await running.start()
        while state(running) is not State.WAITING:
            await asyncio.sleep(0)
        await running.stop()
        assert state(running) is State.STOPPED

    simulate(scenario, seed=1)


def test_a_service_that_fails_in_cleaning_up_is_stopped_all_the_same():
    class Untidy(Recorder):
        async def run(self) -> None:
            try:
                await super().run()
            finally:
                raise ConnectionError("the disk is full")

    async def scenario(world: World) -> None:
        untidy = Untidy(world, "untidy")
        running = supervisor(world, untidy)
        await running.start()
        await asyncio.sleep(1)
        async with asyncio.timeout(limits.RESTART_MAX_S * 10):
            await running.stop()
        assert len(starts(world)) == 1
        assert running.health["untidy"].state is State.STOPPED
        assert running.health["untidy"].last_error == "ConnectionError: the disk is full"

    simulate(scenario, seed=1)


def test_a_service_that_returns_is_finished_not_restarted():
    async def scenario(world: World) -> None:
        running = supervisor(world, Errand(world, "errand"))
        await running.start()
        await running.wait()
        assert running.health["errand"] == Health(state=State.FINISHED)
        await running.stop()
        assert len(starts(world)) == 1

    simulate(scenario, seed=1)


def test_a_cancelled_stop_still_ends_every_service():
    class Slow(Recorder):
        async def run(self) -> None:
            try:
                await super().run()
            finally:
                await asyncio.sleep(30)

    async def scenario(world: World) -> None:
        running = supervisor(world, Recorder(world, "first"), Slow(world, "slow"))
        await running.start()
        await asyncio.sleep(1)
        stopping = asyncio.create_task(running.stop())
        await asyncio.sleep(1)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert events(world).count("'end' 'first'") == 1
        assert asyncio.all_tasks() == {asyncio.current_task()}

    simulate(scenario, seed=1)


def test_two_services_of_one_name_are_a_defect():
    async def scenario(world: World) -> None:
        with pytest.raises(AssertionError):
            supervisor(world, Recorder(world, "one"), Recorder(world, "one"))

    simulate(scenario, seed=1)


def test_a_service_that_stops_its_supervisor_is_a_defect_and_no_deadlock():
    class Meddler(Recorder):
        async def run(self) -> None:
            await running[0].stop()

    running: list[Supervisor] = []

    async def scenario(world: World) -> None:
        running.append(supervisor(world, Meddler(world, "meddler")))
        async with running[0]:
            await asyncio.sleep(0.1)
            assert running[0].health["meddler"].last_error.startswith("AssertionError")

    simulate(scenario, seed=1)
