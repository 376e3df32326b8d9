"""``/v1/triggers``: jobs that are submitted by themselves, and what came of that."""

import struct
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from coordinator.api.context import Call
from coordinator.api.paging import page_token, read_page_token
from coordinator.api.problems import Kind, ProblemError
from coordinator.api.router import Answer
from coordinator.contract.common import Page
from coordinator.contract.triggers import (
    OccasionQuery,
    OccasionView,
    TriggerBody,
    TriggersQuery,
    TriggerView,
)
from coordinator.core.ports import Tx
from coordinator.transactions.trigger_firings import NEWEST, Key, list_occasions
from coordinator.transactions.triggers import (
    Saver,
    delete_trigger,
    list_triggers,
    pause_trigger,
    save_trigger,
    view_trigger,
)

T = TypeVar("T")
_AT = struct.Struct(">q")


async def get_triggers(call: Call, query: TriggersQuery) -> Page[TriggerView]:
    """List triggers by name."""
    secret = call.parts.fleet.page_key
    after = read_page_token(query.page_token, scope="triggers", secret=secret).decode()
    views, more = await call.parts.store.read(
        partial(list_triggers, after=after, size=query.page_size)
    )
    last = views[-1].trigger.name.encode() if more else b""
    return Page(views, page_token(last, scope="triggers", secret=secret) if more else None)


async def get_trigger(call: Call, trigger: str) -> TriggerView:
    """Return a trigger and where it stands."""
    return _there(await call.parts.store.read(partial(view_trigger, trigger)), trigger)


async def create_trigger(call: Call, body: TriggerBody) -> Answer[TriggerView]:
    """Keep a trigger; one of the same name is replaced. Its jobs are the caller's."""
    parts = call.parts
    saver = Saver(actor=call.actor, author=call.principal.name, now_ms=parts.clock.wall_ms())
    view = await parts.store.run(partial(save_trigger, body, saver, parts.entropy), durable=True)
    parts.triggers.look_again()
    return Answer(view, 201)


async def pause_a_trigger(call: Call, trigger: str) -> TriggerView:
    """Let a trigger rest; what it would fire for meanwhile is not made up."""
    return await _change(call, trigger, partial(pause_trigger, trigger, pause=True))


async def resume_a_trigger(call: Call, trigger: str) -> TriggerView:
    """Let a trigger fire again from now on."""
    return await _change(call, trigger, partial(pause_trigger, trigger, pause=False))


async def remove_trigger(call: Call, trigger: str) -> TriggerView:
    """End a trigger and return what it was; its jobs stay."""
    return await _change(call, trigger, partial(delete_trigger, trigger))


async def get_occasions(call: Call, trigger: str, query: OccasionQuery) -> Page[OccasionView]:
    """List what a trigger did, newest first."""
    secret, scope = call.parts.fleet.page_key, f"occasions {trigger}"
    key = read_page_token(query.page_token, scope=scope, secret=secret)
    before: Key = NEWEST if not key else (_AT.unpack(key[:8])[0], key[8:].decode())
    body = partial(list_occasions, trigger, before=before, size=query.page_size)
    views, last = _there(await call.parts.store.read(body), trigger)
    token = None
    if last is not None:
        token = page_token(_AT.pack(last[0]) + last[1].encode(), scope=scope, secret=secret)
    return Page(views, token)


async def _change(call: Call, name: str, act: Callable[..., Tx[TriggerView | None]]) -> TriggerView:
    parts = call.parts
    body = partial(act, actor=call.actor, now_ms=parts.clock.wall_ms())
    view = _there(await parts.store.run(body, durable=True), name)
    parts.triggers.look_again()
    return view


def _there(found: T | None, name: str) -> T:
    if found is None:
        raise ProblemError(Kind.NOT_FOUND, f"no trigger {name!r}", at="path.trigger")
    return found
