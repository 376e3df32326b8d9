"""What every bus promises, on a real pseudo-terminal and on real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.buses.factory import BUSES, open_bus
from agent.core.ports import Bus, BusSettings, Urgency
from shared import limits
from shared.errors import MistakeError, Reason, RefusedError, WorldError
from tests.contract.patience import HASTY_MS, PATIENT_MS, has_heard, heard_out
from tests.contract.wires import DATAGRAMS, Wire, plugged


class LineDecoder:
    """A protocol that Modbus is not: an answer ends with a newline, ``?`` can never begin one."""

    answer_bytes = 10
    unit = 1

    def __init__(self, *, peer: int | None = None, repeatable: bool = True) -> None:
        self.peer, self.repeatable = peer, repeatable
        self._fed = b""

    def feed(self, data: bytes) -> bytes | None:
        self._fed += data
        if self._fed.startswith(b"?"):
            raise RefusedError(Reason.DEVICE_BAD_FRAME, "a question is no answer")
        line, newline, _ = self._fed.partition(b"\n")
        return line if newline else None

    def reset(self) -> None:
        self._fed = b""


# A broker lets its clients in before they may say anything: `tests.contract.test_mqtt_driver`.
KINDS = [kind for kind in BUSES if not kind.startswith("mqtt")]


@pytest.fixture(params=KINDS)
async def wire(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Wire]:
    async with plugged(request.param, tmp_path) as wire:
        yield wire


@pytest.fixture(params=[kind for kind in KINDS if kind not in DATAGRAMS])
async def noticing(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Wire]:
    """A wire whose other end is missed as soon as it is gone; a datagram's is not."""
    async with plugged(request.param, tmp_path) as wire:
        yield wire


@asynccontextmanager
async def bus_on(
    wire: Wire, *, timeout_ms: int = PATIENT_MS, retries: int = 0
) -> AsyncIterator[Bus]:
    bus = open_bus(
        BusSettings(name="b", url=wire.url, response_timeout_ms=timeout_ms, retries=retries)
    )
    try:
        yield bus
    finally:
        await bus.close()


async def ask(bus: Bus, text: bytes, urgency: Urgency = Urgency.POLL, **what: bool) -> bytes:
    return await bus.exchange(text, LineDecoder(**what), urgency=urgency)


async def test_an_answer_reaches_who_asked(wire: Wire):
    async with bus_on(wire) as bus, asyncio.TaskGroup() as group:
        asked = group.create_task(ask(bus, b"ping"))
        assert await wire.heard(4) == b"ping"
        wire.say(b"pong\n")
        assert await asked == b"pong"
        counters = bus.counters
        assert (counters.requests, counters.answers, counters.timeouts) == (1, 1, 0)
        assert counters.up


async def test_an_answer_in_pieces_is_put_together(wire: Wire):
    async with bus_on(wire) as bus, asyncio.TaskGroup() as group:
        asked = group.create_task(ask(bus, b"ping"))
        await wire.heard(4)
        for piece in (b"po", b"n", b"g\n"):
            wire.say(piece)
            await asyncio.sleep(0)
        assert await asked == b"pong"


async def test_silence_is_reported_as_silence(wire: Wire):
    async with bus_on(wire, timeout_ms=HASTY_MS) as bus:
        with pytest.raises(WorldError) as caught:
            await ask(bus, b"ping")
        assert caught.value.reason is Reason.DEVICE_SILENT
        assert caught.value.detail == "no answer within 40 ms"
        assert (bus.counters.timeouts, bus.counters.bad_frames) == (1, 0)


async def test_noise_that_never_becomes_an_answer_is_a_bad_frame(wire: Wire):
    async with bus_on(wire) as bus, asyncio.TaskGroup() as group:
        asked = group.create_task(refused(bus, b"ping"))
        await wire.heard(4)
        wire.say(b"zzz")
        assert await heard_out(bus, asked) is Reason.DEVICE_BAD_FRAME
        assert bus.counters.bad_frames == 1


async def test_what_the_decoder_refuses_is_a_bad_frame_at_once(wire: Wire):
    async with bus_on(wire) as bus, asyncio.TaskGroup() as group:
        asked = group.create_task(refused(bus, b"ping"))
        await wire.heard(4)
        wire.say(b"?")
        assert await asked is Reason.DEVICE_BAD_FRAME
        assert bus.counters.bad_frames == 1


async def refused(bus: Bus, text: bytes, urgency: Urgency = Urgency.POLL) -> Reason:
    with pytest.raises(WorldError) as caught:
        await ask(bus, text, urgency)
    return caught.value.reason


