"""When a bus speaks and how long it listens, on virtual time over a wire made of memory."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from agent.buses.connection import Connection
from agent.buses.line import Line
from agent.core.ports import BusSettings, Urgency
from shared import limits
from shared.errors import Reason, WorldError
from tests.contract.test_bus import LineDecoder
from tests.simulation.loop import World, simulate


@dataclass
class Wire(asyncio.Transport):
    """A cable without length: the far end answers what `answers` says, that many seconds later."""

    loop: asyncio.AbstractEventLoop
    connection: Connection
    answers: Callable[[bytes], list[tuple[float, bytes]]]
    sent: list[tuple[float, bytes]]
    closing: bool = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append((self.loop.time(), bytes(data)))
        for delay_s, answer in self.answers(bytes(data)):
            self.loop.call_later(delay_s, self.say, answer)

    def say(self, data: bytes) -> None:
        if not self.closing:
            self.connection.data_received(data)

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        if not self.closing:
            self.closing = True
            self.loop.call_soon(self.connection.connection_lost, None)


@dataclass
class Far:
    """The far end: what it answers, whether it is there, and what it heard when."""

    answers: Callable[[bytes], list[tuple[float, bytes]]] = lambda _: []
    there: bool = True
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    opened_s: list[float] = field(default_factory=list)
    wire: Wire | None = None


class MemoryLine(Line):
    """The arbiter over a `Wire`."""

    def __init__(
        self,
        far: Far,
        *,
        response_timeout_ms: int = 1_000,
        retries: int = 0,
        inter_frame_ms: int = 5,
        baud: int = 0,
        drops_when_silent: bool = False,
    ) -> None:
        character_s = 11 / baud if baud else 0.0
        settings = BusSettings(
            name="b",
            url="memory://",
            response_timeout_ms=response_timeout_ms,
            retries=retries,
            inter_frame_ms=inter_frame_ms,
        )
        super().__init__(
            settings,
            seconds_per_byte=character_s,
            silence_s=3.5 * character_s,
            drops_when_silent=drops_when_silent,
        )
        self.far = far

    async def _open(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        self.far.opened_s.append(loop.time())
        if not self.far.there:
            raise WorldError(Reason.BUS_DOWN, "the port is not there")
        self.far.wire = Wire(loop, connection, self.far.answers, self.far.sent)
        connection.connection_made(self.far.wire)


class Decoder(LineDecoder):
    def __init__(self, *, answer_bytes: int = 4, peer: int | None = None) -> None:
        super().__init__(peer=peer)
        self.answer_bytes = answer_bytes


class Talking(Decoder):
    """What tells its answers apart by more than their time."""

    least_wait_ms = answered = 0

    def following(self) -> tuple[bytes, ...]:
        return ()


async def outcome(
    line: Line, text: bytes, urgency: Urgency = Urgency.POLL, peer: int | None = None
) -> bytes | Reason:
    try:
        return await line.exchange(text, Decoder(peer=peer), urgency=urgency)
    except WorldError as error:
        return error.reason


def test_a_late_answer_is_never_taken_for_that_of_the_next_request():
    async def scenario(world: World) -> None:
        delays = {b"first": 1.5, b"next.": 0.1, b"other": 0.1}
        far = Far(lambda text: [(delays[text], text + b"\n")])
        line = MemoryLine(far)
        assert await outcome(line, b"first", peer=7) is Reason.DEVICE_SILENT
        async with asyncio.TaskGroup() as group:
            held_back = group.create_task(outcome(line, b"next.", peer=7))
            other = group.create_task(outcome(line, b"other", peer=8))
            assert await other == b"other"
            assert world.loop.time() < 1.5, "another device does not wait for the late one"
            assert await held_back == b"next."
        await line.close()

    simulate(scenario, seed=1)


def test_a_second_answer_to_a_repeated_request_is_never_taken_for_the_next_one():
    async def scenario(world: World) -> None:
        delays = {b"slow.": 1.2, b"next.": 0.5}
        far = Far(lambda text: [(delays[text], text + b"\n")])
        line = MemoryLine(far, retries=1)
        assert await outcome(line, b"slow.", peer=7) == b"slow."
        assert world.loop.time() == pytest.approx(1.2, abs=0.02)
        assert await outcome(line, b"next.", peer=7) == b"next."
        await line.close()

    simulate(scenario, seed=1)


def test_the_answer_to_a_cancelled_request_is_never_taken_for_the_next_one():
    async def scenario(world: World) -> None:
        delays = {b"gone.": 0.3, b"next.": 0.5}
        far = Far(lambda text: [(delays[text], text + b"\n")])
        line = MemoryLine(far)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await outcome(line, b"gone.", peer=7)
        assert await outcome(line, b"next.", peer=7) == b"next."
        await line.close()

    simulate(scenario, seed=1)


def test_a_protocol_with_transactions_does_not_wait_for_late_answers():
    async def scenario(world: World) -> None:
        far = Far(lambda text: [(0.1, b"x\n")] if text == b"next." else [])
        line = MemoryLine(far)
        await outcome(line, b"first", peer=None)
        assert await outcome(line, b"next.", peer=None) == b"x"
        assert world.loop.time() < 1.2
        await line.close()

    simulate(scenario, seed=1)


@pytest.mark.parametrize(
    ("baud", "inter_frame_ms", "pause_s"),
    [(0, 5, 0.005), (0, 0, 0.0), (9_600, 0, 3.5 * 11 / 9_600), (1_200, 5, 3.5 * 11 / 1_200)],
)
def test_silence_is_kept_after_the_last_byte_that_was_heard(
    baud: int, inter_frame_ms: int, pause_s: float
):
    async def scenario(world: World) -> None:
        far = Far(lambda _: [(0.5, b"ok\n")])
        line = MemoryLine(far, baud=baud, inter_frame_ms=inter_frame_ms)
        for _ in range(2):
            assert await outcome(line, b"ping") == b"ok"
        (first_s, _), (second_s, _) = far.sent
        assert second_s - (first_s + 0.5) == pytest.approx(pause_s, abs=1e-4)
        assert second_s - (first_s + 0.5) >= pause_s - 1e-9
        await line.close()

    simulate(scenario, seed=1)


def test_the_time_that_frames_take_on_a_slow_line_is_not_counted_as_silence():
    async def scenario(world: World) -> None:
        carried_s = (8 + 255) * 11 / 1_200
        far = Far(lambda _: [(carried_s + 0.99, b"ok\n")])
        line = MemoryLine(far, baud=1_200)
        decoder = Decoder(answer_bytes=255)
        assert await line.exchange(b"8 bytes!", decoder, urgency=Urgency.POLL) == b"ok"
        far.answers = lambda _: [(carried_s + 1.01, b"ok\n")]
        assert far.wire is not None
        far.wire.answers = far.answers
        with pytest.raises(WorldError) as caught:
            await line.exchange(b"8 bytes!", Decoder(answer_bytes=255), urgency=Urgency.POLL)
        assert caught.value.reason is Reason.DEVICE_SILENT
        await line.close()

    simulate(scenario, seed=1)


def test_a_command_goes_before_the_retry_of_a_poll():
    async def scenario(world: World) -> None:
        far = Far(lambda text: [(0.1, b"ok\n")] if text == b"set." else [])
        line = MemoryLine(far, retries=2)
        async with asyncio.TaskGroup() as group:
            group.create_task(outcome(line, b"poll", peer=1))
            await asyncio.sleep(0.5)
            command = group.create_task(outcome(line, b"set.", Urgency.COMMAND, peer=2))
            assert await command == b"ok"
        assert [text for _, text in far.sent] == [b"poll", b"set.", b"poll", b"poll"]
        await line.close()

    simulate(scenario, seed=1)


def test_a_repeated_poll_lets_one_other_in_and_keeps_its_place_before_later_ones():
    async def scenario(world: World) -> None:
        far = Far()
        line = MemoryLine(far, retries=1)
        async with asyncio.TaskGroup() as group:
            for text in (b"1", b"2", b"3"):
                group.create_task(outcome(line, text))
        assert [text for _, text in far.sent] == [b"1", b"2", b"1", b"2", b"3", b"3"]
        await line.close()

    simulate(scenario, seed=1)


def test_a_lost_port_is_tried_ever_more_rarely_up_to_a_bound():
    async def scenario(world: World) -> None:
        far = Far(lambda _: [(0.0, b"ok\n")], there=False)
        line = MemoryLine(far)
        while world.loop.time() < 120:
            assert await outcome(line, b"ping") is Reason.BUS_DOWN
            await asyncio.sleep(0.1)
        pauses = [round(after - before, 3) for before, after in pairwise(far.opened_s)]
        assert pauses == sorted(pauses)
        assert pauses[0] == pytest.approx(limits.BUS_RETRY_INITIAL_MS / 1000, abs=0.11)
        assert max(pauses) == pytest.approx(limits.BUS_RETRY_MAX_MS / 1000, abs=0.11)
        assert line.counters.last_error == "the port is not there"
        far.there = True
        while await outcome(line, b"ping") is Reason.BUS_DOWN:
            await asyncio.sleep(0.1)
        assert world.loop.time() < 120 + limits.BUS_RETRY_MAX_MS / 1000
        assert far.wire is not None
        far.there = False
        far.wire.abort()
        await asyncio.sleep(0.1)
        lost_s = world.loop.time()
        assert await outcome(line, b"ping") is Reason.BUS_DOWN
        far.there = True
        while await outcome(line, b"ping") is Reason.BUS_DOWN:
            await asyncio.sleep(0.1)
        assert world.loop.time() - lost_s <= limits.BUS_RETRY_INITIAL_MS / 1000 + 0.2
        await line.close()

    simulate(scenario, seed=1)


@pytest.mark.parametrize(("drops", "opened"), [(True, 2), (False, 1)])
def test_a_network_link_that_stays_silent_is_made_anew(drops: bool, opened: int):
    async def scenario(world: World) -> None:
        far = Far()
        line = MemoryLine(far, drops_when_silent=drops)
        for _ in range(limits.BUS_SILENT_EXCHANGES + 1):
            assert await outcome(line, b"ping") is Reason.DEVICE_SILENT
        assert len(far.opened_s) == opened
        await line.close()

    simulate(scenario, seed=1)


@pytest.mark.parametrize("retries", [0, 5])
def test_one_dead_device_among_living_ones_never_costs_the_link(retries: int):
    async def scenario(world: World) -> None:
        far = Far(lambda text: [(0.0, b"ok\n")] if text == b"alive" else [])
        line = MemoryLine(far, drops_when_silent=True, retries=retries)
        for _ in range(2 * limits.BUS_SILENT_EXCHANGES):
            assert await outcome(line, b"dead.") is Reason.DEVICE_SILENT
            assert await outcome(line, b"alive") == b"ok"
        assert len(far.opened_s) == 1
        await line.close()

    simulate(scenario, seed=1)


def test_a_babbling_line_is_spoken_to_all_the_same():
    async def scenario(world: World) -> None:
        far = Far(lambda _: [(0.01, b"ok\n")])
        line = MemoryLine(far)
        assert await outcome(line, b"ping") == b"ok"
        assert far.wire is not None
        for millisecond in range(5_000):
            world.loop.call_later(millisecond / 1000, far.wire.say, b"z")
        heard = await outcome(line, b"ping")
        assert isinstance(heard, bytes)
        assert heard.strip(b"z") == b"ok"
        assert world.loop.time() == pytest.approx(1.02, abs=0.05)
        await line.close()

    simulate(scenario, seed=1)


def test_the_time_the_port_was_held_is_accounted_for():
    async def scenario(world: World) -> None:
        far = Far(lambda _: [(0.25, b"ok\n")])
        line = MemoryLine(far, inter_frame_ms=0)
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(outcome(line, b"ping"))
        assert line.counters.busy_ms == pytest.approx(1_000, abs=2)
        await line.close()

    simulate(scenario, seed=1)


def test_a_port_that_is_lost_as_it_opens_counts_as_away():
    async def scenario(world: World) -> None:
        class Flaky(MemoryLine):
            async def _open(self, connection: Connection) -> None:
                await super()._open(connection)
                connection.connection_lost(None)

        line = Flaky(Far())
        assert await outcome(line, b"ping") is Reason.BUS_DOWN
        assert not line.counters.up
        assert line.counters.last_error == "memory:// was lost as it opened"
        assert line.counters.requests == 0
        await line.close()

    simulate(scenario, seed=1)


def test_a_port_that_opens_after_it_was_closed_is_let_go_of():
    async def scenario(world: World) -> None:
        class SlowLine(MemoryLine):
            async def _open(self, connection: Connection) -> None:
                await asyncio.sleep(1)
                await super()._open(connection)

        far = Far()
        line = SlowLine(far)
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(outcome(line, b"ping"))
            await asyncio.sleep(0.5)
            await line.close()
            assert await asked is Reason.BUS_DOWN
        assert far.wire is not None
        assert far.wire.closing

    simulate(scenario, seed=1)


@pytest.mark.parametrize(("kind", "waits"), [(Decoder, True), (Talking, False)])
def test_a_talk_that_was_answered_waits_for_no_speed_that_its_line_does_not_have(
    kind: type[Decoder], waits: bool
):
    async def scenario(_: World) -> None:
        far = Far(lambda _: [(0.01, b"here\n")])
        line = MemoryLine(far, baud=1_200)
        for _turn in range(2):
            assert await line.exchange(b"x" * 100, kind(), urgency=Urgency.COMMAND) == b"here"
        first, second = (sent_s for sent_s, _frame in far.sent)
        assert (second - first > 100 * 11 / 1_200) is waits
        await line.close()

    simulate(scenario, seed=1)
