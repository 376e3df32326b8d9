"""Every byte of one day of a gateway on a metered link.

The product's store, batcher, contacts and decisions run through a day of virtual time against a
real coordinator over real TLS; between two events no time passes. Every byte is counted by a proxy
and every packet charged with 40 bytes of TCP and IP headers. The day ends with a contact, so all of
its readings have arrived; a TLS session older than its lifetime is not resumed.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from agent.core.ports import PollRow
from agent.core.settings import METERED_SYNC_INTERVAL_MS, TelemetrySettings, UplinkSettings
from agent.core.uplink import (
    Answered,
    ContactPlan,
    after_contact,
    begun,
    first_contact,
    next_contact,
    weighed,
)
from firmware_sim.device import Device
from firmware_sim.model import Point, Table
from firmware_sim.models import find_model
from shared.model.reading import Channel, Quality, Value
from shared.runtime.clock import SystemClock
from tests.bench.codec import read_csv
from tests.bench.outpost import (
    DEVICE,
    BenchClock,
    Outpost,
    one_device,
    open_centre,
    open_outpost,
)
from tests.bench.tap import Tap

DAY_MS = 86_400_000
SESSION_MS = 7_200_000
"""OpenSSL's lifetime of a session, on the coordinator and in the ticket that it gives."""


class Profile(NamedTuple):
    """A site."""

    channels: int
    interval_ms: int
    goal_bytes: int


PROFILES = {"soil": Profile(15, 300_000, 20_000), "pump": Profile(8, 1_000, 1_600_000)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--profile", choices=PROFILES, default="soil")
    parser.add_argument(
        "--csv", type=Path, help="replayed, its times aside; default: a simulated device"
    )


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure one day."""
    profile = PROFILES[options.profile]
    source = Recorded(options.csv) if options.csv else Simulated(options.profile, profile.channels)
    with tempfile.TemporaryDirectory(prefix="outstation-bench-") as folder:
        figures = asyncio.run(measure(Path(folder), profile, source))
    return {
        "profile": options.profile,
        "source": options.csv.name if options.csv else "simulated",
        **figures,
        "goal_bytes": profile.goal_bytes,
    }


# --- what the site measures ---------------------------------------------------------------------
class Recorded:
    """The rows of a CSV, over and over."""

    def __init__(self, path: Path) -> None:
        self._table = read_csv(path)
        self.points = [name.lower().replace(" ", "_") for name in self._table.names]

    def row(self, number: int, _at_s: float) -> list[Value]:
        at = number % len(self._table.times)
        return [column[at] for column in self._table.columns]


class Simulated:
    """Simulated devices, read as an agent would: in the steps of their registers."""

    def __init__(self, model: str, channels: int) -> None:
        found = find_model(model)
        self._order = found.word_order
        inputs = [
            point
            for point in found.points
            if point.table is Table.INPUT and not point.is_poll_count
        ]
        devices = [Device(found, unit=unit) for unit in range(1, channels + 1)]
        every = [(device, point) for device in devices for point in inputs]
        self._read = every[:channels]
        self.points = [f"{point.name}_{device.unit}" for device, point in self._read]

    def row(self, _number: int, at_s: float) -> list[Value]:
        return [round(self._shown(device, point, at_s), 6) for device, point in self._read]

    def _shown(self, device: Device, point: Point, at_s: float) -> float:
        words = point.encode(device.value(point, at_s), self._order)
        return point.decode(words, self._order)


async def measure(folder: Path, profile: Profile, source: Recorded | Simulated) -> dict[str, Any]:
    """Run through one day."""
    names = source.points[: profile.channels]
    channels = [Channel(DEVICE, name) for name in names]
    table = one_device(channels, profile.interval_ms)
    clock = BenchClock(SystemClock().wall_ms() - DAY_MS)
    async with (
        open_centre(folder / "coordinator", clock) as centre,
        Tap(centre.port) as tap,
        open_outpost(folder, centre, clock=clock, table=table, port=tap.port) as post,
    ):
        before = await tap.count()
        site = Site(post, profile, source)
        await site.live()
        tally = await post.telemetry.tally()
        assert tally.delivered == tally.sampled > 0, tally
        passed = (await tap.count()).since(before)
    return {
        "readings": tally.delivered,
        "contacts": site.contacts,
        "wire_bytes": passed.wire_bytes,
        "payload_bytes": post.link.block_bytes,
        "tls_bytes": passed.stream_bytes,
        "packets": passed.packets,
        "full_handshakes": passed.connections - post.link.resumed,
        "bytes_per_reading": round(passed.wire_bytes / tally.delivered, 3),
    }


class Site:
    """The agent's loops on virtual time: polls, commits and contacts."""

    def __init__(self, post: Outpost, profile: Profile, source: Recorded | Simulated) -> None:
        self._post, self._source, self._profile = post, source, profile
        self._settings = UplinkSettings(metered=True, sync_interval_ms=METERED_SYNC_INTERVAL_MS)
        self._state = first_contact(self._settings, post.clock.mono_ms(), fraction=0.5)
        self._resumable_until_ms = 0
        self.contacts = 0

    async def live(self) -> None:
        """Let a day pass, and end it with a contact."""
        clock, commit_ms = self._post.clock, TelemetrySettings().commit_interval_ms
        poll_ms, commit_at_ms, polls = 0, commit_ms, 0
        while clock.passed_ms < DAY_MS:
            plan = next_contact(self._state, self._settings, clock.mono_ms())
            contact_ms = clock.passed_ms + max(0, plan.at_ms - clock.mono_ms())
            clock.passed_ms = min(poll_ms, commit_at_ms, contact_ms, DAY_MS)
            if clock.passed_ms == contact_ms:
                await self._meet(plan)
            elif clock.passed_ms == commit_at_ms:
                commit_at_ms += commit_ms
                await self._post.telemetry.keep()
                weight = await self._post.telemetry.backlog_bytes()
                self._state = weighed(self._state, weight)
            elif clock.passed_ms == poll_ms:
                await self._poll(polls)
                polls += 1
                poll_ms += self._profile.interval_ms
        await self._meet(ContactPlan(clock.mono_ms(), seal=True, wait_s=0))
        while self._state.drain:
            await self._meet(next_contact(self._state, self._settings, clock.mono_ms()))

    async def _poll(self, number: int) -> None:
        clock = self._post.clock
        values = self._source.row(number, clock.wall_ms() / 1000)[: self._profile.channels]
        qualities = [Quality.BAD_COMM if value is None else Quality.GOOD for value in values]
        row = PollRow(
            channels=range(len(values)), at=clock.now(), values=values, qualities=qualities
        )
        await self._post.telemetry.record(row)

    async def _meet(self, plan: ContactPlan) -> None:
        clock, link = self._post.clock, self._post.link
        if clock.passed_ms >= self._resumable_until_ms:
            link.forget_session()
        self._resumable_until_ms = clock.passed_ms + SESSION_MS
        self._state = begun(self._state)
        end = await self._post.contact.run(
            seal=plan.seal, wait_s=0, budget=self._state.budget, keep=False
        )
        assert isinstance(end, Answered), end
        self.contacts += 1
        self._state = after_contact(
            self._state, self._settings, end, clock.mono_ms(), plan=plan, fraction=0.5
        )
