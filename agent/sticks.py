"""What fills and empties sticks, composed: in the agent that runs, or from its files at rest.

The second place besides `agent.app` that names concrete classes: `outstation-agent export` works
for a box whose agent does not run, and then nothing of a running agent is made.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from agent.actions.registry import check_step
from agent.config import AgentConfig
from agent.core.device import DeviceSettings
from agent.core.queue import plan_job
from agent.core.sampler import channel_table
from agent.services.ask import socket_path
from agent.services.calendar import Calendar
from agent.services.carrier import Carrier, Exported, Imported
from agent.services.guard import Guard
from agent.services.identity import load_enrolment, load_signer
from agent.services.orders import Orders
from agent.services.stick_file import RunningAgent, Source
from agent.services.stick_shelf import StickShelf
from agent.store.artifacts import Shelf
from agent.store.carried import CarriedStore
from agent.store.contact import ContactStore
from agent.store.jobs import JobStore
from agent.store.jobs_file import JobsFile
from agent.store.needed import NeededFiles
from agent.store.telemetry import TelemetryStore
from shared.clock import Clock
from shared.errors import MistakeError
from shared.runtime.clock import SystemClock, SystemEntropy
from shared.runtime.files import lock_directory
from shared.sync.stick import read_header
from shared.trust.envelope import KeySigner


def make_carrier(
    *,
    guard: Guard,
    signer: KeySigner,
    file: JobsFile,
    telemetry: TelemetryStore,
    devices: tuple[DeviceSettings, ...],
    clock: Clock,
    calendar: Calendar,
    ordered: Callable[[], None],
) -> Carrier:
    """Return what fills and empties sticks over these stores."""
    orders = Orders(
        guard=guard,
        jobs=JobStore(file),
        plan=partial(plan_job, devices=devices, check=check_step),
        calendar=calendar,
    )
    return Carrier(
        guard=guard,
        signer=signer,
        orders=orders,
        exchange=ContactStore(file),
        store=CarriedStore(file),
        telemetry=telemetry,
        clock=clock,
        ordered=ordered,
    )


def stick_shelf(data_dir: Path, file: JobsFile, clock: Clock) -> StickShelf:
    """Return what takes files from sticks, for orders in `file`."""
    return StickShelf(Shelf(data_dir, clock.now().boot_id), NeededFiles(file).all)


@contextlib.contextmanager
def open_source(config: AgentConfig) -> Iterator[Source]:
    """Give the agent of a configuration, running or not, to fill a stick or to take one in.

    Raises:
        MistakeError: it is not enrolled, or its files cannot be used.
    """
    path = socket_path(config.runtime_dir, config.data_dir)
    with RunningAgent.connect(path) as running:
        if running is not None:
            yield running
            return
    yield _AtRest(config)


class _AtRest:
    """`Source` over the files of an agent that does not run."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config

    def export(self, room: int) -> Iterator[tuple[bytes, Exported]]:
        with asyncio.Runner() as runner:
            pieces = self._export(room)
            while (piece := runner.run(_next(pieces))) is not None:
                yield piece

    def take(self, pieces: Iterator[bytes]) -> Iterator[Imported]:
        header = read_header(next(pieces))
        with asyncio.Runner() as runner:
            stack = AsyncExitStack()
            carrier = runner.run(stack.enter_async_context(self._carrier()))
            told = Imported()
            try:
                for piece in pieces:
                    told = runner.run(carrier.take(header, piece, told))
                    yield told
            finally:
                runner.run(stack.aclose())

    async def _export(self, room: int) -> AsyncIterator[tuple[bytes, Exported]]:
        async with self._carrier() as carrier:
            async for piece in carrier.export(room):
                yield piece

    @contextlib.asynccontextmanager
    async def _carrier(self) -> AsyncIterator[Carrier]:
        config, clock, entropy = self._config, SystemClock(), SystemEntropy()
        enrolment = load_enrolment(config.data_dir)
        if enrolment is None:
            raise MistakeError(
                "this agent is not enrolled", where=str(config.data_dir), mend="enrol it first"
            )
        signer, calendar = load_signer(config.data_dir), Calendar(clock)
        async with AsyncExitStack() as stack:
            stack.enter_context(lock_directory(config.data_dir))
            telemetry = await TelemetryStore.open(
                config.data_dir,
                config.runtime_dir,
                channel_table(config.devices),
                config.telemetry,
                clock=clock,
                entropy=entropy,
            )
            stack.push_async_callback(telemetry.close)
            file = await JobsFile(config.data_dir, entropy).open()
            stack.push_async_callback(file.close)
            identity = enrolment.identity(signer)
            guard = Guard(identity, ContactStore(file), clock=clock, calendar=calendar)
            carrier = make_carrier(
                guard=guard,
                signer=signer,
                file=file,
                telemetry=telemetry,
                devices=tuple(config.devices),
                clock=clock,
                calendar=calendar,
                ordered=lambda: None,  # the agent finds it in its queue when it starts
            )
            carrier.shelf = stick_shelf(config.data_dir, file, clock)
            yield carrier


async def _next(
    pieces: AsyncIterator[tuple[bytes, Exported]],
) -> tuple[bytes, Exported] | None:
    return await anext(pieces, None)
