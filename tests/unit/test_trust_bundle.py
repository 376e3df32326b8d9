"""Each check of a bundle has an attack that only this check stops."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shared import limits
from shared.clock import WallMs
from shared.errors import Reason, RefusedError
from shared.ids import AgentId, KeyId
from shared.model.job import JobSpec, Step
from shared.trust.admission import Held, admit_bundle, may_begin
from shared.trust.counters import Counters
from shared.trust.documents import BUNDLE_TYP, REPLY_TYP
from shared.trust.envelope import seal
from shared.trust.policy import ClassRule
from shared.wire.codec import pack
from tests.unit.trust_world import (
    DAY,
    GRACE_S,
    HOUR,
    NOW,
    READ,
    SPEC,
    World,
    kid,
    make_catalog,
    make_grant,
    make_policy,
    make_root,
    make_trust,
    signer,
)

WORLD = World()


GRANT = make_grant()


def refused(data: bytes, held: Held | None = None) -> Reason:
    with pytest.raises(RefusedError) as caught:
        admit_bundle(data, held or WORLD.held())
    return caught.value.reason


def sealed(**changes: Any) -> bytes:
    return WORLD.seal_bundle(WORLD.bundle(GRANT, **changes))


def test_a_good_bundle_is_admitted_with_everything_that_must_be_kept() -> None:
    bundle = WORLD.bundle(GRANT, seq=4, issued_ms=NOW + 5, cancels=[b"c" * 16], config=b"d" * 32)
    admitted = admit_bundle(WORLD.seal_bundle(bundle), WORLD.held())
    assert [job.spec for job in admitted.jobs] == [SPEC]
    assert admitted.refused == ()
    assert (admitted.seq, admitted.floor_ms) == (4, NOW + 5)
    assert (admitted.cancels, admitted.config) == ((b"c" * 16,), b"d" * 32)
    expected = WORLD.counters(bundle_seq=4, floor_ms=NOW + 5)
    assert admitted.counters == expected


# --- who signed it, and what it is ----------------------------------------------------------------
@pytest.mark.parametrize("by", ["mallory", "root-1", "release", "enrol", "agent"])
def test_only_the_director_orders(by: str) -> None:
    data = WORLD.seal_bundle(WORLD.bundle(GRANT), by=by)
    assert refused(data) is Reason.THRESHOLD_NOT_MET


def test_every_altered_byte_of_a_bundle_is_refused() -> None:
    good = sealed()
    for index in range(len(good)):
        altered = good[:index] + bytes([good[index] ^ 1]) + good[index + 1 :]
        refused(altered)


def test_every_truncated_bundle_is_refused() -> None:
    good = sealed()
    for size in range(len(good)):
        refused(good[:size])


def test_a_reply_is_no_bundle() -> None:
    data = seal(REPLY_TYP, pack(WORLD.bundle(GRANT)), [signer("director")])
    assert refused(data) is Reason.WRONG_TYPE


def test_a_bundle_that_its_own_signer_packed_in_another_form_is_refused() -> None:
    packed = pack(WORLD.bundle(GRANT))
    overlong = packed.replace(b"\x01\x01\x01\x01\x00\x01", b"\x01\x01\x01\x01\x00\xcc\x01")
    assert overlong != packed
    assert refused(seal(BUNDLE_TYP, overlong, [signer("director")])) is Reason.NOT_CANONICAL


def test_an_unknown_field_in_a_bundle_or_a_job_is_refused() -> None:
    plain = [*msgspec.to_builtins(WORLD.bundle(GRANT), builtin_types=(bytes,)), 1]
    assert refused(seal(BUNDLE_TYP, pack(plain), [signer("director")])) is Reason.BAD_SCHEMA
    job = [*msgspec.to_builtins(SPEC, builtin_types=(bytes,)), "only at night"]
    admitted = admit_bundle(
        WORLD.seal_bundle(WORLD.bundle(make_grant(spec=pack(job)))), WORLD.held()
    )
    assert [job.reason for job in admitted.refused] == [Reason.BAD_SPEC]


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_ms": NOW - 1},
        {"not_before_ms": NOW + DAY + 1},
        {"seq": -1},
        {"restore_epoch": -1},
        {"stale_s": -1},
        {"grants": [GRANT] * (limits.GRANTS_PER_BUNDLE + 1)},
    ],
)
def test_a_bundle_that_makes_no_sense_is_refused_whoever_signed_it(changes: dict[str, Any]) -> None:
    assert refused(sealed(**changes)) is Reason.BAD_SCHEMA


# --- whom it is for, and under what ---------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fleet": bytes(16)}, Reason.WRONG_FLEET),
        ({"agent": "south-1"}, Reason.WRONG_AUDIENCE),
        ({"agent_key": bytes(8)}, Reason.WRONG_AUDIENCE),
        ({"jobs_epoch": b"k" * 16}, Reason.WRONG_STORE),
        ({"epoch": 2}, Reason.WRONG_EPOCH),
        ({"epoch": 0}, Reason.WRONG_EPOCH),
        ({"root_version": 2}, Reason.WRONG_ROOT_VERSION),
        ({"root_version": 0}, Reason.WRONG_ROOT_VERSION),
        ({"catalog_version": 2}, Reason.WRONG_CATALOG_VERSION),
        ({"catalog_version": 0}, Reason.WRONG_CATALOG_VERSION),
        ({"policy_version": 2}, Reason.WRONG_POLICY_VERSION),
        ({"policy_version": 0}, Reason.WRONG_POLICY_VERSION),
    ],
)
def test_a_bundle_with_one_wrong_field_is_refused(changes: dict[str, Any], reason: Reason) -> None:
    assert refused(sealed(**changes)) is reason


def test_a_bundle_of_an_older_epoch_is_refused_although_its_key_and_number_are_good() -> None:
    renewed = World(trust=make_trust(make_root(version=2, epoch=2), make_catalog(epoch=2)))
    old = WORLD.bundle(GRANT, seq=9, root_version=2)
    assert refused(WORLD.seal_bundle(old), renewed.held()) is Reason.WRONG_EPOCH


def test_without_a_catalog_or_a_policy_nothing_is_admitted() -> None:
    trust = make_trust()
    for lacking, reason in (
        (changed_trust(trust, catalog=None), Reason.WRONG_CATALOG_VERSION),
        (changed_trust(trust, policy=None), Reason.WRONG_POLICY_VERSION),
    ):
        assert refused(sealed(), WORLD.held(trust=lacking)) is reason
        assert refused(sealed(catalog_version=0, policy_version=0), WORLD.held(trust=lacking)) in {
            Reason.WRONG_CATALOG_VERSION,
            Reason.WRONG_POLICY_VERSION,
        }


def changed_trust(trust: Any, **changes: Any) -> Any:
    fields = {name: getattr(trust, name) for name in trust.__slots__}
    return type(trust)(**(fields | changes))


def test_an_order_that_was_held_back_does_not_survive_the_memory_of_what_ran() -> None:
    """The counters' file outlives the database, and a number above them may have been signed."""
    survivor = WORLD.held(jobs_epoch=b"k" * 16, counters=WORLD.counters(bundle_seq=1))
    assert refused(sealed(seq=2), survivor) is Reason.WRONG_STORE
    assert admit_bundle(sealed(seq=2, jobs_epoch=b"k" * 16), survivor).seq == 2


