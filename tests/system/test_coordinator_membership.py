"""What agents say of themselves: another key, other labels, leave; and what an admin wishes."""

import asyncio
import json
from functools import partial

import pytest

from coordinator.place import open_fleet
from coordinator.transactions.carried import prepare_return
from coordinator.transactions.membership import take_word
from shared.clock import MonoMs, WallMs
from shared.errors import Reason, RefusedError
from shared.ids import AgentId, fingerprint
from shared.runtime.clock import SystemClock
from shared.trust.envelope import KeySigner, seal
from shared.trust.words import (
    LABELS_TYP,
    LEAVE_TYP,
    REKEY_TYP,
    Labels,
    Leave,
    Rekey,
    Wish,
    open_heard,
)
from shared.wire.codec import pack
from tests.stores import ENGINES
from tests.system.coordinator_world import NOW_MS, Gateway, body, open_world, rows
from tests.system.rest_client import Answered

NEW = KeySigner(b"new".ljust(32, b"."))
OTHER = KeySigner(b"other".ljust(32, b"."))


@pytest.fixture(params=ENGINES)
async def world(request, tmp_path):
    async with open_world(tmp_path, engine=request.param) as made:
        yield made


async def said(gateway, typ, word, *signers):
    return await gateway.client.send("/v1/word", seal(typ, pack(word), signers))


async def rekeyed(gateway, new=NEW, *, old=None):
    word = Rekey(gateway.root.fleet, gateway.name, new.public_key)
    return await said(gateway, REKEY_TYP, word, old or gateway.signer, new)


async def relabelled(gateway, number, **labels):
    word = Labels(gateway.root.fleet, gateway.name, number, labels)
    return await said(gateway, LABELS_TYP, word, gateway.signer)


async def left(gateway):
    word = Leave(gateway.root.fleet, gateway.name, gateway.previous)
    return await said(gateway, LEAVE_TYP, word, gateway.signer)


# --- another key --------------------------------------------------------------------------------
async def test_the_old_key_works_until_the_first_use_of_the_new_one_and_never_after(world):
    gateway = await world.gateway("pump")
    old = gateway.signer
    await gateway.contact()
    answered = await rekeyed(gateway)
    word = seal(REKEY_TYP, pack(Rekey(gateway.root.fleet, "pump", NEW.public_key)), [old, NEW])
    open_heard(answered.body, gateway.root, word=word, agent="pump")
    view = await world.read("/v1/agents/pump")
    assert view["fingerprint"] == fingerprint(old.public_key)
    assert view["next_fingerprint"] == fingerprint(NEW.public_key)
    await gateway.contact()
    gateway.signer = NEW
    await gateway.contact()
    view = await world.read("/v1/agents/pump")
    assert (view["fingerprint"], view["next_fingerprint"]) == (fingerprint(NEW.public_key), None)
    assert view["state"] == "ONLINE"
    refused = await world.sync(body(gateway.report(signer=old)))
    assert (refused.status, refused.problem) == (403, "signature-invalid")
    await gateway.contact()


async def test_saying_it_again_changes_nothing_at_any_step(world):
    gateway = await world.gateway("pump")
    old, answers = gateway.signer, []
    answers.append(await rekeyed(gateway))
    answers.append(await rekeyed(gateway))
    gateway.signer = NEW
    await gateway.contact()
    # The answer to the first use was lost, and the box says all of it again.
    refused = await rekeyed(gateway, old=old)
    assert (refused.status, refused.problem) == (403, "signature-invalid")
    assert [one.body for one in answers] == [answers[0].body] * 2
    await gateway.contact()


async def test_a_key_that_was_used_before_comes_never_back(world):
    gateway, neighbour = await world.gateway("pump"), await world.gateway("meter", site="south")
    old = gateway.signer
    await rekeyed(gateway)
    gateway.signer = NEW
    await gateway.contact()
    for used in (old, neighbour.signer):
        answered = await rekeyed(gateway, used)
        assert (answered.status, answered.problem) == (403, "key-replaced")
    again = await gateway.enroll()
    assert again.status == 200, "the key in use is who it is"
    gateway.signer = old
    answered = await gateway.enroll()
    assert (answered.status, answered.problem) == (403, "key-replaced")


