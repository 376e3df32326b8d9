"""What a contact costs in queries, and that what was read ahead is what would have been asked."""

from functools import partial

import pytest

from coordinator.core.ports import Many, Query, Tx, execute, fetch, fetch_one
from coordinator.store.sqlite import SqliteStore
from coordinator.transactions.contact import Contact, record_contact
from coordinator.transactions.known import Known, look_ahead, with_known
from shared import limits
from shared.clock import WallMs
from shared.ids import AgentId
from shared.model.reading import BootRef, schema_ref
from shared.wire.messages import Anchor
from tests.readings_office import (
    AGENT,
    BOOT,
    NOW,
    SCHEMA,
    add_agent,
    block,
    group,
    incoming,
    report,
)

MOST_QUERIES = 10
"""Of the contact of an agent that is known, with one block of one boot."""


def play(body, rows):
    """Drive a body with rows by name; return its value and the names that it asked for."""
    asked: list[str] = []
    try:
        step = next(body)
        while True:
            asked.append(step.name)
            step = body.send(rows.get(step.name, ()))
    except StopIteration as done:
        return done.value, asked


def asking_twice() -> Tx[list[object]]:
    first = yield from fetch("look", 1)
    yield from execute("change", 1)
    return [*first, *(yield from fetch("look", 1)), *(yield from fetch("look", 2))]


def test_what_is_known_is_answered_once_and_only_for_exactly_that_query():
    known: Known = {Query("look", (1,)): [("known",)]}
    value, asked = play(with_known(asking_twice(), known), {"look": [("stored",)]})
    assert value == [("known",), ("stored",), ("stored",)]
    assert asked == ["change", "look", "look"]


def test_what_a_body_raises_goes_through_what_is_known():
    def failing() -> Tx[None]:
        yield from fetch("look", 1)
        raise ValueError

    with pytest.raises(ValueError):
        play(with_known(failing(), {}), {})


def contact(number, previous=b""):
    data = block(number, group([NOW + number * 1000], [1.5]))
    told = report([data], counter=number, previous=previous)
    return Contact(
        agent=AGENT,
        report=told,
        digest=bytes([number]) * 32,
        blocks=[incoming(data)],
        schemas=[(schema_ref(SCHEMA.hash), SCHEMA.encode())] if number == 1 else [],
        bytes_up=300,
        bytes_down=100,
        now_ms=WallMs(NOW + number * 1000),
        with_orders=True,
    )


@pytest.fixture
async def store(tmp_path):
    async with await SqliteStore.open(tmp_path / "coordinator.db") as opened:
        await add_agent(opened)
        yield opened


async def take(store, number):
    previous = bytes([number - 1]) * 32 if number > 1 else b""
    return await store.run(partial(record_contact, contact(number, previous)), durable=False)


def counted(body, asked) -> Tx[object]:
    try:
        step = next(body)
        while True:
            asked.append(step.name if isinstance(step, Query | Many) else "together")
            step = body.send((yield step))
    except StopIteration as done:
        return done.value


async def test_a_contact_with_one_block_asks_few_queries(store):
    for number in (1, 2):
        await take(store, number)
    asked: list[str] = []
    third = contact(3, bytes([2]) * 32)
    await store.run(lambda: counted(record_contact(third), asked), durable=False)
    assert len(asked) <= MOST_QUERIES, asked


@pytest.mark.parametrize("contacts", [0, 1, 3])
async def test_what_is_read_ahead_is_what_would_have_been_asked(store, contacts):
    for number in range(1, contacts + 1):
        await take(store, number)
    data = block(contacts + 1, group([NOW], [1.5]))
    told = report([data], counter=contacts + 1)
    known = await store.read(partial(look_ahead, AGENT, told, [incoming(data)]))
    assert len(known) == (13 if contacts else 12), "a new channel list has to be asked for"
    for query, rows in known.items():
        # Asking for a list that is there changes nothing: that is why its answer can be known.
        asked = await store.run(partial(fetch, query.name, *query.values), durable=False)
        assert list(rows) == list(asked), query.name


async def ahead_of_block(store, **said):
    """The names of what is known before a contact with one block."""
    data = block(9, group([NOW], [1.5]))
    body = partial(look_ahead, AGENT, report([data], counter=9, **said), [incoming(data)])
    return {query.name for query in await store.read(body)}


async def test_a_boots_only_anchor_is_read_ahead_and_of_several_none(store):
    for mono_ms in (1_000, 2_000):
        values = (BootRef(BOOT[:4]), mono_ms, NOW, 5, 1, NOW, limits.ANCHORS_PER_BOOT)
        assert "boot_times" in await ahead_of_block(store)
        await store.run(partial(execute, "anchor_save", AGENT, *values), durable=False)
    assert "boot_times" not in await ahead_of_block(store)


async def test_what_a_report_teaches_of_a_boot_is_not_read_before_it(store):
    anchor = Anchor(boot_id=BOOT, mono_ms=1_000, wall_ms=NOW, err_ms=5)
    assert "boot_times" not in await ahead_of_block(store, anchors=[anchor])


async def test_of_an_unknown_agent_only_that_is_known(store):
    known = await store.read(partial(look_ahead, AgentId("nobody"), report()))
    assert known == {Query("agent_identity", ("nobody",)): ()}


async def test_the_predecessor_of_a_report_is_learned_when_it_never_came(store):
    await take(store, 1)
    await take(store, 3)
    told = report()
    for number, digest in ((1, 1), (2, 2), (3, 3)):
        row = await store.read(partial(fetch_one, "report_digest", AGENT, told.jobs_epoch, number))
        assert row == (bytes([digest]) * 32,)