# --- counters -------------------------------------------------------------------------------------
def test_an_agent_that_lost_its_counters_admits_nothing() -> None:
    assert refused(sealed(seq=10**9), WORLD.held(counters=None)) is Reason.UNATTESTED


@pytest.mark.parametrize("seq", [0, 1, 2])
def test_a_replayed_bundle_is_refused(seq: int) -> None:
    held = WORLD.held(counters=WORLD.counters(bundle_seq=2))
    assert refused(sealed(seq=seq), held) is Reason.REPLAYED
    assert admit_bundle(sealed(seq=3), held).seq == 3


def test_a_restored_coordinator_counts_anew_and_the_one_before_it_counts_no_more() -> None:
    held = WORLD.held(counters=WORLD.counters(bundle_seq=500, restore_epoch=1))
    admitted = admit_bundle(sealed(seq=3, restore_epoch=2), held)
    assert admitted.counters == WORLD.counters(bundle_seq=3, restore_epoch=2)
    assert refused(sealed(seq=501, restore_epoch=0), held) is Reason.WRONG_RESTORE_EPOCH
    assert refused(sealed(seq=500, restore_epoch=1), held) is Reason.REPLAYED


@pytest.mark.parametrize("ahead", ["root_version", "catalog_version", "policy_version"])
def test_documents_that_were_put_back_on_the_disk_admit_nothing(ahead: str) -> None:
    held = WORLD.held(counters=WORLD.counters(**{ahead: 2}))
    assert refused(sealed(), held) is Reason.ROLLED_BACK


