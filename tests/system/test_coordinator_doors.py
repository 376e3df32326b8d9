"""Doors without a claim: a fingerprint told beforehand, and a person who accepts one that waits."""

import sqlite3
from contextlib import closing

import pytest

from shared import limits
from shared.ids import fingerprint
from shared.trust.documents import ENROLL_TYP
from shared.trust.envelope import KeySigner, seal
from shared.wire.codec import pack, unpack
from shared.wire.messages import EnrollAnswer, EnrollRequest
from tests.system.coordinator_world import open_world


@pytest.fixture
async def world(tmp_path):
    async with open_world(tmp_path) as made:
        yield made


class Box:
    """A box with a key and no claim."""

    def __init__(self, world, key=b"a", name="", labels=None):
        self.world, self.signer = world, KeySigner(key.ljust(32, b"."))
        self.request = EnrollRequest(b"", self.signer.public_key, name, labels or {})

    @property
    def fingerprint(self):
        return fingerprint(self.signer.public_key)

    @property
    def number(self):
        return self.fingerprint.replace(" ", "")[:12]

    async def asks(self):
        return await self.world.send(
            "/v1/enroll", seal(ENROLL_TYP, pack(self.request), [self.signer])
        )

    async def answer(self):
        answered = await self.asks()
        assert answered.status == 200, answered
        return unpack(answered.body, EnrollAnswer, bound=100_000)

    async def approved(self, **body):
        return await self.world.post(
            f"/v1/enrolments/{self.number}/approve", {"fingerprint": self.fingerprint, **body}
        )


async def register(world, box, **body):
    return await world.post("/v1/agents", {"fingerprint": box.fingerprint, **body})


async def waiting(world, state="PENDING"):
    return (await world.read(f"/v1/enrolments?state={state}"))["items"]


async def test_a_registered_fingerprint_lets_its_key_in_as_what_was_registered(world):
    box = Box(world, name="box-says", labels={"role": "pump", "site": "elsewhere"})
    made = await register(world, box, site="north", name="pump-1")
    assert (made.status, made.json["state"], made.json["id"]) == (201, "EXPECTED", box.number)
    answer = await box.answer()
    assert (answer.agent, answer.site, answer.again_s) == ("pump-1", "north", 0)
    assert (await world.read("/v1/agents/pump-1"))["labels"] == {"role": "pump", "site": "north"}
    assert await waiting(world, "EXPECTED") == [], "it is spent"
    assert await box.answer() == answer, "a lost answer is given again"


async def test_a_registered_fingerprint_lets_no_other_key_in(world):
    box, stranger = Box(world), Box(world, b"b")
    await register(world, box, site="north", name="pump-1")
    assert (await stranger.answer()).agent == ""
    assert (await box.answer()).agent == "pump-1"


async def test_a_fingerprint_is_read_however_it_was_written_down(world):
    box = Box(world)
    spelt = box.fingerprint.upper().replace(" ", ":")
    await world.post("/v1/agents", {"fingerprint": spelt, "site": "north"})
    assert (await box.answer()).agent.startswith("north-")


async def test_a_key_that_nobody_knows_waits_until_a_person_accepts_its_fingerprint(world):
    box = Box(world, name="pump-1", labels={"site": "north", "role": "pump"})
    answer = await box.answer()
    assert (answer.agent, answer.again_s) == ("", 5)
    (seen,) = await waiting(world)
    assert (seen["id"], seen["fingerprint"]) == (box.number, box.fingerprint)
    assert (seen["name"], seen["site"], seen["address"]) == ("pump-1", "north", "127.0.0.1")
    assert (await world.read("/v1/agents"))["items"] == [], "it is no agent"
    assert (await box.approved()).json["state"] == "EXPECTED"
    assert (await box.answer()).agent == "pump-1"


async def test_only_the_whole_right_fingerprint_accepts_a_key(world):
    box, other = Box(world, labels={"site": "north"}), Box(world, b"b")
    await box.answer()
    for wrong in (other.fingerprint, box.fingerprint[:14], box.number, ""):
        refused = await box.approved(fingerprint=wrong)
        assert (refused.status, refused.json["at"]) == (422, "fingerprint"), wrong
    assert (await box.answer()).agent == ""


