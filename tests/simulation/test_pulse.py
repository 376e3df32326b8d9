"""A pulse comes to rest, whatever cuts it off: the end of its time, a stop, a lost answer."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from shared import limits
from shared.errors import Reason, WorldError
from shared.ids import DeviceId
from shared.model.job import Step, Value
from shared.model.profile import parse_profile
from tests.agent_parts import PUMP_TEXT, MemoryDevice, device, uid
from tests.simulation import shop as shops
from tests.simulation.shop import Shop, play
from tests.simulation.test_job_engine import PUMP, cancel, order

PULSES = """
[[call]]
name = "jog"
point = "setpoint"
value = 1
pulse_ms = 8000
idempotent = {idempotent}
"""


@dataclass
class Relay(MemoryDevice):
    """A device that notes when it was switched, and loses the answers it is told to lose."""

    loses: list[Reason | None] = field(default_factory=list)
    """Of the next writes: how each fails, once it was obeyed; None: it does not."""
    seconds: float = 0
    """A write takes."""
    switched: list[tuple[Value, float]] = field(default_factory=list)

    async def write(self, values: Mapping[str, Value]) -> None:
        await asyncio.sleep(self.seconds)
        lost = self.loses.pop(0) if self.loses else None
        if lost is not Reason.DEVICE_EXCEPTION:
            await super().write(values)
        now_s = round(asyncio.get_running_loop().time(), 1)
        self.switched += [(value, now_s) for value in values.values()]
        if lost is not None:
            raise WorldError(lost, "no answer")

    def after(self, began_s: float) -> list[tuple[Value, float]]:
        return [(value, round(at - began_s, 1)) for value, at in self.switched]


@pytest.fixture(params=["false", "true"], ids=["once", "repeatable"])
def jogs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Pumps can be jogged; return whether twice is as good as once."""
    text = PUMP_TEXT + PULSES.format(idempotent=request.param)
    profile = parse_profile(text, source="pump.toml")
    monkeypatch.setattr(shops, "PUMPS", [replace(device("pump-1"), profile=profile)])
    return bool(request.param == "true")


def jog(**more: Any) -> Step:
    return Step("a", "device.command", {"call": "jog"}, **more)


async def begin(shop: Shop, relay: Relay, *steps: Step, **spec: Any) -> float:
    """Order a jog of a pump; return when."""
    began_s = asyncio.get_running_loop().time()
    await order(shop, 1, *steps or (jog(),), **spec)
    await asyncio.sleep(2)
    return began_s


def with_relay(folder: Path, scenario: Any) -> None:
    async def run(shop: Shop) -> None:
        # The shop's devices are those it was opened with.
        await shop.close()
        shop.pumps = {DeviceId("pump-1"): Relay(PUMP)}
        await shop.open()
        await scenario(shop, shop.pumps[PUMP])

    play(folder, run)


def test_a_pulse_comes_to_rest_when_the_time_of_its_job_is_over(tmp_path: Path, jogs: bool):
    async def scenario(shop: Shop, relay: Relay) -> None:
        began_s = await begin(shop, relay, timeout_s=3)
        await asyncio.sleep(20)
        assert relay.after(began_s) == [(1, 0), (0, 3)]
        [told] = [r for r in await shop.receipts(uid(1)) if r["device"]]
        assert told["reason"] == (Reason.JOB_TIMED_OUT if jogs else Reason.UNKNOWN_EFFECT)

    with_relay(tmp_path, scenario)


def test_a_pulse_comes_to_rest_when_the_time_of_its_step_is_over(tmp_path: Path, jogs: bool):
    async def scenario(shop: Shop, relay: Relay) -> None:
        relay.seconds = 2
        began_s = await begin(shop, relay, jog(timeout_s=9))
        await asyncio.sleep(20)
        assert relay.after(began_s) == [(1, 2), (0, 11)]
        [told] = [r for r in await shop.receipts(uid(1)) if r["device"]]
        assert told["reason"] == (Reason.TIMED_OUT if jogs else Reason.UNKNOWN_EFFECT)

    with_relay(tmp_path, scenario)


def test_a_pulse_comes_to_rest_before_the_agent_has_stopped(tmp_path: Path, jogs: bool):
    async def scenario(shop: Shop, relay: Relay) -> None:
        began_s = await begin(shop, relay)
        await shop.close()
        cut_s = 2 if jogs else 2 + limits.SAFE_STOP_S
        assert relay.after(began_s) == [(1, 0), (0, cut_s)]
        await shop.open()
        await asyncio.sleep(60)
        again = [1, 0] if jogs else []
        assert [value for value, _ in relay.switched] == [1, 0, *again]

    with_relay(tmp_path, scenario)