def test_a_root_of_an_older_epoch_that_was_put_back_admits_nothing() -> None:
    later = Counters(epoch=2, root_version=1)
    assert refused(sealed(), WORLD.held(counters=later)) is Reason.ROLLED_BACK


def test_counters_of_an_older_epoch_begin_anew_under_the_next_root() -> None:
    """A power cut between storing a root and its counters must not stop the gateway for ever."""
    world = World(
        trust=make_trust(make_root(version=2, epoch=2), make_catalog(epoch=2), make_policy(epoch=2))
    )
    exhausted = Counters(epoch=1, root_version=1, catalog_version=99, bundle_seq=limits.INT_MAX)
    data = world.seal_bundle(world.bundle(GRANT))
    assert admit_bundle(data, world.held(counters=exhausted)).counters.bundle_seq == 1


# --- time -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("known", [{"floor_ms": NOW + 9}, {"now_ms": NOW + 9}])
def test_an_expired_bundle_is_refused_by_the_floor_and_by_the_verified_present(
    known: dict[str, Any],
) -> None:
    assert admit_bundle(sealed(expires_ms=NOW + 9), WORLD.held(**known)).seq == 1
    assert refused(sealed(expires_ms=NOW + 8), WORLD.held(**known)) is Reason.EXPIRED


def test_a_bundle_is_refused_until_its_time_has_provably_come() -> None:
    early = sealed(not_before_ms=NOW + 5)
    assert refused(early) is Reason.NOT_YET_VALID
    assert refused(early, WORLD.held(now_ms=NOW + 4)) is Reason.NOT_YET_VALID
    assert admit_bundle(early, WORLD.held(now_ms=NOW + 5)).seq == 1
    assert admit_bundle(early, WORLD.held(floor_ms=NOW + 5)).seq == 1


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (World(make_trust(make_root(expires_ms=NOW + HOUR))), Reason.ROOT_EXPIRED),
        (World(make_trust(None, make_catalog(expires_ms=NOW + HOUR))), Reason.CATALOG_EXPIRED),
        (
            World(make_trust(None, None, make_policy(expires_ms=NOW + HOUR))),
            Reason.POLICY_EXPIRED,
        ),
    ],
)
def test_nothing_is_admitted_under_an_expired_document(world: World, reason: Reason) -> None:
    data = world.seal_bundle(world.bundle(GRANT))
    assert admit_bundle(data, world.held(floor_ms=NOW + HOUR)).jobs
    assert refused(data, world.held(floor_ms=NOW + HOUR + 1)) is reason
    assert refused(data, world.held(now_ms=NOW + HOUR + 1)) is reason


def test_a_bundle_that_was_issued_after_the_roots_end_is_refused() -> None:
    end = WORLD.root.expires_ms
    late = sealed(issued_ms=end + 1, not_before_ms=end + 1, expires_ms=end + DAY)
    assert refused(late) is Reason.ROOT_EXPIRED


def test_a_bundle_is_stale_once_the_coordinator_was_silent_too_long() -> None:
    held = WORLD.held(silent_ms=60_000)
    assert admit_bundle(sealed(stale_s=60), held).jobs[0].grace_s == 60
    assert refused(sealed(stale_s=59), held) is Reason.OUT_OF_TOUCH


# --- its jobs -------------------------------------------------------------------------------------
def reasons(*grants: Any, **held: Any) -> list[Reason]:
    admitted = admit_bundle(WORLD.seal_bundle(WORLD.bundle(*grants)), WORLD.held(**held))
    assert len(admitted.jobs) + len(admitted.refused) == len(grants)
    return [job.reason for job in admitted.refused]


def test_one_bad_job_is_refused_and_the_others_stand() -> None:
    unknown = make_grant(JobSpec(name="odd", steps=[Step("x", "device.explode")]))
    garbage = make_grant(spec=b"\xc1garbage", execution=b"g" * 16)
    assert reasons(GRANT, unknown, garbage) == [Reason.BAD_PARAMETERS, Reason.BAD_SPEC]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"setpoint": 5001}, Reason.OUT_OF_BOUNDS),
        ({"setpoint": 1, "trip": 0}, Reason.OUT_OF_BOUNDS),
    ],
)
def test_a_job_outside_the_catalog_is_refused(params: dict[str, Any], reason: Reason) -> None:
    spec = JobSpec(name="x", steps=[Step("a", "device.write", params)])
    assert reasons(make_grant(spec)) == [reason]


