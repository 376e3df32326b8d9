"""A coordinator's store with agents in it, and blocks brought there without a wire.

Owns blocks of chosen clocks and the transaction that takes them in. Leaves out signatures and
contacts, which have tests of their own.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from coordinator.core.buckets import Bucket, unpack_row
from coordinator.core.intake import Incoming, block_digest
from coordinator.services.bell import Bell
from coordinator.services.rollups import Rollups
from coordinator.transactions.blocks import Stored, store_blocks
from coordinator.transactions.retime import walk_boots
from shared.block.codec import check, encode
from shared.block.schema import Schema
from shared.clock import ClockState, Instant, MonoMs, WallMs
from shared.ids import AgentId, BlockSeq, DeviceId, StoreEpoch
from shared.model.reading import Block, BootRef, Channel, Group, epoch_ref, schema_ref
from shared.trust.documents import Report
from shared.wire.messages import Anchor, Announced, LossRow, Tally
from tests.stores import AnyStore, ask, tell

NOW = WallMs(1_795_000_000_000)
AGENT = AgentId("pump")
EPOCH = StoreEpoch(b"T" * 16)
BOOT = b"B" * 16
SCHEMA = Schema(
    (
        Channel(DeviceId("pump-1"), "current", "A"),
        Channel(DeviceId("pump-1"), "pressure", "bar"),
        Channel(DeviceId("pump-2"), "current", "A"),
    )
)


def group(
    times: Sequence[int],
    *columns: Sequence[float | None],
    channels: Sequence[int] = (),
    qualities: Sequence[bytes] = (),
) -> Group:
    """Rows of some channels, by default the first ones; quality is good unless it is told."""
    marks = qualities or [bytes(len(times)) for _ in columns]
    return Group(
        tuple(channels) or tuple(range(len(columns))),
        list(times),
        [list(column) for column in columns],
        list(marks),
    )


def block(seq: int, *groups: Group, **changes: Any) -> bytes:
    """One block; its clock is synced unless it is told otherwise."""
    times = [time for one in groups for time in one.times_ms] or [NOW]
    fields: dict[str, Any] = {
        "epoch": epoch_ref(EPOCH),
        "seq": BlockSeq(seq),
        "priority": 2,
        "boot": BootRef(BOOT[:4]),
        "mono_ms": MonoMs(1_000_000),
        "wall_ms": WallMs(min(times)),
        "clock_state": ClockState.SYNCED,
        "err_ms": 5,
        "schema": schema_ref(SCHEMA.hash),
        "groups": groups,
    }
    return encode(Block(**(fields | changes)))


def report(
    blocks: Sequence[bytes] = (),
    *,
    agent: str = AGENT,
    anchors: Iterable[Anchor] = (),
    ledger: Iterable[LossRow] = (),
    **changes: Any,
) -> Report:
    """A report that announces these blocks."""
    headers = [check(data) for data in blocks]
    fields: dict[str, Any] = {
        "fleet": b"f" * 16,
        "agent": agent,
        "boot_id": BOOT,
        "counter": 1,
        "previous": b"",
        "telemetry_epoch": EPOCH,
        "jobs_epoch": b"J" * 16,
        "bundle_seq": 0,
        "root_version": 1,
        "floor_ms": 0,
        "wall_ms": NOW,
        "mono_ms": 2_000_000,
        "clock_state": ClockState.SYNCED,
        "next_block": max((one.seq for one in headers), default=0) + 1,
        "tally": Tally(0, 0, 0, 0, 0),
        "blocks": [
            Announced(one.seq, block_digest(data))
            for one, data in zip(headers, blocks, strict=True)
        ],
        "ledger": list(ledger),
        "anchors": list(anchors),
    }
    return Report(**(fields | changes))


def incoming(data: bytes) -> Incoming:
    """A block that was found sound."""
    return Incoming(data, block_digest(data), check(data))


async def add_agent(store: AnyStore, agent: str = AGENT, **labels: str) -> None:
    """Let an agent in without a claim."""

    columns = "agent_id, public_key, site, claim_id, enrolled_ms"
    values = (agent, agent.encode().ljust(32, b"."), "north", b"claim", NOW)
    await tell(store, f"INSERT INTO agent ({columns}) VALUES ($1, $2, $3, $4, $5)", *values)
    for key, value in labels.items():
        await tell(store, "INSERT INTO agent_label VALUES ($1, $2, $3)", agent, key, value)


async def bring(
    store: AnyStore,
    *blocks: bytes,
    agent: str = AGENT,
    schema: Schema | None = SCHEMA,
    now_ms: int = NOW,
    **said: Any,
) -> Stored:
    """Take in a contact with these blocks."""
    letter = report(blocks, agent=agent, **said)
    body = partial(
        store_blocks,
        AgentId(agent),
        letter,
        [incoming(data) for data in blocks],
        [(schema_ref(schema.hash), schema.encode())] if schema else [],
        now_ms=WallMs(now_ms),
    )
    return await store.run(body, durable=False)


async def settle_times(store: AnyStore, *, size: int = 256) -> int:
    """Place blocks again until nothing is left to do; return in how many steps."""
    steps = 0
    while await store.run(partial(walk_boots, NOW, size=size), durable=False):
        steps += 1
    return steps


async def rows(store: AnyStore, statement: str) -> Sequence[tuple[Any, ...]]:
    """Ask anything."""
    return await ask(store, statement)


async def roll_everything_up(store: AnyStore) -> None:
    """Work until nothing is due."""
    service = Rollups(store, VirtualClock(), Bell())
    while await service.step():
        pass


async def rolled(
    store: AnyStore, width_s: int, *, agent: str = AGENT
) -> dict[tuple[str, str, int], Bucket]:
    """Every bucket of one width, by device, point and start."""
    found = await rows(
        store,
        "SELECT device, point, start_ms, data FROM rollup r"
        " JOIN channel c ON c.agent_id = r.agent_id AND c.number = r.channel"
        f" WHERE width_s = {width_s} AND r.agent_id = '{agent}'",
    )
    return {
        (device, point, start_ms + bucket.at * width_s * 1000): replace(bucket, at=0)
        for device, point, start_ms, data in found
        for bucket in unpack_row(data).buckets()
    }


class VirtualClock:
    """A clock that stands still."""

    def wall_ms(self) -> WallMs:
        return NOW

    def mono_ms(self) -> MonoMs:
        return MonoMs(0)

    def now(self) -> Instant:
        return Instant(wall_ms=NOW, mono_ms=MonoMs(0), boot_id=BOOT)