async def test_a_new_key_that_was_lost_is_replaced_by_the_old_one_alone(world):
    gateway = await world.gateway("pump")
    await rekeyed(gateway)
    assert (await rekeyed(gateway, OTHER)).status == 200
    gateway.signer = NEW
    assert (await world.sync(body(gateway.report()))).status == 403
    third = KeySigner(b"third".ljust(32, b"."))
    answered = await rekeyed(gateway, third, old=NEW)
    assert (answered.status, answered.problem) == (403, "signature-invalid"), "it is forgotten"
    gateway.signer = OTHER
    await gateway.contact()


async def test_a_key_may_vouch_for_another_before_its_first_report_and_retires_the_old_one(world):
    gateway = await world.gateway("pump")
    first = gateway.signer
    await rekeyed(gateway)
    third = KeySigner(b"third".ljust(32, b"."))
    assert (await rekeyed(gateway, third, old=NEW)).status == 200
    gateway.signer = first
    assert (await world.sync(body(gateway.report()))).status == 403, "it was retired"
    gateway.signer = third
    await gateway.contact()


async def test_a_key_that_was_retired_while_its_word_was_on_the_way_says_nothing(world):
    gateway = await world.gateway("pump")
    old, fleet = gateway.signer, gateway.root.fleet
    await rekeyed(gateway)
    gateway.signer = NEW
    await gateway.contact()
    await world.post("/v1/agents/pump/decommission", {})
    words = (
        Rekey(fleet, "pump", OTHER.public_key),
        Labels(fleet, "pump", 1, {"role": "valve"}),
        Leave(fleet, "pump", gateway.previous),
    )
    async with open_fleet(world.place) as (store, _):
        for word in words:
            # Its signature was verified before; what counts is who the agent is by now.
            body = partial(
                take_word, AgentId("pump"), word, key=old.public_key, now_ms=WallMs(NOW_MS)
            )
            with pytest.raises(RefusedError) as caught:
                await store.run(body, durable=False)
            assert caught.value.reason is Reason.KEY_REPLACED
    view = await world.read("/v1/agents/pump")
    assert (view["state"], view["labels"]) == ("LEAVING", {"site": "north"})


@pytest.mark.parametrize("signers", [(NEW,), (OTHER, NEW), (OTHER,)])
async def test_nobody_changes_an_agents_key_without_its_key(world, signers):
    gateway = await world.gateway("pump")
    word = Rekey(gateway.root.fleet, "pump", NEW.public_key)
    answered = await said(gateway, REKEY_TYP, word, *signers)
    assert (answered.status, answered.problem) == (403, "signature-invalid")
    stranger = await said(
        gateway, REKEY_TYP, Rekey(bytes(16), "pump", NEW.public_key), gateway.signer, NEW
    )
    assert (stranger.status, stranger.problem) == (403, "wrong-fleet")
    nobody = await said(gateway, REKEY_TYP, Rekey(gateway.root.fleet, "x", NEW.public_key), NEW)
    assert (nobody.status, nobody.problem) == (403, "agent-unknown")


async def test_no_work_is_signed_while_two_keys_are_good_and_then_for_the_new_one(world):
    gateway = await world.gateway("pump")
    await gateway.contact()
    await rekeyed(gateway)
    await world.submit()
    _, admitted = await gateway.contact()
    assert admitted is None
    gateway.signer = NEW
    admitted = await gateway.ordered()
    assert len(admitted.jobs) == 1


async def test_a_bundle_for_the_key_before_is_refused(world):
    gateway = await world.gateway("pump")
    await gateway.contact()
    await world.submit()
    frozen = gateway.report()
    answered = await world.sync(body(frozen))
    gateway.signer = NEW
    with pytest.raises(RefusedError) as caught:
        gateway.answered_by(frozen, answered)
    assert caught.value.reason is Reason.WRONG_AUDIENCE
    assert "another key" in caught.value.detail