def test_a_pulse_that_is_cut_twice_comes_to_rest_all_the_same(tmp_path: Path, jogs: bool):
    async def scenario(shop: Shop, relay: Relay) -> None:
        # Its rest is on its way when the time of its step is over, and then the agent stops.
        await begin(shop, relay, jog(timeout_s=9))
        relay.seconds = limits.SAFE_STOP_S + 3
        await asyncio.sleep(8)
        await shop.close()
        assert [value for value, _ in relay.switched] == [1, 0]
        relay.seconds = 0
        await shop.open()

    with_relay(tmp_path, scenario)


def test_a_stop_waits_for_the_rest_although_it_takes_several_tries(tmp_path: Path, jogs: bool):
    async def scenario(shop: Shop, relay: Relay) -> None:
        await begin(shop, relay)
        relay.loses = [Reason.DEVICE_EXCEPTION] * 2
        relay.seconds = 1
        await shop.close()
        assert relay.values["setpoint"] == 0
        assert [value for value, _ in relay.switched] == [1, 0, 0, 0]
        await shop.open()

    with_relay(tmp_path, scenario)


def test_a_stop_does_not_wait_for_ever_for_a_rest(tmp_path: Path, jogs: bool):
    async def scenario(shop: Shop, relay: Relay) -> None:
        await begin(shop, relay)
        relay.seconds = 3600
        asked_s = asyncio.get_running_loop().time()
        await shop.close()
        took_s = asyncio.get_running_loop().time() - asked_s
        assert round(took_s) == (0 if jogs else limits.SAFE_STOP_S) + limits.PULSE_REST_S
        relay.seconds = 0
        await shop.open()

    with_relay(tmp_path, scenario)


def test_calling_off_lets_a_pulse_come_to_its_end(tmp_path: Path, jogs: bool):
    async def scenario(shop: Shop, relay: Relay) -> None:
        began_s = await begin(shop, relay)
        await cancel(shop, 1)
        await asyncio.sleep(20)
        assert relay.after(began_s) == [(1, 0), (0, 8)]

    with_relay(tmp_path, scenario)


def test_a_rest_that_fails_is_written_again_and_then_the_pulse_is_whole(tmp_path: Path, jogs: bool):
    async def scenario(shop: Shop, relay: Relay) -> None:
        relay.loses = [None, Reason.DEVICE_EXCEPTION, Reason.DEVICE_SILENT]
        await begin(shop, relay)
        await asyncio.sleep(20)
        assert [value for value, _ in relay.switched] == [1, 0, 0, 0]
        assert await shop.executions() == {"SUCCEEDED": 1}

    with_relay(tmp_path, scenario)


def test_a_rest_that_cannot_be_written_is_told(
    tmp_path: Path, jogs: bool, caplog: pytest.LogCaptureFixture
):
    async def scenario(shop: Shop, relay: Relay) -> None:
        relay.loses = [None, *[Reason.DEVICE_EXCEPTION] * limits.PULSE_RESTS]
        await begin(shop, relay)
        await asyncio.sleep(20)
        assert relay.values["setpoint"] == 1
        [told] = [r for r in await shop.receipts(uid(1)) if r["device"]]
        assert "pump-1.setpoint did not come to rest" in told["detail"]
        assert told["reason"] == (Reason.DEVICE_EXCEPTION if jogs else Reason.UNKNOWN_EFFECT)
        assert "pulse_not_ended" in caplog.text

    with_relay(tmp_path, scenario)


def test_a_rest_that_a_stop_could_not_write_is_in_the_log(
    tmp_path: Path, jogs: bool, caplog: pytest.LogCaptureFixture
):
    async def scenario(shop: Shop, relay: Relay) -> None:
        await begin(shop, relay)
        relay.loses = [Reason.DEVICE_EXCEPTION] * limits.PULSE_RESTS
        await shop.close()
        assert relay.values["setpoint"] == 1
        assert "pulse_not_ended" in caplog.text
        await shop.open()

    with_relay(tmp_path, scenario)


def test_a_pulse_whose_beginning_got_no_answer_comes_to_rest_too(tmp_path: Path, jogs: bool):
    async def scenario(shop: Shop, relay: Relay) -> None:
        relay.loses = [Reason.DEVICE_SILENT]
        await begin(shop, relay)
        assert [value for value, _ in relay.switched] == [1, 0]

    with_relay(tmp_path, scenario)


def test_a_pulse_that_is_cut_as_it_begins_comes_to_rest_too(tmp_path: Path, jogs: bool):
    async def scenario(shop: Shop, relay: Relay) -> None:
        relay.seconds = 4
        await begin(shop, relay, timeout_s=3)
        await asyncio.sleep(20)
        assert [value for value, _ in relay.switched] == [0]

    with_relay(tmp_path, scenario)


def test_a_pulse_that_was_refused_has_nothing_to_end(tmp_path: Path, jogs: bool):
    async def scenario(shop: Shop, relay: Relay) -> None:
        relay.loses = [Reason.DEVICE_EXCEPTION]
        await begin(shop, relay)
        await asyncio.sleep(20)
        assert [value for value, _ in relay.switched] == [1]

    with_relay(tmp_path, scenario)
