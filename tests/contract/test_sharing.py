"""Gateways of one site have a file from each other: real sockets, real shelves, one coordinator."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from hashlib import sha256

import pytest

from agent.core.artifacts import Shut, Span, Wanted
from agent.core.neighbours import Pull, Says, TakeFrom
from agent.core.uplink import Delivered
from agent.services.lan import Network
from agent.services.neighbourhood import PATH
from shared import limits
from shared.clock import MonoMs
from shared.errors import Reason, RefusedError
from shared.runtime.clock import SystemClock
from shared.trust.shared_file import FileKey
from tests.sharing_parts import DATA, WANTED, House, opened_street

SIZE = len(DATA)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SHARE_SETTLE_MS": 150,
        "SHARE_JITTER_MS": 50,
        "SHARE_LOOK_MS": 15,
        "FETCH_RETRY_S": 0,
    }.items():
        monkeypatch.setattr(limits, name, value)


async def all_have(*houses: House) -> None:
    paths = await asyncio.gather(*(house.obtain() for house in houses))
    assert [path.read_bytes() for path in paths] == [DATA] * len(houses)


async def test_one_of_a_site_pulls_and_the_others_have_it_from_there(tmp_path):
    async with opened_street(tmp_path, "a", "b", "c") as (centre, houses):
        for house in houses.values():
            house.start()
        await all_have(*houses.values())
        assert centre.served == SIZE
        assert sum(house.artifacts.pulled for house in houses.values()) == SIZE
        assert sum(house.artifacts.taken for house in houses.values()) == 2 * SIZE
        assert sum(house.sharing.given for house in houses.values()) == 2 * SIZE


async def test_a_gateway_alone_pulls_as_it_always_did(tmp_path):
    async with opened_street(tmp_path, "a") as (centre, houses):
        houses["a"].start()
        await all_have(houses["a"])
        assert centre.served == SIZE
        assert houses["a"].artifacts.given(WANTED.digest, SIZE) == 0


async def test_when_the_puller_dies_another_goes_on_from_what_it_has(tmp_path):
    async with opened_street(tmp_path, "a", "b", "c") as (centre, houses):
        # Its line stands still, and the others catch up with it.
        centre.most, centre.stops_at = 20_000, 40_000
        for house in houses.values():
            house.start()
        # Less than a record more is not worth a request.
        caught_up = 40_000 - limits.SHARE_RECORD_BYTES + 1
        await asyncio.gather(*(house.holds(caught_up) for house in houses.values()))
        (puller,) = centre.askers
        await houses.pop(puller).stop()
        centre.hold.set()
        await all_have(*houses.values())
        assert len(centre.askers) == 2
        assert centre.served <= SIZE * 1.2


async def test_who_begins_to_pull_asks_its_neighbours_once_more(tmp_path, monkeypatch):
    async with opened_street(tmp_path, "a", "b") as (centre, houses):
        a, b = houses.values()
        for house in houses.values():
            house.start()
        await all_have(a, b)
        # What b heard of a before a had any of it is held to be new for an hour.
        monkeypatch.setattr(limits, "SHARE_LOOK_MS", 3_600_000)
        file = b.neighbourhood._known(WANTED, held=0)
        file.heard_ms, file.since_ms = SystemClock().mono_ms(), MonoMs(0)
        nothing = Says(held=0, able=True)
        assert await b.neighbourhood.advise(WANTED, nothing) == Pull()
        advice = await b.neighbourhood.advise(WANTED, nothing, afresh=True)
        assert advice == TakeFrom("a", SIZE)
        assert centre.served == SIZE


async def test_a_puller_that_stands_still_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SHARE_STALL_MS", 300)
    async with opened_street(tmp_path, "a", "b") as (centre, houses):
        centre.hold.clear()
        for house in houses.values():
            house.start()
        waiting = asyncio.create_task(all_have(*houses.values()))
        while len(centre.askers) < 2:
            # Both hang at the coordinator: neither waits for the other for ever.
            if all(house.artifacts.turn.is_leased for house in houses.values()):
                break
            await asyncio.sleep(0.001)
        centre.hold.set()
        await waiting


async def test_who_may_not_use_its_line_has_the_file_from_who_may(tmp_path):
    async with opened_street(tmp_path, "a", "b") as (centre, houses):
        houses["a"].gate.shut = Shut("half of the link's bytes are spent", 60_000)
        for house in houses.values():
            house.start()
        await all_have(houses["b"])
        await houses["a"].holds(SIZE)
        await all_have(houses["a"])
        assert centre.askers == {"b"}


def alter(house: House) -> None:
    """Let a gateway's shelf give bytes that are not the file's."""
    true = house.shelf.read

    def read(wanted: Wanted, start: int, size: int) -> bytes:
        return bytes(byte ^ 1 for byte in true(wanted, start, size))

    house.shelf.read = read  # type: ignore[method-assign]  # a gateway that lies


async def test_a_neighbour_that_alters_bytes_is_caught_and_left_alone(tmp_path):
    async with opened_street(tmp_path, "liar", "b") as (centre, houses):
        liar, honest = houses["liar"], houses["b"]
        liar.start()
        await all_have(liar)
        alter(liar)
        honest.start()
        await all_have(honest)
        assert honest.artifacts.taken == SIZE, "it was believed once"
        assert liar.sharing.given == SIZE, "and never again"
        assert centre.served == 2 * SIZE
        assert honest.artifacts.given(WANTED.digest, SIZE) == 0


async def test_once_a_neighbour_lied_the_coordinator_is_asked_and_no_other_neighbour(tmp_path):
    async with opened_street(tmp_path, "a", "b", "c") as (centre, houses):
        *liars, last = houses.values()
        for house in liars:
            house.start()
        await all_have(*liars)
        before = sum(house.sharing.given for house in liars)
        for house in liars:
            alter(house)
        last.start()
        await all_have(last)
        assert sum(house.sharing.given for house in liars) - before == SIZE
        assert centre.served == 2 * SIZE


async def test_a_neighbour_that_gives_nothing_of_what_it_has_is_not_waited_for(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(limits, "SHARE_PIECE_S", 0.2)
    async with opened_street(tmp_path, "a", "b") as (centre, houses):
        a, b = houses.values()
        a.start()
        await all_have(a)
        a.sharing._due_s = asyncio.get_running_loop().time() + 3_600
        b.start()
        await all_have(b)
        assert b.artifacts.taken == 0
        assert centre.served == 2 * SIZE


async def test_a_whole_file_is_offered_when_its_order_is_over(tmp_path):
    async with opened_street(tmp_path, "a", "b") as (centre, houses):
        houses["a"].start()
        await all_have(houses["a"])
        houses["a"].orders.clear()
        houses["a"].artifacts.wake()
        houses["b"].start()
        await all_have(houses["b"])
        assert centre.served == SIZE


async def test_another_site_has_nothing_from_here(tmp_path):
    async with opened_street(tmp_path, "a", "b", site={"b": "east"}) as (centre, houses):
        for house in houses.values():
            house.start()
        await all_have(*houses.values())
        assert centre.served == 2 * SIZE


async def taken(house: House, giver: TakeFrom, wanted: Wanted) -> bytes | None:
    """Ask for the first bytes of a file; None: they were not given."""
    got = bytearray()

    def take(_head: object, stream: object) -> None:
        while data := stream.read1(1 << 16):  # type: ignore[attr-defined]  # a reader
            got.extend(data)

    span = Span(0, min(wanted.size, 1000))
    end = await house.neighbourhood.get(giver, wanted, span, take)
    return bytes(got) if isinstance(end, Delivered) else None


async def test_only_who_knows_the_hash_and_the_size_is_given_anything(tmp_path):
    async with opened_street(tmp_path, "a", "b") as (_, houses):
        a, b = houses["a"], houses["b"]
        a.start()
        await all_have(a)
        b.start()
        await all_have(b)
        await b.neighbourhood._ask_all(WANTED, b.neighbourhood._known(WANTED, held=0))
        (place,) = b.sharing.places
        for near in (Wanted(WANTED.digest, SIZE - 1), Wanted(sha256(b"other").digest(), SIZE)):
            assert await b.neighbourhood._ask(place, near) is None
        assert await taken(b, TakeFrom("a", SIZE), WANTED) == DATA[:1000]
        # Whoever saw a request knows the name it has on the LAN, and cannot prove more.
        key = a.sharing._household.key(WANTED)
        with pytest.raises(RefusedError) as told:
            key.check(b"n" * 16, "state", key.prove(b"m" * 16, "state"))
        assert told.value.reason is Reason.THRESHOLD_NOT_MET


async def test_who_is_refused_is_not_heard_again_on_that_connection(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "SHARE_REFUSED_S", 3_600)
    monkeypatch.setattr(limits, "SHARE_REQUEST_S", 1)
    async with opened_street(tmp_path, "a", "b") as (_, houses):
        a, b = houses["a"], houses["b"]
        a.start()
        await all_have(a)
        b.start()
        await all_have(b)
        (place,) = b.sharing.places
        asked = f"GET {PATH}{'0' * 32} HTTP/1.1\r\nAuthorization: x\r\n\r\n".encode()
        answers = []
        for _ in range(limits.SHARE_CONNECTIONS + 2):
            reader, writer = await asyncio.open_connection(place.address, place.port)
            writer.write(asked * 2)
            answers.append(b"")
            with contextlib.suppress(ConnectionError):
                answers[-1] = await reader.read()
            writer.close()
        counts = [answer.count(b"404 Not Found") for answer in answers]
        assert set(counts[:4]) == {1}
        assert counts[-1] == 0, "all places are taken by who was refused"


async def test_nothing_listens_while_there_is_no_file_to_share(tmp_path):
    async with opened_street(tmp_path, "a") as (_, houses):
        house = houses["a"]
        house.orders.clear()
        house.start()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not house.sharing._listener.is_open
        assert house.sharing.places == ()


async def test_a_small_file_on_the_shelf_opens_no_port(tmp_path):
    async with opened_street(tmp_path, "a") as (_, houses):
        house, small = houses["a"], Wanted(sha256(b"small").digest(), 5)
        house.orders.clear()
        with contextlib.closing(house.shelf.open_part(small)) as part:
            part.write(b"small")
        house.shelf.finish(small)
        await house.sharing._refresh()
        assert not house.sharing._listener.is_open


async def test_a_failed_beacon_keeps_no_file_from_coming(tmp_path):
    async with opened_street(tmp_path, "a") as (centre, houses):
        house = houses["a"]

        async def refuse(networks: Sequence[Network], port: int, found: Callable[[], None]) -> None:
            raise OSError(f"nobody is told of {port} at {networks} by {found}")

        house.sharing._beacon.light = refuse  # type: ignore[method-assign]  # a box without a LAN
        house.start()
        await all_have(house)
        assert centre.served == SIZE


def test_a_span_is_sealed_to_its_request_alone():
    key = FileKey.derive(b"f", "s", digest=WANTED.digest, size=SIZE)
    record = key.seal(b"n" * 16, b"s" * 16, "state").put(b"hello")
    assert key.seal(b"n" * 16, b"s" * 16, "state").take(record) == b"hello"
    for other in (
        key.seal(b"m" * 16, b"s" * 16, "state"),
        key.seal(b"n" * 16, b"t" * 16, "state"),
        key.seal(b"n" * 16, b"s" * 16, "bytes=0-4"),
        FileKey.derive(b"f", "t", digest=WANTED.digest, size=SIZE).seal(
            b"n" * 16, b"s" * 16, "state"
        ),
    ):
        with pytest.raises(RefusedError):
            other.take(record)
