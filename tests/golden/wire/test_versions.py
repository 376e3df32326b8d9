"""Programs of neighbouring versions understand each other: members are only ever added at the end.

What an agent says and is told grows freely: whoever does not know a new member reads past it. An
order that uses a member its agent does not know is refused, for the member might restrict it; one
that does not use it reads as before.
"""

from functools import cache
from typing import Any

import msgspec
import pytest

from shared.errors import RefusedError
from shared.model.plan import Batch, PostCheck
from shared.model.schedule import Schedule
from shared.wire.codec import pack, unpack
from tests.golden.wire import vectors as meant

BOUND = 1 << 20
RICH = msgspec.structs.replace(
    meant.SPEC,
    final_steps=meant.SPEC.steps,
    post_check=PostCheck("device.flow > 5"),
    schedule=Schedule(cron="0 2 * * *"),
    batch=Batch(2),
)
ORDERS = [meant.SPEC, RICH, meant.BUNDLE.grants[0], meant.BUNDLE, meant.ROOT, meant.CATALOG]
ORDERS += [meant.POLICY]
WORDS = [meant.REPORT, meant.REPLY, meant.ENROLL, *meant.REPORT.receipts, *meant.REPORT.ledger]
WORDS += meant.REPORT.devices or []


@cache
def next_version(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return a kind as a later program may have it: with one member more."""
    config = kind.__struct_config__
    members: list[Any] = []
    for member in msgspec.structs.fields(kind):
        if member.default_factory is not msgspec.NODEFAULT:
            default = msgspec.field(default_factory=member.default_factory)
            members.append((member.name, Any, default))
        elif member.default is not msgspec.NODEFAULT:
            members.append((member.name, Any, member.default))
        else:
            members.append((member.name, Any))
    return msgspec.defstruct(
        kind.__name__,
        [*members, ("later", int, 0)],
        array_like=True,
        forbid_unknown_fields=config.forbid_unknown_fields,
        tag=config.tag,
    )


def ahead(value: Any, **later: int) -> Any:
    """Return a value as the next version has it, all the way down."""
    if isinstance(value, msgspec.Struct):
        inside = [ahead(getattr(value, name)) for name in value.__struct_fields__]
        return next_version(type(value))(*inside, **later)
    if isinstance(value, list):
        return [ahead(one) for one in value]
    if isinstance(value, dict):
        return {key: ahead(one) for key, one in value.items()}
    return value


@pytest.mark.parametrize("value", [*ORDERS, *WORDS], ids=lambda value: type(value).__name__)
def test_what_the_next_version_writes_is_read_by_this_one(value: Any) -> None:
    assert unpack(pack(ahead(value)), type(value), bound=BOUND) == value


@pytest.mark.parametrize("value", ORDERS, ids=lambda value: type(value).__name__)
def test_an_order_that_uses_what_its_agent_does_not_know_is_refused(value: Any) -> None:
    with pytest.raises(RefusedError):
        unpack(pack(ahead(value, later=1)), type(value), bound=BOUND)


def test_a_step_that_uses_what_its_agent_does_not_know_refuses_the_whole_job() -> None:
    [step] = meant.SPEC.steps
    newer = msgspec.structs.replace(ahead(meant.SPEC), steps=[ahead(step, later=1)])
    with pytest.raises(RefusedError):
        unpack(pack(newer), type(meant.SPEC), bound=BOUND)


@pytest.mark.parametrize("value", WORDS, ids=lambda value: type(value).__name__)
def test_what_is_said_may_use_what_the_other_does_not_know(value: Any) -> None:
    assert unpack(pack(ahead(value, later=1)), type(value), bound=BOUND) == value


@pytest.mark.parametrize("value", [*ORDERS, *WORDS], ids=lambda value: type(value).__name__)
def test_what_this_version_writes_is_read_by_the_next_one(value: Any) -> None:
    kind: type[msgspec.Struct] = type(value)
    later: Any = next_version(kind)
    read: Any = unpack(pack(value), later, bound=BOUND)
    assert read.later == 0


def test_an_order_says_nothing_that_says_nothing() -> None:
    short = pack(msgspec.structs.replace(meant.SPEC, retry=type(meant.SPEC.retry)(), delay_s=0))
    assert len(short) < len(pack(meant.SPEC))
    assert unpack(short, type(meant.SPEC), bound=BOUND).delay_s == 0
