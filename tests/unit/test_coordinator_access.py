"""Who may do what, and an audit log that shows when it was changed."""

from functools import partial

import pytest

from coordinator.api.router import PUBLIC
from coordinator.api.routes import ROUTES
from coordinator.core.access import (
    ADMIN,
    APPROVER,
    OPERATOR,
    ROLES,
    SCOPES,
    VIEWER,
    Principal,
    check_scopes,
    exceeds,
)
from coordinator.core.audit import (
    BEGINNING,
    START,
    Broken,
    Entry,
    Head,
    actor_at,
    chained,
    follow,
    parse_head,
    split_actor,
)
from coordinator.core.ports import fetch
from coordinator.store.sqlite import SqliteStore
from coordinator.transactions.audit import list_audit, verify_audit
from coordinator.transactions.rows import audit
from shared.clock import WallMs
from shared.errors import MistakeError
from shared.model.selector import parse_selector
from tests.stores import ENGINES, open_store, tell


def who(scope, **changes):
    return Principal(token_id="t", name="n", scope=scope, **changes)


# --- roles and scopes ---------------------------------------------------------------------------
def test_every_scope_of_the_url_table_is_given_to_somebody_on_purpose():
    assert {route.scope for route in ROUTES if route.scope != PUBLIC} <= SCOPES.keys()


def test_an_admin_may_everything_and_the_others_what_is_said():
    for scope in SCOPES:
        assert who(ADMIN).may(scope)
    assert not who(VIEWER).may("jobs:write")
    assert who(OPERATOR).may("jobs:write")
    assert not who(OPERATOR).may("approvals:write"), "who asks for a job does not agree to it"
    assert who(APPROVER).may("approvals:write")
    assert not who(APPROVER).may("jobs:write")
    for role in (VIEWER, OPERATOR, APPROVER):
        assert not who(role).may("tokens:write")
        assert not who(role).may("agents:write")
        assert not who(role).may("audit:read")


def test_what_nobody_granted_is_denied():
    for scope in ("", "root", "jobs", "jobs:", ":read", "*"):
        assert not who(scope).may("jobs:read")
    assert not who(VIEWER).may("secrets:read"), "a scope that is in no table belongs to no role"


def test_single_scopes_and_roles_add_up():
    both = who("viewer,jobs:write")
    assert both.may("agents:read")
    assert both.may("jobs:write")
    assert not both.may("agents:write")


@pytest.mark.parametrize(
    ("scopes", "place", "said"),
    [
        ([], "scopes", "has 1 to"),
        (["viewer"] * 33, "scopes", "has 1 to"),
        (["viewer", "operater"], r"scopes\[1\]", "did you mean operator"),
        (["jobs:reed"], r"scopes\[0\]", "did you mean jobs:read"),
        (["a,admin"], r"scopes\[0\]", "no role or scope"),
        ([""], r"scopes\[0\]", "no role or scope"),
    ],
)
def test_a_mistyped_scope_is_named_with_what_was_meant(scopes, place, said):
    with pytest.raises(MistakeError, match=f"{place}: .*{said}"):
        check_scopes(scopes)


def test_nobody_gives_away_what_he_has_not():
    assert exceeds("viewer", who("operator")) is None
    assert exceeds("operator", who("viewer")) == "jobs:write"
    everything = ",".join(SCOPES)
    assert exceeds("admin", who(everything)) == ADMIN, "an admin may also what comes later"
    assert exceeds(everything, who("admin")) is None
    assert set(ROLES) == {VIEWER, OPERATOR, APPROVER, ADMIN}


def test_a_limited_token_sees_what_matches():
    limited = who("viewer", limit=parse_selector("site=north"))
    assert limited.sees({"site": "north"})
    assert not limited.sees({"site": "south"})
    assert not limited.sees({})
    assert who("viewer").sees({})


# --- the audit log ------------------------------------------------------------------------------
def entries(count):
    made, before = [], BEGINNING
    for number in range(1, count + 1):
        entry = Entry(
            number=number, at_ms=number, actor="a", source="", action="b", object="c", detail="{}"
        )
        before = chained(before, entry)
        made.append((entry, before))
    return made


def test_who_and_from_where_are_one_text_and_two():
    assert split_actor(actor_at("token:ab anna", "::1")) == ("token:ab anna", "::1")
    assert split_actor("init") == ("init", "")