async def test_a_retry_sends_the_same_bytes_and_hears_anew(wire: Wire):
    async with bus_on(wire, retries=1) as bus, asyncio.TaskGroup() as group:
        asked = group.create_task(ask(bus, b"ping"))
        await wire.heard(4)
        wire.say(b"?")
        assert await wire.heard(4) == b"ping"
        wire.say(b"pong\n")
        assert await asked == b"pong"
        assert (bus.counters.requests, bus.counters.answers) == (2, 1)


async def test_a_request_that_may_have_had_its_effect_is_never_sent_again(wire: Wire):
    async with bus_on(wire, timeout_ms=HASTY_MS, retries=3) as bus:
        with pytest.raises(WorldError):
            await ask(bus, b"write", repeatable=False)
        assert bus.counters.requests == 1


async def test_stale_bytes_are_not_taken_for_the_next_answer(wire: Wire):
    async with bus_on(wire) as bus, asyncio.TaskGroup() as group:
        first = group.create_task(ask(bus, b"one!"))
        await wire.heard(4)
        wire.say(b"1\n")
        await first
        wire.say(b"stale\n")
        second = group.create_task(ask(bus, b"two!"))
        await wire.heard(4)
        wire.say(b"2\n")
        assert await second == b"2"


async def test_stale_bytes_that_a_busy_loop_left_unread_are_not_taken_either(wire: Wire):
    async with bus_on(wire) as bus, asyncio.TaskGroup() as group:
        first = group.create_task(ask(bus, b"one!"))
        await wire.heard(4)
        wire.say(b"1\n")
        await first
        wire.say(b"stale\n")
        time.sleep(0.02)  # the loop hangs, longer than any silence between frames
        second = group.create_task(ask(bus, b"two!"))
        await wire.heard(4)
        wire.say(b"2\n")
        assert await second == b"2"


async def test_one_exchange_at_a_time_commands_first_then_in_order(wire: Wire):
    served: list[bytes] = []
    async with bus_on(wire) as bus, asyncio.TaskGroup() as group:
        running = group.create_task(ask(bus, b"poll0"))
        assert await wire.heard(5) == b"poll0"
        order = [(b"probe", Urgency.PROBE), (b"poll1", Urgency.POLL), (b"poll2", Urgency.POLL)]
        waiting = [group.create_task(ask(bus, text, urgency)) for text, urgency in order]
        await asyncio.sleep(0)
        waiting.append(group.create_task(ask(bus, b"cmd-1", Urgency.COMMAND)))
        waiting.append(group.create_task(ask(bus, b"cmd-2", Urgency.COMMAND)))
        await asyncio.sleep(0)
        wire.say(b"ok\n")
        await running
        for _ in waiting:
            served.append(await wire.heard(5))
            wire.say(b"ok\n")
    assert served == [b"cmd-1", b"cmd-2", b"poll1", b"poll2", b"probe"]


async def test_a_cancelled_exchange_leaves_the_port_to_the_next(wire: Wire):
    async with bus_on(wire) as bus, asyncio.TaskGroup() as group:
        doomed = group.create_task(ask(bus, b"dead"))
        queued = group.create_task(ask(bus, b"gone"))
        await wire.heard(4)
        queued.cancel()
        doomed.cancel()
        asked = group.create_task(ask(bus, b"ping"))
        assert await wire.heard(4) == b"ping"
        wire.say(b"pong\n")
        assert await asked == b"pong"


async def test_a_link_pulled_in_the_middle_of_an_exchange_ends_it_at_once(noticing: Wire):
    async with bus_on(noticing) as bus, asyncio.TaskGroup() as group:
        asked = group.create_task(refused(bus, b"ping"))
        await noticing.heard(4)
        noticing.pull()
        assert await asked is Reason.BUS_DOWN
        assert not bus.counters.up
        assert bus.counters.last_error


async def test_a_port_that_is_put_back_works_at_the_next_exchange(noticing: Wire):
    async with bus_on(noticing) as bus, asyncio.TaskGroup() as group:
        asked = group.create_task(refused(bus, b"ping"))
        await noticing.heard(4)
        noticing.pull()
        await asked
        await noticing.put_back()
        again = group.create_task(ask(bus, b"ping"))
        assert await noticing.heard(4) == b"ping"
        noticing.say(b"pong\n")
        assert await again == b"pong"
        assert bus.counters.reconnects == 1
        assert bus.counters.up