def test_an_action_that_the_catalog_does_not_name_is_refused() -> None:
    catalog = make_catalog(actions={"device.read": make_catalog().actions["device.read"]})
    world = World(make_trust(None, catalog))
    admitted = admit_bundle(world.seal_bundle(world.bundle(GRANT)), world.held())
    assert [job.reason for job in admitted.refused] == [Reason.ACTION_NOT_ALLOWED]


@pytest.mark.parametrize(
    ("spec", "job_class", "reason"),
    [
        (SPEC, "harmless", Reason.UNKNOWN_CLASS),
        (SPEC, "", Reason.UNKNOWN_CLASS),
        (SPEC, "observe", Reason.CLASS_EXCEEDED),
        (JobSpec("s", [Step("a", "device.write", {"start": 1})]), "operate", Reason.CLASS_EXCEEDED),
        (
            JobSpec("s", [*READ.steps, Step("a", "device.write", {"start": 1})]),
            "observe",
            Reason.CLASS_EXCEEDED,
        ),
    ],
)
def test_a_job_cannot_hide_in_a_class_that_asks_for_less(
    spec: JobSpec, job_class: str, reason: Reason
) -> None:
    assert reasons(make_grant(spec, job_class)) == [reason]


@pytest.mark.parametrize("place", ["final_steps", "compensation"])
def test_what_may_not_be_done_may_not_be_done_at_the_end_either(place: str) -> None:
    bad = [Step("b", "device.write", {"setpoint": 5001})]
    assert reasons(make_grant(replace(SPEC, **{place: bad}))) == [Reason.OUT_OF_BOUNDS]
    more = [Step("b", "device.write", {"start": 1})]
    assert reasons(make_grant(replace(SPEC, **{place: more}))) == [Reason.CLASS_EXCEEDED]


def test_a_class_bounds_how_long_its_jobs_run_without_word_from_the_coordinator() -> None:
    strict = ClassRule(0, [], 60, {"device.write": []})
    world = World(make_trust(None, None, make_policy(classes={"operate": strict})))
    data = world.seal_bundle(world.bundle(GRANT))
    assert admit_bundle(data, world.held(silent_ms=60_000)).jobs[0].grace_s == 60
    [job] = admit_bundle(data, world.held(silent_ms=60_001)).refused
    assert job.reason is Reason.OUT_OF_TOUCH


def begin(held: Held, *, until: int = NOW + DAY, grace_s: int = GRACE_S, **job: Any) -> None:
    may_begin(
        job.get("spec", SPEC),
        job_class=job.get("job_class", "operate"),
        not_after_ms=WallMs(until),
        grace_s=grace_s,
        held=held,
    )


def test_an_admitted_job_may_begin_although_documents_expired_since() -> None:
    begin(WORLD.held(floor_ms=NOW + 400 * DAY), until=NOW + 401 * DAY)


@pytest.mark.parametrize(
    ("held", "job", "reason"),
    [
        ({"floor_ms": NOW + 2}, {"until": NOW + 1}, Reason.JOB_EXPIRED),
        ({"now_ms": NOW + 2}, {"until": NOW + 1}, Reason.JOB_EXPIRED),
        ({"silent_ms": 5_001}, {"grace_s": 5}, Reason.OUT_OF_TOUCH),
        ({"trust": make_trust(None, make_catalog(profiles=[]))}, {}, Reason.OUT_OF_BOUNDS),
        (
            {"trust": make_trust(None, None, make_policy(classes={}))},
            {},
            Reason.UNKNOWN_CLASS,
        ),
        ({}, {"job_class": "observe"}, Reason.CLASS_EXCEEDED),
    ],
)
def test_an_admitted_job_does_not_begin_once_something_has_taken_its_leave_away(
    held: dict[str, Any], job: dict[str, Any], reason: Reason
) -> None:
    with pytest.raises(RefusedError) as caught:
        begin(WORLD.held(**held), **job)
    assert caught.value.reason is reason


def test_a_copied_name_with_another_key_gets_nothing() -> None:
    thief = WORLD.held(agent_key=KeyId(kid("thief")))
    assert refused(sealed(), thief) is Reason.WRONG_AUDIENCE
    assert refused(sealed(), WORLD.held(agent=AgentId("north-2"))) is Reason.WRONG_AUDIENCE
