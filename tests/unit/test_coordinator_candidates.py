"""What gateways found, as the coordinator keeps it: folded from receipts in any order."""

from functools import partial
from hashlib import sha256

import msgspec
import pytest

from coordinator.core.events import BEGINNING
from coordinator.core.retime import LATEST_AHEAD_MS
from coordinator.transactions.candidates import ignore, list_candidates, note_candidates
from coordinator.transactions.enroll import Claim, enroll, save_claim
from coordinator.transactions.events import Heard, read_events
from shared.ids import AgentId
from shared.model.candidate import MARK, CandidateWord, Change
from shared.model.job import Value
from shared.model.selector import parse_selector
from shared.wire.messages import EnrollRequest, Receipt
from tests.stores import ENGINES, open_store
from tests.unit.test_coordinator_transactions import AGENT, NOW, enrolled

YEARS = NOW + 20 * 365 * 86_400_000
"""A gateway's clock without a battery, or under a wrong server."""


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    """A store with one agent in it."""
    async with open_store(request.param, tmp_path) as opened:
        await enrolled(opened)
        yield opened


def word(place: str, change: Change = "new", **said: str) -> CandidateWord:
    return CandidateWord("modbus", place, change=change, **said)


def receipt(at_ms: int, *words: CandidateWord, **more: Value) -> Receipt:
    result: dict[str, Value] = dict(more)
    for number, one in enumerate(words):
        result[f"look.{MARK}{number}"] = msgspec.json.encode(one).decode()
    return Receipt(1, b"e" * 16, "", 10, 1, 0, at_ms, result=result)


async def take(store, told: Receipt) -> None:
    await store.run(partial(note_candidates, AGENT, told, NOW), durable=False)


async def events(store, kind: str) -> list[dict[str, object]]:
    heard = Heard(source="urn:test", type=kind)
    heap = await store.read(partial(read_events, heard, place=BEGINNING, size=9))
    return [dict(one.data.detail or {}) for one in heap.events]


async def listed(store, agent: str = "", *, ignored: bool = False, size: int = 100):
    body = partial(list_candidates, agent, ignored=ignored, after=("", "", ""), size=size)
    return (await store.read(body))[0]


async def test_the_newest_word_counts_whatever_comes_late(store):
    await take(store, receipt(5_000, word("rs485/5", vendor="Acme", model="new")))
    await take(store, receipt(4_000, word("rs485/5", vendor="Acme", model="old")))
    (one,) = await listed(store)
    assert (one.agent, one.place, one.model, one.lost_at) == (AGENT, "rs485/5", "new", None)


async def test_a_clock_that_is_years_ahead_is_newer_than_nothing(store):
    await take(store, receipt(YEARS, word("rs485/5", vendor="Acme", model="old")))
    await take(store, receipt(NOW, word("rs485/5", "changed", vendor="Acme", model="new")))
    await take(store, receipt(YEARS, word("rs485/5", "lost")))
    await take(store, receipt(NOW + 1, word("rs485/5", "returned", model="newer")))
    await take(store, receipt(NOW - 1, word("rs485/5", "changed", model="late")))
    (one,) = await listed(store)
    assert (one.model, one.lost_at, one.seen_at.timestamp() * 1000) == ("newer", None, NOW + 1)


async def test_a_clock_that_may_be_right_is_believed_in_any_order(store):
    ahead = NOW + LATEST_AHEAD_MS
    await take(store, receipt(ahead, word("rs485/5", model="new")))
    await take(store, receipt(ahead - 1, word("rs485/5", "changed", model="late")))
    (one,) = await listed(store)
    assert one.model == "new"


async def test_one_is_lost_and_back(store):
    await take(store, receipt(1_000, word("rs485/5")))
    await take(store, receipt(2_000, word("rs485/5", "lost")))
    (one,) = await listed(store)
    assert one.lost_at is not None
    await take(store, receipt(3_000, word("rs485/5", "returned")))
    (one,) = await listed(store)
    assert one.lost_at is None


async def test_who_moved_is_one_and_keeps_what_a_person_said_of_it(store):
    await take(store, receipt(1_000, word("rs485/5", serial="SN-1")))
    (first,) = await listed(store)
    body = partial(ignore, AGENT, "rs485/5", ignored=True, actor="me", now_ms=NOW)
    await store.run(body, durable=False)
    assert await listed(store) == []
    moved = word("rs485/9", "moved", serial="SN-1", before="rs485/5")
    await take(store, receipt(2_000, moved))
    (one,) = await listed(store, ignored=True)
    assert (one.place, one.before, one.ignored) == ("rs485/9", "rs485/5", True)
    assert one.first_at == first.first_at