async def test_a_key_that_was_rejected_is_told_so_whenever_it_asks(world):
    box = Box(world)
    await box.answer()
    await world.post(f"/v1/enrolments/{box.number}/reject", {})
    answered = await box.asks()
    assert (answered.status, answered.problem) == (403, "enrolment-rejected")
    assert [one["id"] for one in await waiting(world, "REJECTED")] == [box.number]
    await register(world, box, site="north")
    assert (await box.answer()).agent, "a person may think better of it"


async def test_a_site_is_needed_and_a_name_is_given_once(world):
    first, second = Box(world), Box(world, b"b")
    await first.answer()
    assert (await first.approved()).json["at"] == "site"
    assert (await first.approved(site="Not A Site")).json["at"] == "site"
    assert (await first.approved(site="north", name="pump")).status == 200
    taken = await register(world, second, site="north", name="pump")
    assert (taken.status, taken.json["at"]) == (422, "name")
    assert "taken" in taken.json["detail"]
    await first.answer()
    assert (await register(world, second, site="north", name="pump")).json["at"] == "name"


async def test_a_promised_name_is_not_given_to_a_claim(world):
    await register(world, Box(world), site="north", name="pump")
    gateway = await world.gateway("pump")
    assert gateway.name != "pump"


async def test_nothing_waits_under_a_number_that_nobody_has(world):
    for verb, body in (("approve", {"fingerprint": "00" * 16}), ("reject", {})):
        answered = await world.post(f"/v1/enrolments/000000000000/{verb}", body)
        assert (answered.status, answered.json["at"]) == (422, "path.enrolment")


async def test_strangers_cannot_ask_faster_than_a_person_could_read(world):
    for number in range(limits.ENROLMENTS_PER_MINUTE):
        await Box(world, b"%d" % number).answer()
    refused = await Box(world, b"late").asks()
    assert (refused.status, refused.problem) == (429, "enrolment-full")
    assert refused.headers["Retry-After"] == "60"
    assert (await Box(world, b"0").asks()).status == 200, "who waits already may ask on"
    assert len(await waiting(world)) == limits.ENROLMENTS_PER_MINUTE


def settle(world, statement, *values):
    with closing(sqlite3.connect(world.place.database)) as db, db:
        db.execute(statement, values)


async def fill(world, count, address):
    """Let keys wait since an hour ago, as an hour's patience would."""
    await Box(world, b"real").answer()
    for number in range(count):
        settle(
            world,
            "INSERT INTO enrolment SELECT ?, ?, 'PENDING', '', '', '{}', ?, first_ms - 3600000,"
            " asked_ms FROM enrolment LIMIT 1",
            f"{number:012x}",
            f"{number:032x}",
            address,
        )
    settle(world, "UPDATE enrolment SET first_ms = first_ms - 3600000")


@pytest.mark.parametrize(
    ("count", "address"),
    [
        (limits.ENROLMENTS - 1, "10.0.0.1"),
        (limits.ENROLMENTS_PER_ADDRESS - 1, "127.0.0.1"),
    ],
)
async def test_the_room_for_strangers_is_bounded_and_claims_do_not_need_it(world, count, address):
    await fill(world, count, address)
    refused = await Box(world, b"one more").asks()
    assert (refused.status, refused.problem) == (429, "enrolment-full")
    assert (await world.gateway("pump")).name == "pump"
    box = Box(world, b"expected")
    await register(world, box, site="north")
    assert (await box.answer()).agent, "a registered key needs no room"


async def test_who_has_not_asked_for_a_day_makes_room(world):
    await fill(world, limits.ENROLMENTS - 1, "10.0.0.1")
    settle(world, "UPDATE enrolment SET asked_ms = asked_ms - 90000000")
    assert (await Box(world, b"one more").answer()).agent == ""
    assert len(await waiting(world)) == 1


async def test_every_decision_is_in_the_audit_log(world):
    box = Box(world)
    await box.answer()
    await world.post(f"/v1/enrolments/{box.number}/reject", {})
    await register(world, box, site="north")
    await box.answer()
    with closing(sqlite3.connect(f"file:{world.place.database}?mode=ro", uri=True)) as db:
        actions = [a for (a,) in db.execute("SELECT action FROM audit ORDER BY number")]
    assert actions[1:] == ["enrolment.reject", "enrolment.register", "agent.enroll"]