async def test_an_admins_wish_is_told_until_the_agent_uses_another_key(world):
    gateway = await world.gateway("pump")
    reply, _ = await gateway.contact()
    assert reply.wish == Wish.NONE
    view = (await world.post("/v1/agents/pump/rekey", {})).json
    assert view["rekey_asked"]
    for _ in range(2):
        reply, _ = await gateway.contact()
        assert reply.wish == Wish.REKEY
    await rekeyed(gateway)
    gateway.signer = NEW
    reply, _ = await gateway.contact()
    assert reply.wish == Wish.NONE
    assert not (await world.read("/v1/agents/pump"))["rekey_asked"]


# --- other labels -------------------------------------------------------------------------------
async def test_changed_labels_are_the_agents_and_the_site_stays_the_coordinators(world):
    gateway = await world.gateway("pump", role="pump", old="1")
    answered = await relabelled(gateway, 1, role="valve", site="elsewhere")
    assert answered.status == 200
    assert (await world.read("/v1/agents/pump"))["labels"] == {"role": "valve", "site": "north"}
    assert (await relabelled(gateway, 1, role="valve")).status == 200, "the answer was lost"


async def test_a_replay_brings_no_old_labels_back(world):
    gateway = await world.gateway("pump")
    await relabelled(gateway, 5, role="valve")
    await relabelled(gateway, 6, role="pump")
    for number in (5, 4):
        answered = await relabelled(gateway, number, role="valve")
        assert (answered.status, answered.json["reason"]) == (400, "replayed")
    assert (await world.read("/v1/agents/pump"))["labels"]["role"] == "pump"


async def test_labels_that_no_selector_can_name_change_nothing(world):
    gateway = await world.gateway("pump", role="pump")
    for number, labels in enumerate(({"role": "a b"}, {f"l{n}": "x" for n in range(40)})):
        assert (await relabelled(gateway, number + 1, **labels)).status == 400
    assert (await world.read("/v1/agents/pump"))["labels"] == {"role": "pump", "site": "north"}


# --- leave --------------------------------------------------------------------------------------
async def test_who_is_asked_to_leave_is_not_given_once_more_what_was_signed_before(world):
    gateway = await world.gateway("pump")
    await world.submit()
    frozen = gateway.report()
    sent = body(frozen)
    _, admitted = gateway.answered_by(frozen, await world.sync(sent))
    assert admitted is not None
    assert (await world.post("/v1/agents/pump/decommission", {})).json["state"] == "LEAVING"
    reply, admitted = gateway.answered_by(frozen, await world.sync(sent))
    assert (reply.wish, admitted) == (Wish.LEAVE, None), "the answer was lost"


async def test_an_agent_that_is_decommissioned_delivers_gets_no_work_and_is_gone_for_good(world):
    gateway = await world.gateway("pump")
    await gateway.contact(blocks={1: gateway.block(1.0, 2.0)})
    refused = await left(gateway)
    assert (refused.status, refused.json["reason"]) == (400, "wrong_audience"), "nobody asked"
    await world.submit()
    assert (await world.post("/v1/agents/pump/decommission", {})).json["state"] == "LEAVING"
    reply, admitted = await gateway.contact(blocks={2: gateway.block(3.0)})
    assert (reply.wish, reply.acked) == (Wish.LEAVE, [(2, 2)])
    assert admitted is None
    assert (await left(gateway)).status == 200
    assert (await left(gateway)).status == 200, "the answer was lost"
    view = await world.read("/v1/agents/pump")
    assert (view["state"], view["tally"]["delivered"]) == ("DECOMMISSIONED", 3)
    for answered in (await world.sync(body(gateway.report())), await gateway.enroll()):
        assert (answered.status, answered.problem) == (403, "agent-decommissioned")
    assert (await rekeyed(gateway)).problem == "agent-decommissioned"
    other = Gateway(world, OTHER, await world.claim(site="south"))
    await other.enroll("pump")
    assert other.name.startswith("south-"), "an id is never given twice"
    assert (await world.post("/v1/jobs", {**JOB, "targets": {"agents": ["pump"]}})).status == 422