async def test_who_is_adopted_is_a_candidate_no_more(store):
    await take(store, receipt(1_000, word("rs485/5"), word("rs485/6")))
    await take(store, receipt(2_000, **{"adopt._adopted": "rs485/5"}))
    assert [one.place for one in await listed(store)] == ["rs485/6"]


async def test_nothing_is_hidden_where_nothing_was_found(store):
    body = partial(ignore, AGENT, "rs485/5", ignored=True, actor="me", now_ms=NOW)
    assert await store.run(body, durable=False) == []


async def test_pages_go_on_where_the_last_one_ended(store):
    await take(store, receipt(1_000, *(word(f"rs485/{n}") for n in range(5))))
    first = await listed(store, size=3)
    last = first[-1]
    body = partial(
        list_candidates,
        AGENT,
        ignored=False,
        after=(AgentId(last.agent), last.place, last.way),
        size=3,
    )
    rest, more = await store.read(body)
    places = [one.place for one in (*first, *rest)]
    assert places == [f"rs485/{n}" for n in range(5)]
    assert not more


async def test_a_device_that_was_followed_is_a_candidate_at_neither_place(store):
    await take(
        store, receipt(1_000, word("rs485/5", serial="SN-1"), word("rs485/9", serial="SN-1"))
    )
    moved = word("rs485/9", "moved", serial="SN-1", before="rs485/5", device="pump-7")
    await take(store, receipt(2_000, moved))
    assert await listed(store) == []
    (told,) = await events(store, "device.moved")
    assert told == {"from": "rs485/5", "to": "rs485/9", "serial": "SN-1"}


async def test_who_says_it_is_an_attached_device_is_listed_with_it_and_told_once(store):
    for at_ms in (1_000, 2_000):
        await take(store, receipt(at_ms, word("two/2", "claims", serial="SN-1", device="pump-7")))
    (one,) = await listed(store)
    assert one.device == "pump-7"
    assert len(await events(store, "device.claimed")) == 1
    await take(store, receipt(3_000, word("two/2", "same", serial="SN-1")))
    (one,) = await listed(store)
    assert one.device == ""


async def test_who_was_turned_away_stays_so_wherever_it_is_met_again(store):
    await take(store, receipt(1_000, word("rs485/5", serial="SN-1", vendor="Acme")))
    body = partial(ignore, AGENT, "rs485/5", ignored=True, actor="me", now_ms=NOW)
    await store.run(body, durable=False)
    again = word("rs485/9", serial="SN-1", vendor="Acme")
    other = word("rs485/8", serial="SN-1", vendor="Bolt")
    await take(store, receipt(2_000, again, other))
    assert [one.place for one in await listed(store)] == ["rs485/8"]


async def test_a_limited_token_gets_whole_pages_of_what_it_may_see(store):
    for number, (name, site) in enumerate((("a", "north"), ("b", "south"), ("c", "north"))):
        claim = Claim(
            claim_id=b"%d" % number,
            secret_hash=sha256(b"s%d" % number).digest(),
            site=site,
            count=1,
            expires_ms=1 << 50,
        )
        await store.run(partial(save_claim, claim, actor="me", now_ms=NOW), durable=False)
        asks = EnrollRequest(b"s%d" % number, b"key%d" % number, AgentId(name))
        await store.run(partial(enroll, asks, now_ms=NOW), durable=False)
        for n in range(3):
            told = receipt(1_000, word(f"rs485/{n}"))
            await store.run(partial(note_candidates, AgentId(name), told, NOW), durable=False)
    limit = parse_selector("site=north", where="token")
    seen: list[tuple[str, str]] = []
    after = ("", "", "")
    for _ in range(10):
        body = partial(list_candidates, "", ignored=False, after=after, size=2, limit=limit)
        page, more = await store.read(body)
        seen += [(one.agent, one.place) for one in page]
        assert len(page) == 2
        if not more:
            break
        after = (page[-1].agent, page[-1].place, page[-1].way)
    assert seen == [(name, f"rs485/{n}") for name in ("a", "c") for n in range(3)]
    hidden = partial(list_candidates, "b", ignored=False, after=("", "", ""), size=2, limit=limit)
    assert await store.read(hidden) == ([], False)