async def test_half_an_answer_from_before_the_plug_was_pulled_is_no_part_of_the_next(
    noticing: Wire,
):
    async with bus_on(noticing) as bus, asyncio.TaskGroup() as group:
        asked = group.create_task(refused(bus, b"ping"))
        await noticing.heard(4)
        noticing.say(b"po")
        while not has_heard(bus):
            await asyncio.sleep(0)
        noticing.pull()
        assert await asked is Reason.BUS_DOWN
        await noticing.put_back()
        again = group.create_task(ask(bus, b"ping"))
        assert await noticing.heard(4) == b"ping"
        noticing.say(b"whole\n")
        assert await again == b"whole"


async def test_a_repeat_after_a_re_plug_begins_with_an_empty_buffer(noticing: Wire):
    async with bus_on(noticing, retries=1) as bus, asyncio.TaskGroup() as group:
        asked = group.create_task(ask(bus, b"ping", urgency=Urgency.COMMAND))
        await noticing.heard(4)
        noticing.say(b"po")
        while not has_heard(bus):
            await asyncio.sleep(0)
        noticing.pull()
        await noticing.put_back()
        assert await noticing.heard(4) == b"ping"
        noticing.say(b"whole\n")
        assert await asked == b"whole"


async def test_a_port_that_is_away_fails_at_once_and_a_command_always_tries(
    noticing: Wire, monkeypatch: pytest.MonkeyPatch
):
    for pause in ("BUS_RETRY_INITIAL_MS", "BUS_RETRY_MAX_MS"):
        monkeypatch.setattr(limits, pause, 3_600_000)  # or a slow machine has waited it out
    async with bus_on(noticing) as bus, asyncio.TaskGroup() as group:
        noticing.pull()
        assert await refused(bus, b"ping") is Reason.BUS_DOWN
        await noticing.put_back()
        assert await refused(bus, b"ping") is Reason.BUS_DOWN  # a poll waits out the pause
        asked = group.create_task(ask(bus, b"ping", Urgency.COMMAND))
        await noticing.heard(4)
        noticing.say(b"pong\n")
        assert await asked == b"pong"


async def test_closing_is_idempotent_and_final(wire: Wire):
    async with bus_on(wire) as bus, asyncio.TaskGroup() as group:
        running = group.create_task(refused(bus, b"ping"))
        queued = group.create_task(refused(bus, b"next"))
        await wire.heard(4)
        await bus.close()
        await bus.close()
        assert await running is Reason.BUS_DOWN
        assert await queued is Reason.BUS_DOWN
        assert await refused(bus, b"late", Urgency.COMMAND) is Reason.BUS_DOWN


async def test_a_bus_that_was_never_used_closes(wire: Wire):
    async with bus_on(wire) as bus:
        assert not bus.counters.up


# --- what a person writes -----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("/dev/ttyUSB0", "bus b: '/dev/ttyUSB0' is no port; write serial:///dev/ttyUSB0"),
        ("seriall:///dev/ttyS0", "did you mean serial://?"),
        ("gopher://host", "write serial:///dev/ttyUSB0?baud=9600 or tcp://HOST:PORT"),
        ("serial:///dev/ttyS0", "the line's speed is missing; write serial:///dev/ttyUSB0?baud"),
        ("serial://ttyS0?baud=9600", "a path that begins with a slash"),
        ("serial:///dev/ttyS0?baud=fast", "baud = 'fast' is not a number"),
        ("serial:///dev/ttyS0?baud=9", "baud = 9 is not from 50 to 4000000"),
        ("serial:///dev/ttyS0?baud=", "baud = '' is not a number"),
        ("serial:///dev/ttyS0?baud", "is no port: bad query field"),
        ("serial:///dev/ttyS0?baud=1200&parity=X", "parity cannot be 'X'; it is one of N, E, O"),
        ("serial:///dev/ttyS0?baud=1200&stop=3", "stop cannot be '3'"),
        ("serial:///dev/ttyS0?baud=1200&bits=9", "bits cannot be '9'"),
        ("serial:///dev/ttyS0?baud=1200&paritty=E", "did you mean 'parity'?"),
        ("serial:///dev/ttyS0?baud=1200&baud=9600", "has parts that no port has"),
        ("tcp://", "'tcp://' names no host; write tcp://HOST:PORT"),
        ("tcp://host/path", "names no host"),
        ("tcp://host:99999", "is no port: Port out of range"),
        ("tcp://user:secret@host", "has parts that no port has"),
        ("tcp://host?baud=9600", "unknown option 'baud' in the URL; it has none"),
        ("rtu+tcp://host", "the converter's port is missing; write rtu+tcp://HOST:PORT"),
        ("rtu+tcp://host:4001?baud=1", "baud = 1 is not from 50"),
    ],
)
def test_a_url_that_is_wrong_is_refused_with_the_mend(url: str, sentence: str):
    with pytest.raises(MistakeError) as caught:
        open_bus(BusSettings(name="b", url=url))
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("bus b: ")