JOB = {
    "name": "look",
    "steps": [{"id": "look", "action": "device.read", "params": {"points": ["current"]}}],
}


@pytest.mark.parametrize("wish", ["rekey", "decommission"])
async def test_a_stick_brings_no_work_either(world, wish):
    gateway = await world.gateway("pump")
    await gateway.contact()
    await world.submit()
    if wish == "rekey":
        await rekeyed(gateway)
    else:
        await world.post("/v1/agents/pump/decommission", {})
    async with open_fleet(world.place) as (store, _):
        body = partial(prepare_return, gateway.name, actor="me", now_ms=WallMs(NOW_MS))
        assert (await store.run(body, durable=False)).order is None


async def test_nobody_else_says_that_an_agent_has_left(world):
    gateway = await world.gateway("pump")
    await world.post("/v1/agents/pump/decommission", {})
    word = Leave(gateway.root.fleet, "pump", bytes(32))
    answered = await said(gateway, LEAVE_TYP, word, OTHER)
    assert (answered.status, answered.problem) == (403, "signature-invalid")
    assert (await world.read("/v1/agents/pump"))["state"] == "LEAVING"


async def test_a_wish_reaches_an_agent_whose_contact_is_held(world):
    await _wish_while_held(world)


class _StandsStill(SystemClock):
    """No wait takes a millisecond by it."""

    def mono_ms(self):
        return MonoMs(0)


async def test_a_wish_reaches_an_agent_whose_contact_was_held_for_no_time_at_all(tmp_path):
    async with open_world(tmp_path, clock=_StandsStill()) as world:
        await _wish_while_held(world)


async def _wish_while_held(world):
    gateway = await world.gateway("pump")
    await gateway.contact()
    frozen = gateway.report()
    held = world.session.post(
        f"{world.url}/v1/sync?wait=30",
        data=body(frozen),
        headers={"Content-Type": "application/vnd.outstation.contact"},
    )
    answered = asyncio.ensure_future(_read(held))
    recorded = 'outstation_contacts_total{chain="next"} 2.0'
    while recorded not in (await world.get("/metrics")).body.decode():
        assert not answered.done()
    await world.post("/v1/agents/pump/rekey", {})
    reply, _ = gateway.answered_by(frozen, await answered)
    assert reply.wish == Wish.REKEY


async def _read(request):
    async with request as response:
        return Answered(response.status, response.headers.copy(), await response.read())


async def test_every_change_is_in_the_audit_log(world):
    gateway = await world.gateway("pump")
    await world.post("/v1/agents/pump/rekey", {})
    await rekeyed(gateway)
    gateway.signer = NEW
    await gateway.contact()
    await relabelled(gateway, 1, role="pump")
    await world.post("/v1/agents/pump/decommission", {})
    await left(gateway)
    found = await rows(world.place, "SELECT action FROM audit ORDER BY number")
    actions = [a for (a,) in found]
    assert actions[3:] == [
        "agent.ask_rekey",
        "agent.rekey",
        "agent.use_key",
        "agent.relabel",
        "agent.decommission",
        "agent.left",
    ]


async def test_agents_in_a_state_are_looked_for_until_there_are_so_many(world, run):
    await world.gateway("pump-1")
    for name in ("pump-2", "pump-3"):
        await (await world.gateway(name)).contact()
    for state, most, names in (
        ("online", 1, ["pump-2"]),
        ("ONLINE", 5, ["pump-2", "pump-3"]),
        ("online", 0, []),
        ("enrolled", 1, ["pump-1"]),
    ):
        told = await run("agents", "list", "--state", state, "--most", most, "--json")
        assert (told[0], [one["id"] for one in json.loads(told[1])]) == (0, names)
    status, out, _ = await run("agents", "list", "--state", "revoked", "--most", 1)
    assert (status, out) == (0, "no agent matches\n")