def test_every_field_of_an_entry_is_under_its_hash():
    ((entry, digest),) = entries(1)
    for name in ("at_ms", "actor", "source", "action", "object", "detail", "number"):
        old = getattr(entry, name)
        fields = {field: getattr(entry, field) for field in Entry.__slots__}
        other = Entry(**fields | {name: old + 1 if isinstance(old, int) else old + "x"})
        assert chained(BEGINNING, other) != digest, name
    assert chained(bytes(31) + b"x", entry) != digest


def test_a_whole_log_leads_to_its_head():
    made = entries(5)
    assert follow(START, made) == Head(5, made[-1][1])


def test_an_entry_that_was_taken_out_shows():
    made = entries(5)
    assert follow(START, [*made[:2], *made[3:]]) == Broken(3, "is missing: entry 4 comes next")


def test_a_chain_that_was_made_anew_does_not_lead_through_a_head_kept_elsewhere():
    made = entries(5)
    noted = Head(3, made[2][1])
    assert follow(START, made, expected=noted) == Head(5, made[-1][1])
    other = Head(3, bytes(32))
    found = follow(START, made, expected=other)
    assert found == Broken(3, "is another one than when its hash was noted")


def test_a_head_is_read_as_it_was_printed():
    head = Head(7, bytes(range(32)))
    assert parse_head(head.text) == head
    for text in ("", "7", "7:", "x:" + "0" * 64, "7:" + "0" * 62, "-1:" + "0" * 64):
        assert parse_head(text) is None


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    async with open_store(request.param, tmp_path) as opened:
        for number in range(1, 6):
            body = partial(
                audit,
                WallMs(number),
                actor="token:x anna from 192.0.2.7",
                action="job.submit",
                object_=f"job:{number}",
                detail={"n": number},
            )
            await opened.run(body, durable=False)
        yield opened


async def change(store, statement):
    """What somebody does who owns the database: the triggers do not stop him."""
    where = "" if isinstance(store, SqliteStore) else " ON audit"
    for trigger in ("audit_keeps_what_was_written", "audit_forgets_nothing"):
        await tell(store, f"DROP TRIGGER {trigger}{where}")
    await tell(store, statement)


async def test_a_log_that_nobody_touched_is_found_whole(store):
    head = await store.read(partial(verify_audit, None))
    assert isinstance(head, Head)
    assert head.number == 5
    assert await store.read(partial(verify_audit, head)) == head
    listed, more = await store.read(
        partial(list_audit, before=1 << 50, action="", object_="", size=2)
    )
    assert more
    assert [entry.number for entry in listed] == [5, 4]
    assert (listed[0].actor, listed[0].source) == ("token:x anna", "192.0.2.7")
    assert listed[0].hash == head.hash.hex()
    assert listed[0].detail == {"n": 5}


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE number = 2", 2),
        ("UPDATE audit SET source = '' WHERE number = 1", 1),
        ("UPDATE audit SET detail = '{}' WHERE number = 5", 5),
        ("UPDATE audit SET at_ms = 7 WHERE number = 4", 4),
        ("UPDATE audit SET hash = substr(hash, 2) WHERE number = 3", 3),
        ("DELETE FROM audit WHERE number = 3", 3),
        ("DELETE FROM audit WHERE number = 1", 1),
    ],
)
async def test_a_changed_entry_is_found(store, statement, number):
    await change(store, statement)
    found = await store.read(partial(verify_audit, None))
    assert isinstance(found, Broken)
    assert found.number == number


async def test_a_log_that_was_cut_off_shows_against_a_head_kept_elsewhere(store):
    head = await store.read(partial(verify_audit, None))
    await change(store, "DELETE FROM audit WHERE number > 3")
    assert (await store.read(partial(verify_audit, None))).number == 3, "alone it is a good log"
    assert await store.read(partial(verify_audit, head)) == Broken(
        4, "is missing: the log was longer once"
    )


async def test_an_entry_is_undone_with_its_change(store):
    def fails():
        yield from audit(WallMs(9), actor="a", action="b", object_="c", detail={})
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        await store.run(fails, durable=False)
    rows = await store.read(partial(fetch, "audit_head"))
    assert rows[0][0] == 5
