"""A block is acknowledged for its checksum; one that nobody can decode is put aside, and told."""

import asyncio
import random
import zlib
from functools import partial

import pytest
from msgspec.structs import replace

from coordinator.core.intake import Incoming, block_digest, examine_blocks
from coordinator.core.rollup import MINUTE_S
from coordinator.core.series import Question
from coordinator.services.readings import collect_newest, view_walk
from coordinator.transactions.blocks import store_blocks
from shared import limits
from shared.block.codec import check, read_header
from shared.errors import Reason, RefusedError
from shared.ids import BlockSeq
from shared.model.reading import schema_ref
from shared.wire.messages import Announced
from tests.readings_office import (
    AGENT,
    NOW,
    SCHEMA,
    add_agent,
    block,
    bring,
    group,
    report,
    roll_everything_up,
    rolled,
    rows,
)
from tests.stores import ENGINES, open_store

MINUTE = NOW // 60_000 * 60_000
_HEAD = 34


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    async with open_store(request.param, tmp_path) as opened:
        await add_agent(opened)
        yield opened


def sound(seq, value=1.5):
    return block(seq, group([MINUTE, MINUTE + 1_000], [value, value + 1]))


def unreadable(seq):
    """A block whose header and checksum are right, and whose columns are noise."""
    noise = random.Random(seq)
    for _ in range(100):
        data = bytearray(sound(seq))
        data[_HEAD:] = noise.randbytes(40)
        data[1:5] = zlib.crc32(data[5:], zlib.crc32(data[:1])).to_bytes(4, "little")
        try:
            check(bytes(data))
        except RefusedError:
            return bytes(data)
    raise AssertionError("noise is no block")


def letter_of(*blocks):
    """A report that vouches for these bytes, whatever is in them."""
    plain = report([sound(read_header(data).seq) for data in blocks])
    announced = [
        replace(one, digest=block_digest(data))
        for one, data in zip(plain.blocks, blocks, strict=True)
    ]
    return replace(plain, blocks=announced)


async def bring_any(store, *blocks, schema=SCHEMA):
    """Take in blocks as a contact does."""
    letter = letter_of(*blocks)
    schemas = [(schema_ref(schema.hash), schema.encode())] if schema else []
    examined = examine_blocks(blocks, letter)
    body = partial(store_blocks, AGENT, letter, examined, schemas, now_ms=NOW)
    return await store.run(body, durable=False)


async def test_a_whole_block_with_a_sound_header_is_acknowledged_before_anybody_decodes_it(store):
    stored = await bring_any(store, unreadable(1))
    assert list(stored.acked) == [(1, 1)]
    assert not stored.nacked


def test_a_block_that_was_damaged_before_it_was_announced_is_refused_at_the_door():
    damaged = sound(1)[:-1] + bytes([sound(1)[-1] ^ 1])
    letter = replace(letter_of(sound(1)), blocks=[Announced(BlockSeq(1), block_digest(damaged))])
    [found] = examine_blocks([damaged], letter)
    assert found == Incoming(damaged, block_digest(damaged), None, Reason.BLOCK_CHECKSUM)


async def test_what_nobody_can_decode_is_put_aside_byte_for_byte_and_told(store):
    bad = unreadable(2)
    await bring_any(store, sound(1), bad, sound(3, 7.0))
    await roll_everything_up(store)
    assert await rows(store, "SELECT seq FROM block ORDER BY seq") == [(1,), (3,)]
    assert await rows(store, "SELECT seq, data FROM block_aside") == [(2, bad)]
    told = await rows(store, "SELECT reason, count FROM refusal")
    assert told == [(Reason.BLOCK_MALFORMED, 1)]
    audited = await rows(store, "SELECT action FROM audit")
    assert ("contact.refused",) in audited
    assert await rows(store, "SELECT count(*) FROM rollup_due") == [(0,)]


async def test_the_others_of_its_minute_are_rolled_up_all_the_same(store):
    await bring_any(store, sound(1), unreadable(2), sound(3, 7.0))
    await roll_everything_up(store)
    found = await rolled(store, MINUTE_S)
    assert found["pump-1", "current", MINUTE].count == 4
    assert found["pump-1", "current", MINUTE].high == 8.0


async def test_one_without_a_channel_list_is_put_aside_at_once(store):
    await bring_any(store, unreadable(1), schema=None)
    await roll_everything_up(store)
    assert await rows(store, "SELECT count(*) FROM block_aside") == [(1,)]
    assert await rows(store, "SELECT count(*) FROM rollup_due") == [(0,)]


async def test_an_answer_passes_over_what_rollups_have_not_put_aside_yet(store):
    await bring_any(store, sound(1), unreadable(2))
    asked = Question(agents=[AGENT], device="", point="", start_ms=0, end_ms=NOW + 10**6, limit=100)
    walk = await collect_newest(store, asked)
    view = await asyncio.to_thread(view_walk, walk)
    assert (view.readings, view.undecoded_blocks) == (2, 1)


async def test_without_room_its_bytes_stay_where_they_are(store):
    for first in range(1, limits.BLOCKS_ASIDE + 2, 10):
        last = min(first + 10, limits.BLOCKS_ASIDE + 2)
        await bring_any(store, *(unreadable(seq) for seq in range(first, last)))
    await roll_everything_up(store)
    [(aside,)] = await rows(store, "SELECT count(*) FROM block_aside")
    [(here,)] = await rows(store, "SELECT count(*) FROM block")
    assert (aside, here) == (limits.BLOCKS_ASIDE, 1)
    assert await rows(store, "SELECT count(*) FROM rollup_due") == [(0,)]


async def test_its_number_stays_received_so_nobody_sends_it_for_ever(store):
    bad = unreadable(1)
    await bring_any(store, bad)
    await roll_everything_up(store)
    again = await bring_any(store, bad)
    assert (list(again.acked), again.duplicates, again.blocks) == ([(1, 1)], 1, 0)
    await bring(store, sound(2))
    await roll_everything_up(store)
    assert await rows(store, "SELECT count(*) FROM block_aside") == [(1,)]
